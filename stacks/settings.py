"""Checks a stack's settings as a whole before any connection. The only reader of `pulumi.Config`."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import asyncssh
import pulumi
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from components import ConnectionArgs, MonitoredHostArgs, PrometheusServerArgs, rules

Name = Annotated[str, AfterValidator(rules.name)]
Address = Annotated[str, AfterValidator(rules.address)]
Port = Annotated[int, AfterValidator(rules.port)]
User = Annotated[str, AfterValidator(rules.user)]
HostKey = Annotated[str, AfterValidator(rules.host_key)]
Duration = Annotated[str, AfterValidator(rules.duration)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Ssh(_Model):
    """Defaults of the admin connection."""

    user: User = "root"
    private_key_path: str | None = Field(None, alias="privateKeyPath")


class Bastion(_Model):
    """A jump host."""

    address: Address
    port: Port = 22
    user: User | None = None
    host_key: HostKey | None = Field(None, alias="hostKey")
    insecure_host_key: bool = Field(default=False, alias="insecureHostKey")


class _Machine(Bastion):
    bastion: Bastion | None = None
    offline: bool = False


class Server(_Machine):
    """A machine that runs Prometheus."""

    config_file: Annotated[str, AfterValidator(rules.path)] | None = Field(None, alias="configFile")
    service: Annotated[str, AfterValidator(rules.unit)] | None = None
    url: Annotated[str, AfterValidator(rules.url)] | None = None
    egress: list[Annotated[str, AfterValidator(rules.network)]] = []


class Exporter(_Model):
    """One exporter of a host."""

    port: Port
    unit: Annotated[str, AfterValidator(rules.unit)] | None = None
    job: Name | None = None
    path: Annotated[str, AfterValidator(rules.path)] = "/metrics"
    listen: Annotated[str, AfterValidator(rules.listen)] | None = None


class Host(_Machine):
    """A machine whose exporters are scraped."""

    exporters: dict[Name, Exporter] = Field(default={"node": Exporter(port=9100)}, min_length=1)
    labels: dict[Annotated[str, AfterValidator(rules.label_name)], Annotated[str, AfterValidator(rules.text)]] = {}
    servers: list[Name] | None = None


class Scrape(_Model):
    """How Prometheus scrapes."""

    job: Name = "node"
    interval: Duration = "5s"
    timeout: Duration | None = None


class Whole(_Model):
    """All keys of the namespace that hold no secret."""

    prometheus: dict[Name, Server] = Field(min_length=1)
    hosts: dict[Name, Host] = {}
    ssh: Ssh = Ssh(privateKeyPath=None)
    scrape: Scrape = Scrape()
    rotation: Annotated[int, Field(ge=1)] = 1
    detect_drift: bool = Field(default=True, alias="detectDrift")


@dataclass(frozen=True)
class Settings:
    """What the components take. `servers_of` names the servers of each host."""

    servers: dict[str, PrometheusServerArgs]
    hosts: dict[str, MonitoredHostArgs]
    servers_of: dict[str, list[str]]


def check(raw: Mapping[str, Any]) -> tuple[Whole | None, list[str]]:
    """Return the checked settings, or None, with every error: path, value, rule and remedy."""
    try:
        whole = Whole.model_validate(raw)
    except ValidationError as error:
        return None, [_line(one) for one in error.errors()]
    errors = list(_across(whole))
    return (None if errors else whole), errors


def _line(error: Mapping[str, Any]) -> str:
    where = ".".join(str(step) for step in error["loc"] if step != "[key]")
    if error["type"] == "value_error":
        return f"{where}: {_short(error['input'])} {error['ctx']['error']}"
    if error["type"] == "extra_forbidden":
        return f"{where}: {_short(error['input'])} stands under an unknown key; see the README's settings reference"
    if error["type"] == "missing":
        return f"{where}: is missing; add it"
    return f"{where}: {_short(error['input'])} is of the wrong kind ({error['msg']}); mend it"


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."  # noqa: PLR2004 - a line's worth


def _across(whole: Whole) -> Iterator[str]:
    yield from _unknown_servers(whole)
    yield from _listens(whole)
    yield from _jobs(whole)
    yield from _without_host_key(whole)
    timeout = whole.scrape.timeout
    if timeout and rules.milliseconds(timeout) > rules.milliseconds(whole.scrape.interval):
        yield f"scrape.timeout: {timeout!r} is longer than scrape.interval ({whole.scrape.interval}); make it no longer"


def _unknown_servers(whole: Whole) -> Iterator[str]:
    for name, host in whole.hosts.items():
        for server in host.servers or []:
            if server not in whole.prometheus:
                yield f"hosts.{name}.servers: {server!r} is no server; use one of {', '.join(whole.prometheus)}"


def _listens(whole: Whole) -> Iterator[str]:
    used: dict[str, str] = {}
    for name, host in whole.hosts.items():
        for key, exporter in host.exporters.items():
            path = f"hosts.{name}.exporters.{key}"
            try:
                listen = exporter.listen or rules.default_listen(name, exporter.port)
            except ValueError as error:
                yield f"{path}.port: {exporter.port} {error}"
                continue
            if used.setdefault(listen, path) != path:
                yield f"{path}.listen: {listen!r} is that of {used[listen]} already; give one of them another listen"


def _jobs(whole: Whole) -> Iterator[str]:
    for name, host in whole.hosts.items():
        jobs: dict[str, str] = {}
        for key, exporter in host.exporters.items():
            path, job = f"hosts.{name}.exporters.{key}", _job(whole, key, exporter)
            if jobs.setdefault(job, path) != path:
                yield f"{path}.job: {job!r} is {jobs[job]}'s job already; give it another job"


def _without_host_key(whole: Whole) -> Iterator[str]:
    for name, machine in [*_named("prometheus", whole.prometheus), *_named("hosts", whole.hosts)]:
        for path, one in ((name, machine), (f"{name}.bastion", machine.bastion)):
            if one is machine and name.startswith("hosts.") and one.insecure_host_key:
                yield f"{path}.insecureHostKey: true is refused for a host, whose key its tunnel pins; give hostKey"
            elif one is not None and _host_key(one) is None and not one.insecure_host_key and not _local(path, one):
                yield (
                    f"{path}.hostKey: is missing, and ~/.ssh/known_hosts has no ed25519 or ecdsa key of {one.address}; "
                    "show it on the machine with: cat /etc/ssh/ssh_host_ed25519_key.pub"
                )


def _named(kind: str, machines: Mapping[str, Server] | Mapping[str, Host]) -> list[tuple[str, _Machine]]:
    return [(f"{kind}.{name}", machine) for name, machine in machines.items()]


def _local(path: str, one: Bastion) -> bool:
    return path.startswith("prometheus.") and one.address == "local"


def _job(whole: Whole, key: str, exporter: Exporter) -> str:
    return exporter.job or (whole.scrape.job if key == "node" else key)


def _host_key(machine: Bastion) -> str | None:
    if machine.host_key or machine.insecure_host_key:
        return machine.host_key
    known = Path.home() / ".ssh" / "known_hosts"
    if not known.is_file():
        return None
    keys = asyncssh.read_known_hosts(str(known)).match(machine.address, machine.address, machine.port)[0]
    lines = sorted((key.export_public_key().decode() for key in keys), reverse=True)
    usable = [line for line in lines if line.startswith(("ssh-ed25519 ", "ecdsa-"))]
    return " ".join(usable[0].split()[:2]) if usable else None


def load() -> Settings:
    """Read the stack's settings. Raises pulumi.RunError with every error at once."""
    config = pulumi.Config("metrics-tunnel")
    keys = ("prometheus", "hosts", "ssh", "scrape", "rotation", "detectDrift")
    raw = {key: config.get_object(key) for key in keys if config.get(key) is not None}
    whole, errors = check(raw)
    credentials: dict[str, Any] = {}
    try:
        credentials = _credentials(config, whole.ssh if whole else Ssh(privateKeyPath=None))
    except ValueError as error:
        errors.append(f"ssh: {error}")
    if whole is None or errors:
        file = f"stacks/Pulumi.{pulumi.get_stack()}.yaml"
        raise pulumi.RunError(f"{len(errors)} errors in {file}; nothing was connected to:\n  " + "\n  ".join(errors))
    tunnel_key = config.get_secret("tunnelPrivateKey") if config.get("tunnelPrivateKey") else None
    return arguments(whole, credentials, tunnel_key)


def _credentials(config: pulumi.Config, ssh: Ssh) -> dict[str, Any]:
    """Return the admin's credentials: the secret, a file, or the agent."""
    found: dict[str, Any] = {}
    if config.get("sudoPassword"):
        found["sudo_password"] = config.get_secret("sudoPassword")
    if given := config.get("sshPrivateKey"):
        return found | {"private_key": pulumi.Output.secret(_named_key("the secret sshPrivateKey", given))}
    if ssh.private_key_path is None and os.environ.get("SSH_AUTH_SOCK"):
        return found | {"agent_socket_path": os.environ["SSH_AUTH_SOCK"]}
    file = Path(ssh.private_key_path or "~/.ssh/id_ed25519").expanduser()
    if not file.is_file():
        raise ValueError(f"{file} is no file; give ssh.privateKeyPath, the secret sshPrivateKey, or start an agent")
    return found | {"private_key": pulumi.Output.secret(_named_key(str(file), file.read_text()))}


def _named_key(what: str, text: str) -> str:
    try:
        return rules.private_key(text)
    except ValueError as error:
        raise ValueError(f"{what} {error}") from None


def arguments(whole: Whole, credentials: Mapping[str, Any], private_key: pulumi.Input[str] | None) -> Settings:
    """Turn checked settings into the components' arguments."""
    servers: dict[str, PrometheusServerArgs] = {}
    for name, server in whole.prometheus.items():
        args: dict[str, Any] = server.model_dump(include={"config_file", "service", "url", "egress"}, exclude_none=True)
        args |= {"connection": _connection(whole, server, credentials), "rotation": whole.rotation}
        args |= {
            "scrape_interval": whole.scrape.interval,
            "offline": server.offline,
            "detect_drift": whole.detect_drift,
        }
        args["scrape_timeout"] = whole.scrape.timeout or whole.scrape.interval
        if private_key is not None:
            args["private_key"] = private_key
        servers[name] = cast("PrometheusServerArgs", args)
    hosts: dict[str, MonitoredHostArgs] = {}
    for name, host in whole.hosts.items():
        exporters = {key: _exporter(whole, name, key, one) for key, one in host.exporters.items()}
        hosts[name] = cast(
            "MonitoredHostArgs",
            {
                "connection": _connection(whole, host, credentials),
                "exporters": exporters,
                "labels": host.labels,
                "offline": host.offline,
                "detect_drift": whole.detect_drift,
            },
        )
    return Settings(servers, hosts, {name: host.servers or list(servers) for name, host in whole.hosts.items()})


def _exporter(whole: Whole, host: str, key: str, exporter: Exporter) -> dict[str, Any]:
    listen = exporter.listen or rules.default_listen(host, exporter.port)
    return exporter.model_dump(exclude_none=True) | {"listen": listen, "job": _job(whole, key, exporter)}


def _connection(whole: Whole, machine: _Machine, credentials: Mapping[str, Any]) -> ConnectionArgs:
    args = _login(whole, machine, credentials)
    if machine.bastion:
        bastion = _login(whole, machine.bastion, credentials)
        bastion.pop("sudo_password", None)
        args["bastion"] = bastion
    return cast("ConnectionArgs", args)


def _login(whole: Whole, machine: Bastion, credentials: Mapping[str, Any]) -> dict[str, Any]:
    args = {"address": machine.address, "port": machine.port, "user": machine.user or whole.ssh.user, **credentials}
    key = _host_key(machine)
    if key is None:
        pulumi.log.warn(
            f"{machine.address}: insecureHostKey accepts any host key there; whoever answers gets root's commands"
        )
    return args | ({"insecure_host_key": True} if key is None else {"host_key": key})
