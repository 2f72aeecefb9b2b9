"""The shape of a stack's settings: what may be written where, and the rule of each single value."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from components import rules
from components.values import ENTRIES, LEAST, MOST, NAMES, RULES

Name = Annotated[str, AfterValidator(rules.name)]
LabelName = Annotated[str, AfterValidator(NAMES["labels"])]
LabelValue = Annotated[str, AfterValidator(ENTRIES["labels"])]


class _Model(BaseModel):
    """A map of settings. Each value is checked by the rule of its key, as the components check it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    own: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}

    @field_validator("*")
    @classmethod
    def _by_its_rule(cls, value: Any, info: ValidationInfo) -> Any:
        rule = cls.rule(str(info.field_name))
        return value if rule is None or value is None else rule(value)

    @classmethod
    def rule(cls, key: str) -> Callable[[Any], Any] | None:
        """Return the rule of a key's value."""
        return cls.own.get(key) or RULES.get(key)


class SshSettings(_Model):
    """Defaults of the admin connection."""

    user: str = "root"
    private_key_path: str | None = Field(None, alias="privateKeyPath")


class BastionSettings(_Model):
    """A jump host; also what every machine says of its admin connection."""

    address: str
    port: int = 22
    user: str | None = None
    host_key: str | None = Field(None, alias="hostKey")
    insecure_host_key: bool = Field(default=False, alias="insecureHostKey")
    private_key_path: str | None = Field(None, alias="privateKeyPath")

    @property
    def local(self) -> bool:
        """Whether it is the machine that Pulumi runs on; only a server may be."""
        return self.address == rules.LOCAL


class MachineSettings(BastionSettings):
    """What servers and hosts have in common."""

    bastion: BastionSettings | None = None
    offline: bool = False


class ServerSettings(MachineSettings):
    """A machine that runs Prometheus."""

    own = {"address": rules.server_address}

    config_file: str | None = Field(None, alias="configFile")
    service: str | None = None
    url: str | None = None
    egress: list[Annotated[str, AfterValidator(ENTRIES["egress"])]] = []


class ExporterSettings(_Model):
    """One exporter of a host."""

    port: int
    unit: str | None = None
    job: str | None = None
    path: str = "/metrics"
    manage: bool = True
    listen: str | None = None


class HostSettings(MachineSettings):
    """A machine whose exporters are scraped. `listen` is that of its only exporter."""

    exporters: dict[Name, ExporterSettings] = Field(
        default={"node": ExporterSettings(port=9100)}, min_length=LEAST["exporters"]
    )
    labels: dict[LabelName, LabelValue] = Field(default={}, max_length=MOST["labels"])
    servers: list[Name] | None = Field(None, min_length=1)
    listen: str | None = None
    login: str | None = None
    abandoned: bool = False


class ScrapeSettings(_Model):
    """How Prometheus scrapes."""

    job: str = "node"
    interval: str = "5s"
    timeout: str | None = None
    sample_limit: int | None = Field(None, alias="sampleLimit")


class Whole(_Model):
    """All keys of the namespace that hold no secret."""

    prometheus: dict[Name, ServerSettings] = Field(min_length=1)
    hosts: dict[Name, HostSettings] = {}
    ssh: SshSettings = SshSettings(privateKeyPath=None)
    scrape: ScrapeSettings = ScrapeSettings(sampleLimit=None)
    rotation: int = 1
    detect_drift: bool = Field(default=True, alias="detectDrift")

    def machines(self) -> Iterator[tuple[str, MachineSettings]]:
        """Yield every server and host with its path."""
        yield from ((f"prometheus.{name}", server) for name, server in self.prometheus.items())
        yield from ((f"hosts.{name}", host) for name, host in self.hosts.items())

    def logins(self) -> Iterator[tuple[str, BastionSettings]]:
        """Yield everything that is logged in to, jump hosts too, with its path."""
        for path, machine in self.machines():
            if not machine.local:
                yield path, machine
            if machine.bastion:
                yield f"{path}.bastion", machine.bastion


def listen_of(name: str, host: HostSettings, exporter: ExporterSettings) -> str:
    """Return where a server's Prometheus finds an exporter. Raises ValueError where there is no default."""
    return exporter.listen or host.listen or rules.default_listen(name, exporter.port)


def job_of(whole: Whole, key: str, exporter: ExporterSettings) -> str:
    """Return an exporter's job label."""
    return exporter.job or (whole.scrape.job if key == "node" else key)


def servers_of(whole: Whole, host: HostSettings) -> list[str]:
    """Return the names of the servers that scrape a host."""
    return host.servers or list(whole.prometheus)


_BY_NAME: dict[str, type[_Model]] = {"prometheus": ServerSettings, "hosts": HostSettings, "exporters": ExporterSettings}
_PLAIN: dict[str, type[_Model]] = {"bastion": BastionSettings, "ssh": SshSettings, "scrape": ScrapeSettings}


@dataclass(frozen=True)
class Spot:
    """A place of the settings: the key that it is at or below, its value's rule, and whether it has to be there."""

    key: str
    rule: Callable[[Any], Any] | None
    needed: bool


def spot_at(steps: tuple[Any, ...]) -> Spot:
    """Return what is known of a place that there may be."""
    model: type[_Model] = Whole
    left = list(steps)
    while True:
        written = left.pop(0)
        key, field = next(
            (name, field) for name, field in model.model_fields.items() if written in (field.alias, field.alias or name)
        )
        if not left:
            return Spot(key, model.rule(key), field.is_required())
        if key in _BY_NAME:
            del left[:1]
        if not left or key not in _BY_NAME | _PLAIN:
            return Spot(key, ENTRIES.get(key), needed=False)
        model = (_BY_NAME | _PLAIN)[key]


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
