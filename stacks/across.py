"""The rules between settings: what single values cannot show."""

from collections.abc import Iterator

from pydantic.alias_generators import to_camel

from components import between
from components.wording import shown

from .known_hosts import NoHostKeyError, host_key
from .models import BastionSettings, HostSettings, MachineSettings, Whole, job_of, listen_of, servers_of


def errors(whole: Whole) -> Iterator[str]:
    """Yield every error between settings that are right in themselves."""
    yield from _servers(whole)
    yield from _addresses(whole)
    for name, host in whole.hosts.items():
        yield from _host(f"hosts.{name}", host)
        yield from _exporters(whole, f"hosts.{name}", host)
    yield from _resources(whole)
    yield from _listens(whole)
    yield from _host_keys(whole)
    yield from _local(whole)
    yield from _timeout(whole)


def _servers(whole: Whole) -> Iterator[str]:
    for name, host in whole.hosts.items():
        servers = host.servers or []
        for index, server in enumerate(servers):
            path = f"hosts.{name}.servers[{index}]"
            if server not in whole.prometheus:
                yield f"{path}: {shown(server)} is no server; use one of {', '.join(whole.prometheus)}"
            elif server in servers[:index]:
                yield f"{path}: {shown(server)} is named twice; take one out"


def _addresses(whole: Whole) -> Iterator[str]:
    """Yield machines of one kind that are the same; a server may be a host, and one that is gone have a successor."""
    used: dict[tuple[object, ...], str] = {}
    for path, machine in whole.machines():
        if isinstance(machine, HostSettings) and machine.abandoned:
            continue
        identity = (path.split(".")[0], *_endpoint(machine), *(_endpoint(machine.bastion) if machine.bastion else ()))
        first = used.setdefault(identity, path)
        if first != path:
            yield f"{path}.address: {shown(machine.address)} is that of {first} already; take one of them out"


def _endpoint(machine: BastionSettings) -> tuple[str, int]:
    return machine.address.lower(), machine.port


def _host(path: str, host: HostSettings) -> Iterator[str]:
    yield from between.gone(f"{path}.", abandoned=host.abandoned, offline=host.offline)
    if not host.listen:
        return
    names = [f"{path}.exporters.{key}.listen" for key in host.exporters]
    if len(names) > 1:
        yield f"{path}.listen: {host.listen!r} is for a host with one exporter; give {' and '.join(names)}"
    elif next(iter(host.exporters.values())).listen:
        yield f"{path}.listen: {host.listen!r} and {names[0]} say the same thing twice; keep one"


def _exporters(whole: Whole, path: str, host: HostSettings) -> Iterator[str]:
    clashing = {
        key: between.Exporter(
            exporter.port,
            job_of(whole, key, exporter),
            frozenset(exporter.model_fields_set if "exporters" in host.model_fields_set else ()),
        )
        for key, exporter in host.exporters.items()
    }
    yield from between.jobs(f"{path}.", clashing)
    yield from between.ports(
        f"{path}.", host.port, clashing, ssh_written="port" in host.model_fields_set, path=f"{path}.port"
    )


def _resources(whole: Whole) -> Iterator[str]:
    """Yield hosts that would have a resource of the same name: hyphens stand in names and between them."""
    used: dict[str, str] = {}
    for name, host in whole.hosts.items():
        for resource in between.resources(name, list(host.exporters), servers_of(whole, host)):
            first = used.setdefault(resource, name)
            if first != name:
                yield f"hosts.{name}: its resource {resource} is called as one of hosts.{first}; rename one of them"


def _listens(whole: Whole) -> Iterator[str]:
    used: dict[tuple[str, str], str] = {}
    for name, host in whole.hosts.items():
        if host.listen and len(host.exporters) > 1:
            continue
        ports = [exporter.port for exporter in host.exporters.values()]
        for index, (key, exporter) in enumerate(host.exporters.items()):
            path = f"hosts.{name}.exporters.{key}"
            if not exporter.listen and exporter.port in ports[:index]:
                continue  # one port, one default: that is told already
            try:
                listen = listen_of(name, host, exporter)
            except ValueError as error:
                yield f"{path}.port: {exporter.port} {error}"
                continue
            written = f"hosts.{name}.listen" if host.listen else f"{path}.listen" if exporter.listen else ""
            who = written or f"exporter {key} of hosts.{name} by default"
            firsts = [used.setdefault((server, listen), who) for server in servers_of(whole, host)]
            if others := [first for first in firsts if first != who]:
                yield f"{written or path}: {listen!r} is {between.taken_by(written, others[0])}"


def _host_keys(whole: Whole) -> Iterator[str]:
    for path, login in whole.logins():
        host = path.startswith("hosts.") and isinstance(login, MachineSettings)
        yield from between.host_keys(
            f"{path}.", to_camel, host=host, key=bool(login.host_key), insecure=login.insecure_host_key
        )
        if not login.insecure_host_key:
            try:
                host_key(login)
            except NoHostKeyError as error:
                yield f"{path}.hostKey: {error}"


def _local(whole: Whole) -> Iterator[str]:
    for path, machine in whole.machines():
        if machine.local:
            yield from between.local(f"{path}.", to_camel, frozenset(machine.model_fields_set))


def _timeout(whole: Whole) -> Iterator[str]:
    if whole.scrape.timeout:
        written = "interval" in whole.scrape.model_fields_set
        yield from between.timeout(
            "scrape.timeout", whole.scrape.timeout, whole.scrape.interval, "scrape.interval", written=written
        )
