"""Faults while it runs: how soon a tunnel carries again, unaided, and how many scrapes are lost.

Four hosts of three Debian releases on one server; faults on different hosts run side by side, those of the server
alone. Prometheus scrapes each second, so that its own samples tell recovery to a second. The scrapes that a target
loses at an interval of 5 s are taken from the same samples: each fifth of them, once for each second to begin at. That
is strict: such a scrape could wait longer for its answer than the one second it has here. A tunnel that died is back a
little more than 5 s later (RestartSec and a login), so it depends on the second whether one scrape falls into that or,
seldom, two: the share that counts is 95 of 100.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab import hosts
from lab.campaign import scrapes, tunnels
from lab.campaign.figures import Figure, at_most, count, few, percentile
from lab.campaign.tunnels import PATIENCE, STARTUPS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lab.campaign.figures import Tell
    from lab.campaign.tunnels import Client, Tunnel
    from lab.hosts import Host

    Action = Callable[["Tunnel"], None]

RELEASES = {"web1": "bookworm", "web2": "bookworm", "web3": "trixie", "web4": "bullseye"}
HUNG = 40
"""As long a fault lasts that ends only when it is noticed."""
WANTED, WANTED_KINDS = 100, 12
_KEYS = "/etc/ssh/authorized_keys.d/metrics-tunnel"
_HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"
_CUT = "pkill -KILL -u metrics-tunnel || :"


@dataclass(frozen=True)
class Fault:
    """One kind. `end` takes it away after `seconds`; where it is `hung`, when the product has got over it."""

    name: str
    begin: Action
    end: Action = lambda _tunnel: None
    seconds: float = 0
    times: int = 1
    """On each host."""
    lost: int | None = None
    """As many scrapes at 5 s may be lost, in 95 of 100."""
    limit: float = 15
    """Seconds that recovery may take."""
    hung: bool = False
    felt: bool = True
    """Whether scrapes have to fail meanwhile; else it would prove nothing."""


@dataclass(frozen=True)
class Injection:
    """One fault's outcome. `recovery` is in seconds after its end, None where it did not recover."""

    fault: Fault
    host: str
    recovery: float | None
    lost: list[int]
    """Scrapes at 5 s, for each of the five seconds that they could fall on."""
    sessions: int
    """Processes of the tunnel user on the host, when it was healthy again."""
    clients: tuple[Client, Client]


def _server(command: str) -> Action:
    def act(tunnel: Tunnel) -> None:
        process = tunnel.server.run(f"systemctl show -p MainPID --value {tunnel.unit}").strip()
        tunnel.server.run(command.format(process=process, listen=tunnel.listen, host=tunnel.host.name))

    return act


def _host(command: str) -> Action:
    def act(tunnel: Tunnel) -> None:
        tunnel.host.run(command)

    return act


def _boot(machine: Host) -> None:
    machine.lab.boot(machine)


class _Startups:
    """Connections to a host's sshd that never log in, as many as it lets wait."""

    def __init__(self) -> None:
        self.held: dict[str, list[socket.socket]] = {}

    def take(self, tunnel: Tunnel) -> None:
        """Take them all, then cut the session. Raises `LabError` where another is let in after that."""
        address = (tunnel.host.address, 22)
        self.held[tunnel.host.name] = held = [socket.create_connection(address, 5) for _ in range(STARTUPS)]
        if not all(one.recv(4) == b"SSH-" for one in held):
            raise hosts.LabError(f"{tunnel.host.name}: sshd does not let {STARTUPS} wait")
        with socket.create_connection(address, 5) as one, contextlib.suppress(ConnectionError):
            if one.recv(4) == b"SSH-":
                raise hosts.LabError(f"{tunnel.host.name}: sshd lets more than {STARTUPS} wait")
        tunnel.host.run(_CUT)

    def give(self, tunnel: Tunnel) -> None:
        """Let them go."""
        for one in self.held.pop(tunnel.host.name):
            one.close()


_SQUATTER = "prometheus-node-exporter --web.listen-address={listen} --web.telemetry-path=/elsewhere"
_startups = _Startups()


def _drop(seconds: int, times: int, lost: int | None = None) -> Fault:
    """Lose every packet on the bridge: nobody sees a link go down, or is told anything."""
    begin, end = lambda tunnel: tunnel.host.detach(), lambda tunnel: tunnel.host.attach()
    return Fault(f"network drops all for {seconds} s", begin, end, seconds, times, lost)


KILLED = Fault("ssh client killed", _server("kill -KILL {process}"), times=3, lost=1)
SESSION_KILLED = Fault("sshd session killed", _host(_CUT), times=3, lost=1)
RESTARTED = Fault("sshd restarted", _host("systemctl restart ssh"), times=2, lost=0, felt=False)
DROPPED = _drop(5, 3)
PORT_TAKEN = Fault(
    "local port taken for 10 s",
    _server("kill -KILL {process}; systemd-run -q --unit squatter-{host} " + _SQUATTER),
    _server("systemctl stop squatter-{host}"),
    seconds=10,
    times=2,
)
FAULTS = [
    KILLED,
    Fault(
        "ssh client hung",
        _server("kill -STOP {process}"),
        _server("kill -CONT {process}"),
        limit=25,
        hung=True,
    ),
    Fault(
        "sshd session hung",
        _host("pkill -STOP -u metrics-tunnel"),
        _host("pkill -CONT -u metrics-tunnel || :"),
        times=2,
        lost=4,
        limit=22,
        hung=True,
    ),
    SESSION_KILLED,
    RESTARTED,
    *(
        Fault(
            f"sshd and its sessions down for {seconds} s",
            _host(f"systemctl stop ssh; {_CUT}"),
            _host("systemctl start ssh"),
            seconds=seconds,
        )
        for seconds in (10, 20)
    ),
    DROPPED,
    _drop(15, 2),
    _drop(30, 1),
    _drop(60, 1),
    _drop(120, 1, lost=25),
    Fault(
        "cable unplugged for 20 s", lambda tunnel: tunnel.host.unplug(), lambda tunnel: tunnel.host.plug(), seconds=20
    ),
    Fault("link down in the host for 15 s", _host("ip link set eth0 down"), _host("ip link set eth0 up"), seconds=15),
    PORT_TAKEN,
    Fault(
        "exporter down for 8 s",
        _host("systemctl stop prometheus-node-exporter"),
        _host("systemctl start prometheus-node-exporter"),
        seconds=8,
        times=2,
    ),
    Fault("host rebooted", lambda tunnel: tunnel.host.shut_down(), lambda tunnel: _boot(tunnel.host)),
    Fault("host's power cut", lambda tunnel: tunnel.host.stop(), lambda tunnel: _boot(tunnel.host)),
    # A minute of refused logins must not bring the server's address under the penalties of OpenSSH 9.8 and later.
    *(
        Fault(
            f"key line removed for {seconds} s",
            _host(f"mv {_KEYS} {_KEYS}.away; {_CUT}"),
            _host(f"mv {_KEYS}.away {_KEYS}"),
            seconds=seconds,
        )
        for seconds in (10, 60)
    ),
    Fault(
        "another host key for 10 s",
        _host(
            f"mkdir /root/keys; mv {_HOST_KEY}* /root/keys; ssh-keygen -q -t ed25519 -N '' -f {_HOST_KEY}; "
            f"systemctl restart ssh; {_CUT}"
        ),
        _host("mv /root/keys/* /etc/ssh; rmdir /root/keys; systemctl restart ssh"),
        seconds=10,
    ),
    Fault("sshd's MaxStartups full for 15 s", _startups.take, _startups.give, seconds=15),
]
ALONE = [
    # Prometheus itself is away meanwhile, and so records no failed scrape.
    Fault("server rebooted", lambda one: one.server.shut_down(), lambda one: _boot(one.server), times=2, felt=False),
    Fault("server's power cut", lambda one: one.server.stop(), lambda one: _boot(one.server), times=2, felt=False),
]


def inject(fault: Fault, hurt: Sequence[Tunnel]) -> Injection:
    """Hurt healthy tunnels at once by what is done to the first one, and wait until all are healthy again.

    Returns the outcome of the one that took longest. One that is not back in time counts as not recovered and is
    mended by hand.
    """
    for tunnel in hurt:
        if not tunnel.healthy():
            raise hosts.LabError(f"{tunnel.host.name} is not healthy before: {fault.name}")
    before = [tunnel.client() for tunnel in hurt]
    began = time.time()
    fault.begin(hurt[0])
    time.sleep(fault.seconds)
    if not fault.hung:
        fault.end(hurt[0])
    ended = began if fault.hung else time.time()
    done = [_watch(fault, one, was, began, ended) for one, was in zip(hurt, before, strict=True)]
    return max(done, key=lambda one: PATIENCE if one.recovery is None else one.recovery)


def _watch(fault: Fault, tunnel: Tunnel, before: Client, began: float, ended: float) -> Injection:
    name = tunnel.host.name
    found = scrapes.wait_until_back(tunnel.server, name, ended, HUNG if fault.hung else PATIENCE)
    samples = [one for one in scrapes.since(tunnel.server, name, began) if found is None or one.time < found]
    sessions = int(tunnel.host.run("pgrep -cu metrics-tunnel", check=False))
    if fault.hung:
        fault.end(tunnel)
    elif found is None:
        tunnel.server.run(f"systemctl restart {tunnel.unit}")
    recovery = None if found is None else found - ended
    clients = (before, tunnel.client())
    return Injection(fault, name, recovery, scrapes.lost(samples, 5), sessions, clients)


def measure(folder: Path, tell: Tell) -> list[Figure]:
    """Inject every fault and give the figures."""
    with hosts.temporary(folder) as lab:
        return figures(campaign(tunnels.applied(lab, RELEASES).tunnels, tell))


def campaign(hurt: Sequence[Tunnel], tell: Tell) -> list[Injection]:
    """Inject every fault on each host, side by side, then those of the server, one at a time."""
    every = [fault for fault in FAULTS for _ in range(fault.times)]
    alone = [fault for fault in ALONE for _ in range(fault.times)]
    progress = _Progress(len(every) * len(hurt) + len(alone), tell)

    def work(number: int) -> list[Injection]:
        # Each begins elsewhere, so that what is slow does not come on all hosts at once.
        first = len(every) * number // len(hurt)
        done = []
        for fault in every[first:] + every[:first]:
            progress(fault, hurt[number].host.name)
            done.append(inject(fault, [hurt[number]]))
        return done

    with ThreadPoolExecutor(len(hurt)) as pool:
        found = list(itertools.chain.from_iterable(pool.map(work, range(len(hurt)))))
    for fault in alone:
        progress(fault, hurt[0].server.name)
        found.append(inject(fault, hurt))
    return found


class _Progress:
    def __init__(self, total: int, tell: Tell) -> None:
        self.numbers, self.total, self.tell = itertools.count(1), total, tell
        self.lock = threading.Lock()

    def __call__(self, fault: Fault, host: str) -> None:
        with self.lock:
            self.tell(f"{next(self.numbers)} of {self.total}: {fault.name}, {host}")


def figures(done: Sequence[Injection]) -> list[Figure]:
    """Return the figures of all injections, then those of each kind."""
    kinds = list(dict.fromkeys(one.fault for one in done))
    back = [one.recovery for one in done if one.recovery is not None and not one.fault.hung]
    felt = [sum(one.lost) > 0 for one in done if one.fault.felt]
    files, kilobytes = gained([client for one in done for client in one.clients])
    return [
        Figure("kinds of faults", str(len(kinds)), "12 or more", len(kinds) >= WANTED_KINDS),
        Figure("injections", str(len(done)), "100 or more", len(done) >= WANTED),
        count("recovered unaided", sum(one.recovery is not None for one in done), len(done), wanted=len(done)),
        count("of the faults that cut a tunnel, felt by scrapes", sum(felt), len(felt), wanted=len(felt)),
        at_most("recovery after a fault's end, p95", percentile(back, 0.95), 8),
        at_most("recovery after a fault's end, longest", max(back, default=0), 15),
        *(_kind(kind, [one for one in done if one.fault is kind]) for kind in kinds),
        few("processes of the tunnel user on a host, most", max(one.sessions for one in done), 2),
        few("open files gained by an ssh process, most", files, 2),
        at_most("memory gained by an ssh process, most", kilobytes / 1024, 1, "MB"),
    ]


def _kind(fault: Fault, done: Sequence[Injection]) -> Figure:
    times = [one.recovery for one in done if one.recovery is not None]
    lost = [each for one in done for each in one.lost]
    usual = percentile(lost, 0.95)
    value = f"{len(times)} of {len(done)} back"
    if times:
        shares = f"p50 {percentile(times, 0.5):.1f} s, p95 {percentile(times, 0.95):.1f} s, max {max(times):.1f} s"
        value += f": {shares}; lost at 5 s: p50 {percentile(lost, 0.5):g}, p95 {usual:g}, max {max(lost)}"
    wanted = f"all, {fault.limit:g} s at most" + ("" if fault.lost is None else f"; lost: p95 at most {fault.lost}")
    good = len(times) == len(done) and max(times) <= fault.limit and (fault.lost is None or usual <= fault.lost)
    return Figure(f"{fault.name} (from its start)" if fault.hung else fault.name, value, wanted, good)


def gained(clients: Sequence[Client]) -> tuple[int, int]:
    """Return how many open files and kilobytes a process has gained from the first look at it to the last, at most."""
    first = {one.pid: one for one in reversed(clients)}
    last = {one.pid: one for one in clients}
    files = max(last[pid].files - first[pid].files for pid in first)
    return files, max(last[pid].kilobytes - first[pid].kilobytes for pid in first)
