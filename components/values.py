"""The rule of each value by its key: the components and the settings of a stack apply the same ones."""

from collections.abc import Callable, Mapping
from typing import Any

from . import rules

RULES: Mapping[str, Callable[[Any], Any]] = {
    "address": rules.address,
    "agent_socket_path": rules.socket_path,
    "config_file": rules.path,
    "host_key": rules.host_key,
    "interval": rules.interval,
    "job": rules.job,
    "labels": rules.labels,
    "listen": rules.listen,
    "login": rules.login,
    "password": rules.password,
    "path": rules.metrics_path,
    "port": rules.port,
    "private_key": rules.key_text,
    "private_key_password": rules.password,
    "private_key_path": rules.key_file,
    "rotation": rules.rotation,
    "sample_limit": rules.sample_limit,
    "scrape_interval": rules.interval,
    "scrape_timeout": rules.duration,
    "service": rules.unit,
    "sudo_password": rules.password,
    "timeout": rules.duration,
    "unit": rules.unit,
    "url": rules.url,
    "user": rules.user,
}
ENTRIES: Mapping[str, Callable[[str], str]] = {
    "egress": rules.network,
    "labels": rules.text,
    "servers": rules.name,
}
"""The rule of each text in a list or map."""
NAMES: Mapping[str, Callable[[str], str]] = {
    "exporters": rules.name,
    "hosts": rules.name,
    "labels": rules.label_name,
    "prometheus": rules.name,
}
"""The rule of each name in a map."""
MOST: Mapping[str, int] = {"labels": 32}
"""How many entries there may be."""
LEAST: Mapping[str, int] = {"exporters": 1, "prometheus": 1, "servers": 1}
"""How many entries there must be, where the key is written at all."""
SECRETS = frozenset({"private_key", "private_key_password", "password", "sudo_password"})
"""Values that no error shows."""
_EXAMPLES: Mapping[str, str] = {
    "connection": "{address: 10.0.0.21}",
    "bastion": "{address: 10.0.0.3}",
    "exporters": "{node: {port: 9100}}",
    "hosts": "{web1: {address: 10.0.0.21}}",
    "prometheus": "{mon1: {address: 10.0.0.10}}",
    "labels": "{env: prod}",
    "ssh": "{user: root}",
    "scrape": "{interval: 15s}",
    "egress": "[10.0.0.10]",
    "servers": "[mon1]",
    "port": "22",
    "rotation": "2",
    "sample_limit": "15000",
}


_KINDS: Mapping[type, str] = {
    str: "one text, in quotes",
    int: "such as 22",
    bool: "true or false, without quotes",
    dict: "name: value under it",
    list: "such as [a, b]",
}


def example(key: object, due: type) -> str:
    """Return how a value of this key, or else of this type, may be written."""
    return f"such as {_EXAMPLES[key]}" if isinstance(key, str) and key in _EXAMPLES else _KINDS[due]


def too_few(key: str, *, needed: bool) -> str:
    """Return what is said of a map or list without entries."""
    return f"has no entry; write {example(key, dict)}" + ("" if needed else ", or take the key out")


def too_many(key: str) -> str:
    """Return what is said of a map or list with more entries than there may be."""
    return f"has more than {MOST[key]} entries; take some out"
