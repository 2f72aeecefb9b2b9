"""Two stacks on the same machines, one after the other and at once; and one stack that is applied twice at once."""

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lab import layouts, picture
from lab.hosts import Host, Lab, wait
from lab.picture import Picture
from lab.project import Project, Run, machine, settings

LOCK = "/run/metrics-tunnel.lock"
# What the host's stacks share.
SHARED = [
    "/etc/ssh/sshd_config.d/10-metrics-tunnel.conf",
    "/etc/ssh/authorized_keys.d/metrics-tunnel",
    "/etc/systemd/system/prometheus-node-exporter.service.d/zz-metrics-tunnel.conf",
]


@pytest.fixture(scope="module")
def before(lab: Lab) -> dict[str, Picture]:
    lab.add("mon1", layouts.SERVERS["comments"], layouts.none)
    lab.add("web1", layouts.EXPORTERS["packaged-args"])
    lab.boot()
    return {name: picture.take(host) for name, host in lab.hosts.items()}


@pytest.fixture(scope="module")
def stacks(lab: Lab, before: dict[str, Picture]) -> dict[str, Project]:
    """Give two stacks with a state of their own, which name the same host in their own ways."""
    assert before
    return {name: Project(lab.folder / name, name) for name in ("blue", "green")}


@pytest.fixture(autouse=True)
def clean(lab: Lab, before: dict[str, Picture], stacks: dict[str, Project]) -> Iterator[None]:
    """Take both stacks away after each test, whatever it has left; the machines are then as before."""
    for name, project in stacks.items():
        project.settings(given(lab, f"web-{name}"))
    yield
    for project in stacks.values():
        project.destroy()
    assert {name: picture.difference(before[name], picture.take(host)) for name, host in lab.hosts.items()} == {
        name: [] for name in lab.hosts
    }


def given(lab: Lab, host: str, **more: Any) -> dict[str, Any]:
    return {**settings(lab, [lab.hosts["mon1"]], []), "hosts": {host: {**machine(lab.hosts["web1"]), **more}}}


def at_once(*calls: Callable[[], Run]) -> list[Run]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [one.result() for one in [pool.submit(call) for call in calls]]


def holding(host: Host, seconds: int) -> None:
    """Hold the host's lock for a while, as another run does."""
    host.run(f"setsid flock {LOCK} sleep {seconds} >/dev/null 2>&1 </dev/null &")
    wait("the lock to be held", lambda: host.run(f"flock -n {LOCK} true || echo held", check=False))


def scrapes(lab: Lab, instance: str) -> None:
    wait(f"{instance} to be scraped", lambda: lab.hosts["mon1"].scraped(instance) == "1")


def closed(lab: Lab) -> bool:
    """Whether the exporter listens on loopback alone."""
    return lab.hosts["web1"].run("ss -Hltn 'sport = :9100' | awk '{print $4}'").split() == ["127.0.0.1:9100"]


@pytest.mark.parametrize(("first", "last"), [("blue", "green"), ("green", "blue")])
def test_what_stacks_share_stays_until_the_last_of_them_goes(
    first: str, last: str, lab: Lab, stacks: dict[str, Project]
) -> None:
    stacks["blue"].up()
    shared = {path: lab.hosts["web1"].run(f"cat {path}") for path in SHARED}
    stacks["green"].up()
    assert stacks["blue"].plan().code == stacks["green"].plan().code == 0
    stacks[first].destroy()
    # Of a job that is gone, Prometheus answers with the last sample for five minutes.
    targets = lab.hosts["mon1"].get(9090, "/api/v1/targets")
    assert (f"web-{first}" in targets, f"web-{last}" in targets) == (False, True)
    scrapes(lab, f"web-{last}")
    assert closed(lab)
    assert lab.hosts["web1"].run("getent passwd metrics-tunnel")
    left = {path: lab.hosts["web1"].run(f"cat {path}") for path in SHARED}
    assert [path for path in SHARED if left[path] != shared[path]] == ([SHARED[1]] if last == "green" else [])
    assert stacks[last].plan().code == 0


def test_two_stacks_are_applied_and_destroyed_at_once(lab: Lab, stacks: dict[str, Project]) -> None:
    ended = at_once(*(one.up for one in stacks.values()))
    assert [run.code for run in ended] == [0, 0]
    for name, project in stacks.items():
        assert project.plan().code == 0
        scrapes(lab, f"web-{name}")
    assert closed(lab)
    ended = at_once(*(one.destroy for one in stacks.values()))
    assert [run.code for run in ended] == [0, 0]


def test_a_second_up_of_one_stack_is_told_that_it_is_locked(lab: Lab, stacks: dict[str, Project]) -> None:
    holding(lab.hosts["web1"], 20)
    first: list[Run] = []
    thread = threading.Thread(target=lambda: first.append(stacks["blue"].up()))
    thread.start()
    wait("the first one to be at work", lambda: waits(lab.hosts["web1"]))
    second = stacks["blue"].up(codes=(255, 1))
    assert "the stack is currently locked by 1 lock(s)" in second.output
    assert second.seconds < 15
    thread.join()
    assert first[0].code == 0
    assert stacks["blue"].plan().code == 0


def waits(host: Host) -> bool:
    """Whether a part's script waits for the host's lock."""
    return bool(host.run("ps axo args | grep '^flock -w'", check=False))


def test_an_up_waits_for_the_machines_lock(lab: Lab, stacks: dict[str, Project]) -> None:
    holding(lab.hosts["web1"], 10)
    assert stacks["blue"].up().seconds > 10
    assert stacks["blue"].plan().code == 0


@pytest.mark.parametrize(
    ("host", "more", "said"),
    [
        ("web-blue", {}, "metrics-tunnel-web-blue.service is another stack's; rename the host"),
        ("web-green", {"listen": "127.5.5.5:7080"}, "127.5.5.5:7080 is another host's; .*give another listen"),
    ],
    ids=["one name", "one listen"],
)
def test_what_two_stacks_cannot_share_is_refused(
    host: str, more: dict[str, str], said: str, lab: Lab, stacks: dict[str, Project]
) -> None:
    stacks["blue"].settings(given(lab, "web-blue", **more))
    stacks["green"].settings(given(lab, host, **more))
    stacks["blue"].up()
    refused = stacks["green"].up(codes=(255, 1))
    assert re.search(said, refused.output), refused.output
    assert stacks["blue"].plan().code == 0
    scrapes(lab, "web-blue")
