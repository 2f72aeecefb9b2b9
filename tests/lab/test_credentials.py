"""Every way to log in, from `up` to `destroy`."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from components.payload import CODE_BEGINS, LAST_LINE, SENT, code
from lab import base, layouts, picture
from lab.hosts import Lab
from lab.picture import Picture
from lab.project import ROOT, Project, settings
from lab.sent import bare
from tests.scripts.sandbox import code_in, script_of, values_in

# Runs on the lab's server what Pulumi runs on its own machine.
LOCAL = """#!/bin/sh
exec nsenter --target={leader} --mount --uts --ipc --net --pid --cgroup --root --wd /usr/bin/timeout "$@"
"""


@pytest.fixture(scope="module")
def before(lab: Lab) -> dict[str, Picture]:
    lab.add("mon1", layouts.SERVERS["comments"])
    lab.add("web1", layouts.EXPORTERS["packaged"])
    lab.boot()
    return {name: picture.take(host) for name, host in lab.hosts.items()}


@pytest.fixture
def agent(lab: Lab) -> Iterator[str]:
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(lab.folder / "agent")], stdout=subprocess.DEVNULL) as process:
        while not (lab.folder / "agent").exists():
            time.sleep(0.05)
        environment = {**os.environ, "SSH_AUTH_SOCK": str(lab.folder / "agent")}
        subprocess.run(["ssh-add", "-q", str(lab.key)], env=environment, check=True)
        yield str(lab.folder / "agent")
        process.terminate()


def plain(lab: Lab, **ssh: str) -> dict[str, Any]:
    given = settings(lab, [lab.hosts["mon1"]], [lab.hosts["web1"]])
    return {**given, "ssh": {"privateKeyPath": str(lab.key), **ssh}}


def sent(project: Project) -> str:
    """Return what web1's exporter is sent, as the decision says to read it."""
    text = (ROOT / "docs/decisions/2-what-is-sent.md").read_text()
    found = re.search(r"^ {4}pulumi stack export .*\$p'$", text, re.MULTILINE | re.DOTALL)
    assert found
    command = ["sh", "-c", found[0]]
    done = subprocess.run(
        command, cwd=project.folder, env=project.environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


def life(lab: Lab, project: Project, before: dict[str, Picture], more: dict[str, str] | None = None) -> None:
    """Apply, look, destroy, and compare."""
    project.environment |= more or {}
    try:
        project.up()
        assert lab.hosts["mon1"].scraped("web1") == "1"
        assert project.plan().code == 0
        assert sent(project) == f"{CODE_BEGINS}{code('exporter', SENT)}{LAST_LINE}"
        project.destroy()
    finally:
        for name in more or {}:
            project.environment.pop(name)
    assert {name: picture.difference(before[name], picture.take(host)) for name, host in lab.hosts.items()} == {
        "mon1": [],
        "web1": [],
    }


def test_a_user_with_sudo(lab: Lab, project: Project, before: dict[str, Picture]) -> None:
    project.settings(plain(lab, user=base.ADMIN))
    life(lab, project, before)


def test_a_user_with_passwords_alone(lab: Lab, project: Project, before: dict[str, Picture]) -> None:
    project.settings({**plain(lab), "ssh": {"user": base.ASKED}})
    for name in ("sshPassword", "sudoPassword"):
        project.secret(name, base.PASSWORD)
    try:
        life(lab, project, before)
    finally:
        for name in ("sshPassword", "sudoPassword"):
            project.pulumi("config", "rm", f"metrics-tunnel:{name}", "--stack", project.stack)


def test_a_sudo_password_goes_where_sudo_asks_for_it_and_all_else_can_be_read_before_up(
    lab: Lab, project: Project, before: dict[str, Picture]
) -> None:
    values = plain(lab)
    values["prometheus"]["mon1"]["user"] = base.ADMIN
    values["hosts"]["web1"]["user"] = base.ASKED
    project.settings(values)
    project.secret("sudoPassword", base.PASSWORD)
    shown = lab.folder / "shown"
    try:
        project.pulumi("preview", "--stack", project.stack, more={"METRICS_TUNNEL_SHOW": str(shown)})
        texts = {file.stem: file.read_text() for file in shown.iterdir()}
        assert len(texts) == 7
        assert "SystemCallFilter=@system-service" in texts["web1-ssh-tunnel"]
        assert "LINE='(made by `pulumi up`)'" in texts["web1-authorized-key-mon1"]
        project.up()
        project.environment["METRICS_TUNNEL_SHOW"] = str(shown)
        assert project.plan().code == 0
        texts = {file.stem: file.read_text() for file in shown.iterdir()}
        exported = json.loads(project.pulumi("stack", "export", "--stack", project.stack).output)
        parts = {
            one["urn"].rpartition("::")[2]: one["inputs"]["stdin"]
            for one in exported["deployment"]["resources"]
            if one["type"].startswith("command:")
        }
        hidden = {name for name, stdin in parts.items() if not isinstance(stdin, str)}
        assert hidden == {"web1-authorized-key-mon1", "web1-exporter-node"}
        for name in parts.keys() - hidden:
            assert values_in(parts[name]) in texts[name]
            _, _, whole = texts[name].split("\n\n", 2)
            script = script_of(name)
            assert bare(whole.removesuffix(LAST_LINE)) == bare(code(script))
            assert code_in(parts[name]) == code(script, SENT)
        project.destroy()
    finally:
        project.environment.pop("METRICS_TUNNEL_SHOW", None)
        project.pulumi("config", "rm", "metrics-tunnel:sudoPassword", "--stack", project.stack)
    assert picture.difference(before["web1"], picture.take(lab.hosts["web1"])) == []


def test_keys_of_an_agent(lab: Lab, project: Project, before: dict[str, Picture], agent: str) -> None:
    project.settings({**plain(lab), "ssh": {}})
    life(lab, project, before, {"SSH_AUTH_SOCK": agent})


def test_an_agent_of_another_session_is_no_change(
    lab: Lab, project: Project, before: dict[str, Picture], agent: str
) -> None:
    project.settings({**plain(lab), "ssh": {}})
    later = lab.folder / "later"
    later.symlink_to(agent)
    try:
        project.environment["SSH_AUTH_SOCK"] = agent
        project.up()
        project.environment["SSH_AUTH_SOCK"] = str(later)
        assert project.plan().code == 0
        project.destroy()
    finally:
        project.environment.pop("SSH_AUTH_SOCK")
    assert picture.difference(before["web1"], picture.take(lab.hosts["web1"])) == []


def test_a_jump_host(lab: Lab, project: Project, before: dict[str, Picture]) -> None:
    given = plain(lab)
    given["hosts"]["web1"]["bastion"] = given["prometheus"]["mon1"]
    project.settings(given)
    life(lab, project, before)


def test_a_server_that_pulumi_runs_on(lab: Lab, project: Project, before: dict[str, Picture]) -> None:
    shim = lab.folder / "bin" / "timeout"
    shim.parent.mkdir()
    shim.write_text(LOCAL.format(leader=lab.hosts["mon1"].leader))
    shim.chmod(0o755)
    given = plain(lab)
    given["prometheus"] = {"mon1": {"address": "local"}}
    project.settings(given)
    path = project.environment["PATH"]
    try:
        project.environment["PATH"] = f"{shim.parent}{os.pathsep}{path}"
        life(lab, project, before)
    finally:
        project.environment["PATH"] = path
