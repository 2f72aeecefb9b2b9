"""An SSH server in the test process, on loopback only: no root and no sshd, and every fault can be ordered."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from asyncio.subprocess import PIPE
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import asyncssh
from asyncssh import connection as asyncssh_connection
from asyncssh.channel import SSHServerChannel

if TYPE_CHECKING:
    from collections.abc import Coroutine

HOST = "127.0.0.1"


def private(key: asyncssh.SSHKey, passphrase: str | None = None) -> str:
    """Write a private key as OpenSSH does."""
    return key.export_private_key("openssh", passphrase).decode()


def public(key: asyncssh.SSHKey) -> str:
    """Write a public key as one authorized_keys line."""
    return key.export_public_key("openssh").decode().strip()


@dataclass
class Machine:
    """One server: what it accepts, how it misbehaves, and what it saw. Use it as a context manager."""

    host_keys: list[asyncssh.SSHKey]
    authorized: list[asyncssh.SSHKey] = field(default_factory=list)
    password: str | None = None
    answer: str | None = None
    """What both questions of a keyboard-interactive login ask for."""
    refuses: tuple[str, ...] = ()
    """Requests that a session may not make: `env`, as without AcceptEnv, or `exec`."""
    forwards: bool = False
    drops: int = 0
    """So many first connections are cut when a login is asked for."""
    delay: float = 0
    """Seconds that pass before a login is looked at."""

    port: int = 0
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    """Each try: a user, then the methods and keys that were offered."""
    commands: list[str] = field(default_factory=list)
    forwarded: list[tuple[str, int]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._listener = _run(self._listen())
        self.port = self._listener.get_port()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and cut every connection."""
        _run(self._close())

    def address(self, **more: Any) -> dict[str, Any]:
        """Return a `connection` that has no credentials but what is given, and tries once."""
        return {"host": HOST, "port": self.port, "dialErrorLimit": 0, **more}

    def connection(self, **more: Any) -> dict[str, Any]:
        """Return a `connection` with the private key that is let in."""
        return self.address(privateKey=private(self.authorized[0]), **more)

    @property
    def open_connections(self) -> int:
        """How many clients have not gone."""
        return sum(not one.is_closed() for one in self.connections)

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.create_server(
            lambda: _Server(self),
            HOST,
            0,
            server_host_keys=self.host_keys,
            process_factory=self._execute,
            encoding=None,
            config=None,
        )

    async def _close(self) -> None:
        self._listener.close()
        for one in self.connections:
            one.abort()

    async def _execute(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Run the command in /bin/sh, as a login shell would; three words order faults instead."""
        command = "a login shell" if process.command is None else process.command
        self.commands.append(command)
        if command.startswith("exit-signal "):
            _, name, *text = command.split(" ", 2)
            process.exit_with_signal(name, msg="".join(text))
        elif command == "vanish":
            process.close()
        elif command == "hang up":
            self.connections[-1].abort()
        else:
            environment = {"PATH": os.environ["PATH"], **process.env}
            shell = await asyncio.create_subprocess_exec(
                "/bin/sh", "-c", command, env=environment, stdin=PIPE, stdout=PIPE, stderr=PIPE
            )
            printed, complained = await shell.communicate(await process.stdin.read())
            process.stdout.write(printed)
            process.stderr.write(complained)
            process.exit(shell.returncode or 0)


class _Server(asyncssh.SSHServer):
    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connection = conn
        self.machine.connections.append(conn)

    async def begin_auth(self, username: str) -> bool:
        if len(self.machine.connections) <= self.machine.drops:
            self.connection.abort()
            return False
        self.machine.logins.append(username)
        await asyncio.sleep(self.machine.delay)
        return True

    def public_key_auth_supported(self) -> bool:
        return bool(self.machine.authorized)

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002 (asyncssh's signature)
        self.machine.logins.append(key.get_fingerprint())
        return key.public_data in {one.public_data for one in self.machine.authorized}

    def password_auth_supported(self) -> bool:
        return self.machine.password is not None

    def validate_password(self, username: str, password: str) -> bool:  # noqa: ARG002 (asyncssh's signature)
        self.machine.logins.append("password")
        return password == self.machine.password

    def kbdint_auth_supported(self) -> bool:
        return self.machine.answer is not None

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:  # noqa: ARG002 (likewise)
        self.machine.logins.append("keyboard-interactive")
        return "", "", "", [("First: ", False), ("Second: ", True)]

    def validate_kbdint_response(self, username: str, responses: Any) -> bool:  # noqa: ARG002 (likewise)
        return list(responses) == [self.machine.answer] * 2

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:  # noqa: ARG002
        self.machine.forwarded.append((dest_host, dest_port))
        if not self.machine.forwards:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "not here")
        return True


class _Channel(SSHServerChannel[bytes]):
    """A channel that can refuse requests, as sshd does without AcceptEnv; asyncssh offers no hook for that."""

    def _process_env_request(self, packet: Any) -> bool:
        return not self._refuses("env") and super()._process_env_request(packet)

    def _process_exec_request(self, packet: Any) -> bool:
        return not self._refuses("exec") and super()._process_exec_request(packet)

    def _refuses(self, request: str) -> bool:
        owner = self.get_connection().get_owner()
        return isinstance(owner, _Server) and request in owner.machine.refuses


asyncssh_connection.SSHServerChannel = _Channel  # type: ignore[assignment,attr-defined]


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    """Make the event loop of all servers, in a thread of its own."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run_coroutine_threadsafe(work, _loop()).result(20)
