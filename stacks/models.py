"""The shape of a stack's settings: what may be written where, and the rule of each single value."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from components import rules

Name = Annotated[str, AfterValidator(rules.name)]
Address = Annotated[str, AfterValidator(rules.address)]
Port = Annotated[int, AfterValidator(rules.port)]
User = Annotated[str, AfterValidator(rules.user)]
KeyFile = Annotated[str, AfterValidator(rules.key_file)]
Listen = Annotated[str, AfterValidator(rules.listen)]
Unit = Annotated[str, AfterValidator(rules.unit)]
AbsolutePath = Annotated[str, AfterValidator(rules.path)]
Job = Annotated[str, AfterValidator(rules.job)]
LabelName = Annotated[str, AfterValidator(rules.label_name)]
LabelValue = Annotated[str, AfterValidator(rules.text)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Ssh(_Model):
    """Defaults of the admin connection."""

    user: User = "root"
    private_key_path: KeyFile | None = Field(None, alias="privateKeyPath")


class Bastion(_Model):
    """A jump host; also what every machine says of its admin connection."""

    address: Address
    port: Port = 22
    user: User | None = None
    host_key: Annotated[str, AfterValidator(rules.host_key)] | None = Field(None, alias="hostKey")
    insecure_host_key: bool = Field(default=False, alias="insecureHostKey")
    private_key_path: KeyFile | None = Field(None, alias="privateKeyPath")

    @property
    def local(self) -> bool:
        """Whether it is the machine that Pulumi runs on; only a server may be."""
        return self.address == rules.LOCAL


class Machine(Bastion):
    """What servers and hosts have in common."""

    bastion: Bastion | None = None
    offline: bool = False


class Server(Machine):
    """A machine that runs Prometheus."""

    address: Annotated[str, AfterValidator(rules.server_address)]
    config_file: AbsolutePath | None = Field(None, alias="configFile")
    service: Unit | None = None
    url: Annotated[str, AfterValidator(rules.url)] | None = None
    egress: list[Annotated[str, AfterValidator(rules.network)]] = []


class Exporter(_Model):
    """One exporter of a host."""

    port: Port
    unit: Unit | None = None
    job: Job | None = None
    path: AbsolutePath = "/metrics"
    listen: Listen | None = None


class Host(Machine):
    """A machine whose exporters are scraped. `listen` is that of its only exporter."""

    exporters: dict[Name, Exporter] = Field(default={"node": Exporter(port=9100)}, min_length=1)
    labels: Annotated[dict[LabelName, LabelValue], AfterValidator(rules.labels)] = Field(default={}, max_length=32)
    servers: list[Name] | None = Field(None, min_length=1)
    listen: Listen | None = None
    login: Annotated[str, AfterValidator(rules.login)] | None = None
    abandoned: bool = False


class Scrape(_Model):
    """How Prometheus scrapes."""

    job: Job = "node"
    interval: Annotated[str, AfterValidator(rules.interval)] = "5s"
    timeout: Annotated[str, AfterValidator(rules.duration)] | None = None
    sample_limit: Annotated[int, AfterValidator(rules.sample_limit)] | None = Field(None, alias="sampleLimit")


class Whole(_Model):
    """All keys of the namespace that hold no secret."""

    prometheus: dict[Name, Server] = Field(min_length=1)
    hosts: dict[Name, Host] = {}
    ssh: Ssh = Ssh(privateKeyPath=None)
    scrape: Scrape = Scrape(sampleLimit=None)
    rotation: Annotated[int, AfterValidator(rules.rotation)] = 1
    detect_drift: bool = Field(default=True, alias="detectDrift")

    def machines(self) -> Iterator[tuple[str, Machine]]:
        """Yield every server and host with its path."""
        yield from ((f"prometheus.{name}", server) for name, server in self.prometheus.items())
        yield from ((f"hosts.{name}", host) for name, host in self.hosts.items())

    def logins(self) -> Iterator[tuple[str, Bastion]]:
        """Yield everything that is logged in to, jump hosts too, with its path."""
        for path, machine in self.machines():
            if not machine.local:
                yield path, machine
            if machine.bastion:
                yield f"{path}.bastion", machine.bastion


def listen_of(name: str, host: Host, exporter: Exporter) -> str:
    """Return where a server's Prometheus finds an exporter. Raises ValueError where there is no default."""
    return exporter.listen or host.listen or rules.default_listen(name, exporter.port)


def job_of(whole: Whole, key: str, exporter: Exporter) -> str:
    """Return an exporter's job label."""
    return exporter.job or (whole.scrape.job if key == "node" else key)


def servers_of(whole: Whole, host: Host) -> list[str]:
    """Return the names of the servers that scrape a host."""
    return host.servers or list(whole.prometheus)


_BY_NAME: dict[str, type[BaseModel]] = {"prometheus": Server, "hosts": Host, "exporters": Exporter}
_PLAIN: dict[str, type[BaseModel]] = {"bastion": Bastion, "ssh": Ssh, "scrape": Scrape}


def keys_at(steps: tuple[Any, ...]) -> list[str]:
    """Return the keys that may stand at a place of the settings."""
    model: type[BaseModel] = Whole
    left = list(steps)
    while left:
        step = left.pop(0)
        model = (_BY_NAME | _PLAIN)[step]
        if step in _BY_NAME:
            del left[:1]
    return [field.alias or name for name, field in model.model_fields.items()]
