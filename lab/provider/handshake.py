"""Logging in over an open way to a machine, and telling failures in the official plugin's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.packet import SSHPacket

from lab.provider.work import CommandError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lab.provider.login import Login

Connection = asyncssh.SSHClientConnection
REJECTIONS = {1: "administratively prohibited", 2: "connect failed", 3: "unknown channel type", 4: "resource shortage"}
KEY, PASSWORD, QUESTIONS = "publickey", "password", "keyboard-interactive"
KEX_HEAD = 17  # bytes before the lists of a key exchange packet: its type and a random cookie


class DialError(CommandError):
    """One try to reach a machine failed; it is tried again while the limit allows."""


class RejectedError(DialError):
    """The jump host would not open the way to the target."""


async def handshake(target: Login, connect: Callable[..., Awaitable[Connection]]) -> Connection:
    """Log in by `connect`, one of asyncssh's, which is called with the options; raises `DialError`."""
    client = _Client(target)
    try:
        return await connect(**_options(client))
    except asyncssh.ChannelOpenError as error:
        code = REJECTIONS.get(error.code, f"unknown reason {error.code}")
        raise RejectedError(f"ssh: rejected: {code} ({error.reason})") from error
    except (asyncssh.Error, OSError) as error:
        raise DialError(f"ssh: handshake failed: {_reason(error, client)}") from error


class _Client(asyncssh.SSHClient):
    """Answers the server's wish for credentials: each kind once, the key before the password, the agent last."""

    def __init__(self, target: Login) -> None:
        self.target = target
        self.tried = ["none"]
        self.connection: Connection | None = None

    def connection_made(self, conn: Connection) -> None:
        self.connection = conn

    async def public_key_auth_requested(self) -> Any:
        if not (self.target.key or self.target.agent) or not self._first(KEY):
            return None
        if self.target.key:
            return self.target.key
        async with asyncssh.connect_agent(self.target.agent or "") as agent:
            return await agent.get_keys()

    def password_auth_requested(self) -> str | None:
        return self.target.password if self.target.password is not None and self._first(PASSWORD) else None

    def kbdint_auth_requested(self) -> str | None:
        return "" if self.target.password is not None and self._first(QUESTIONS) else None

    def kbdint_challenge_received(self, name: str, instructions: str, lang: str, prompts: Any) -> Any:  # noqa: ARG002
        return [self.target.password] * len(prompts)

    def host_key_kinds(self) -> list[str]:
        """Return the kinds of host key that the server offered; none if it said nothing."""
        packet = SSHPacket(getattr(self.connection, "_server_kexinit", b"")[KEX_HEAD:])
        if not packet:
            return []
        packet.get_namelist()  # key exchanges
        return [kind.decode() for kind in packet.get_namelist()]

    def _first(self, method: str) -> bool:
        """Note that a method is tried; say whether that is the first time."""
        first = method not in self.tried
        if first:
            self.tried.append(method)
        return first


def _options(client: _Client) -> dict[str, Any]:
    target = client.target
    methods = [KEY, PASSWORD, QUESTIONS] if target.key else [PASSWORD, QUESTIONS, KEY]
    options: dict[str, Any] = {
        "client_factory": lambda: client,
        "username": target.user,
        "client_keys": None,
        "agent_path": None,
        "config": None,
        "known_hosts": None,
        "login_timeout": 0,
        "preferred_auth": ",".join(methods),
    }
    if target.pinned:
        # The official plugin asks for a signature by the key type's own name: for RSA that means SHA-1.
        options["known_hosts"] = ([target.pinned], [], [])
        options["server_host_key_algs"] = [target.pinned.get_algorithm()]
    return options


def _reason(error: Exception, client: _Client) -> str:
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return "ssh: host key mismatch"
    if isinstance(error, asyncssh.PermissionDenied):
        tried = " ".join(client.tried)
        return f"ssh: unable to authenticate, attempted methods [{tried}], no supported methods remain"
    pinned, offered = client.target.pinned, client.host_key_kinds()
    if pinned and offered and pinned.get_algorithm() not in offered:
        kinds = f"we offered: [{pinned.get_algorithm()}], peer offered: [{' '.join(offered)}]"
        return f"ssh: no common algorithm for host key; {kinds}"
    return "EOF" if isinstance(error, (asyncssh.ConnectionLost, OSError)) else f"ssh: {error}"
