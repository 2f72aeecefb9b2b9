"""Hostile values of a program, planned by the real engine: none gets into a command, a path or a unit."""

import itertools
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.project import ROOT, Project
from tests.unit.arguments import Call, accepted, calls
from tests.unit.harmless import STARTED
from tests.unit.hostile import HOSTILE, KEY

PLANTED = "touch /etc/owned"
# Nobody is there, and nobody is asked.
SOUND: dict[str, Any] = {"connection": {"address": "127.0.3.1", "host_key": KEY}, "detect_drift": False}
NAMES = [
    "web1; touch /etc/owned;",
    "../../default/keep",
    "web1\nExecStartPre=touch /etc/owned",
    "$(touch /etc/owned)",
    "-a",
]
LABELS = [one for one in HOSTILE if one.isprintable() and 0 < len(one) < 100][::5]
COMMAND = rf"(sudo -n )?timeout [0-9]+ {re.escape(STARTED)} (apply|remove) (?:[\w.-]+:)?[\w.-]+( [0-9a-f]+)?"


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """Give a stack whose program is the hostile one."""
    with tempfile.TemporaryDirectory(prefix="metrics-tunnel-", dir="/var/tmp") as folder:
        made = Project(Path(folder) / "project")
        shutil.copy(Path(__file__).with_name("hostile_program.py"), made.folder / "__main__.py")
        made.settings({"prometheus": {"unused": {"address": "127.0.3.1", "hostKey": KEY}}})
        yield made


def give(project: Project, calls: list[Any], outputs: list[Any], labels: list[Any]) -> None:
    given = {"sound": SOUND, "calls": calls, "outputs": outputs, "labels": labels}
    (project.folder / "values.json").write_text(json.dumps(given))


def one_in(count: int, found: list[Call]) -> list[Any]:
    """Return every n-th call, as the program reads it."""
    return [[call.component, call.name, call.args] for call in itertools.islice(found, 0, None, count)]


def planned(output: str) -> dict[str, dict[str, Any]]:
    """Return the inputs of each command that is planned, by its resource."""
    found, _ = json.JSONDecoder().raw_decode(output, output.index("{"))
    return {
        step["urn"].rpartition("::")[2]: step["newState"].get("inputs", {})
        for step in found["steps"]
        if "command:" in step["urn"]
    }


def test_what_is_refused_is_not_planned_and_what_is_taken_stands_in_its_place(project: Project) -> None:
    names = [[kind, name, SOUND] for kind in ("PrometheusServer", "MonitoredHost") for name in NAMES]
    bad = [call for call in calls() if not accepted(call.path, call.value)]
    some = names + one_in(20, bad)
    assert len(some) > 90
    give(project, some, [], [{"env": value, "planted": f"'; {PLANTED}; '"} for value in LABELS])
    run = project.pulumi("preview", "--json", "--stack", project.stack)
    commands = planned(run.output)
    assert {name.partition("-")[0] for name in commands} == {"mon1", *(f"good{n}" for n in range(len(LABELS)))}
    for name, inputs in commands.items():
        assert re.fullmatch(COMMAND, inputs["create"]), inputs["create"]
        assert re.fullmatch(COMMAND, inputs["delete"]), inputs["delete"]
        assert f".{name}." in inputs["create"]
        everything_else = {key: value for key, value in inputs.items() if key not in ("stdin", "connection")}
        assert PLANTED not in json.dumps(everything_else)
        if not name.endswith("-scrape-config"):
            assert PLANTED not in json.dumps(inputs)
    counts = json.loads((project.folder / "counts.json").read_text())
    assert counts == {"refused": len(some), "made": 0}


def test_an_output_fails_the_preview_before_anything_of_its_host_is_planned(project: Project) -> None:
    outputs = [["address", value] for value in (f"a; {PLANTED};", f"a\nExecStartPre={PLANTED}", f"$({PLANTED})")]
    outputs += [["host_key", f"{KEY}\n{KEY}"], ["sudo_password", f"x\n{PLANTED}"]]
    give(project, [], outputs, [])
    run = project.preview(codes=(1, 255))
    assert "MonitoredHost late" in run.output
    assert re.search("urn:.*::mon1-keypair", run.output), "nothing at all was planned"
    assert set(re.findall("urn:.*::(late[0-9]+-.*)]", run.output)) == set()


def test_settings_of_a_wrong_kind_are_refused_all_at_once_in_our_own_words(project: Project) -> None:
    program = project.folder / "__main__.py"
    theirs = program.read_text()
    shutil.copy(ROOT / "__main__.py", program)
    project.settings({"prometheus": ["mon1"], "hosts": 5, "rotation": "two", "detectDrift": "nope", "ssh": "root"})
    run = project.preview(codes=(1, 255))
    program.write_text(theirs)
    assert "5 errors in stacks/Pulumi.lab.yaml; no machine was contacted:" in run.output
    for line in (
        "prometheus: a list is not a map; write such as {mon1: {address: 10.0.0.10}}",
        "hosts: 5 is not a map; write such as ",
        "rotation: 'two' is not a whole number; write such as 2",
        "detectDrift: 'nope' is not true or false; write true or false, without quotes",
        "ssh: a text is not a map; write such as {user: ...}",
    ):
        assert line in run.output
