"""The admin connection is lost while a part's script runs: it is told, nothing is half, and `up` goes on from there."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from lab import layouts, picture
from lab.hosts import Host, Lab, wait
from lab.picture import Picture
from lab.project import Project, Run, settings
from tests.lab.drifts import DROPIN, PROMETHEUS
from tests.lab.locks import held, waiting

GIVEN_UP_SECONDS = 15 + 9 * 15
"""Both command plugins probe a silent machine after 15 seconds, and nine times more."""
# Drifts that leave these parts to do, by resource. Those of one round do not wait for each other, so that all are at
# work when their connections are lost.
ROUNDS = [
    {
        "web1-authorized-key-mon1": ("web1", f"rm {DROPIN}"),
        "web2-ssh-tunnel": ("mon1", "echo '# x' >>/etc/systemd/system/metrics-tunnel-web2.service"),
    },
    {
        "mon1-keypair": ("mon1", "rm /etc/metrics-tunnel/keys/*.pub"),
        "mon1-scrape-job": ("mon1", f"sed -i s/sample_limit:.*/sample_limit:\\ 7/ {PROMETHEUS}"),
    },
    {
        "web1-scrape-config": ("mon1", "rm /etc/metrics-tunnel/targets/lab/web1.json"),
        "web2-exporter-node": (
            "web2",
            "rm /etc/systemd/system/prometheus-node-exporter.service.d/zz-metrics-tunnel.conf",
        ),
    },
]


@pytest.fixture(scope="module")
def before(lab: Lab) -> dict[str, Picture]:
    for name in ("mon1", "mon2"):
        lab.add(name, layouts.SERVERS["comments"], layouts.none)
    for name in ("web1", "web2", "silent"):
        lab.add(name, layouts.EXPORTERS["packaged-args"])
    lab.boot()
    return {name: picture.take(host) for name, host in lab.hosts.items()}


@pytest.fixture(scope="module")
def stack(lab: Lab, project: Project, before: dict[str, Picture]) -> Project:
    """Give the stack whose connections are cut; it is not applied yet."""
    assert before
    project.settings(settings(lab, [lab.hosts["mon1"]], [lab.hosts["web1"], lab.hosts["web2"]]))
    return project


@dataclass(frozen=True)
class Silenced:
    """A stack of its own whose host says nothing more during an `up`: how that ends, and after how many seconds."""

    project: Project
    given_up: Future[tuple[Run, float]]


@pytest.fixture(scope="module", autouse=True)
def silenced(lab: Lab, before: dict[str, Picture]) -> Iterator[Silenced]:
    """Begin with what waits for minutes, and let the other tests run meanwhile."""
    assert before
    project = Project(lab.folder / "silent", "silent")
    project.settings(settings(lab, [lab.hosts["mon2"]], [lab.hosts["silent"]]))
    project.up()
    with ThreadPoolExecutor(1) as pool:
        yield Silenced(project, pool.submit(_silence, lab.hosts["silent"], project))


def _silence(host: Host, project: Project) -> tuple[Run, float]:
    host.run(f"rm {DROPIN}")
    try:
        with in_the_middle([host], project) as up:
            host.unplug()
            began = time.monotonic()
        return up.result(), time.monotonic() - began
    finally:
        host.plug()


@contextmanager
def in_the_middle(hosts: Sequence[Host], project: Project, *words: str, verb: str = "up") -> Iterator[Future[Run]]:
    """Apply, or destroy, while the hosts' locks are held: scripts are at work there, on each as many as it is named.

    They go on when this ends.
    """
    with ThreadPoolExecutor() as pool, ExitStack() as locks:
        for host in set(hosts):
            locks.enter_context(held(host))
        run = pool.submit(getattr(project, verb), *words, codes=(0, 1, 255))
        wait("scripts to be at work", lambda: all(waiting(host) >= hosts.count(host) for host in hosts))
        yield run


def cut(host: Host) -> None:
    """Kill the admin's sshd."""
    host.run("kill -9 $(ps axo pid,args | awk '/[s]shd: root@notty/{print $1}')")


def at_rest(host: Host) -> Picture:
    """Return what a machine is like once no script is at work there: no file may be half."""
    wait("the script to end", lambda: not host.run("ps axo args | grep '^sh -c sent='", check=False))
    seen = picture.take(host)
    assert not [path for path in seen if ".mt-" in path]
    return {path: what for path, what in seen.items() if not path.startswith("/var/lib/metrics-tunnel")}


def converges(lab: Lab, project: Project) -> None:
    project.up()
    settled(lab, project)


def settled(lab: Lab, project: Project) -> None:
    assert project.plan().code == 0
    for name in ("web1", "web2"):
        wait(f"a scrape of {name}", lambda name=name: lab.hosts["mon1"].scraped(name) == "1")  # type: ignore[misc]


def told(run: Run, resource: str) -> bool:
    """Whether the error names machine and step."""
    return run.code != 0 and f"({resource})" in run.output and "remote command exited without exit status" in run.output


def test_a_first_up_that_loses_a_machine_is_gone_on_with(lab: Lab, stack: Project) -> None:
    with in_the_middle([lab.hosts["web1"]], stack) as up:
        cut(lab.hosts["web1"])
    assert told(up.result(), "web1-authorized-key-mon1"), up.result().output
    at_rest(lab.hosts["web1"])
    converges(lab, stack)


@pytest.mark.parametrize("parts", ROUNDS, ids=",".join)
def test_parts_that_lose_their_machine_leave_each_file_old_or_new(
    parts: dict[str, tuple[str, str]], lab: Lab, stack: Project
) -> None:
    hosts = [lab.hosts[name] for name, _ in parts.values()]
    new = {host.name: at_rest(host) for host in hosts}
    for name, drift in parts.values():
        lab.hosts[name].run(drift)
    old = {host.name: at_rest(host) for host in hosts}
    with in_the_middle(hosts, stack, "--continue-on-error") as up:
        for name in old:
            cut(lab.hosts[name])
    for resource in parts:
        assert told(up.result(), resource), up.result().output
    for name, earlier in old.items():
        now = at_rest(lab.hosts[name])
        assert {path: what for path, what in now.items() if what not in {earlier.get(path), new[name].get(path)}} == {}
    converges(lab, stack)
    for name in old:
        assert picture.difference(new[name], at_rest(lab.hosts[name])) == []


def test_packets_that_are_lost_for_20_seconds_are_sent_again(lab: Lab, stack: Project) -> None:
    web1 = lab.hosts["web1"]
    web1.run(f"rm {DROPIN}")
    with in_the_middle([web1], stack) as up:
        web1.unplug()
        time.sleep(20)
        web1.plug()
    assert up.result().code == 0, up.result().output
    settled(lab, stack)


def test_a_destroy_that_loses_a_machine_is_gone_on_with(lab: Lab, stack: Project, before: dict[str, Picture]) -> None:
    with in_the_middle([lab.hosts["web1"]], stack, verb="destroy") as destroy:
        cut(lab.hosts["web1"])
    assert told(destroy.result(), "web1-exporter-node"), destroy.result().output
    at_rest(lab.hosts["web1"])
    stack.destroy()
    for name in ("mon1", "web1", "web2"):
        assert picture.difference(before[name], picture.take(lab.hosts[name])) == []


def test_a_machine_that_says_nothing_more_is_given_up(lab: Lab, silenced: Silenced, before: dict[str, Picture]) -> None:
    run, seconds = silenced.given_up.result()
    assert told(run, "silent-authorized-key-mon2"), run.output
    assert 60 < seconds < GIVEN_UP_SECONDS + 30
    at_rest(lab.hosts["silent"])
    silenced.project.up()
    assert silenced.project.plan().code == 0
    wait("a scrape", lambda: lab.hosts["mon2"].scraped("silent") == "1")
    silenced.project.destroy()
    for name in ("mon2", "silent"):
        assert picture.difference(before[name], picture.take(lab.hosts[name])) == []
