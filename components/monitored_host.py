"""A machine whose exporters are scraped through a tunnel from each server."""

from collections.abc import Sequence

import pulumi

from .args import MonitoredHostArgs
from .authorized_key import authorized_key
from .exporter import exporter
from .machine import Machine
from .part import make
from .prometheus_server import PrometheusServer
from .scrape_config import Target, scrape_config
from .ssh_tunnel import Forward, ssh_tunnel


class MonitoredHost(pulumi.ComponentResource):
    """Per server an authorized key, a tunnel and a scrape config; then, last, each exporter goes to loopback."""

    def __init__(
        self,
        name: str,
        args: MonitoredHostArgs,
        servers: Sequence[PrometheusServer],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("metrics-tunnel:index:MonitoredHost", name, None, opts)
        self.args = args
        self.exporters = args["exporters"]
        self.machine = Machine(
            name, args["connection"], detect_drift=args.get("detect_drift", True), offline=args.get("offline", False)
        )
        scraped = [self._scrape(server, many=len(servers) > 1) for server in servers]
        for key, one in self.exporters.items():
            make(
                exporter(self.machine, key, int(one["port"]), one.get("path", "/metrics"), one.get("unit", "")),
                self,
                scraped,
            )
        self.register_outputs({})

    def _scrape(self, server: PrometheusServer, *, many: bool) -> pulumi.Resource:
        exporters = self.exporters.values()
        forwards = [Forward(one["listen"], int(one["port"]), one.get("path", "/metrics")) for one in exporters]
        targets = [Target(one["job"], one["listen"], one.get("path", "/metrics")) for one in exporters]
        ports = [forward.port for forward in forwards]
        public_key = server.public_key
        line = make(
            authorized_key(self.machine, server.machine.name, server.rotation, public_key, ports, server.egress),
            self,
            [],
        )
        tunnel = make(
            ssh_tunnel(server.machine, self.machine, server.key, public_key, forwards, many=many), self, [line]
        )
        config = scrape_config(server.machine, self.machine, self.args.get("labels", {}), targets, many=many)
        made: pulumi.Resource = make(config, self, [tunnel, server.job])
        return made
