"""A thief who holds a tunnel's private key: clients for what is tried, and eyes on the host for what came of it.

It runs in the network namespace of the server whose key it is, so that its address is the server's own.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import socketserver
import struct
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import paramiko

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DECOY, BAIT = b"this is the decoy", b"this is the bait"
"""What is said by whoever listens on the host, and by the thief's own listener."""
GET = b"GET /metrics HTTP/1.0\r\n\r\n"
PATIENCE = 20
"""Seconds for an effect to show on a busy machine. What is refused ends sooner, by itself."""
_OPTIONS = "-F none -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
_SHOUT = 'exec 3<>"/dev/tcp/127.0.0.1/$1" && cat >&3 && cat <&3'

Result = TypeVar("Result")


@dataclass(frozen=True)
class Scene:
    """Who is attacked. `tree` and `namespace` are the host's, to see effects; `other` is the address of one beside."""

    host: str
    user: str
    key: str
    other: str
    tree: str
    namespace: str
    first_port: int


class _Bait(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _Say(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(BAIT)


class Raw(paramiko.Transport):
    """A client that adds to a request to open a channel what paramiko would not send."""

    extra = b""

    def _send_user_message(self, data: paramiko.Message) -> None:
        if data.asbytes()[:1] == bytes([paramiko.common.MSG_CHANNEL_OPEN]):
            data.add_bytes(self.extra)
        super()._send_user_message(data)  # type: ignore[misc]


class Thief:
    """What an attack may use. `folder` is its own, for files and an agent."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.scene, self.folder = scene, folder
        self.to = f"{scene.user}@{scene.host}"
        self._numbers = itertools.count(1)
        (folder / "file").write_text("loot\n")
        self.other_key = folder / "other"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.other_key], check=True)

    def fresh(self) -> dict[str, str]:
        """Return an attack's own values: a port for either side, a file on the host to leave as a mark, and others."""
        number = next(self._numbers)
        return {
            "to": self.to,
            "host": self.scene.host,
            "other": self.scene.other,
            "port": str(self.scene.first_port + number),
            "bait": str(self.scene.first_port),
            "mark": f"/var/tmp/{self.folder.name}-{number}",  # noqa: S108 (any user may write there)
            "file": str(self.folder / "file"),
        }

    @contextlib.contextmanager
    def ready(self) -> Iterator[None]:
        """Run the bait's listener and an agent with a key."""
        agent = str(self.folder / "agent")
        with (
            _Bait(("127.0.0.1", self.scene.first_port), _Say) as bait,
            subprocess.Popen(["ssh-agent", "-D", "-a", agent], stdout=subprocess.DEVNULL) as process,
            _served(bait),
        ):
            os.environ |= {"SSH_AUTH_SOCK": agent, "DISPLAY": "127.0.0.1:0"}
            try:
                until(lambda: Path(agent).exists() or None)
                subprocess.run(["ssh-add", "-q", self.other_key], check=True)
                yield
            finally:
                process.terminate()

    def command(self, *words: str, client: str = "ssh", key: str = "") -> list[str]:
        """Return a client's command line with the stolen key, or another one."""
        return [client, *_OPTIONS.split(), "-o", f"ConnectTimeout={PATIENCE}", "-i", key or self.scene.key, *words]

    def run(self, *words: str, client: str = "ssh", key: str = "", text: bytes = b"") -> bytes:
        """Run a client to its end, and return what it prints."""
        command = self.command("-o", "LogLevel=ERROR", *words, client=client, key=key)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return subprocess.run(
                command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False
            ).stdout
        return b""

    def held(self, *words: str, look: Callable[[bytes], Result | None], key: str = "") -> Result | None:
        """Hold a client without a command, until `look`, given what it printed, has found something or it has ended."""
        command = self.command("-N", "-o", "ExitOnForwardFailure=yes", *words, self.to, key=key)
        log = self.folder / f"log-{next(self._numbers)}"
        with (
            log.open("w") as file,
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file) as process,
        ):
            try:
                return until(lambda: look(log.read_bytes()), lambda: process.poll() is not None)
            finally:
                process.kill()

    @contextlib.contextmanager
    def connected(self) -> Iterator[Raw]:
        """Speak the protocol to the host, not yet logged in."""
        raw = Raw((self.scene.host, 22))
        raw.channel_timeout = raw.auth_timeout = raw.banner_timeout = PATIENCE
        try:
            raw.start_client(timeout=PATIENCE)
            yield raw
        finally:
            raw.close()

    @contextlib.contextmanager
    def logged_in(self) -> Iterator[Raw]:
        """Speak the protocol, logged in by the stolen key."""
        with self.connected() as raw:
            raw.auth_publickey(self.scene.user, paramiko.Ed25519Key.from_private_key_file(self.scene.key))
            yield raw

    def on_host(self, path: str) -> Path:
        """Return a path of the host, as this machine sees it."""
        return Path(self.scene.tree) / path.lstrip("/")

    def home(self) -> Path | None:
        """Return the home of the host's user, if there is one."""
        for line in self.on_host("etc/passwd").read_text().splitlines():
            if line.startswith(f"{self.scene.user}:"):
                home = self.on_host(line.split(":")[5])
                return home if home.is_dir() else None
        return None

    def inside(self, *command: str, text: bytes = b"") -> bytes:
        """Run a command of this machine in the host's network."""
        enter = ["nsenter", f"--net=/run/netns/{self.scene.namespace}", "timeout", "5", *command]
        return subprocess.run(enter, input=text, capture_output=True, check=False).stdout

    def heard_inside(self, port: int, request: bytes = b"") -> bytes | None:
        """Return what a port of the host's loopback says, None where nothing."""
        return self.inside("bash", "-c", _SHOUT, "-", str(port), text=request) or None

    def heard_at_socket(self, path: str) -> bytes | None:
        """Return what a socket in a folder of the host says; None where there is none."""
        where = self.on_host(path)
        folder = os.open(where.parent, os.O_PATH)  # a socket's own path may not be long
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(PATIENCE)
                connection.connect(f"/proc/self/fd/{folder}/{where.name}")
                return received(connection)
        except OSError:
            return None
        finally:
            os.close(folder)


def until(look: Callable[[], Result | None], over: Callable[[], bool] = lambda: False) -> Result | None:
    """Return what `look` finds, None where that is nothing and it is over, or patience is."""
    end = time.monotonic() + PATIENCE
    while True:
        last = over() or time.monotonic() > end
        found = look()
        if found is not None or last:
            return found
        time.sleep(0.1)


def heard(port: int, request: bytes = GET) -> bytes | None:
    """Return what a port here says; None where nobody listens yet."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(request)
            return received(connection)
    except ConnectionRefusedError:
        return None
    except OSError:
        return b""


def received(connection: socket.socket | paramiko.Channel) -> bytes:
    """Return all that comes until the end, or until nothing comes."""
    data = b""
    with contextlib.suppress(OSError):
        while more := connection.recv(65536):
            data += more
    return data


def reached(data: bytes | None) -> bool:
    """Whether somebody's own words came back: the decoy's, the bait's, an HTTP server's or sshd's."""
    return any(words in (data or b"") for words in (DECOY, BAIT, b"HTTP/1.", b"SSH-2.0-"))


def socks4(address: str, port: int) -> bytes:
    """Return a SOCKS 4 request."""
    return struct.pack(">BBH4sB", 4, 1, port, socket.inet_aton(address), 0)


def socks5(name: str, port: int) -> bytes:
    """Return a SOCKS 5 greeting and request at once."""
    return b"\5\1\0" + struct.pack(">BBBBB", 5, 1, 0, 3, len(name)) + name.encode() + struct.pack(">H", port)


@contextlib.contextmanager
def _served(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
