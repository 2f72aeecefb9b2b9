"""On a server: a host's target file, proven by Prometheus' own word that the target is up."""

import json
import re
import time

import pytest

from tests.mocked import exporter
from tests.scripts.sandbox import Part, Sandbox, in_each_shell, parts

NAME = "web1-scrape-config"
CONFIG = parts()[NAME]
# The same with less patience.
SOON = Part(CONFIG.receipt, CONFIG.stdin.replace("WAIT=50", "WAIT=2"), CONFIG.owner)
FILE = "etc/metrics-tunnel/targets/test/web1.json"


def add_job(machine: Sandbox) -> None:
    """Start a Prometheus that has the stack's job, which comes before its targets and knows where Prometheus is."""
    machine.add_prometheus()
    assert machine.apply(parts()["mon1-scrape-job"]).code == 0


@in_each_shell
def test_the_target_file_says_address_instance_job_path_and_labels(machine: Sandbox) -> None:
    add_job(machine)
    hostile = {"env": "prod", "note": """it's "quoted", $(id) `id` %s \\n: é"""}
    both = {"node": exporter(), "app": exporter(port=9200, job="app", path="/m")}
    given = parts(hosts={"web1": {"labels": hostile, "exporters": both}})[NAME]
    done = machine.apply(given)
    assert (done.code, done.err) == (0, "")
    assert json.loads((machine / FILE).read_text()) == [
        {
            "targets": ["127.77.0.1:19100"],
            "labels": {**hostile, "instance": "web1", "job": "node", "__metrics_path__": "/metrics"},
        },
        {
            "targets": ["127.77.0.1:19200"],
            "labels": {**hostile, "instance": "web1", "job": "app", "__metrics_path__": "/m"},
        },
    ]
    assert (machine / FILE).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("up", "scraped", "error", "says"),
    [
        ("", 9000000000, "", "it has not scraped it since"),
        ("1", 1, "", "it has not scraped it since"),
        ("0", 1, "old news", r"it has not scraped it since \(old news\)"),
        ("0", 9000000000, "", "it calls it down"),
        ("0", 9000000000, r"sample \"limit\" exceeded", "sample .*limit.* exceeded"),
        ("0", 9000000000, 'text is \\"health\\":\\"up\\"', "text is"),
        ("0", 9000000000, "server returned HTTP status 401 Unauthorized", "status 401"),
        ("0", 9000000000, 'Get \\"http://127.77.0.1:19100/metrics\\": EOF', "EOF"),
        ("x", 1, "", "its list of targets is not to be had: no answer"),
    ],
)
def test_a_target_that_never_comes_up_is_taken_back_with_what_prometheus_says_of_it(
    up: str, scraped: int, error: str, says: str, machine: Sandbox
) -> None:
    add_job(machine)
    machine.write("fake/up", f"{up}\n")
    machine.write("fake/scraped", str(scraped))
    machine.write("fake/error", error)
    before = machine.files()
    done = machine.apply(SOON)
    assert done.code == 3
    assert re.search(
        rf"does not report web1 up in 2 s; see the targets on http://127.0.0.1:9090: .*{says}.*; ", done.err
    )
    assert "its old state is restored" in done.err
    assert machine.files() == before
    machine.write("fake/up", "1\n")
    (machine / "fake/scraped").unlink()
    assert machine.apply(SOON).code == 0


@in_each_shell
def test_an_answer_that_is_no_list_is_told_with_its_own_reason(machine: Sandbox) -> None:
    add_job(machine)
    machine.write("fake/agent-error", '{"status":"error","errorType":"x","error":"unavailable with this Prometheus"}')
    assert "is not to be had: unavailable with this Prometheus; " in machine.apply(SOON).err
    machine.write("fake/agent-error", "*** production ***")
    assert "its list of targets is not to be had: HTTP/1.1 200 OK; " in machine.apply(SOON).err
    machine.write("fake/agent-error", '{"status":"success","data":{"activeTargets":[]}}')
    assert "it does not know the target yet; see: journalctl -u prometheus.service; " in machine.apply(SOON).err
    machine.write("fake/journal", 'msg="Error adding file watcher" err="too many open files"\n')
    assert "cannot watch its file, so that it looks every 10 s at best; raise fs.inotify" in machine.apply(SOON).err


def test_a_target_that_is_listed_as_it_was_before_proves_nothing_of_what_was_written(machine: Sandbox) -> None:
    """Old labels, another address or another path are another target."""
    add_job(machine)
    said = SOON.stdin
    for other in ("19100", "web1", "node", "/metrics", "metrics-tunnel-test"):
        listed = re.search(r"^LISTED='.*'$", said, re.MULTILINE)
        assert listed
        assert other in listed[0]
        part = Part(CONFIG.receipt, said.replace(listed[0], listed[0].replace(other, f"{other}0")), CONFIG.owner)
        assert "it does not know the target yet" in machine.apply(part).err
    assert machine.apply(SOON).code == 0


def test_the_wait_is_over_when_its_time_is_however_slow_prometheus_answers(machine: Sandbox) -> None:
    add_job(machine)
    machine.write("fake/up", "\n")
    machine.write("fake/sleeps", "")
    assert "up in 2 s" in machine.apply(SOON).err
    assert 1 <= len((machine / "fake/sleeps").read_text()) <= 4


def test_what_prometheus_saw_before_the_target_was_written_proves_nothing(machine: Sandbox) -> None:
    add_job(machine)
    # The fakes print .123456789 of whatever second.
    while time.time() % 1 < 0.2:
        time.sleep(0.05)
    machine.write("fake/scraped", str(int(time.time())))
    assert "has not scraped it since" in machine.apply(SOON).err, "in the same second"
    machine.write("fake/scraped", str(int(time.time()) - 60))
    assert machine.apply(SOON).code == 3
    machine.write("fake/scraped", str(int(time.time()) + 60))
    assert machine.apply(CONFIG).code == 0
    machine.write("fake/scraped", str(int(time.time()) - 60))
    assert machine.apply(CONFIG, "22222222").code == 0, "nothing was written"


@in_each_shell
def test_a_target_that_is_down_behind_a_tunnel_that_carries_is_health_not_failure(machine: Sandbox) -> None:
    add_job(machine)
    machine.write("fake/up", "0\n")
    machine.write("fake/journal", "channel 2: open failed: connect failed: Connection refused\n")
    for error in ("context deadline exceeded", 'Get \\"http://x/\\": EOF'):
        machine.write("fake/error", error)
        assert machine.apply(SOON).code == 3, "the words are older"
    machine.write("fake/refused", "")
    assert machine.apply(CONFIG).code == 0
    machine.write("fake/error", "context deadline exceeded")
    assert machine.apply(SOON, "22222222").code == 3, "it is down for another reason"


def test_changed_labels_that_cannot_be_proven_give_the_old_file_back(machine: Sandbox) -> None:
    add_job(machine)
    assert machine.apply(CONFIG).code == 0
    before = machine.files()
    machine.write("fake/up", "")
    other = parts(hosts={"web1": {"labels": {"env": "x"}}})[NAME]
    assert machine.apply(Part(other.receipt, other.stdin.replace("WAIT=50", "WAIT=2"), other.owner)).code == 3
    assert machine.files() == before


@pytest.mark.parametrize(
    ("hand", "says"), [("edit", "was edited"), ("delete", "is missing"), ("mode", "mode and owner")]
)
def test_drift_of_the_target_file_is_told_and_heals(hand: str, says: str, machine: Sandbox) -> None:
    add_job(machine)
    assert machine.apply(CONFIG).code == 0
    whole = machine.state("etc")
    match hand:
        case "edit":
            machine.edit(FILE, "web1", "web2")
        case "delete":
            (machine / FILE).unlink()
        case "mode":
            (machine / FILE).chmod(0o600)
    drift = machine.look(CONFIG, "mon1").drift
    assert len(drift) == 1
    assert drift[0].startswith(f"/{FILE} ")
    assert says in drift[0]
    assert machine.apply(CONFIG, "22222222").code == 0
    assert machine.look(CONFIG, "mon1").drift == []
    assert machine.state("etc") == whole


def test_the_file_of_another_host_is_left_alone(machine: Sandbox) -> None:
    both = parts(hosts={"web1": {}, "db1": {}})
    add_job(machine)
    for name in (NAME, "db1-scrape-config"):
        assert machine.apply(both[name]).code == 0
    assert machine.remove(both[NAME]).code == 0
    assert not (machine / FILE).exists()
    assert (machine / FILE).with_name("db1.json").exists()


def test_the_folder_that_prometheus_watches_stays_with_the_job(machine: Sandbox) -> None:
    add_job(machine)
    assert machine.apply(CONFIG).code == 0
    assert machine.remove(CONFIG).code == 0
    assert (machine / FILE).parent.is_dir()
    assert machine.remove(parts()["mon1-scrape-job"]).code == 0
    assert not (machine / "etc/metrics-tunnel").exists()
