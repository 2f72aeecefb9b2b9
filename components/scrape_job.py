"""The stub job in prometheus.yml of one server: it reads one folder of target files."""

import pulumi

from .machine import Machine
from .part import Part

SAMPLES = 15000
"""What one scrape may bring at most, unless the settings say otherwise: a large node exporter has some thousands."""
_JOB = """\
- job_name: {job}
  scrape_interval: {interval}
  scrape_timeout: {timeout}
  honor_labels: false
  honor_timestamps: false
  follow_redirects: false
  fallback_scrape_protocol: PrometheusText0.0.4
  sample_limit: {samples}
  body_size_limit: 32MB
  label_limit: 64
  label_value_length_limit: 4096
  file_sd_configs:
    - files: [{targets}/*.json]
      refresh_interval: {refresh}"""
_REFRESH = "10s"
"""Prometheus hears of a changed target file at once; where it cannot (no inotify watch left), it looks this often."""


def job_name(stack: str) -> str:
    """Return the job's name; each target's own `job` label overrides it."""
    return f"metrics-tunnel-{stack}"


def targets_folder(stack: str) -> str:
    """Return the folder of target files on the server."""
    return f"/etc/metrics-tunnel/targets/{stack}"


def desired(stack: str, interval: str, timeout: str, samples: int = SAMPLES) -> dict[str, str]:
    """Return the block's items for `scrape_configs`, not indented, and what it is called."""
    job, targets = job_name(stack), targets_folder(stack)
    block = _JOB.format(job=job, interval=interval, timeout=timeout, samples=samples, targets=targets, refresh=_REFRESH)
    return {"JOB": job, "BLOCK": block}


def scrape_job(machine: Machine, interval: str, timeout: str, samples: int, where: dict[str, str]) -> Part:
    """Describe the job's block; `where` says CONFIG, SERVICE and URL of Prometheus, empty where they are found."""
    return Part(
        name=f"{machine.name}-scrape-job",
        receipt=f"scrape-job-{pulumi.get_stack()}",
        script="scrape-job",
        machine=machine,
        values={**desired(pulumi.get_stack(), interval, timeout, samples), **where},
        late={},
    )
