"""Prometheus' list of targets, as targets-answer.awk reads it: given list, wanted lines, with each awk."""

import subprocess
from pathlib import Path

import pytest

from tests.scripts.sandbox import AWKS

PROGRAM = Path(__file__).parents[2] / "components/scripts/lib/targets-answer.awk"
FILE = "/etc/metrics-tunnel/targets/test/web1.json"
SINCE = "2026-11-28T10:00:00.5+01:00"


def listed(
    job: str = "node", port: int = 19100, *, file: str = FILE, health: str = "up", error: str = "", host: str = "web1"
) -> str:
    """Return a target as Prometheus lists it, on a line of its own."""
    return (
        f'{{"discoveredLabels":{{"__address__":"127.77.0.1:{port}","__meta_filepath":"{file}"}},'
        f'"labels":{{"instance":"{host}","job":"{job}"}},"scrapePool":"metrics-tunnel-test",'
        f'"scrapeUrl":"http://127.77.0.1:{port}/metrics","globalUrl":"http://mon1:{port}/metrics",'
        f'"lastError":"{error}","lastScrape":"{SINCE}","lastScrapeDuration":0.1,"health":"{health}",'
        '"scrapeInterval":"5s","scrapeTimeout":"5s"},'
    )


def wanted(job: str = "node", port: int = 19100) -> str:
    """Return a line of WANTED."""
    return (
        f'"labels":{{"instance":"web1","job":"{job}"}},"scrapePool":"metrics-tunnel-test",'
        f'"scrapeUrl":"http://127.77.0.1:{port}/metrics"'
    )


HEAD, END = '{"status":"success","data":{"activeTargets":[', '],"droppedTargets":[]}}'
NODE, APP = f"{SINCE} 127.77.0.1:19100/metrics ", f"{SINCE} 127.77.0.1:19200/metrics "
HOSTILE = r"Get \"x\": \",\"lastScrape\":\"never\",\"health\":\"up\" \\d\n"
CASES: dict[str, tuple[list[str], list[str], list[str]]] = {
    "up": ([HEAD, listed(), END], [wanted()], [f"up {NODE}"]),
    "with words of its last error as they are": (
        [HEAD, listed(health="down", error=HOSTILE), END],
        [wanted()],
        [f"down {NODE}{HOSTILE}"],
    ),
    "each of two, in the order of WANTED": (
        [HEAD, listed("app", 19200, health="unknown"), listed(), END],
        [wanted(), wanted("app", 19200)],
        [f"up {NODE}", f"unknown {APP}"],
    ),
    "one of two": ([HEAD, listed(), END], [wanted("app", 19200), wanted()], ["unlisted", f"up {NODE}"]),
    "one of its kind in another file": (
        [HEAD, listed(file=FILE.replace("web1", "web10")), END],
        [wanted()],
        ["unlisted"],
    ),
    "one of another host in our file": ([HEAD, listed(host="web2"), END], [wanted()], ["unlisted"]),
    "a list of none": ([HEAD, END], [wanted()], ["unlisted"]),
    "no list": (['{"status":"error","error":"unavailable"}'], [wanted(), wanted()], ["no-list", "no-list"]),
    "no answer": ([], [wanted()], ["no-list"]),
}
"""What Prometheus lists, what is looked for (WANTED), and what is printed of it."""


@pytest.mark.parametrize("awk", AWKS)
@pytest.mark.parametrize("name", CASES)
def test_each_target_that_is_looked_for_has_a_line(name: str, awk: str) -> None:
    answer, looked_for, printed = CASES[name]
    done = subprocess.run(
        [*(["busybox", "awk"] if awk == "busybox" else [awk]), "-f", PROGRAM],
        input="".join(f"{line}\n" for line in answer),
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TARGET_FILE": FILE, "WANTED": "\n".join(looked_for)},
    )
    assert (done.stdout.splitlines(), done.stderr) == (printed, "")
