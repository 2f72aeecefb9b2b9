"""Logins that do other things than to run a command, and services that get other things than their unit says.

Shapes of public reports: a tool in ~/.bashrc that reads standard input, a line that reads one line of it, another shell
by exec, the root of a cloud's image; and an image of a container whose drop-in empties what each service loads.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab import layouts, picture
from lab.hosts import Host, Lab
from lab.project import Plan, Project, Run, settings

_CLOUD = """command="echo 'Please login as the user \\"admin\\" rather than the user \\"root\\".'; exit 142" """
# What stands first in root's ~/.bashrc, and what the preview says of it.
STARTUP = {
    "eats": ("cat >/dev/null\n", "standard input lost"),
    "line": ("read -r -t 5 answer\n", "standard input lost"),
    "other": ("exec /bin/dash -l\n", "has put another shell in place of our command"),
    "exits": ('[ -z "$PS1" ] && exit\n', "the answer was cut short"),
}
# Here nothing that we send runs at all, and the login ends with success.
FAILING = [name for name in STARTUP if name != "exits"]
_REMEDY = "let startup files return where nobody types: [ -t 0 ] || return"
_DROP_IN = "/run/systemd/system/service.d/zzz-lxc-service.conf"
_LXC = "[Service]\nProcSubset=all\nProtectProc=default\nProtectControlGroups=no\nNoNewPrivileges=no\nLoadCredential=\n"


def _before(tree: Path, file: str, text: str) -> None:
    (tree / file).write_text(text + (tree / file).read_text())


def _without_first_line(host: Host, file: str) -> None:
    host.run(f"sed -i 1d {file}")


@dataclass
class Seen:
    """What the engine said of these logins, what came of it, and what it did once they were mended."""

    first: Plan
    failed: Run
    after_failure: dict[str, list[str]] = field(default_factory=dict)
    empties: list[str] = field(default_factory=list)
    alone: Run | None = None
    scraped: dict[str, str] = field(default_factory=dict)
    kept: Run | None = None
    closed: dict[str, str] = field(default_factory=dict)
    left: dict[str, list[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def seen(lab: Lab, project: Project) -> Seen:
    mon1 = lab.add("mon1", layouts.SERVERS["comments"])
    hosts = {name: lab.add(name) for name in (*STARTUP, "cloud")}
    for name, (line, _) in STARTUP.items():
        _before(hosts[name].tree, "root/.bashrc", line)
    _before(hosts["cloud"].tree, "root/.ssh/authorized_keys", _CLOUD)
    lab.boot()
    mon1.run(f"mkdir -p {Path(_DROP_IN).parent}; cat >{_DROP_IN}; systemctl daemon-reload", text=_LXC)
    before = {name: picture.take(host) for name, host in lab.hosts.items()}
    project.settings(settings(lab, [mon1], list(hosts.values())))
    seen = Seen(project.plan(), project.up("--continue-on-error", codes=(1, 255)))
    seen.after_failure = {name: picture.difference(before[name], picture.take(host)) for name, host in hosts.items()}
    for name in FAILING:
        _without_first_line(hosts[name], "/root/.bashrc")
    hosts["cloud"].run("sed -i 's/^command=.*142\" //' /root/.ssh/authorized_keys")
    seen.empties = [line for line in project.plan().warnings if "LoadCredential" in line]
    remedy = re.search(r"lay a copy without it over that: (.*)$", seen.empties[0])
    assert remedy, seen.empties
    mon1.run(remedy[1])
    before |= {name: picture.take(host) for name, host in hosts.items()}
    # Where others fail in the same moment the engine may end the program before it has told.
    seen.alone = project.up(codes=(1, 255))
    _without_first_line(hosts["exits"], "/root/.bashrc")
    before["exits"] = picture.take(hosts["exits"])
    project.up()
    seen.scraped = {name: mon1.scraped(name, 30) for name in hosts}
    hosts["eats"].run("sed -i '1i cat >/dev/null' /root/.bashrc")
    seen.kept = project.destroy("--continue-on-error", codes=(1, 255))
    seen.closed = {name: hosts[name].run("ss -Hltn 'sport = :9100' | awk '{print $4}'") for name in hosts}
    _without_first_line(hosts["eats"], "/root/.bashrc")
    project.destroy()
    mon1.run("rm -r /etc/systemd/system/service.d; systemctl daemon-reload")
    seen.left = {name: picture.difference(before[name], picture.take(host)) for name, host in lab.hosts.items()}
    return seen


@pytest.mark.parametrize("name", STARTUP)
def test_a_login_whose_startup_file_takes_what_is_sent_is_told_by_the_first_preview_with_a_remedy(
    name: str, seen: Seen
) -> None:
    told = [line for line in seen.first.warnings if line.startswith(f"{name}: cannot look at it (")]
    assert len(told) == 1, seen.first.warnings
    assert STARTUP[name][1] in told[0]
    assert _REMEDY in told[0]


def test_the_root_of_a_clouds_image_is_told_with_its_remedy(seen: Seen) -> None:
    told = [line for line in seen.first.warnings if line.startswith("cloud: cannot look at it (exit 142")]
    assert len(told) == 1, seen.first.warnings
    assert "give that user as this machine's user" in told[0]


def test_a_login_that_ends_with_success_before_our_command_fails_the_run_with_a_remedy(seen: Seen) -> None:
    assert seen.alone is not None
    lines = seen.alone.output.splitlines()
    told = next(line for line in lines if "the login ended with success and ran nothing" in line)
    assert "exits authorized-key-" in told
    assert _REMEDY in told
    assert seen.after_failure["exits"] == []


@pytest.mark.parametrize("name", [*FAILING, "cloud"])
def test_nothing_is_taken_for_applied_there_and_nothing_is_changed(name: str, seen: Seen) -> None:
    assert f"{name}-authorized-key-mon1 **creating failed**" in seen.failed.output
    assert f"{name}-authorized-key-mon1 created" not in seen.failed.output
    assert seen.after_failure[name] == []


def test_a_drop_in_that_empties_what_services_load_is_refused_with_a_remedy_that_helps(seen: Seen) -> None:
    assert len(seen.empties) == len(STARTUP) + 1
    assert all(line.startswith("mon1 ssh-tunnel") for line in seen.empties), seen.empties
    assert f"{_DROP_IN} empties LoadCredential= of every service" in seen.empties[0]


@pytest.mark.parametrize("name", [*STARTUP, "cloud"])
def test_mended_they_are_scraped(name: str, seen: Seen) -> None:
    assert seen.scraped[name] == "1"


def test_what_a_destroy_could_not_send_stays_in_the_state_and_on_the_host(seen: Seen) -> None:
    assert seen.kept is not None
    assert "standard input lost" in seen.kept.output
    assert "eats-exporter-node deleted" not in seen.kept.output
    assert seen.closed["eats"].split() == ["127.0.0.1:9100"]
    assert seen.closed["line"].split() == ["*:9100"]


@pytest.mark.parametrize("name", ["mon1", *STARTUP, "cloud"])
def test_the_next_destroy_leaves_them_as_they_were(name: str, seen: Seen) -> None:
    assert seen.left[name] == []
