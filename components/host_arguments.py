"""What a monitored host takes: its arguments in their plain form, exporters complete, and its errors all at once."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pulumi

from . import between, rules
from .args import MonitoredHostArgs
from .connection import endpoint, settle
from .edge import Edge
from .prometheus_server import PrometheusServer
from .wording import shown

_NODE = {"node": {"port": 9100}}
_CALL = "MonitoredHost(name, args, opts, servers=[server])"


def take(name: str, args: MonitoredHostArgs, opts: Any, servers: Any) -> dict[str, Any]:
    """Return a host's arguments. Raises pulumi.RunError with every error at once."""
    edge = Edge("MonitoredHost", name, elsewhere={"servers": f"they stand beside the arguments: {_CALL}"})
    edge.errors += _servers(opts, servers)
    taken: dict[str, Any] = edge.take(MonitoredHostArgs, args)
    edge.refuse()
    written = taken.get("exporters", {})
    taken["exporters"] = {key: _complete(key, exporter) for key, exporter in (written or _NODE).items()}
    edge.refuse([*_defaults(name, taken["exporters"]), *settle(edge, taken["connection"], host=True)])
    edge.refuse(_clashes(taken, written))
    edge.refuse(dict.fromkeys(_claims(name, taken, written, servers)))
    return taken


def _servers(opts: Any, servers: Any) -> Iterator[str]:
    if opts is not None and not isinstance(opts, pulumi.ResourceOptions):
        yield (f"opts: {shown(opts)} is no ResourceOptions; servers go by name: {_CALL}")
    elif not isinstance(servers, list | tuple):
        yield f"servers: {shown(servers)} is not a list; write servers=[server]"
    elif not servers:
        yield "servers: are missing; give those that scrape the host, servers=[server]"
    else:
        yield from _machines(servers)


def _machines(servers: Sequence[Any]) -> Iterator[str]:
    machines: dict[str, int] = {}
    for index, server in enumerate(servers):
        if not isinstance(server, PrometheusServer):
            yield f"servers[{index}]: {shown(server)} is no PrometheusServer; give the component itself"
        elif server in servers[:index]:
            yield f"servers[{index}]: {shown(server.machine.name)} is named twice; take one out"
        else:
            reached = endpoint(server.machine.connection)
            first = machines.setdefault(reached or server.machine.name, index)
            if first != index:
                yield f"servers[{index}]: is the machine of servers[{first}] already; take one of them out"


def _complete(name: str, exporter: Mapping[str, Any]) -> dict[str, Any]:
    return {"job": name, "path": "/metrics", "unit": "", **exporter}


def _defaults(host: str, exporters: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """Fill in where servers find each exporter; yield those that have no default."""
    for key, exporter in exporters.items():
        try:
            exporter["listen"] = exporter.get("listen") or rules.default_listen(host, exporter["port"])
        except ValueError as error:
            yield f"exporters.{key}.port: {exporter['port']} {error}"


def _clashes(taken: Mapping[str, Any], written: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is right in itself and cannot stand together on this host."""
    exporters = {
        key: between.Exporter(exporter["port"], exporter["job"], frozenset(written.get(key, ())))
        for key, exporter in taken["exporters"].items()
    }
    ssh = taken["connection"].get("port")
    yield from between.gone("", abandoned=taken.get("abandoned", False), offline=taken.get("offline", False))
    yield from between.jobs("", exporters)
    yield from between.ports("", ssh or 22, exporters, ssh_written=bool(ssh), path="connection.port")


def _claims(
    host: str, taken: Mapping[str, Any], written: Mapping[str, Any], servers: Sequence[PrometheusServer]
) -> Iterator[str]:
    """Yield what another host of a server has already, or another exporter of this one."""
    reached = "" if taken.get("abandoned") else endpoint(taken["connection"])
    resources = between.resources(host, list(taken["exporters"]), [server.machine.name for server in servers])
    for server in servers:
        for key, exporter in taken["exporters"].items():
            path = f"exporters.{key}.listen" if "listen" in written.get(key, ()) else ""
            who = f"{path} of {host}" if path else f"exporter {key} of {host} by default"
            first = server.claim("listen", exporter["listen"], who)
            if first != who:
                yield f"{path or f'exporters.{key}'}: {exporter['listen']!r} is {between.taken_by(path, first)}"
        if reached and (first := server.claim("address", reached, host)) != host:
            address = shown(taken["connection"]["address"])
            yield f"connection.address: {address} is that of {first} already; take one of them out"
        for resource in resources:
            first = server.claim("resource", resource, host)
            if first != host:
                yield f"name: its resource {resource} is called as one of {first}; rename one of them"
