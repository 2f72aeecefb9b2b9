"""How long the proof of a tunnel or an exporter waits for one scrape."""

from collections.abc import Iterable

from . import rules

_LEAST = 6
_TRIES = 20


def scrape_seconds(timeouts: Iterable[str]) -> int:
    """Return the seconds that Prometheus would wait, of several servers the most patient one, and some at least.

    A machine at work may be slow to start what is proven, and what Prometheus makes of that its own proof tells.
    """
    return max([_LEAST, *(-(-rules.milliseconds(timeout) // 1000) for timeout in timeouts)])


def longest(seconds: int, scrapes: int) -> int:
    """Return the seconds that the proofs of so many scrapes may take.

    Each tries for a while, and gives up at the second scrape that is not answered in time.
    """
    return scrapes * (_TRIES + 2 * seconds)
