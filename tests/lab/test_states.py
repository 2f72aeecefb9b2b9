"""What a preview says where machines and state do not agree: lost states, other checkouts, wiped hosts, open ports."""

from pathlib import Path
from typing import Any

import pytest

from lab import layouts, picture
from lab.hosts import Host, Lab
from lab.picture import Picture
from lab.project import Project, settings

BEFORE = "the stack lab of the project metrics-tunnel was applied here before, and this state does not know of it"
WIPE = """
systemctl stop metrics-tunnel-\\* 2>/dev/null
rm -rf /var/lib/metrics-tunnel /etc/ssh/authorized_keys.d /etc/ssh/sshd_config.d/10-metrics-tunnel.conf
rm -rf /etc/systemd/system/prometheus-node-exporter.service.d
userdel metrics-tunnel
systemctl daemon-reload && systemctl restart prometheus-node-exporter && systemctl reload ssh
"""


@pytest.fixture(scope="module")
def before(lab: Lab, project: Project) -> dict[str, Picture]:
    lab.add("mon1", layouts.SERVERS["comments"], layouts.none)
    lab.add("web1", layouts.EXPORTERS["packaged"])
    lab.boot()
    pictures = {name: picture.take(host) for name, host in lab.hosts.items()}
    project.settings(given(lab))
    project.up()
    return pictures


def given(lab: Lab, **more: Any) -> dict[str, Any]:
    return settings(lab, [lab.hosts["mon1"]], [lab.hosts["web1"]], **more)


def another(lab: Lab, folder: Path, **more: Any) -> Project:
    """Give another checkout, whose stack has the same name and a state of its own."""
    made = Project(folder)
    made.settings(given(lab, **more))
    return made


def said(project: Project, text: str) -> list[str]:
    return [warning for warning in project.plan().warnings if text in warning]


def port_is_open(host: Host) -> bool:
    return "*:9100" in host.run("ss -Hltn")


def test_another_checkouts_stack_of_this_name_is_told_before_it_undoes_the_first(
    lab: Lab, project: Project, before: dict[str, Picture]
) -> None:
    assert before
    quiet = project.plan()
    assert (quiet.code, quiet.warnings) == (0, [])
    other = another(lab, lab.folder / "other")
    assert [text.split(":")[0] for text in sorted(said(other, BEFORE))] == ["mon1", "web1"]
    assert all("pulumi stack rename" in text for text in said(other, BEFORE))
    other.up()
    told = said(project, "it was applied by a run that this state does not know of")
    assert len(told) == 7, "a part was planned without a word"
    other.destroy()
    gone = project.plan()
    assert set(gone.steps.values()) == {"update"}
    assert len([text for text in gone.warnings if "nothing of it is left on the machine" in text]) == len(gone.steps)
    project.up()
    assert project.plan().code == 0
    assert lab.hosts["mon1"].scraped("web1") == "1"


def test_a_project_of_another_name_is_refused_by_preview_and_up_and_changes_nothing(
    lab: Lab, project: Project, before: dict[str, Picture]
) -> None:
    assert before
    other = another(lab, lab.folder / "elsewhere")
    program = other.folder / "Pulumi.yaml"
    # The types of settings are for a project of that name alone.
    text = program.read_text().replace("name: metrics-tunnel", "name: elsewhere", 1)
    program.write_text(text.partition("\n# What a stack may set")[0] + "\n")
    other.pulumi("stack", "init", "lab")
    pictures = {name: picture.take(host) for name, host in lab.hosts.items()}
    refused = said(other, "would refuse: project metrics-tunnel has a stack lab too")
    assert len(refused) >= 4
    assert "project metrics-tunnel has a stack lab too" in other.up(codes=(1, 255)).output
    other.destroy()
    for name, host in lab.hosts.items():
        assert picture.difference(pictures[name], picture.take(host)) == []
    assert project.plan().code == 0


def test_a_wiped_host_is_planned_with_its_reason_and_closed_again(
    lab: Lab, project: Project, before: dict[str, Picture]
) -> None:
    assert before
    web1 = lab.hosts["web1"]
    web1.run(WIPE)
    assert port_is_open(web1)
    told = said(project, "nothing of it is left on the machine; it is applied again")
    assert len(told) == 2
    assert all(text.startswith("web1 ") for text in told)
    healed = project.up()
    assert "warning" not in healed.output
    assert not port_is_open(web1)
    assert project.plan().code == 0


def test_an_exporter_that_leaves_the_settings_is_told_to_open_its_port(
    lab: Lab, project: Project, before: dict[str, Picture]
) -> None:
    assert before
    values = given(lab)
    values["hosts"]["web1"]["exporters"] = {"app": {"port": 22000}}
    project.settings(values)
    (text,) = said(project, "is no longer in the settings")
    assert text.startswith("web1: exporter-9100 (web1-exporter-node)")
    assert "port 9100 is then open as it was before" in text
    project.settings(given(lab))
    assert project.plan().code == 0


def test_a_lost_state_is_told_and_taken_over_and_what_it_left_is_named_with_the_way_to_be_rid_of_it(
    lab: Lab, project: Project, before: dict[str, Picture]
) -> None:
    project.settings(given(lab, rotation=2))
    project.up()
    lost = another(lab, lab.folder / "lost")
    first = lost.plan()
    assert set(first.steps.values()) == {"create"}
    assert [text.split(":")[0] for text in sorted(said(lost, BEFORE))] == ["mon1", "web1"]
    lost.up()
    left = said(lost, "nothing looks after it: put rotation: 2 into the settings")
    assert sorted(text.split(":")[0] for text in left) == ["mon1", "web1"]
    assert len(lab.hosts["web1"].run("cat /etc/ssh/authorized_keys.d/metrics-tunnel").splitlines()) == 2
    lost.settings(given(lab, rotation=2))
    lost.up()
    after = lost.plan()
    assert (after.code, after.warnings) == (0, [])
    assert len(lab.hosts["web1"].run("cat /etc/ssh/authorized_keys.d/metrics-tunnel").splitlines()) == 1
    assert lab.hosts["mon1"].scraped("web1") == "1"
    lost.destroy()
    assert {name: picture.difference(before[name], picture.take(host)) for name, host in lab.hosts.items()} == {
        name: [] for name in lab.hosts
    }
    for host in lab.hosts.values():
        assert host.run("ls /run/metrics-tunnel.lock 2>&1 || :").startswith("ls: cannot access")
