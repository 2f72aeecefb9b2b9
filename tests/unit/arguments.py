"""The hostile values of the settings as arguments of the components, which a program calls by itself."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.unit.hostile import BAD, BAD_SECRETS, KEY, NO_KEYS, VALUES

# Where a setting of a machine is an argument.
_ARGUMENTS = {
    "address": "connection.address",
    "port": "connection.port",
    "user": "connection.user",
    "hostKey": "connection.host_key",
    "insecureHostKey": "connection.insecure_host_key",
    "bastion": "connection.bastion",
    "bastion.address": "connection.bastion.address",
    "bastion.bastion": "connection.bastion.bastion",
    "bastion.port": "connection.bastion.port",
    "bastion.user": "connection.bastion.user",
    "bastion.hostKey": "connection.bastion.host_key",
    "bastion.insecureHostKey": "connection.bastion.insecure_host_key",
    "configFile": "config_file",
    "listen": "exporters.node.listen",
}
_OF_SERVERS = {
    "scrape.interval": "scrape_interval",
    "scrape.timeout": "scrape_timeout",
    "scrape.sampleLimit": "sample_limit",
    "rotation": "rotation",
    "detectDrift": "detect_drift",
    "tunnelPrivateKey": "private_key",
}
_OF_HOSTS = {
    "scrape.job": "exporters.node.job",
    "ssh.user": "connection.user",
    "sshPassword": "connection.password",
    "sudoPassword": "connection.sudo_password",
    "sshPrivateKey": "connection.private_key",
    "sshPrivateKeyPassphrase": "connection.private_key_password",
}
# What only the settings of a stack have, or what is no value of a component.
NOT_ARGUMENTS = {
    "hosts",
    "prometheus",
    "ssh",
    "scrape",
    "ssh.privateKeyPath",
    "hosts.web1.servers",
    "hosts.web1.servers[0]",
}
_NEEDED = {
    "",
    *("connection.address", "connection.bastion.address", "exporters.node", "labels.env"),
    "exporters.node.port",
}
LATE = ("address", "host_key", "egress[0]", "private_key", "private_key_password", "password", "sudo_password")
"""Last steps of the paths of what may be an output of another resource."""


@dataclass(frozen=True)
class Call:
    """A call of a component with one bad value at a path."""

    component: str
    name: Any
    args: Any
    path: str
    value: Any


def sound() -> dict[str, Any]:
    """Return arguments that are right, of a server or host."""
    return {"connection": {"address": "10.0.0.21", "host_key": KEY}}


def place(setting: str) -> tuple[str, str] | None:
    """Return the component and the path of a setting among its arguments, where it is one."""
    if setting in _OF_SERVERS:
        return "PrometheusServer", _OF_SERVERS[setting]
    if setting in _OF_HOSTS:
        return "MonitoredHost", _OF_HOSTS[setting]
    kind, _, rest = setting.partition(".")
    if setting in NOT_ARGUMENTS or setting.endswith("privateKeyPath"):
        return None
    key = rest.partition(".")[2]
    return {"prometheus": "PrometheusServer", "hosts": "MonitoredHost"}[kind], _ARGUMENTS.get(key, key)


def put(args: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return arguments in which a value stands at a path."""
    whole = here = copy.deepcopy(args)
    steps = path.partition("[")[0].split(".")
    around = {"exporters": {"node": {"port": 9100}}, "bastion": {"address": "10.0.0.3", "host_key": KEY}}
    for step in steps[:-1]:
        here = here.setdefault(step, copy.deepcopy(around.get(step, {})))
    here[steps[-1]] = value
    return whole


def accepted(path: str, value: Any) -> bool:
    """Say whether components take what settings refuse: whole numbers of other languages, and None for left out."""
    if value is None:
        return path not in _NEEDED
    end = path.rpartition(".")[2]
    return end in ("port", "rotation", "sample_limit") and isinstance(value, float) and value in (1.0, 22.0)


def calls() -> Iterator[Call]:
    """Yield every listed bad value as an argument, with the names that are none."""
    for setting, values in [*BAD.items(), *BAD_SECRETS.items()]:
        if found := place(setting):
            component, path = found
            for value in values:
                args = put(sound(), path, value) if path else value
                yield Call(component, "web1", args, path, value)
    for setting, names in NO_KEYS.items():
        for name in names:
            if setting in ("prometheus", "hosts"):
                yield Call(
                    "PrometheusServer" if setting == "prometheus" else "MonitoredHost", name, sound(), "name", name
                )
            else:
                path = setting.removeprefix("hosts.web1.")
                args = sound() | {path: {name: copy.deepcopy(VALUES[setting])}}
                yield Call("MonitoredHost", "web1", args, f"{path}.{name}", name)
