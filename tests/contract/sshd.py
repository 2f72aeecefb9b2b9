"""An SSH server in the test process, on loopback only: no root, no sshd, and every fault can be ordered."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh import connection as asyncssh_connection
from asyncssh.channel import SSHServerChannel

if TYPE_CHECKING:
    from collections.abc import Coroutine

HOST = "127.0.0.1"


@dataclass
class Settings:
    """What one server accepts and how it misbehaves."""

    host_keys: list[asyncssh.SSHKey]
    authorized: list[asyncssh.SSHKey] = field(default_factory=list)
    password: str | None = None
    answer: str | None = None
    accept_env: bool = True
    forward: bool = False
    drop_first: int = 0


@dataclass
class Seen:
    """What one server saw: for assertions about what a client did."""

    connections: int = 0
    users: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    forwards: list[tuple[str, int]] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    fingerprints: list[str] = field(default_factory=list)


class _Server(asyncssh.SSHServer):
    def __init__(self, settings: Settings, seen: Seen) -> None:
        self.settings, self.seen = settings, seen

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.seen.connections += 1
        if self.seen.connections <= self.settings.drop_first:
            conn.abort()

    def begin_auth(self, username: str) -> bool:
        self.seen.users.append(username)
        return True

    def public_key_auth_supported(self) -> bool:
        return bool(self.settings.authorized)

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002 (asyncssh's signature)
        self.seen.fingerprints.append(key.get_fingerprint())
        return key.public_data in {one.public_data for one in self.settings.authorized}

    def password_auth_supported(self) -> bool:
        return self.settings.password is not None

    def validate_password(self, username: str, password: str) -> bool:  # noqa: ARG002 (asyncssh's signature)
        self.seen.methods.append("password")
        return password == self.settings.password

    def kbdint_auth_supported(self) -> bool:
        return self.settings.answer is not None

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:  # noqa: ARG002
        self.seen.methods.append("keyboard-interactive")
        return "", "", "", [("First: ", False), ("Second: ", True)]

    def validate_kbdint_response(self, username: str, responses: Any) -> bool:  # noqa: ARG002
        return list(responses) == [self.settings.answer, self.settings.answer]

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:  # noqa: ARG002
        self.seen.forwards.append((dest_host, dest_port))
        return self.settings.forward


class _Channel(SSHServerChannel):  # type: ignore[type-arg]
    """A server channel that can refuse environment variables, as a real sshd without AcceptEnv does."""

    def _process_env_request(self, packet: Any) -> bool:
        owner = self._conn.get_owner()  # type: ignore[union-attr]
        if isinstance(owner, _Server) and not owner.settings.accept_env:
            return False
        return super()._process_env_request(packet)


asyncssh_connection.SSHServerChannel = _Channel  # type: ignore[attr-defined,misc]


async def _run(process: asyncssh.SSHServerProcess[bytes], seen: Seen) -> None:
    """Run the command in /bin/sh, as a login shell would; `exit-signal NAME TEXT` and `vanish` are faults to order."""
    command = process.command or ""
    seen.commands.append(command)
    if command.startswith("exit-signal "):
        _, name, *text = command.split(" ", 2)
        process.channel.exit_with_signal(name, msg=text[0] if text else "")
        return
    if command == "vanish":
        process.channel.close()
        return
    env = {"PATH": os.environ["PATH"], **process.env}
    shell = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", command, env=env, stdin=asyncio.subprocess.PIPE, stdout=-1, stderr=-1
    )
    await process.redirect(stdin=shell.stdin, stdout=shell.stdout, stderr=shell.stderr)
    status = await shell.wait()
    await process.stdout.drain()
    await process.wait_closed() if False else None
    process.exit(status if status >= 0 else 128 - status)


class SSHServer:
    """One listening server; use it as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.seen = settings, Seen()
        self.port = 0

    def __enter__(self) -> SSHServer:
        self._listener = _loop().run(self._listen())
        self.port = self._listener.get_port()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.create_server(
            lambda: _Server(self.settings, self.seen),
            HOST,
            0,
            server_host_keys=self.settings.host_keys,
            process_factory=lambda process: _run(process, self.seen),
            encoding=None,
            config=None,
        )


class _Loop:
    """One event loop in a thread of its own for all servers of a test run."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)


_loops: list[_Loop] = []


def _loop() -> _Loop:
    if not _loops:
        _loops.append(_Loop())
    return _loops[0]
