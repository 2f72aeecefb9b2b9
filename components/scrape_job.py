"""The stub job in prometheus.yml of one server: it reads one folder of target files."""

import pulumi

from .machine import Machine
from .part import Part

SAMPLES = 15000
"""What one scrape may bring at most, unless the settings say otherwise: a large node exporter has some thousands."""


def job_name(stack: str) -> str:
    """Return the job's name; each target's own `job` label overrides it."""
    return f"metrics-tunnel-{stack}"


def desired(stack: str, interval: str, timeout: str, samples: int = SAMPLES) -> dict[str, str]:
    """Return what the job is called and what its text is made of, which stands whole in the script."""
    return {"JOB": job_name(stack), "INTERVAL": interval, "TIMEOUT": timeout, "SAMPLE_LIMIT": str(samples)}


def scrape_job(machine: Machine, interval: str, timeout: str, samples: int, where: dict[str, str]) -> Part:
    """Describe the job's block; `where` says CONFIG, SERVICE and URL of Prometheus, empty where they are found."""
    return Part(
        name=f"{machine.name}-scrape-job",
        receipt=f"scrape-job-{pulumi.get_stack()}",
        script="scrape-job",
        machine=machine,
        values={**desired(pulumi.get_stack(), interval, timeout, samples), **where},
        later_values={},
    )
