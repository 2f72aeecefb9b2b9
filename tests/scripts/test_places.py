"""A script refuses by itself a value that could leave its folder, whoever has made the command."""

import re

import pytest

from components.drift import refused as refused_by_rehearsal
from tests.scripts.sandbox import Done, Part, Sandbox, in_each_shell, parts, rehearsed

# Where a name goes that is none, and a path that is not plain.
NO_NAME = ["", ".", "..", "../../default/keep", "a/b", "a b", "a;b", "$(id)", "-a", "a\nb", "a*", "é", "a\tb"]
NO_PATH = ["etc/x", "/etc/../x", "/..", "/a//b", "/a/./b", "/a b", "/a;b", "/a*", "/a\nb", "/$(id)"]
NAMES = ["MACHINE", "PART", "STACK", "HOST", "ID", "COMMENT", "JOB", "LOGIN", "PORT", "WAIT", "KEY_ID"]
PATHS = ["CONFIG", "METRICS"]
# What stands in the text of the scrape job.
DURATIONS = ["INTERVAL", "TIMEOUT"]
NO_DURATION = ["", "5 s", "5s\n  honor_labels: true", "5s # x", "-5s", "5.5s", "5S", "{}", "é"]
NO_NUMBER = ["", "5s", "1e3", "-5", "0x5", "5\n6", "5 ", "$(id)"]
# What stands in the command of a tunnel's unit.
NO_ADDRESS = ["-oProxyCommand=x", "a b", "a\nUser=root", "a%i", "$HOME", "a;b", "a'b", "\\", "fe80::1%eth0", "é", "a@b"]
NO_FORWARDS = ["", "1:a:2", "1:2 -oProxyCommand=x", "1:2\n3:4", "1:2;", "%i", "$(id)", "*:1:2", "'", "\\", "1:2\t3:4"]
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


@in_each_shell
def test_where_a_tunnel_goes_is_plain_before_it_comes_into_its_unit(ready: Sandbox) -> None:
    tunnel = parts()[TUNNEL]
    for name, values, says in (
        ("ADDRESS", NO_ADDRESS, "is no plain address; use letters, digits, . : and -"),
        ("SSH_PORT", NO_NUMBER, "is no number; use digits"),
        ("FORWARDS", NO_FORWARDS, "are no plain forwards; use digits, . : [ and ] with a blank between two"),
    ):
        for value in values:
            done = refused(ready, changed(tunnel, name, value), "apply", tunnel.owner, "0a1b2c3d")
            assert done.err == f"metrics-tunnel: {name} {says}\n", value
    assert ready.apply(tunnel).code == 0, "as it is it would be refused too"


@pytest.mark.parametrize("name", list(parts()))
def test_every_part_refuses_a_hosts_and_a_parts_name_that_leaves_its_folder(name: str, ready: Sandbox) -> None:
    part = parts()[name]
    for value in ("HOST", "PART"):
        for verb, more in (("apply", ["0a1b2c3d"]), ("remove", [])):
            refused(ready, changed(part, value, "../../default/keep"), verb, part.owner, *more)


@in_each_shell
def test_a_rehearsal_tells_of_it_and_goes_no_further(ready: Sandbox) -> None:
    part = parts()[TUNNEL]
    text = rehearsed()["mon1"]
    assert "\nHOST=web1\n" in text
    before = ready.state(times=True)
    done = ready.run(text.replace("\nHOST=web1\n", "\nHOST='../../default/keep'\n"))
    assert ready.state(times=True) == before
    says = "HOST is no plain name; use letters, digits, . _ and -"
    assert (part.receipt, says) in [*refused_by_rehearsal(done.out)]
    assert part.receipt not in dict(refused_by_rehearsal(ready.run(text).out))
