"""What a hand changes on a machine shows in the preview, is healed by one `up` in place, and is quiet afterwards."""

import re
from collections.abc import Callable

import pytest
from conftest import scraped
from drifts import DRIFTS, Drift

from lab import layouts, picture
from lab.hosts import Host, Lab
from lab.project import DRIFT, Project, settings

Until = Callable[[Callable[[], bool]], bool]


@pytest.fixture(scope="module")
def hosts(lab: Lab, project: Project) -> dict[str, Host]:
    mon1 = lab.add("mon1", layouts.SERVERS["comments"])
    web1 = lab.add("web1", layouts.EXPORTERS["packaged"])
    db1 = lab.add("db1", layouts.EXPORTERS["hand-made"])
    lab.boot()
    project.settings(settings(lab, [mon1], [web1, db1]))
    project.up()
    return lab.hosts


@pytest.mark.parametrize("drift", DRIFTS, ids=[drift.name for drift in DRIFTS])
def test_drift(drift: Drift, hosts: dict[str, Host], project: Project, until: Until) -> None:
    other = {} if drift.resource == "mon1-keypair" else picture.times(hosts["db1"])
    hosts[drift.machine].run(drift.command)
    plan = project.plan()
    assert plan.code == DRIFT
    assert any(re.match(f"{drift.machine} .*{drift.finding}", text) for text in plan.warnings), plan.warnings
    others = {name for name in plan.steps if "keypair" not in drift.resource and name != drift.resource}
    assert plan.steps[drift.resource] == "update"
    assert not others
    healed = project.up()
    assert not re.search("replac|creat|delet", healed.output.partition("Resources:")[2]), healed.output
    assert project.plan().code == 0
    assert not other or picture.times(hosts["db1"]) == other
    assert until(lambda: scraped(hosts["mon1"], "web1") == "1")
