"""A script refuses by itself a value that could leave its folder, whoever has made the command."""

import re

import pytest

from components.drift import read_lines
from tests.scripts.sandbox import Done, Part, Sandbox, deployed, in_each_shell, parts

# Where a name goes that is none, and a path that is not plain.
NO_NAME = ["", ".", "..", "../../default/keep", "a/b", "a b", "a;b", "$(id)", "-a", "a\nb", "a*", "é", "a\tb"]
NO_PATH = ["etc/x", "/etc/../x", "/..", "/a//b", "/a/./b", "/a b", "/a;b", "/a*", "/a\nb", "/$(id)"]
NAMES = ["MACHINE", "PART", "STACK", "HOST", "ID", "COMMENT", "JOB", "LOGIN", "PORT", "WAIT"]
PATHS = ["CONFIG", "METRICS"]
# What stands in the text of the scrape job.
DURATIONS = ["INTERVAL", "TIMEOUT"]
NO_DURATION = ["", "5 s", "5s\n  honor_labels: true", "5s # x", "-5s", "5.5s", "5S", "{}", "é"]
NO_NUMBER = ["", "5s", "1e3", "-5", "0x5", "5\n6", "5 ", "$(id)"]
TUNNEL = "web1-ssh-tunnel"


@pytest.fixture
def ready(machine: Sandbox) -> Sandbox:
    """Give a server and host that has a file where names of two folders up would lead."""
    machine.add_all()
    for place in ("etc", "var"):
        machine.write(f"{place}/default/keep", "Mine.\n")
    return machine


def quoted(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"


def changed(part: Part, name: str, value: str) -> str:
    """Return a part's payload with another value, which is added where the part has none of this name."""
    bare = re.sub(rf"^{name}=(?:'[^']*'|\S*)\n", "", part.stdin, flags=re.MULTILINE)
    first, rest = bare.split("\n", 1)
    return f"{first}\n{name}={quoted(value)}\n{rest}"


def refused(machine: Sandbox, text: str, *words: str) -> Done:
    before, called = machine.state(times=True), machine.calls()
    done = machine.run(machine.inside(text), *words, ready=True)
    assert done.code == 3, (words, done)
    assert machine.state(times=True) == before
    assert machine.calls() == called
    assert not (machine / "run/metrics-tunnel.lock").exists()
    return done


@in_each_shell
def test_a_name_or_path_that_is_not_plain_is_refused_and_nothing_is_touched(ready: Sandbox) -> None:
    tunnel = parts()[TUNNEL]
    for verb, more in (("apply", ["0a1b2c3d"]), ("remove", [])):
        for name in NAMES:
            for value in NO_NAME if name == "HOST" else NO_NAME[3:6]:
                done = refused(ready, changed(tunnel, name, value), verb, tunnel.owner, *more)
                assert done.err == f"metrics-tunnel: {name} is no plain name; use letters, digits, . _ and -\n", value
        for name in PATHS:
            for value in NO_PATH if verb == "apply" else NO_PATH[:2]:
                done = refused(ready, changed(tunnel, name, value), verb, tunnel.owner, *more)
                assert done.err.startswith(f"metrics-tunnel: {name} is no plain absolute path; "), value
        for value in ("/etc/default/keep", "/etc/metrics-tunnel/keys/../../shadow", "/etc/metrics-tunnel/keys/a/b"):
            done = refused(ready, changed(tunnel, "KEY", value), verb, tunnel.owner, *more)
            assert done.err.startswith("metrics-tunnel: KEY is no plain name; ")
        for value in ("../a.service", "a b.service", "-a.service", "a\nb.service"):
            done = refused(ready, changed(tunnel, "SERVICE", value), verb, tunnel.owner, *more)
            assert done.err.startswith("metrics-tunnel: SERVICE is no plain name; ")
        for owner in NO_NAME:
            done = refused(ready, tunnel.stdin, verb, owner, *more)
            assert done.err.startswith("metrics-tunnel: the command line is no plain name; ")
    assert ready.apply(tunnel).code == 0, "as it is it would be refused too"


@in_each_shell
@pytest.mark.parametrize("name", DURATIONS)
def test_a_duration_that_is_none_never_comes_into_the_job(name: str, ready: Sandbox) -> None:
    job = parts()["mon1-scrape-job"]
    for value in NO_DURATION:
        done = refused(ready, changed(job, name, value), "apply", job.owner, "0a1b2c3d")
        assert done.err == f"metrics-tunnel: {name} is no duration; use digits and letters, such as 15s\n", value
    assert ready.apply(job).code == 0, "as it is it would be refused too"


@in_each_shell
def test_a_limit_that_is_no_number_never_comes_into_the_job(ready: Sandbox) -> None:
    job = parts()["mon1-scrape-job"]
    for value in NO_NUMBER:
        done = refused(ready, changed(job, "SAMPLE_LIMIT", value), "apply", job.owner, "0a1b2c3d")
        assert done.err == "metrics-tunnel: SAMPLE_LIMIT is no number; use digits\n", value
    assert ready.apply(job).code == 0, "as it is it would be refused too"


@pytest.mark.parametrize("name", list(parts()))
def test_every_part_refuses_a_hosts_and_a_parts_name_that_leaves_its_folder(name: str, ready: Sandbox) -> None:
    part = parts()[name]
    for value in ("HOST", "PART"):
        for verb, more in (("apply", ["0a1b2c3d"]), ("remove", [])):
            refused(ready, changed(part, value, "../../default/keep"), verb, part.owner, *more)


@in_each_shell
def test_a_rehearsal_tells_of_it_and_goes_no_further(ready: Sandbox) -> None:
    part = parts()[TUNNEL]
    text = dict(deployed().rehearsed)["mon1"]
    assert "\nHOST=web1\n" in text
    before = ready.state(times=True)
    done = ready.run(text.replace("\nHOST=web1\n", "\nHOST='../../default/keep'\n"))
    assert ready.state(times=True) == before
    refused = [said for name, kind, said in read_lines(done.out) if (name, kind) == (part.receipt, "refuse")]
    assert refused == ["HOST is no plain name; use letters, digits, . _ and -"]
    assert part.receipt not in {name for name, *_ in read_lines(ready.run(text).out)}
