"""Two stacks on the same machines, one after the other and at once; and one stack that is applied twice at once."""

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lab import layouts, picture
from lab.hosts import Lab, wait
from lab.picture import Picture
from lab.project import Project, Run, machine, settings
from tests.lab.locks import held, waiting

# Where the tunnel of blue's host listens.
LISTEN = "127.5.5.5:7080"
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
    """Give two stacks with a state of their own, which name the same host in their own ways; neither is applied."""
    assert before
    made = {name: Project(lab.folder / name, name) for name in ("blue", "green")}
    made["blue"].settings(given(lab, "web-blue", listen=LISTEN))
    made["green"].settings(given(lab, "web-green"))
    return made


def given(lab: Lab, host: str, **more: Any) -> dict[str, Any]:
    return {**settings(lab, [lab.hosts["mon1"]], []), "hosts": {host: {**machine(lab.hosts["web1"]), **more}}}


def at_once(*calls: Callable[[], Run]) -> list[Run]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [one.result() for one in [pool.submit(call) for call in calls]]


def scrapes(lab: Lab, instance: str) -> None:
    wait(f"{instance} to be scraped", lambda: lab.hosts["mon1"].scraped(instance) == "1")


def closed(lab: Lab) -> bool:
    """Whether the exporter listens on loopback alone."""
    return lab.hosts["web1"].run("ss -Hltn 'sport = :9100' | awk '{print $4}'").split() == ["127.0.0.1:9100"]


def as_before(lab: Lab, before: dict[str, Picture]) -> None:
    left = {name: picture.difference(before[name], picture.take(host)) for name, host in lab.hosts.items()}
    assert left == {name: [] for name in lab.hosts}


def shared(lab: Lab) -> dict[str, str]:
    return {path: lab.hosts["web1"].run(f"cat {path}") for path in SHARED}


def only(last: str, first: str, lab: Lab, stacks: dict[str, Project]) -> None:
    """Check that of two stacks the last one is whole, and the first one is gone."""
    # Of a job that is gone, Prometheus answers with the last sample for five minutes.
    targets = lab.hosts["mon1"].get(9090, "/api/v1/targets")
    assert (f"web-{first}" in targets, f"web-{last}" in targets) == (False, True)
    scrapes(lab, f"web-{last}")
    assert closed(lab)
    assert lab.hosts["web1"].run("getent passwd metrics-tunnel")
    assert stacks[last].plan().code == 0


def test_two_stacks_are_applied_and_destroyed_at_once(
    lab: Lab, stacks: dict[str, Project], before: dict[str, Picture]
) -> None:
    ended = at_once(*(one.up for one in stacks.values()))
    assert [run.code for run in ended] == [0, 0]
    for name, project in stacks.items():
        assert project.plan().code == 0
        scrapes(lab, f"web-{name}")
    assert closed(lab)
    ended = at_once(*(one.destroy for one in stacks.values()))
    assert [run.code for run in ended] == [0, 0]
    as_before(lab, before)


def test_what_stacks_share_stays_until_the_last_of_them_goes(lab: Lab, stacks: dict[str, Project]) -> None:
    stacks["green"].up()
    alone = shared(lab)
    stacks["blue"].up()
    assert stacks["blue"].plan().code == stacks["green"].plan().code == 0
    stacks["blue"].destroy()
    only("green", "blue", lab, stacks)
    left = shared(lab)
    assert [path for path in SHARED if left[path] != alone[path]] == []
    # And now who came first goes first.
    stacks["blue"].up()
    stacks["green"].destroy()
    only("blue", "green", lab, stacks)
    left = shared(lab)
    assert [path for path in SHARED if left[path] != alone[path]] == [SHARED[1]]


def test_an_up_waits_for_the_machines_lock_and_a_second_one_of_its_stack_is_told_that_it_is_locked(
    lab: Lab, stacks: dict[str, Project]
) -> None:
    web1 = lab.hosts["web1"]
    web1.run(f"rm {SHARED[0]}")
    with ThreadPoolExecutor(1) as pool:
        with held(web1):
            began = time.monotonic()
            first = pool.submit(stacks["blue"].up)
            wait("the first one to be at work", lambda: waiting(web1))
            second = stacks["blue"].up(codes=(255, 1))
            time.sleep(max(0, began + 10 - time.monotonic()))
            assert waiting(web1)
            assert not first.done()
        assert first.result().code == 0
    assert first.result().seconds > 10
    assert "the stack is currently locked by 1 lock(s)" in second.output
    assert second.seconds < 15
    assert stacks["blue"].plan().code == 0


@pytest.mark.parametrize(
    ("host", "more", "said"),
    [
        ("web-blue", {}, "metrics-tunnel-web-blue.service is another stack's; rename the host"),
        ("web-green", {"listen": LISTEN}, "127.5.5.5:7080 is another host's; .*give another listen"),
    ],
    ids=["one name", "one listen"],
)
def test_what_two_stacks_cannot_share_is_refused(
    host: str, more: dict[str, str], said: str, lab: Lab, stacks: dict[str, Project]
) -> None:
    stacks["green"].settings(given(lab, host, **more))
    refused = stacks["green"].up(codes=(255, 1))
    assert re.search(said, refused.output), refused.output
    assert stacks["blue"].plan().code == 0
    scrapes(lab, "web-blue")


def test_after_all_that_both_are_destroyed_and_leave_the_machines_as_they_were(
    lab: Lab, stacks: dict[str, Project], before: dict[str, Picture]
) -> None:
    for project in stacks.values():
        project.destroy()
    as_before(lab, before)
