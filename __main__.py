"""One environment: the servers and hosts of its settings."""

import pulumi

from components import MonitoredHost, PrometheusServer
from stacks.settings import load

settings = load()
servers = {name: PrometheusServer(name, args) for name, args in settings.servers.items()}
for host, args in settings.hosts.items():
    MonitoredHost(host, args, servers=[servers[name] for name in settings.servers_of[host]])
pulumi.export("publicKeys", {name: server.public_key for name, server in servers.items()})
pulumi.export("fingerprints", {name: server.fingerprint for name, server in servers.items()})
pulumi.export(
    "listens",
    {
        host: {name: exporter["listen"] for name, exporter in args["exporters"].items()}
        for host, args in settings.hosts.items()
    },
)
