"""A machine's lock, in the hands of a test: scripts wait for it there, in the middle of their work."""

from collections.abc import Iterator
from contextlib import contextmanager

from lab.hosts import Host, wait

_LOCK = "/run/metrics-tunnel.lock"


@contextmanager
def held(host: Host) -> Iterator[None]:
    """Hold the host's lock, as another run does."""
    holder = host.run(f"setsid flock {_LOCK} sleep 600 >/dev/null 2>&1 </dev/null & echo $!").strip()
    try:
        wait("the lock to be held", lambda: host.run(f"flock -n {_LOCK} true || echo held", check=False))
        yield
    finally:
        host.run(f"kill -- -{holder}")


def waiting(host: Host) -> int:
    """Return how many scripts wait for the host's lock."""
    return len(host.run("ps axo args | grep '^flock -w'", check=False).splitlines())
