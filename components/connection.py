"""The rules between the values of a connection, and what a key needs to be opened."""

from collections.abc import Iterator, Mapping
from typing import Any

import pulumi

from . import between, rules
from .edge import Edge
from .wording import is_output


def settle(edge: Edge, connection: dict[str, Any], *, host: bool) -> Iterator[str]:
    """Yield every error between a connection's values; keys that are known later are opened when they are.

    `host`: what is logged in to is a host, whose key the tunnels pin too.
    """
    if connection["address"] == rules.LOCAL:
        yield from between.local("connection.", str, frozenset(connection))
        return
    yield from _login(edge, connection, "connection.", host=host)
    if "bastion" in connection:
        yield from _login(edge, connection["bastion"], "connection.bastion.", host=False)


def endpoint(connection: Mapping[str, Any]) -> str:
    """Return which machine a connection leads to; nothing where that is known only later."""
    address, through = connection["address"], connection.get("bastion")
    if is_output(address) or (through and is_output(through["address"])):
        return ""
    return f"{address.lower()} port {connection.get('port', 22)}" + (f" behind {endpoint(through)}" if through else "")


def _login(edge: Edge, login: dict[str, Any], place: str, *, host: bool) -> Iterator[str]:
    insecure = login.get("insecure_host_key", False)
    yield from between.host_keys(place, str, host=host, key="host_key" in login, insecure=insecure)
    if not insecure and "host_key" not in login:
        instead = "" if host else ", or insecure_host_key where any may answer"
        yield f"{place}host_key: is missing; give it, {between.SHOW_KEY}{instead}"
    if "private_key" not in login:
        return
    key, passphrase = login["private_key"], login.get("private_key_password")
    if is_output(key) or is_output(passphrase):
        both = pulumi.Output.all(key, passphrase)
        opened = edge.check(both, lambda known: _opened(*known), f"{place}private_key", secret=True)
        login["private_key"] = pulumi.Output.secret(opened)
        return
    try:
        _opened(key, passphrase)
    except ValueError as error:
        yield f"{place}private_key: {error}"


def _opened(key: str, passphrase: str | None) -> str:
    if rules.private_key(key)[1]:
        if passphrase is None:
            raise ValueError("is encrypted; give private_key_password")
        rules.opened_by(key, passphrase, "private_key_password")
    return key
