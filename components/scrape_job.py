"""The stub job in prometheus.yml of one server: it reads one folder of target files."""

import re
from collections.abc import Iterator

import pulumi

from .facts import Facts, Receipt
from .judge import Judge, Values
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


def scrape_job(machine: Machine, interval: str, timeout: str, samples: int, prometheus: dict[str, str]) -> Part:
    """Describe the job's block; `prometheus` says CONFIG, SERVICE and URL of Prometheus, empty where they are found."""
    return Part(
        name=f"{machine.name}-scrape-job",
        receipt=f"scrape-job-{pulumi.get_stack()}",
        script="scrape-job",
        machine=machine,
        values={**desired(pulumi.get_stack(), interval, timeout, samples), **prometheus},
        later_values={},
        judge=JUDGE,
    )


_LIST = "scrape_configs:"


def _present(values: Values, facts: Facts) -> bool:
    return values["PART"] in facts.blocks


def _drift(values: Values, receipt: Receipt, facts: Facts) -> list[str]:
    return [*_in_its_file(values["PART"], receipt, facts), *_in_prometheus(values, receipt, facts)]


def _in_its_file(part: str, receipt: Receipt, facts: Facts) -> Iterator[str]:
    config = receipt.files.get("config", "")
    block = facts.blocks.get(part, "")
    if block:
        if without_inherited(block) != without_inherited(receipt.files.get("block", "")):
            yield f"the job's block in {config} was edited"
    elif facts.marks.get(part):
        yield f"the marks around the job in {config} are damaged"
    else:
        yield f"the job's block is missing from {config}"


def _in_prometheus(values: Values, receipt: Receipt, facts: Facts) -> Iterator[str]:
    """Yield what runs otherwise than it was loaded. A Prometheus that does not answer is health."""
    answers = facts.answers.get(receipt.files.get("url", ""), False)
    if answers and facts.running_jobs.get(values["PART"], "") != receipt.files.get("running", ""):
        yield f"Prometheus runs without the job {values['JOB']} as it was loaded"


def without_inherited(block: str) -> str:
    """Return a block less what it may get from the block of another stack that was taken out."""
    first, *others = block.split("\n")
    return "\n".join([first.removesuffix(" joined"), *(line for line in others if line.lstrip(" ") != _LIST)])


def _notices(values: Values, facts: Facts) -> list[str]:
    """Return what else Prometheus scrapes: whatever a file in the job's folder names."""
    receipts = (receipt for part, receipt in facts.receipts.items() if part.startswith("scrape-config-"))
    ours = {path for receipt in receipts for path in receipt.paths}
    in_folder = re.compile(rf"/etc/metrics-tunnel/targets/{re.escape(values['STACK'])}/[^/]*\.json")
    there = {path for path in (*facts.modes, *facts.links) if in_folder.fullmatch(path)}
    return [
        f"{path} is no target file of ours, and Prometheus scrapes what it names; it is left alone, delete it if "
        "nobody needs it"
        for path in sorted(there - ours)
    ]


JUDGE = Judge(present=_present, drift=_drift, notices=_notices, asks="lost_job")
