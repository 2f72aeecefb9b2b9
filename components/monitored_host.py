"""A machine whose exporters are scraped through a tunnel from each server."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pulumi

from . import between, rules
from .args import MonitoredHostArgs
from .authorized_key import authorized_key
from .connection import endpoint, settle
from .edge import Edge
from .exporter import exporter
from .login_key import login_key
from .machine import Machine
from .part import Part, make
from .prometheus_server import PrometheusServer
from .scrape_config import Target, scrape_config
from .ssh_tunnel import TUNNEL_USER, Forward, ssh_tunnel
from .wording import shown

_NODE = {"node": {"port": 9100}}


class MonitoredHost(pulumi.ComponentResource):
    """Per server an authorized key, a tunnel and a scrape config; then, last, each exporter goes to loopback.

    `servers` are the components of the servers that scrape it, one at least.

    Of an abandoned host only what lies on it stays declared, untouched, so that the engine learns to forget it; what
    servers had for it is taken away.

    Raises pulumi.RunError with every error of its name and arguments at once, before anything is planned.
    """

    def __init__(
        self,
        name: str,
        args: MonitoredHostArgs,
        opts: pulumi.ResourceOptions | None = None,
        *,
        servers: Sequence[PrometheusServer] = (),
    ) -> None:
        taken = _taken(name, args, opts, servers)
        super().__init__("metrics-tunnel:index:MonitoredHost", name, None, opts)
        self.args = taken
        self.exporters: dict[str, dict[str, Any]] = taken["exporters"]
        self.abandoned: bool = taken.get("abandoned", False)
        self.machine = Machine(
            name, taken["connection"], detect_drift=taken.get("detect_drift", True), offline=taken.get("offline", False)
        )
        scraped: list[pulumi.Resource] = []
        for server in servers:
            scraped += self._scrape(server, many=len(servers) > 1)
        for key, one in self.exporters.items():
            self._make(exporter(self.machine, key, one["port"], one["path"], one["unit"]), scraped)
        self.register_outputs({})

    def _make(self, part: Part, after: Sequence[pulumi.Resource]) -> pulumi.Resource:
        made: pulumi.Resource = make(replace(part, abandoned=self.abandoned), self, after)
        return made

    def _scrape(self, server: PrometheusServer, *, many: bool) -> list[pulumi.Resource]:
        exporters = self.exporters.values()
        forwards = [Forward(one["listen"], one["port"], one["path"]) for one in exporters]
        targets = [Target(one["job"], one["listen"], one["path"]) for one in exporters]
        ports = [forward.port for forward in forwards]
        public_key = server.public_key
        login = self.args.get("login")
        key = authorized_key(self.machine, server.machine.name, server.rotation, public_key, ports, server.egress)
        line = self._make(login_key(login, key) if login else key, [])
        if self.abandoned:
            return []
        tunnel = ssh_tunnel(
            server.machine, self.machine, server.key, public_key, forwards, login or TUNNEL_USER, many=many
        )
        carries = self._make(tunnel, [line, server.watchdog])
        labels = self.args.get("labels", {})
        config = scrape_config(server.machine, self.machine, labels, targets, server.interval, many=many)
        return [self._make(config, [carries, server.job])]


def _taken(name: str, args: MonitoredHostArgs, opts: Any, servers: Any) -> dict[str, Any]:
    """Return the arguments in their plain form, exporters complete. Raises pulumi.RunError with every error at once."""
    edge = Edge("MonitoredHost", name)
    if opts is not None and not isinstance(opts, pulumi.ResourceOptions):
        edge.errors.append(
            f"opts: {shown(opts)} is no ResourceOptions; servers go by name: "
            "MonitoredHost(name, args, opts, servers=[server])"
        )
    elif not servers:
        edge.errors.append("servers: are missing; give those that scrape the host, servers=[server]")
    else:
        edge.errors += _servers(servers)
    taken: dict[str, Any] = edge.take(MonitoredHostArgs, args)
    edge.refuse()
    written = taken.get("exporters", _NODE)
    default = "exporters" not in taken
    exporters = taken["exporters"] = {key: _complete(key, one) for key, one in written.items()}
    edge.refuse([*_defaults(name, exporters), *settle(edge, taken["connection"], host=True)])
    clashing = {
        key: between.Exporter(one["port"], one["job"], frozenset(() if default else written[key]))
        for key, one in exporters.items()
    }
    ssh = taken["connection"].get("port")
    edge.refuse(
        [
            *between.gone("", abandoned=taken.get("abandoned", False), offline=taken.get("offline", False)),
            *between.jobs("", clashing),
            *between.ports("", ssh or 22, clashing, ssh_written=bool(ssh), path="connection.port"),
        ]
    )
    edge.refuse(dict.fromkeys(_claims(name, taken, servers)))
    return taken


def _servers(servers: Any) -> Iterator[str]:
    if not isinstance(servers, list | tuple):
        yield f"servers: {shown(servers)} is not a list; write servers=[server]"
        return
    machines: dict[str, int] = {}
    for index, server in enumerate(servers):
        if not isinstance(server, PrometheusServer):
            yield f"servers[{index}]: {shown(server)} is no PrometheusServer; give the component itself"
        elif server in servers[:index]:
            yield f"servers[{index}]: {shown(server.machine.name)} is named twice; take one out"
        else:
            where = endpoint(dict(server.machine.connection))
            first = machines.setdefault(where or server.machine.name, index)
            if first != index:
                yield f"servers[{index}]: is the machine of servers[{first}] already; take one of them out"


def _complete(name: str, given: dict[str, Any]) -> dict[str, Any]:
    return {"job": name, "path": "/metrics", "unit": "", **given}


def _defaults(host: str, exporters: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Fill in where servers find each exporter; yield those that have no default."""
    for key, one in exporters.items():
        try:
            one.setdefault("listen", rules.default_listen(host, one["port"]))
        except ValueError as error:
            yield f"exporters.{key}.port: {one['port']} {error}"


def _claims(host: str, taken: dict[str, Any], servers: Sequence[PrometheusServer]) -> Iterator[str]:
    """Yield what another host of a server has already."""
    names = [server.machine.name for server in servers]
    where = endpoint(taken["connection"])
    for server in servers:
        for key, one in taken["exporters"].items():
            first = server.claim("listen", one["listen"], f"exporters.{key}.listen of {host}")
            if first != f"exporters.{key}.listen of {host}":
                yield f"exporters.{key}.listen: {one['listen']!r} is that of {first} already; give one another listen"
        if where and not taken.get("abandoned"):
            first = server.claim("address", where, host)
            if first != host:
                address = shown(taken["connection"]["address"])
                yield f"connection.address: {address} is that of {first} already; take one of them out"
        for name in between.resources(host, list(taken["exporters"]), names):
            first = server.claim("resource", name, host)
            if first != host:
                yield f"name: its resource {name} is called as one of {first}; rename one of them"
