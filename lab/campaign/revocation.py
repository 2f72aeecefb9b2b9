"""A key that is taken away: how soon a thief's sessions with it end, and whether it is ever let in again."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paramiko

from lab import base, layouts
from lab.campaign.attacks import DEDICATED, LOGIN, tireless
from lab.campaign.figures import Figure, at_most, count
from lab.hosts import Host, Lab, LabError, temporary, wait
from lab.project import Project, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lab.campaign.figures import Tell

SECONDS = 5.0
"""A session has to end within so many after its key was taken away."""
TRIES = 5
AT_ONCE = 40
_OPTIONS = "-F none -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"


@dataclass(frozen=True)
class Stolen:
    """A server's key for one host's user, copied away from the server, and used from there."""

    name: str
    file: Path
    server: Host
    host: Host
    user: str

    def ssh(self, *words: str) -> list[str]:
        """Return the command line of a client with the key, in the server's network."""
        enter = ["nsenter", f"--net=/run/netns/{self.server.namespace}"]
        options = [*_OPTIONS.split(), "-o", "ConnectTimeout=10", "-i", str(self.file)]
        return [*enter, "ssh", *options, *words, f"{self.user}@{self.host.address}"]

    def let_in(self) -> bool:
        """Whether sshd accepts the key."""
        command = self.ssh("-o", "LogLevel=VERBOSE", "-W", "127.0.0.1:9100")
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        return b"Authenticated to " in done.stderr

    @property
    def lines(self) -> Path:
        """The file that holds the key's line on the host."""
        own = f"home/{self.user}/.ssh/authorized_keys"
        return self.host.tree / (f"etc/ssh/authorized_keys.d/{DEDICATED}" if self.user == DEDICATED else own)

    def has_line(self) -> bool:
        """Whether the key's line is still there."""
        with contextlib.suppress(FileNotFoundError):
            return self.name in self.lines.read_text()
        return False

    def last_run(self) -> int:
        """Return when a part's script began last on the host, in nanoseconds: it writes the lock."""
        return Path(f"/proc/{self.host.leader}/root/run/metrics-tunnel.lock").stat().st_mtime_ns


@dataclass
class HeldSession:
    """A client that holds a forward open. `removed` and `ended` are when its key's line was gone, and when it ended."""

    stolen: Stolen
    socket: Path
    process: subprocess.Popen[bytes]
    removed: float = 0.0
    ended: float = 0.0

    def passes(self) -> bool:
        """Whether data comes through the forward."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self.socket))
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return connection.recv(5) == b"HTTP/"
        return False

    def look(self) -> None:
        """Note when either happens."""
        if not self.ended and self.process.poll() is not None:
            self.ended = time.monotonic()
        if not self.removed and not self.stolen.has_line():
            self.removed = time.monotonic()


@dataclass(frozen=True)
class TakenAway:
    """What came of taking keys away.

    `late` and `late_after_pulumi` are the seconds from the end of the key's line, and of Pulumi, to that of the last
    session; the rest is counted.
    """

    what: str
    late: float
    late_after_pulumi: float
    sessions: int
    ended: int
    tries: int
    let_in: int
    others: int
    others_alive: int


@dataclass(frozen=True)
class Site:
    """Two servers, and on each release a host with the dedicated user and one with a `login` user."""

    lab: Lab
    servers: list[Host]
    hosts: list[Host]
    users: dict[str, str] = field(default_factory=dict)

    def settings(self, servers: list[Host], hosts: list[Host], **more: int) -> dict[str, Any]:
        """Return the stack's settings."""
        values = settings(self.lab, servers, hosts, **more)
        for name, host in values["hosts"].items():
            if self.users[name] != DEDICATED:
                host["login"] = self.users[name]
        return values


def make(lab: Lab, releases: dict[str, list[str]]) -> Site:
    """Boot two servers, and a host for each release and user."""
    site = Site(lab, [lab.add(name, layouts.SERVERS["default"], layouts.none) for name in ("mon1", "mon2")], [])
    for release, users in releases.items():
        for user in users:
            name = f"{'in' if user == LOGIN else 'deb'}{base.RELEASES[release]}"
            host = lab.add(name, layouts.EXPORTERS["packaged"], release=release)
            tireless(host)
            site.hosts.append(host)
            site.users[name] = user
    lab.boot()
    return site


def steal(site: Site, server: Host, rotation: int) -> list[Stolen]:
    """Copy a server's key away, to be used on every host."""
    name = f"metrics-tunnel-lab-{server.name}-{rotation}"
    copy = site.lab.folder / f"stolen-{time.monotonic_ns()}"
    shutil.copy(server.tree / "etc/metrics-tunnel/keys" / name, copy)
    return [Stolen(name, copy, server, host, site.users[host.name]) for host in site.hosts]


def bystanders(site: Site) -> list[Stolen]:
    """Return the admin's own key for the `login` users, whose other sessions are none of ours."""
    hosts = [host for host in site.hosts if site.users[host.name] != DEDICATED]
    return [Stolen("lab-admin", site.lab.key, site.servers[0], host, site.users[host.name]) for host in hosts]


def take_away(what: str, stolen: list[Stolen], others: list[Stolen], act: Callable[[], object]) -> TakenAway:
    """Hold a session on every host, take the key away by `act`, and see what is left of it and of others."""
    with contextlib.ExitStack() as stack:
        sessions, living = ([stack.enter_context(_held(one)) for one in keys] for keys in (stolen, others))
        for session in (*sessions, *living):
            wait(f"the forward to {session.stolen.host.name}", session.passes)
        with _watched(sessions):
            act()
            returned = time.monotonic()
            _until(lambda: all(session.ended for session in sessions), 2 * SECONDS)
        end = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            tries = list(pool.map(Stolen.let_in, [one for one in stolen for _ in range(TRIES)]))
        return TakenAway(
            what,
            late=max((session.ended or end) - (session.removed or returned) for session in sessions),
            late_after_pulumi=max((session.ended or end) - returned for session in sessions),
            sessions=len(sessions),
            ended=sum(session.ended > 0 for session in sessions),
            tries=len(tries),
            let_in=sum(tries),
            others=len(living),
            others_alive=sum(session.passes() for session in living),
        )


@dataclass
class Rush:
    """Logins in the very moment in which a key's line goes: how many succeeded, and how many of them last."""

    let_in: int = 0
    alive: int = 0

    def during(self, stolen: list[Stolen], act: Callable[[], object]) -> None:
        """Try it on every host while `act` takes the key away."""
        waiting = [[_connected(one) for _ in range(AT_ONCE)] for one in stolen]
        over = threading.Event()
        with ThreadPoolExecutor(len(stolen)) as pool:
            rushing = [pool.submit(_log_in, one, clients, over) for one, clients in zip(stolen, waiting, strict=True)]
            act()
            over.set()
            self.let_in = sum(one.result() for one in rushing)
        time.sleep(1)
        clients = [client for some in waiting for client in some]
        self.alive = sum(client.is_authenticated() for client in clients)
        for client in clients:
            client.close()


def _connected(stolen: Stolen) -> paramiko.Transport:
    client = paramiko.Transport((stolen.host.address, 22))
    client.start_client(timeout=60)
    return client


def _log_in(stolen: Stolen, clients: list[paramiko.Transport], over: threading.Event) -> int:
    """Wait for the removal to begin, log in, and return how many clients were let in."""
    key = paramiko.Ed25519Key.from_private_key_file(str(stolen.file))
    before = stolen.last_run()
    while stolen.last_run() == before and not over.is_set():
        time.sleep(0.001)

    def log_in(number: int) -> bool:
        time.sleep(0.012 * number)
        with contextlib.suppress(paramiko.SSHException, EOFError):
            clients[number].auth_publickey(stolen.user, key)
            return True
        return False

    with ThreadPoolExecutor(len(clients)) as pool:
        return sum(pool.map(log_in, range(len(clients))))


def life(site: Site, project: Project, tell: Tell) -> tuple[list[TakenAway], Rush]:
    """Take keys away in every way there is, and once in a rush."""
    mon1, mon2 = site.servers
    seen: list[TakenAway] = []
    rush = Rush()

    def apply(servers: list[Host], hosts: list[Host], **more: int) -> None:
        project.settings(site.settings(servers, hosts, **more))
        project.up()

    def case(what: str, stolen: list[Stolen], act: Callable[[], object], others: Sequence[Stolen] = ()) -> None:
        if not all(one.let_in() for one in stolen):
            raise LabError("a stolen key is not let in, before it is taken away")
        seen.append(take_away(what, stolen, [*others, *bystanders(site)], act))
        tell(f"{what}: sessions ended {seen[-1].late:.1f} s after")

    apply([mon1, mon2], site.hosts)
    second = steal(site, mon2, 1)
    take_out = partial(rush.during, second, lambda: apply([mon1], site.hosts))
    case("a server taken out", second, take_out, steal(site, mon1, 1))
    case("the key rotated", steal(site, mon1, 1), lambda: apply([mon1], site.hosts, rotation=2))
    case("the hosts taken out", steal(site, mon1, 2), lambda: apply([mon1], [], rotation=2))
    apply([mon1], site.hosts, rotation=2)
    case("the stack destroyed", steal(site, mon1, 2), project.destroy)
    return seen, rush


def measure(folder: Path, tell: Tell) -> list[Figure]:
    """Take keys away from both kinds of users, on every release."""
    with temporary(folder) as lab:
        site = make(lab, {release: [DEDICATED, LOGIN] for release in base.RELEASES})
        seen, rush = life(site, Project(lab.folder / "project"), tell)
    return [
        *(
            at_most(
                f"a thief's session ends after its key is gone: {one.what}",
                one.late,
                SECONDS,
                note=f"{one.late_after_pulumi:+.1f} s from when Pulumi returned",
            )
            for one in seen
        ),
        _sum("sessions of a key that is gone, ended", seen, "ended", "sessions"),
        _sum("logins with a key that is gone", seen, "let_in", "tries", none=True),
        Figure(
            "logins in the moment in which the key goes, that last",
            f"{rush.alive} of {rush.let_in}",
            "none of some",
            rush.alive == 0 < rush.let_in,
        ),
        _sum("other keys' sessions meanwhile, alive", seen, "others_alive", "others"),
    ]


def _sum(what: str, seen: list[TakenAway], got: str, of: str, *, none: bool = False) -> Figure:
    total = sum(getattr(one, of) for one in seen)
    return count(what, sum(getattr(one, got) for one in seen), total, wanted=0 if none else total)


@contextlib.contextmanager
def _held(stolen: Stolen) -> Iterator[HeldSession]:
    place = stolen.file.with_name(f"socket-{time.monotonic_ns()}")
    words = "-N", "-o", "ExitOnForwardFailure=yes", "-L", f"{place}:127.0.0.1:9100"
    with subprocess.Popen(stolen.ssh(*words), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield HeldSession(stolen, place, process)
        finally:
            process.kill()


@contextlib.contextmanager
def _watched(sessions: list[HeldSession]) -> Iterator[None]:
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            for session in sessions:
                session.look()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _until(true: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return
        time.sleep(0.05)
