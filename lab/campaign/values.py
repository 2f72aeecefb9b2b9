"""Hostile values: those that are listed, and ten thousand that are made, read as Pulumi hands them over.

The tests have the values; here they are run with more of them, always others.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from lab.campaign.figures import Figure, count
from lab.project import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from lab.campaign.figures import Tell

_TESTS = "tests/unit/test_hostile_values.py"
_LISTED = ("test_a_listed_value", "test_a_secret_in_a_wrong_place", "test_a_secret_as_a_name")
_ENDS = ("accepted", "refused")
_MADE = 10000  # as the profile of Hypothesis says


def measure(folder: Path, tell: Tell) -> list[Figure]:
    """Refuse what is bad, and read back what is not, in dash, bash and busybox."""
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "values.xml"
    tell("reading hostile values, 4 to 6 minutes")
    command = [sys.executable, "-m", "pytest", _TESTS, "--hypothesis-profile=campaign", f"--junitxml={report}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    note = done.stdout[-2000:] if done.returncode else ""
    tree = ET.parse(report)  # noqa: S314 - pytest has just written it
    total: Counter[bool] = Counter()
    failed: Counter[bool] = Counter()
    for case in tree.iter("testcase"):
        listed = case.attrib["name"].startswith(_LISTED)
        total[listed] += 1
        failed[listed] += any(one.tag in {"failure", "error"} for one in case)
    ended = {one.attrib["name"]: int(one.attrib["value"]) for one in tree.iter("property") if one.get("name") in _ENDS}
    made = sum(ended.values())
    refused = total[True] - failed[True]
    return [
        count("bad settings listed: refused by name, before any connection", refused, total[True], wanted=total[True]),
        Figure("settings made", f"{made} ({ended.get('accepted', 0)} accepted)", f"{_MADE} or more", made >= _MADE),
        Figure(
            "of these neither refused by name nor exact on arrival", str(failed[False]), "0", not failed[False], note
        ),
    ]
