"""A host's target file on a server. Its resource is done when Prometheus reports the targets up."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from . import rules
from .machine import Machine
from .part import Part

_READY_SECONDS = 40


@dataclass(frozen=True)
class Target:
    """One exporter as Prometheus sees it."""

    job: str
    listen: str
    path: str = "/metrics"


def desired(host: str, labels: Mapping[str, str], targets: Sequence[Target]) -> dict[str, str]:
    """Return the target file (JSON, one group a target) and the queries that prove it, URL-encoded."""
    groups = [
        {
            "targets": [target.listen],
            "labels": {**labels, "instance": host, "job": target.job, "__metrics_path__": target.path},
        }
        for target in targets
    ]
    queries = [quote(_up({"instance": host, "job": target.job, **labels}), safe="={},") for target in targets]
    return {"TARGETS": json.dumps(groups, separators=(",", ":"), sort_keys=True), "QUERIES": " ".join(queries)}


def _up(labels: Mapping[str, str]) -> str:
    """Return the query for a target's last samples under just these labels. PromQL's strings are written as JSON's."""
    matchers = ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items())
    return f"up{{{matchers}}}[5m]"


def scrape_config(
    server: Machine,
    host: Machine,
    labels: Mapping[str, str],
    targets: Sequence[Target],
    interval: str,
    *,
    many: bool,
) -> Part:
    """Describe the target file of `host` on `server`, whose Prometheus scrapes at `interval`, a duration."""
    # The first scrape comes within one interval.
    wait = _READY_SECONDS + rules.milliseconds(interval) // 1000
    values = {
        **desired(host.name, labels, targets),
        "HOST": host.name,
        "WAIT": str(wait),
    }
    return Part(
        name=f"{host.name}-scrape-config" + (f"-{server.name}" if many else ""),
        receipt=f"scrape-config-{host.name}",
        script="scrape-config",
        machine=server,
        values=values,
        late={},
        offline=host.offline,
        wait=wait,
    )
