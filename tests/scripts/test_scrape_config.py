"""On a server: a host's target file, proven by Prometheus' own word that the target is up."""

import json
import re
import time

import pytest

from tests.mocked import exporter
from tests.scripts.sandbox import Sandbox, in_each_shell, parts

NAME = "web1-scrape-config"
CONFIG = parts()[NAME]
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


# As Prometheus gives them, on one line; ROOT is where the sandbox is.
TARGETS = "".join(
    f'{begin}{{"discoveredLabels":{{"__address__":"127.0.0.1:1","__meta_filepath":"ROOT/etc/metrics-tunnel/targets/test/'
    f'{name}.json"}},"labels":{{"job":"node"}},"scrapePool":"metrics-tunnel-test","scrapeUrl":"http://127.0.0.1:1/",'
    f'"lastError":"{said}","lastScrape":"2026-01-01T00:00:00Z","lastScrapeDuration":0.1,"health":"down"}}'
    for begin, name, said in (
        ('{"status":"success","data":{"activeTargets":[', "db1", "another"),
        (",", "web1", ""),
        (",", "web1", 'sample \\"limit\\" exceeded'),
        (",", "web10", "yet another"),
    )
)


@pytest.mark.parametrize("up", ["0\n", ""])
def test_a_target_that_never_comes_up_is_taken_back(up: str, machine: Sandbox) -> None:
    add_job(machine)
    machine.write("fake/up", up)
    machine.write("fake/targets", TARGETS.replace("ROOT", str(machine.root)))
    before = machine.files()
    done = machine.apply(CONFIG)
    assert done.code == 3
    assert re.search(
        r"up in 45 s; see the targets on http://127.0.0.1:9090: sample \\\"limit\\\" exceeded; ",
        done.err,
    )
    assert "its old state is restored" in done.err
    assert machine.files() == before
    machine.write("fake/up", "1\n")
    assert machine.apply(CONFIG).code == 0


def test_what_prometheus_saw_before_the_target_was_written_proves_nothing(machine: Sandbox) -> None:
    add_job(machine)
    machine.write("fake/scraped", str(int(time.time()) - 60))
    assert machine.apply(CONFIG).code == 3
    machine.write("fake/scraped", str(int(time.time()) + 60))
    assert machine.apply(CONFIG).code == 0
    machine.write("fake/scraped", str(int(time.time()) - 60))
    assert machine.apply(CONFIG, "22222222").code == 0, "nothing was written"


def test_a_target_that_is_down_behind_a_tunnel_that_carries_is_health_not_failure(machine: Sandbox) -> None:
    add_job(machine)
    machine.write("fake/up", "0\n")
    machine.write("fake/journal", "channel 2: open failed: connect failed: Connection refused\n")
    assert machine.apply(CONFIG).code == 0


def test_changed_labels_that_cannot_be_proven_give_the_old_file_back(machine: Sandbox) -> None:
    add_job(machine)
    assert machine.apply(CONFIG).code == 0
    before = machine.files()
    machine.write("fake/up", "")
    assert machine.apply(parts(hosts={"web1": {"labels": {"env": "x"}}})[NAME]).code == 3
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
