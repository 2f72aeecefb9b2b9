"""Every way to log in, from `up` to `destroy`; and no secret anywhere but encrypted in the state."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components import rules
from lab import base, layouts, picture
from lab.hosts import Lab
from lab.picture import Picture
from lab.project import Project, settings

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


def life(lab: Lab, project: Project, before: dict[str, Picture], more: dict[str, str] | None = None) -> None:
    """Apply, look, destroy, and compare."""
    project.environment |= more or {}
    try:
        project.up()
        assert lab.hosts["mon1"].scraped("web1") == "1"
        assert project.plan().code == 0
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


def test_secrets_serve_and_are_found_nowhere(lab: Lab, project: Project, before: dict[str, Picture]) -> None:
    own = lab.folder / "own"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "own", "-f", str(own)], check=True)
    secrets = {"sudoPassword": base.PASSWORD, "sshPrivateKey": lab.key.read_text(), "tunnelPrivateKey": own.read_text()}
    for name, value in secrets.items():
        project.secret(name, value)
    project.settings({**plain(lab), "ssh": {"user": base.ASKED}})
    forms = [*secrets.values(), rules.shortest(lab.key.read_text())]
    marks = [value.splitlines()[1 if "\n" in value else 0].encode() for value in forms]
    found: list[str] = []
    looking = threading.Event()
    sampler = threading.Thread(target=_sample, args=(marks, found, looking.is_set))
    sampler.start()
    try:
        said = project.preview("--debug").output + project.up("--debug", "--logflow", "-v=9").output
        state = project.state() + project.pulumi("stack", "export", "--stack", project.stack).output.encode()
        quiet = project.plan()
    finally:
        looking.set()
        sampler.join()
    assert quiet.code == 0
    assert lab.hosts["mon1"].scraped("web1") == "1"
    assert found == []
    assert not [mark for mark in marks if mark in said.encode()]
    assert not [mark for mark in marks if mark in state]
    readable = {
        f"{host.name}{path}": path.read_bytes()
        for host in lab.hosts.values()
        for folder in ("etc", "var/lib/metrics-tunnel", "var/log", "run", "tmp")
        for path in (host.tree / folder).rglob("*")
        if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o077
    }
    assert len(readable) > 100
    assert not [name for name, text in readable.items() if any(mark in text for mark in marks)]
    where = lab.hosts["mon1"].tree / "etc/metrics-tunnel/keys/metrics-tunnel-lab-mon1-1"
    assert marks[2] in where.read_bytes(), "the search would find nothing"
    project.destroy()
    for name in lab.hosts:
        assert picture.difference(before[name], picture.take(lab.hosts[name])) == []


def _sample(marks: list[bytes], found: list[str], done: Callable[[], bool]) -> None:
    """Look through every command line of this machine and its lab hosts."""
    while not done():
        for process in Path("/proc").glob("[0-9]*"):
            try:
                line = (process / "cmdline").read_bytes()
            except OSError:
                continue
            found.extend(repr(line) for mark in marks if mark in line)
        time.sleep(0.05)
