"""The rules between settings: what single values cannot show."""

from collections.abc import Iterator

from components import rules

from .known_hosts import NoHostKeyError, host_key
from .models import Bastion, Host, Machine, Whole, job_of, listen_of, servers_of
from .wording import shown


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
        given = host.servers or []
        for index, server in enumerate(given):
            path = f"hosts.{name}.servers[{index}]"
            if server not in whole.prometheus:
                yield f"{path}: {shown(server)} is no server; use one of {', '.join(whole.prometheus)}"
            elif server in given[:index]:
                yield f"{path}: {shown(server)} is named twice; take one out"


def _addresses(whole: Whole) -> Iterator[str]:
    """Yield machines of one kind that are the same; a server may be a host, and one that is gone have a successor."""
    used: dict[tuple[object, ...], str] = {}
    for path, machine in whole.machines():
        if isinstance(machine, Host) and machine.abandoned:
            continue
        where = (path.split(".")[0], *_endpoint(machine), *(_endpoint(machine.bastion) if machine.bastion else ()))
        first = used.setdefault(where, path)
        if first != path:
            yield f"{path}.address: {shown(machine.address)} is that of {first} already; take one of them out"


def _endpoint(machine: Bastion) -> tuple[str, int]:
    return machine.address.lower(), machine.port


def _host(path: str, host: Host) -> Iterator[str]:
    if host.abandoned and host.offline:
        yield f"{path}.abandoned: true and offline: true exclude each other; keep offline while it may come back"
    if not host.listen:
        return
    names = [f"{path}.exporters.{key}.listen" for key in host.exporters]
    if len(names) > 1:
        yield f"{path}.listen: {host.listen!r} is for a host with one exporter; give {' and '.join(names)}"
    elif next(iter(host.exporters.values())).listen:
        yield f"{path}.listen: {host.listen!r} and {names[0]} say the same thing twice; keep one"


def _exporters(whole: Whole, path: str, host: Host) -> Iterator[str]:
    jobs: dict[str, str] = {}
    ports: dict[int, str] = {host.port: "SSH"}
    for key, exporter in host.exporters.items():
        where, job = f"{path}.exporters.{key}", job_of(whole, key, exporter)
        if jobs.setdefault(job, where) != where:
            yield f"{where}.job: {job!r} is {jobs[job]}'s job already; give it another job"
        if ports.setdefault(exporter.port, where) != where:
            yield f"{where}.port: {exporter.port} is that of {ports[exporter.port]} already; give the exporter's own"


def _resources(whole: Whole) -> Iterator[str]:
    """Yield hosts that would have a resource of the same name: hyphens stand in names and between them."""
    used: dict[str, str] = {}
    for name, host in whole.hosts.items():
        servers = servers_of(whole, host)
        tunnels = [f"-{server}" for server in servers] if len(servers) > 1 else [""]
        ends = [f"exporter-{key}" for key in host.exporters] + [f"authorized-key-{server}" for server in servers]
        for end in [*ends, *(f"{kind}{one}" for kind in ("ssh-tunnel", "scrape-config") for one in tunnels)]:
            first = used.setdefault(f"{name}-{end}", name)
            if first != name:
                yield f"hosts.{name}: its resource {name}-{end} is called as one of hosts.{first}; rename one of them"


def _listens(whole: Whole) -> Iterator[str]:
    used: dict[tuple[str, str], str] = {}
    for name, host in whole.hosts.items():
        if host.listen and len(host.exporters) > 1:
            continue
        ports = [one.port for one in host.exporters.values()]
        for index, (key, exporter) in enumerate(host.exporters.items()):
            path = f"hosts.{name}.exporters.{key}"
            if not exporter.listen and exporter.port in ports[:index]:
                continue  # one port, one default: that is told already
            try:
                listen = listen_of(name, host, exporter)
            except ValueError as error:
                yield f"{path}.port: {exporter.port} {error}"
                continue
            where = f"hosts.{name}.listen" if host.listen else f"{path}.listen"
            firsts = [used.setdefault((server, listen), where) for server in servers_of(whole, host)]
            if others := [first for first in firsts if first != where]:
                yield f"{where}: {listen!r} is that of {others[0]} already; give one of them another listen"


def _host_keys(whole: Whole) -> Iterator[str]:
    for path, one in whole.logins():
        if one.insecure_host_key and path.startswith("hosts.") and isinstance(one, Machine):
            yield (
                f"{path}.insecureHostKey: true is refused for a host, whose key its tunnel pins; "
                "give hostKey, as shown there by: cat /etc/ssh/ssh_host_ed25519_key.pub"
            )
        elif one.insecure_host_key and one.host_key:
            yield f"{path}.insecureHostKey: true stands beside hostKey; keep one, and best hostKey"
        elif not one.insecure_host_key:
            try:
                host_key(one)
            except NoHostKeyError as error:
                yield f"{path}.hostKey: {error}"


def _local(whole: Whole) -> Iterator[str]:
    unfit = {"port", "host_key", "insecure_host_key", "private_key_path", "bastion"}
    for path, machine in whole.machines():
        if machine.local:
            for field in sorted(unfit & machine.model_fields_set):
                alias = type(machine).model_fields[field].alias or field
                yield f"{path}.{alias}: is for machines over SSH, and this one is local; take it out"


def _timeout(whole: Whole) -> Iterator[str]:
    timeout, interval = whole.scrape.timeout, whole.scrape.interval
    if timeout and rules.milliseconds(timeout) > rules.milliseconds(interval):
        yield f"scrape.timeout: {timeout!r} is longer than scrape.interval ({interval}); make it no longer"
