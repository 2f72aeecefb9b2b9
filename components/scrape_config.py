"""A host's target file on a server. Its resource is done when Prometheus reports the targets up."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from . import rules
from .facts import Facts
from .judge import Judge, Values
from .machine import Machine
from .part import Part
from .scrape_job import job_name

_READY_SECONDS = 40
"""What Prometheus takes at most to see a target file, beside the interval and the time-out of a scrape."""


@dataclass(frozen=True)
class Target:
    """One exporter as Prometheus sees it."""

    job: str
    listen: str
    path: str = "/metrics"


def desired(stack: str, host: str, labels: Mapping[str, str], targets: Sequence[Target]) -> dict[str, str]:
    """Return the target file (JSON, one group a target) and, a line a target, how Prometheus' API tells of it."""
    groups = []
    listed = []
    for target in targets:
        own = {**labels, "instance": host, "job": target.job}
        groups.append({"targets": [target.listen], "labels": {**own, "__metrics_path__": target.path}})
        place = {"scrapePool": job_name(stack), "scrapeUrl": f"http://{target.listen}{target.path}"}
        listed.append(f'"labels":{_as_go(own)},{_as_go(place)[1:-1]}')
    file = json.dumps(groups, separators=(",", ":"), sort_keys=True)
    return {"TARGETS": file, "LISTED": "\n".join(listed)}


def _as_go(values: Mapping[str, str]) -> str:
    """Return JSON as Prometheus writes it: sorted, no blanks, all letters as they are."""
    return json.dumps(values, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def scrape_config(
    server: Machine,
    host: Machine,
    labels: Mapping[str, str],
    targets: Sequence[Target],
    interval: str,
    timeout: str,
    *,
    has_several_servers: bool,
) -> Part:
    """Describe the target file of `host` on `server`, whose Prometheus scrapes at `interval`, a duration."""
    # The first scrape begins within one interval.
    wait = _READY_SECONDS + -(-(rules.milliseconds(interval) + rules.milliseconds(timeout)) // 1000)
    values = {
        **desired(pulumi.get_stack(), host.name, labels, targets),
        "HOST": host.name,
        "WAIT": str(wait),
    }
    return Part(
        name=f"{host.name}-scrape-config" + (f"-{server.name}" if has_several_servers else ""),
        receipt=f"scrape-config-{host.name}",
        script="scrape-config",
        machine=server,
        values=values,
        later_values={},
        judge=JUDGE,
        offline=host.offline,
        wait=wait,
    )


def _present(values: Values, facts: Facts) -> bool:
    return f"/etc/metrics-tunnel/targets/{values['STACK']}/{values['HOST']}.json" in facts.modes


JUDGE = Judge(present=_present)
