"""What Prometheus itself has recorded of a target: samples of `up`, with its own times."""

from __future__ import annotations

import http.client
import itertools
import json
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.hosts import Host

STEADY = 3
"""So many good samples in a row are health."""


@dataclass(frozen=True)
class Sample:
    """One scrape: when it began, in seconds since 1970, and whether it brought metrics."""

    time: float
    up: bool


def since(server: Host, instance: str, start: float) -> list[Sample]:
    """Return the scrapes of one instance from `start` on, oldest first; none where Prometheus does not answer."""
    seconds = math.ceil(time.time() - start) + 1
    query = quote(f"up{{instance={json.dumps(instance)}}}[{seconds}s]")
    connection = http.client.HTTPConnection(server.address, 9090, timeout=5)
    try:
        connection.request("GET", f"/api/v1/query?query={query}")
        found = json.loads(connection.getresponse().read())["data"]["result"]
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return []
    finally:
        connection.close()
    values = sorted((float(when), value) for series in found for when, value in series["values"])
    return [Sample(when, value == "1") for when, value in values if when >= start]


def back(samples: Sequence[Sample], end: float) -> float | None:
    """Return when the target was up again and stayed so, by a scrape that began after `end`; None: it is not yet."""
    after = [sample for sample in samples if sample.time >= end]
    down = max((index for index, sample in enumerate(after) if not sample.up), default=-1)
    good = after[down + 1 :]
    return good[0].time if len(good) >= STEADY else None


def wait_until_back(server: Host, instance: str, end: float, seconds: float) -> float | None:
    """Wait for what `back` says, for so many seconds at most."""
    until = time.monotonic() + seconds
    while (found := back(since(server, instance, end), end)) is None and time.monotonic() < until:
        time.sleep(0.3)
    return found


def lost(samples: Sequence[Sample], every: int = 1) -> list[int]:
    """Return how many scrapes brought nothing, had only each `every`th been made, for each second to begin at."""
    return [sum(not sample.up for sample in samples[phase::every]) for phase in range(every)]


def missing(samples: Sequence[Sample]) -> int:
    """Return how many scrapes were not made, where one is made each second."""
    return sum(round(later.time - one.time) - 1 for one, later in itertools.pairwise(samples))
