"""How Pulumi reaches one machine: for the engine's commands, and for the one read-only look at it in a run."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from shlex import quote
from typing import Any, cast

import asyncssh
import pulumi
from pulumi_command import remote

from .args import BastionArgs, ConnectionArgs
from .payload import started

LOCAL = "local"
SILENCE_SECONDS = 30
"""After so long without a word from a machine it is given up."""
_LONGEST_SECONDS = 900
"""After so long a machine ends a look by itself, though nobody waits for it any more."""
_DIAL_SECONDS = 10
_REPORT = "metrics-tunnel\t"
_AT_ONCE = 65536
# The first line of standard input is the password; sudo is not exec'd, for its ticket belongs to this shell.
_SUDO_ASKS = 'IFS= read -r p; printf "%s\\n" "$p" | sudo -S -p "" -v && sudo -n "$@"'


Run = Callable[[str, str], Awaitable[str]]
"""Runs a command with a standard input on one machine and returns what it prints; OSError where it fails."""


class Machine:
    """One machine of the settings. `name` is its name there; `address` may be another resource's output."""

    def __init__(
        self, name: str, connection: ConnectionArgs, *, detect_drift: bool = True, offline: bool = False
    ) -> None:
        for what, login in ((name, connection), (f"{name}'s bastion", connection.get("bastion"))):
            if login is not None and not _pinned(login) and login["address"] != LOCAL:
                raise ValueError(f"{what}: no host key; give host_key, or insecure_host_key where any may answer")
        self.name = name
        self.connection = connection
        self.detect_drift = detect_drift
        self.offline = offline
        if offline:
            # Who forgets it has a machine whose drift nobody sees.
            pulumi.log.warn(f"{name}: offline: true, so nothing there is looked at or changed; take it out for that")

    @property
    def local(self) -> bool:
        """Whether it is the machine that Pulumi runs on."""
        return bool(self.connection["address"] == LOCAL)

    @property
    def root(self) -> bool:
        """Whether the login user is root."""
        return self.connection.get("user", "root") == "root"

    @property
    def may_ask(self) -> bool:
        """Whether there is a password for `sudo`, should it ask for one."""
        return not self.root and "sudo_password" in self.connection

    def command(self, text: str, *, asks: bool = True) -> str:
        """Return `text` as root's command, through sudo where the login user is another one.

        `asks` is false where a look has found that sudo wants no password: then the machine gets none.
        """
        if self.root:
            return text
        if not (asks and self.may_ask):
            return f"sudo -n {text}"
        return f"sh -c {quote(_SUDO_ASKS)} sudo {text}"

    def stdin(self, text: pulumi.Input[str], *, asks: bool = True) -> pulumi.Output[str]:
        """Return standard input for `command`: the sudo password, secret, goes before it where it is asked for."""
        if not (asks and self.may_ask):
            return pulumi.Output.from_input(text)
        return pulumi.Output.secret(pulumi.Output.concat(self.connection["sudo_password"], "\n", text))

    def remote(self) -> remote.ConnectionArgs:
        """Return the connection of the command provider, with low dial limits."""
        bastion = self.connection.get("bastion")
        proxy = None if bastion is None else remote.ProxyConnectionArgs(**_login(bastion))
        return remote.ConnectionArgs(**_login(self.connection), proxy=proxy)

    @contextlib.asynccontextmanager
    async def session(self, plain: Mapping[str, Any]) -> AsyncIterator["Session"]:
        """Connect, for as long as the machine is asked. `plain` is the connection without outputs.

        Raises OSError, asyncssh.Error or TimeoutError.
        """
        async with _session(plain, local=self.local) as run:
            asks = self.may_ask and not await _succeeds(run, "sudo -k -n timeout 60 true")
            yield Session(self, run, f"{plain['sudo_password']}\n" if asks else "", sudo_asks=asks)


@dataclass(frozen=True)
class Session:
    """A connection over which one machine is asked."""

    machine: Machine
    run: Run
    password: str = field(repr=False)
    """With its newline; empty where sudo wants none."""
    sudo_asks: bool
    """Whether sudo asks the login user for a password."""

    async def ask(self, script: str) -> str:
        """Run a read-only script as root and return what it prints.

        However long that takes: a machine is given up where nothing comes from it for SILENCE_SECONDS. Raises OSError,
        asyncssh.Error or TimeoutError.
        """
        command = self.machine.command(started(_LONGEST_SECONDS), asks=self.sudo_asks)
        return await self.run(command, f"{self.password}{script}")


@contextlib.asynccontextmanager
async def _session(plain: Mapping[str, Any], *, local: bool) -> AsyncIterator[Run]:
    """Give a function that runs a command on the machine with this standard input and returns what it prints."""
    if local:
        yield _run_here
        return
    async with contextlib.AsyncExitStack() as connections:
        tunnel = None
        if jump := plain.get("bastion"):
            tunnel = await _connect(connections, **_asyncssh(jump))
        connection = await _connect(connections, **_asyncssh(plain), tunnel=tunnel)
        yield partial(_run_there, connection)


async def _connect(connections: contextlib.AsyncExitStack, **options: Any) -> asyncssh.SSHClientConnection:
    connection = await asyncssh.connect(**options)
    connections.callback(connection.close)
    return connection


async def _succeeds(run: Run, text: str) -> bool:
    try:
        await run(text, "")
    except OSError:
        return False
    return True


async def _run_here(text: str, script: str) -> str:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_shell(text, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
    try:
        stdin = cast("asyncio.StreamWriter", process.stdin)
        stdin.write(script.encode())
        stdin.write_eof()
        outputs = cast("list[asyncio.StreamReader]", [process.stdout, process.stderr])
        out, err = await _heard(*(output.read for output in outputs))
        status = await process.wait()
    finally:
        # One that is given up; what sudo has started is root's, and ends by itself.
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGTERM)
            await process.wait()
    return _answer(status, out.decode(errors="replace"), err.decode(errors="replace"))


async def _run_there(connection: asyncssh.SSHClientConnection, text: str, script: str) -> str:
    process = await connection.create_process(text, errors="replace")
    # One that ends before it has read all, as where sudo refuses, says why by itself.
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(script)
        process.stdin.write_eof()
    out, err = await _heard(process.stdout.read, process.stderr.read)
    completed = await process.wait(timeout=SILENCE_SECONDS)
    return _answer(completed.exit_status, out, err)


async def _heard(*outputs: Callable[[int], Awaitable[Any]]) -> list[Any]:
    """Return all that comes of outputs. Raises TimeoutError where nothing comes of any for a while."""
    words = asyncio.Event()

    async def whole(read: Callable[[int], Awaitable[Any]]) -> Any:
        parts = []
        while part := await read(_AT_ONCE):
            words.set()
            parts.append(part)
        return type(part)().join(parts)

    reading = asyncio.gather(*map(whole, outputs))
    try:
        while not reading.done():
            words.clear()
            next_word: asyncio.Future[Any] = asyncio.ensure_future(words.wait())
            either: list[asyncio.Future[Any]] = [reading, next_word]
            done, _ = await asyncio.wait(either, timeout=SILENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            next_word.cancel()
            if not done:
                raise TimeoutError(f"nothing came from it for {SILENCE_SECONDS} s")
        return await reading
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading


def _answer(status: int | None, out: str, err: str) -> str:
    if status != 0:
        # A login that lets nobody work says so on standard output, whatever startup files have printed on the other.
        said = err if _REPORT in out else f"{out} {err}"
        raise OSError(f"exit {status}: {' '.join(said.split())[-300:]}")
    return out


def _login(connection: ConnectionArgs | BastionArgs) -> dict[str, Any]:
    keys = ("port", "user", "host_key", "private_key", "private_key_password", "password", "agent_socket_path")
    values = cast("Mapping[str, Any]", connection)
    return {
        "host": values["address"],
        **{key: values[key] for key in keys if key in values},
        "dial_error_limit": 2,
        "per_dial_timeout": _DIAL_SECONDS,
    }


def _pinned(connection: ConnectionArgs | BastionArgs) -> bool:
    return "host_key" in connection or bool(connection.get("insecure_host_key"))


def _asyncssh(plain: Mapping[str, Any]) -> dict[str, Any]:
    key, password = plain.get("private_key"), plain.get("password")
    port = int(plain.get("port", 22))
    trusted: Any = None
    if "host_key" in plain:
        # The key alone, whatever name or address it answers under.
        trusted = ([asyncssh.import_public_key(plain["host_key"])], [], [])
    return {
        "host": plain["address"],
        "port": port,
        "username": plain.get("user", "root"),
        "client_keys": _client_keys(plain),
        "password": password,
        "agent_path": None if key or password else plain.get("agent_socket_path", ()),
        "config": None,
        "known_hosts": trusted,
        "connect_timeout": _DIAL_SECONDS,
        "keepalive_interval": 5,
    }


def _client_keys(plain: Mapping[str, Any]) -> Any:
    """Return the key that is given; without key and password the empty tuple, for which asyncssh asks the agent."""
    if key := plain.get("private_key"):
        return [asyncssh.import_private_key(key, plain.get("private_key_password"))]
    return None if "password" in plain else ()
