"""What of a scrape job counts as drift, from its receipt and the facts of its server."""

from typing import Any

import pytest

from components import scrape_job
from components.facts import Facts, Receipt, read
from tests.mocked import fact

PART, JOB, URL = "scrape-job-prod", "metrics-tunnel-prod", "http://127.0.0.1:9090"
CONFIG = "/etc/prometheus/prometheus.yml"
VALUES = {"PART": PART, "JOB": JOB, "STACK": "prod"}
ITEM = f"  - job_name: {JOB}\n    sample_limit: 15000"
BLOCK = f"  # BEGIN {JOB}\n{ITEM}\n  # END {JOB}"
RUNNING = f"- job_name: {JOB}\n  sample_limit: 15000"
HEALTHY: dict[str, Any] = {
    "blocks": {PART: BLOCK},
    "marks": {PART: f"  # BEGIN {JOB}\n  - job_name: {JOB}\n  # END {JOB}"},
    "answers": {URL: True},
    "running_jobs": {PART: RUNNING},
}
MISSING = f"the job's block is missing from {CONFIG}"
EDITED = f"the job's block in {CONFIG} was edited"
NOT_RUNNING = f"Prometheus runs without the job {JOB} as it was loaded"


def receipt(**held: str) -> Receipt:
    return Receipt({"config": CONFIG, "url": URL, "block": BLOCK, "running": RUNNING, **held})


def block(text: str) -> dict[str, Any]:
    return {"blocks": {PART: text}}


@pytest.mark.parametrize(
    ("held", "seen", "says"),
    [
        (receipt(), {}, []),
        (receipt(), block(BLOCK.replace("15000", "7")), [EDITED]),
        (receipt(), block(BLOCK.replace("    sample", "    # x\n    sample")), [EDITED]),
        (receipt(), block(BLOCK.replace("  - ", "- ")), [EDITED]),
        (receipt(), block(BLOCK.replace("\n", "\r\n")), [EDITED]),
        # What it got from the block of another stack that was taken out, and what that had got from it.
        (receipt(), block(BLOCK.replace(f"BEGIN {JOB}", f"BEGIN {JOB} joined\nscrape_configs:")), []),
        (receipt(block=BLOCK.replace(f"BEGIN {JOB}", f"BEGIN {JOB} joined\n  scrape_configs:")), {}, []),
        (receipt(), block(BLOCK.replace("15000", "15000 joined")), [EDITED]),
        (receipt(), {"blocks": {}}, [f"the marks around the job in {CONFIG} are damaged"]),
        (receipt(), {"blocks": {}, "marks": {}}, [MISSING]),
        # The block of another stack in the same file.
        (receipt(), {"blocks": {"scrape-job-test": BLOCK}, "marks": {"scrape-job-test": "# BEGIN"}}, [MISSING]),
        (receipt(), {"running_jobs": {}}, [NOT_RUNNING]),
        (receipt(), {"running_jobs": {PART: RUNNING.replace("15000", "7")}}, [NOT_RUNNING]),
        (receipt(), {"blocks": {}, "marks": {}, "running_jobs": {}}, [MISSING, NOT_RUNNING]),
        # One that does not answer is health.
        (receipt(), {"answers": {URL: False}, "running_jobs": {}}, []),
        (receipt(), {"answers": {}, "running_jobs": {}}, []),
        (receipt(url="http://127.0.0.1:9091"), {"running_jobs": {}}, []),
        # An earlier release kept no unit; what was cut short names no file.
        (receipt(unit="prometheus.service"), {}, []),
        (Receipt(), {"blocks": {}, "marks": {}}, ["the job's block is missing from "]),
    ],
)
def test_a_job_is_compared_with_what_apply_saw(held: Receipt, seen: dict[str, Any], says: list[str]) -> None:
    assert scrape_job.JUDGE.drift(VALUES, held, Facts(**{**HEALTHY, **seen})) == says


@pytest.mark.parametrize(("blocks", "there"), [({}, False), ({"scrape-job-test": "x"}, False), ({PART: BLOCK}, True)])
def test_a_job_without_a_receipt_is_there_where_its_block_is(blocks: dict[str, str], *, there: bool) -> None:
    assert scrape_job.JUDGE.present(VALUES, Facts(blocks=blocks)) == there


def test_what_else_prometheus_would_scrape_is_told_and_left_alone() -> None:
    folder = "/etc/metrics-tunnel/targets/prod"
    others = (
        f"{folder}/mine.json",
        f"{folder}/note",
        f"{folder}/web1.json.mt-old",
        f"{folder}/below/mine.json",
        "/etc/metrics-tunnel/targets/prodx/web1.json",
    )
    facts = Facts(
        receipts={
            "scrape-config-web1": Receipt({"manifest": f"644 root {folder}/web1.json\n{'a' * 64}  {folder}/web1.json"}),
            "another": Receipt({"manifest": f"{'a' * 64}  {folder}/mine.json"}),
        },
        modes=dict.fromkeys((f"{folder}/web1.json", *others), "644 root"),
        links=[f"{folder}/linked.json", f"{folder}/web1.json"],
    )
    says = "is no target file of ours, and Prometheus scrapes what it names; it is left alone"
    assert scrape_job.JUDGE.notices(VALUES, facts) == [
        f"{folder}/{name}.json {says}, delete it if nobody needs it" for name in ("linked", "mine")
    ]
    assert scrape_job.JUDGE.notices({**VALUES, "STACK": "pro."}, facts) == []


def test_what_a_server_prints_of_jobs_is_read() -> None:
    lines = [
        *[("block", f"{PART}\t{line}") for line in ("# BEGIN", "", "  a:\tb\r", "# END")],
        ("mark", f"{PART}\t# BEGIN"),
        ("answers", f"{URL} yes"),
        ("answers", "http://[::1]:9091/prom no"),
        *[("job", f"{PART}\t{line}") for line in RUNNING.split("\n")],
        ("link", "/etc/metrics-tunnel/targets/prod/a b.json"),
    ]
    facts = read("".join(fact(kind, text) for kind, text in lines))
    assert facts.blocks == {PART: "# BEGIN\n\n  a:\tb\r\n# END"}
    assert facts.marks == {PART: "# BEGIN"}
    assert facts.answers == {URL: True, "http://[::1]:9091/prom": False}
    assert facts.running_jobs == {PART: RUNNING}
    assert facts.links == ["/etc/metrics-tunnel/targets/prod/a b.json"]
