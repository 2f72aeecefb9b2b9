"""A machine whose exporters are scraped through a tunnel from each server."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pulumi

from . import proof
from .args import MonitoredHostArgs
from .authorized_key import authorized_key
from .exporter import exporter
from .host_arguments import take
from .login_key import login_key
from .machine import Machine
from .part import Made, Part, make
from .prometheus_server import PrometheusServer
from .scrape_config import Target, scrape_config
from .ssh_tunnel import TUNNEL_USER, Forward, ssh_tunnel


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
        taken = take(name, args, opts, servers)
        super().__init__("metrics-tunnel:index:MonitoredHost", name, None, opts)
        self.args = taken
        self.exporters: dict[str, dict[str, Any]] = taken["exporters"]
        self.abandoned: bool = taken.get("abandoned", False)
        self.machine = Machine(
            name, taken["connection"], detect_drift=taken.get("detect_drift", True), offline=taken.get("offline", False)
        )
        scraped: list[Made] = []
        for server in servers:
            scraped += self._scrape(server, has_several_servers=len(servers) > 1)
        seconds = proof.scrape_seconds(server.timeout for server in servers)
        for key, exporter_args in self.exporters.items():
            part = exporter(
                self.machine,
                key,
                exporter_args["port"],
                exporter_args["path"],
                exporter_args["unit"],
                seconds,
                manage=exporter_args.get("manage", True),
            )
            self._make(part, scraped)
        self.register_outputs({})

    def _make(self, part: Part, after: Sequence[Made]) -> Made:
        return make(replace(part, abandoned=self.abandoned), self, after)

    def _scrape(self, server: PrometheusServer, *, has_several_servers: bool) -> list[Made]:
        exporters = self.exporters.values()
        forwards = [Forward(args["listen"], args["port"], args["path"]) for args in exporters]
        targets = [Target(args["job"], args["listen"], args["path"]) for args in exporters]
        ports = [forward.port for forward in forwards]
        public_key = server.public_key
        login = self.args.get("login")
        key = authorized_key(
            self.machine, server.machine, server.rotation, public_key, ports, server.egress, server.key_type
        )
        line = self._make(login_key(login, key) if login else key, [])
        if self.abandoned:
            return []
        tunnel = ssh_tunnel(
            server.machine,
            self.machine,
            server.key,
            public_key,
            forwards,
            login or TUNNEL_USER,
            server.timeout,
            has_several_servers=has_several_servers,
        )
        carries = self._make(tunnel, [line, server.watchdog])
        labels = self.args.get("labels", {})
        config = scrape_config(
            server.machine,
            self.machine,
            labels,
            targets,
            server.interval,
            server.timeout,
            has_several_servers=has_several_servers,
        )
        return [self._make(config, [carries, server.job])]
