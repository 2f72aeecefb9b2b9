"""Key rotation while Prometheus scrapes each second: what it costs, what is left of the old key, and what a kill does.

The engine is killed right after each step of a rotation, with whatever it had begun meanwhile still under way, by which
scrapes may not notice more than the one restart of a tunnel. Then `pulumi cancel` and `pulumi up` have to finish.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab import hosts
from lab.campaign import scrapes, tunnels
from lab.campaign.engine import LOCKED, end_plugins, kill_after, unlock
from lab.campaign.figures import Figure, count, few
from lab.hosts import LabError, wait

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lab.campaign.figures import Tell
    from lab.campaign.tunnels import Stack, Tunnel

RELEASES = {"web1": "bookworm", "web2": "trixie"}
ROTATIONS = 20
AFTERWARDS = 3
"""Seconds of scrapes that are looked at after a rotation, or after a kill."""
_KEYS = "/etc/metrics-tunnel/keys"
_OLD = "/root/old-key"
_SSH = (
    f"ssh -i {_OLD} -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
)
# The journal of the process that let a session in says by which key.
_SESSIONS = """for P in $(pgrep -u metrics-tunnel); do
  journalctl -b -qo cat _PID=$(awk '/^PPid/{print $2}' /proc/$P/status) | grep '^Accepted publickey' | tail -n 1
done"""


@dataclass(frozen=True)
class Rotation:
    """What one rotation did: restarts and lost scrapes of the tunnel that has most, and what the old key still can."""

    restarts: int
    lost: int
    logins: int
    sessions: int


@dataclass(frozen=True)
class KilledRotation:
    """One rotation whose engine was killed after `step`: what came of it."""

    step: str
    lost: int
    """Scrapes of the tunnel that lost most, from before the rotation until some seconds after the kill."""
    carries: bool
    """Whether every tunnel's last scrape then was good."""
    finished: bool
    """Whether the next `pulumi up` ended well, with nothing left to do."""
    one_key: bool
    """Whether exactly the new key is on every machine then."""
    lost_later: int


def rotate(stack: Stack, number: int) -> Rotation:
    """Rotate to `number`, while a session of the old key's own is open on each host."""
    with _old_key(stack):
        before = [tunnel.starts() for tunnel in stack.tunnels]
        began = time.time()
        stack.settings(rotation=number)
        stack.project.up()
        time.sleep(AFTERWARDS)
        restarts = [tunnel.starts() - was for tunnel, was in zip(stack.tunnels, before, strict=True)]
        logins = sum(_logs_in(tunnel) for tunnel in stack.tunnels)
        sessions = sum(_sessions(tunnel) for tunnel in stack.tunnels)
        return Rotation(max(restarts), _lost(stack, began), logins, sessions)


@contextlib.contextmanager
def _old_key(stack: Stack) -> Iterator[None]:
    """Keep a copy of the key in use, and a session by it. Raises `LabError` where a look for them sees nothing."""
    server = stack.tunnels[0].server
    server.run(f"install -m 600 $(ls {_KEYS}/* | grep -v pub$) {_OLD}; ssh-keygen -yf {_OLD} >{_OLD}.pub")
    for tunnel in stack.tunnels:
        name, address = tunnel.host.name, tunnel.host.address
        server.run(f"systemd-run -q --collect --unit old-{name} {_SSH} -N metrics-tunnel@{address}")
        wait(f"a second session on {name}", lambda tunnel=tunnel: _sessions(tunnel) == 2)  # type: ignore[misc]  # noqa: PLR2004
        if not _logs_in(tunnel):
            raise LabError(f"{name}: the key does not log in before its rotation")
    try:
        yield
    finally:
        server.run("systemctl stop 'old-*'; rm /root/old-key*")


def _logs_in(tunnel: Tunnel) -> bool:
    ask = (
        f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | timeout 5 {_SSH} -W 127.0.0.1:9100 metrics-tunnel@{tunnel.host.address}"
    )
    return tunnel.server.run(f"{ask} 2>/dev/null", check=False).startswith("HTTP/1")


def _sessions(tunnel: Tunnel) -> int:
    """Count the sessions on the host that the old key has opened."""
    fingerprint = tunnel.server.run(f"ssh-keygen -lf {_OLD}.pub").split()[1]
    return sum(fingerprint in line for line in tunnel.host.run(_SESSIONS, check=False).splitlines())


def _lost(stack: Stack, began: float) -> int:
    """Return the scrapes that the worst tunnel lost: those that failed, and those that were not made."""
    found = [scrapes.since(tunnel.server, tunnel.host.name, began) for tunnel in stack.tunnels]
    return max(sum(scrapes.lost(samples)) + scrapes.missing(samples) for samples in found)


def interrupt(stack: Stack, number: int, step: int) -> KilledRotation | None:
    """Rotate to `number`, kill the engine after so many steps, then finish; None: there were no more steps."""
    began = time.time()
    stack.settings(rotation=number)
    name = kill_after(stack.project, "up", step)
    if not name:
        return None
    time.sleep(AFTERWARDS)
    lost, carries, later = _lost(stack, began), all(_carried(tunnel) for tunnel in stack.tunnels), time.time()
    project = stack.project
    unlock(project)
    finished = project.up(codes=(0, 1, LOCKED)).code == 0 and project.plan().code == 0
    end_plugins(project)
    one_key = _has_one_key(stack, f"metrics-tunnel-{project.stack}-{stack.tunnels[0].server.name}-{number}")
    return KilledRotation(name, lost, carries, finished, one_key, _lost(stack, later))


def _carried(tunnel: Tunnel) -> bool:
    return scrapes.since(tunnel.server, tunnel.host.name, time.time() - AFTERWARDS)[-1].up


def _has_one_key(stack: Stack, name: str) -> bool:
    """Whether the key of that name is the only one on the server and in every host's file, and in use."""
    server = stack.tunnels[0].server
    if server.run(f"ls {_KEYS}").split() != [name, f"{name}.pub"]:
        return False
    public = server.run(f"cat {_KEYS}/{name}.pub").split()[1]
    return all(_has_key(tunnel, name, public) for tunnel in stack.tunnels)


def _has_key(tunnel: Tunnel, name: str, public: str) -> bool:
    lines = tunnel.host.run("cat /etc/ssh/authorized_keys.d/metrics-tunnel").splitlines()
    unit = tunnel.server.run(f"systemctl cat {tunnel.unit}").splitlines()
    return len(lines) == 1 and public in lines[0].split() and f"LoadCredential=key:{_KEYS}/{name}" in unit


def measure(folder: Path, tell: Tell) -> list[Figure]:
    """Rotate many times, then interrupt a rotation after each of its steps, and give the figures."""
    with hosts.temporary(folder) as lab:
        stack = tunnels.applied(lab, RELEASES)
        rotations = []
        for number in range(2, ROTATIONS + 2):
            tell(f"rotation {number - 1} of {ROTATIONS}")
            rotations.append(rotate(stack, number))
        interruptions = []
        for step in itertools.count(1):
            tell(f"a rotation killed after step {step}")
            if not (found := interrupt(stack, ROTATIONS + 1 + step, step)):
                break
            interruptions.append(found)
    return figures(rotations, interruptions)


def figures(rotations: Sequence[Rotation], killed: Sequence[KilledRotation]) -> list[Figure]:
    """Return the figures of both."""
    steps = len(killed)
    lost = [one.lost for one in rotations]
    return [
        Figure("rotations while scraped each second", str(len(rotations)), f"{ROTATIONS}", len(rotations) == ROTATIONS),
        few("restarts of a tunnel in one rotation, most", max(one.restarts for one in rotations), 1),
        few("scrapes at 1 s lost in one rotation, most", max(lost), 1, f"{sum(lost) / len(lost):.1f} on average"),
        few("logins by old keys", sum(one.logins for one in rotations), 0),
        few("live sessions of old keys", sum(one.sessions for one in rotations), 0),
        count(
            "rotations killed after a step: a key carries on", sum(one.carries for one in killed), steps, wanted=steps
        ),
        few("scrapes at 1 s lost until some seconds after a kill, most", max(one.lost for one in killed), 1),
        count("then `cancel` and `up` finish", sum(one.finished for one in killed), steps, wanted=steps),
        count("then one key is everywhere", sum(one.one_key for one in killed), steps, wanted=steps),
        few("scrapes at 1 s lost by finishing, most", max(one.lost_later for one in killed), 1),
    ]
