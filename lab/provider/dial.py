"""Reaching a machine by SSH: credentials, host key, dial limits and timeouts, and one jump host."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import asyncssh

from lab.provider.work import CommandError, Stop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lab.provider.engine import Journal

FIRST_DELAY, GROWTH, LONGEST_DELAY = 0.1, 1.5, 5.0
UNLIMITED = -1
REJECTIONS = {1: "administratively prohibited", 2: "connect failed", 3: "unknown channel type", 4: "resource shortage"}
NO_KEY = "ssh: no key found"
Result = TypeVar("Result")
Connection = asyncssh.SSHClientConnection


class DialError(CommandError):
    """One try to reach a machine failed; it is tried again while the limit allows."""


@dataclass
class Login:
    """Where to connect and as whom, with everything parsed that can be wrong before the first packet."""

    host: str
    port: int
    user: str
    key: asyncssh.SSHKey | None
    password: str | None
    agent: str | None
    pinned: asyncssh.SSHKey | None
    limit: int
    timeout: float | None
    tried: list[str] = field(default_factory=list)


def login(settings: dict[str, Any]) -> Login:
    """Read one connection's plain settings; raises `CommandError` for keys that cannot be read."""
    return Login(
        host=settings["host"],
        port=int(settings.get("port", 22)),
        user=settings.get("user", "root"),
        key=_private_key(settings.get("privateKey"), settings.get("privateKeyPassword")),
        password=settings.get("password"),
        agent=settings.get("agentSocketPath", os.environ.get("SSH_AUTH_SOCK") or None),
        pinned=_host_key(settings.get("hostKey")),
        limit=int(settings.get("dialErrorLimit", 10)),
        timeout=float(settings.get("perDialTimeout", 15)) or None,
    )


async def dial(settings: dict[str, Any], journal: Journal, stop: Stop) -> Connection:
    """Connect and log in, through the jump host where `proxy` names one; raises `CommandError`."""
    target = login(settings)
    await _agent_answers(target)
    if not settings.get("proxy"):
        return await _retried("Dial", target.limit, lambda: _direct(target), journal, stop)
    try:
        jump = login(settings["proxy"])
        await _agent_answers(jump)
        bastion = await _retried("Dial proxy", jump.limit, lambda: _direct(jump), journal, stop)
        return await _beyond(bastion, target, journal, stop)
    except CommandError as error:
        error.args = (f"proxy: {error}",)
        raise


async def _beyond(bastion: Connection, target: Login, journal: Journal, stop: Stop) -> Connection:
    """Log in through the jump host. As officially, a login that failed leaves a dead tunnel, so no retry helps it."""
    failure: DialError | None = None

    async def opened() -> Connection | DialError:
        try:
            return await _handshake(target, bastion.connect_ssh(target.host, target.port, **_options(target)))
        except _RejectedError:
            raise
        except DialError as error:
            return error

    async def logged_in() -> Connection:
        nonlocal failure
        if isinstance(tunnelled, asyncssh.SSHClientConnection):
            return tunnelled
        failure = tunnelled if failure is None else DialError("ssh: handshake failed: EOF")
        raise failure

    tunnelled = await _retried("Dial from proxy", target.limit, opened, journal, stop)
    return await _retried("Dial", target.limit, logged_in, journal, stop)


async def _retried(
    what: str, limit: int, attempt: Callable[[], Awaitable[Result]], journal: Journal, stop: Stop
) -> Result:
    """Try, and try again `limit` times (without end for -1), with growing pauses; every failure counts alike."""
    tries, delay = 0, FIRST_DELAY
    while True:
        try:
            return await attempt()
        except DialError as error:
            if limit > UNLIMITED and tries >= limit:
                raise CommandError(f"after {tries} failed attempts: {error}") from error
        tries += 1
        await journal.status(f"{what} {tries}/{'inf' if limit == UNLIMITED else limit} failed: retrying")
        await stop.sleep(delay)
        delay = min(delay * GROWTH, LONGEST_DELAY)


async def _direct(target: Login) -> Connection:
    """Connect straight to the machine. The timeout bounds the TCP connect alone, not what follows it."""
    connected = await _tcp(target)
    return await _handshake(target, asyncssh.connect(target.host, target.port, sock=connected, **_options(target)))


async def _tcp(target: Login) -> socket.socket:
    """Connect to the first of the machine's addresses that answers."""
    loop = asyncio.get_running_loop()
    failure = DialError(f"dial tcp: lookup {target.host}: no such host")
    try:
        addresses = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise failure from error
    for family, kind, protocol, _, address in addresses:
        name, port = str(address[0]), address[1]
        endpoint = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
        one = socket.socket(family, kind, protocol)
        one.setblocking(False)
        try:
            await asyncio.wait_for(loop.sock_connect(one, address), target.timeout)
        except TimeoutError:
            failure = DialError(f"dial tcp {endpoint}: i/o timeout")
        except OSError as error:
            failure = DialError(f"dial tcp {endpoint}: connect: {os.strerror(error.errno or 0).lower()}")
        else:
            return one
        one.close()
    raise failure


class _RejectedError(DialError):
    """The jump host would not open the way to the target."""


async def _handshake(target: Login, connecting: Awaitable[Connection]) -> Connection:
    """Log in, and tell failures in the official plugin's words."""
    target.tried[:] = ["none"]
    try:
        return await connecting
    except asyncssh.ChannelOpenError as error:
        code = REJECTIONS.get(error.code, f"unknown reason {error.code}")
        raise _RejectedError(f"ssh: rejected: {code} ({error.reason})") from error
    except asyncssh.HostKeyNotVerifiable as error:
        raise DialError("ssh: handshake failed: ssh: host key mismatch") from error
    except asyncssh.PermissionDenied as error:
        methods = " ".join(target.tried)
        reason = f"ssh: unable to authenticate, attempted methods [{methods}], no supported methods remain"
        raise DialError(f"ssh: handshake failed: {reason}") from error
    except asyncssh.KeyExchangeFailed as error:
        raise DialError(f"ssh: handshake failed: {_no_common(error.reason, target)}") from error
    except (asyncssh.ConnectionLost, ConnectionError) as error:
        raise DialError("ssh: handshake failed: EOF") from error
    except (asyncssh.Error, OSError) as error:
        raise DialError(f"ssh: handshake failed: {error}") from error


def _no_common(reason: str, target: Login) -> str:
    if "host key" in reason and target.pinned:
        return f"ssh: no common algorithm for host key; we offered: [{target.pinned.get_algorithm()}]"
    found = re.search(r"No matching (.*) algorithm found, sent (\S+) and received (\S+)", reason)
    if not found:
        return f"ssh: {reason}"
    what, ours, theirs = found.groups()
    return (
        f"ssh: no common algorithm for {what}; we offered: [{ours.replace(',', ' ')}], "
        f"peer offered: [{theirs.replace(',', ' ')}]"
    )


class _Client(asyncssh.SSHClient):
    """Answers the server's wish for credentials: each kind once, the key before the password, the agent last."""

    def __init__(self, target: Login) -> None:
        self.target = target
        self._keys_offered = self._password_offered = False

    async def public_key_auth_requested(self) -> Any:
        if self._keys_offered or not (self.target.key or self.target.agent is not None):
            return None
        self._keys_offered = True
        self.target.tried.append("publickey")
        if self.target.key:
            return self.target.key
        async with asyncssh.connect_agent(self.target.agent or "") as agent:
            return await agent.get_keys()

    def password_auth_requested(self) -> str | None:
        if self._password_offered or self.target.password is None:
            return None
        self._password_offered = True
        self.target.tried.append("password")
        return self.target.password

    def kbdint_auth_requested(self) -> str | None:
        if self.target.password is None or "keyboard-interactive" in self.target.tried:
            return None
        self.target.tried.append("keyboard-interactive")
        return ""

    def kbdint_challenge_received(self, name: str, instructions: str, lang: str, prompts: Any) -> Any:  # noqa: ARG002
        return [self.target.password] * len(prompts)


def _options(target: Login) -> dict[str, Any]:
    options: dict[str, Any] = {
        "client_factory": lambda: _Client(target),
        "username": target.user,
        "client_keys": None,
        "agent_path": None,
        "config": None,
        "known_hosts": None,
        "login_timeout": 0,
        "preferred_auth": _order(target),
    }
    if target.pinned:
        # The official plugin asks for a signature by the key type's own name: for RSA that means SHA-1.
        options["known_hosts"] = ([target.pinned], [], [])
        options["server_host_key_algs"] = [target.pinned.get_algorithm()]
    return options


def _order(target: Login) -> str:
    passwords = ["password", "keyboard-interactive"]
    return ",".join(["publickey", *passwords] if target.key else [*passwords, "publickey"])


async def _agent_answers(target: Login) -> None:
    """Make sure the agent answers, even where its keys are not needed: as officially, a dead one fails every login."""
    if target.agent is None:
        return
    if not target.agent:
        raise CommandError("dial unix: missing address")
    try:
        _, writer = await asyncio.open_unix_connection(target.agent)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise CommandError(f"dial unix {target.agent}: connect: {reason}") from error
    writer.close()


def _private_key(text: str | None, password: str | None) -> asyncssh.SSHKey | None:
    if text is None:
        return None
    try:
        key = asyncssh.import_private_key(text, password)
    except asyncssh.KeyEncryptionError as error:
        if password is None:
            raise CommandError("ssh: this private key is passphrase protected") from error
        if "bcrypt" in str(error):
            raise CommandError(f"{error}; run: pip install bcrypt") from error
        raise CommandError("x509: decryption password incorrect") from error
    except asyncssh.KeyImportError as error:
        if password is not None and "decrypt" in str(error):
            raise CommandError("x509: decryption password incorrect") from error
        if "passphrase" in str(error).lower():
            raise CommandError("ssh: this private key is passphrase protected") from error
        raise CommandError(NO_KEY) from error
    if password is not None and "ENCRYPTED" not in text and not _encrypted_openssh(text):
        raise CommandError("ssh: key is not password protected")
    return key


def _encrypted_openssh(text: str) -> bool:
    try:
        asyncssh.import_private_key(text)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        return True
    return False


def _host_key(text: str | None) -> asyncssh.SSHKey | None:
    """Read one line of authorized_keys form; what stands before the key type, or in other lines, is passed over."""
    if text is None:
        return None
    for line in text.splitlines():
        found = re.search(r"(?:^|\s)((?:ssh|ecdsa|sk)-\S+\s+[A-Za-z0-9+/]+=*)", line)
        if found and not line.lstrip().startswith("#"):
            try:
                return asyncssh.import_public_key(found[1])
            except (asyncssh.KeyImportError, ValueError):  # ValueError: a point that is not on its curve
                continue
    raise CommandError(f"failed to parse host key: {NO_KEY}")
