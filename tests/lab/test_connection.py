"""The admin connection is lost while a part's script runs: it is told, nothing is half, and `up` goes on from there."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from lab import layouts, picture
from lab.hosts import Host, Lab, wait
from lab.picture import Picture
from lab.project import Project, Run, settings
from tests.lab.drifts import DROPIN, PROMETHEUS, UNIT

LOCK = "/run/metrics-tunnel.lock"
GIVEN_UP_SECONDS = 15 + 9 * 15
"""Both command plugins probe a silent machine after 15 seconds, and nine times more."""
# A drift that leaves one part to do, by resource.
PARTS = {
    "mon1-keypair": ("mon1", "rm /etc/metrics-tunnel/keys/*.pub"),
    "mon1-scrape-job": ("mon1", f"sed -i s/sample_limit:.*/sample_limit:\\ 7/ {PROMETHEUS}"),
    "web1-authorized-key-mon1": ("web1", f"rm {DROPIN}"),
    "web1-ssh-tunnel": ("mon1", f"echo '# x' >>/etc/systemd/system/{UNIT}"),
    "web1-scrape-config": ("mon1", "rm /etc/metrics-tunnel/targets/lab/web1.json"),
    "web1-exporter-node": ("web1", "rm /etc/systemd/system/prometheus-node-exporter.service.d/zz-metrics-tunnel.conf"),
}


@pytest.fixture(scope="module")
def before(lab: Lab, project: Project) -> dict[str, Picture]:
    mon1 = lab.add("mon1", layouts.SERVERS["comments"], layouts.none)
    web1 = lab.add("web1", layouts.EXPORTERS["packaged-args"])
    lab.boot()
    project.settings(settings(lab, [mon1], [web1]))
    return {name: picture.take(host) for name, host in lab.hosts.items()}


@contextmanager
def in_the_middle(host: Host, project: Project, verb: str = "up") -> Iterator[Future[Run]]:
    """Apply, or destroy, while the host's lock is held: a part's script is at work there. It goes on when this ends."""
    holder = host.run(f"setsid flock {LOCK} sleep 600 >/dev/null 2>&1 </dev/null & echo $!").strip()
    with ThreadPoolExecutor() as pool:
        try:
            run = pool.submit(getattr(project, verb), codes=(0, 1, 255))
            wait("a script to be at work", lambda: host.run("ps axo args | grep '^flock -w'", check=False))
            yield run
        finally:
            host.run(f"kill -- -{holder}")
        run.result()


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
    assert project.plan().code == 0
    wait("a scrape", lambda: lab.hosts["mon1"].scraped("web1") == "1")


def told(run: Run, resource: str) -> bool:
    """Whether the error names machine and step."""
    return run.code != 0 and f"({resource})" in run.output and "remote command exited without exit status" in run.output


def test_a_first_up_that_loses_a_machine_is_gone_on_with(
    lab: Lab, project: Project, before: dict[str, Picture]
) -> None:
    assert before
    with in_the_middle(lab.hosts["web1"], project) as up:
        cut(lab.hosts["web1"])
    assert told(up.result(), "web1-authorized-key-mon1"), up.result().output
    at_rest(lab.hosts["web1"])
    converges(lab, project)


@pytest.mark.parametrize("resource", PARTS)
def test_a_part_that_loses_its_machine_leaves_each_file_old_or_new(
    resource: str, lab: Lab, project: Project, before: dict[str, Picture]
) -> None:
    assert before
    host, drift = lab.hosts[PARTS[resource][0]], PARTS[resource][1]
    new = at_rest(host)
    host.run(drift)
    old = at_rest(host)
    with in_the_middle(host, project) as up:
        cut(host)
    assert told(up.result(), resource), up.result().output
    now = at_rest(host)
    assert {path: what for path, what in now.items() if what not in {old.get(path), new.get(path)}} == {}
    converges(lab, project)
    assert picture.difference(new, at_rest(host)) == []


def test_packets_that_are_lost_for_20_seconds_are_sent_again(
    lab: Lab, project: Project, before: dict[str, Picture]
) -> None:
    assert before
    lab.hosts["web1"].run(PARTS["web1-authorized-key-mon1"][1])
    with in_the_middle(lab.hosts["web1"], project):
        lab.hosts["web1"].unplug()
        time.sleep(20)
        lab.hosts["web1"].plug()
    converges(lab, project)


def test_a_machine_that_says_nothing_more_is_given_up(lab: Lab, project: Project, before: dict[str, Picture]) -> None:
    assert before
    host = lab.hosts["web1"]
    host.run(PARTS["web1-authorized-key-mon1"][1])
    started = time.monotonic()
    try:
        with in_the_middle(host, project) as up:
            host.unplug()
    finally:
        host.plug()
    assert told(up.result(), "web1-authorized-key-mon1"), up.result().output
    assert 60 < time.monotonic() - started < GIVEN_UP_SECONDS + 30
    at_rest(host)
    converges(lab, project)


def test_a_destroy_that_loses_a_machine_is_gone_on_with(lab: Lab, project: Project, before: dict[str, Picture]) -> None:
    with in_the_middle(lab.hosts["web1"], project, "destroy") as destroy:
        cut(lab.hosts["web1"])
    assert told(destroy.result(), "web1-exporter-node"), destroy.result().output
    at_rest(lab.hosts["web1"])
    project.destroy()
    for name, host in lab.hosts.items():
        assert picture.difference(before[name], picture.take(host)) == []
