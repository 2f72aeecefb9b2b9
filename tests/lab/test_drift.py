"""What a hand changes on a machine shows in the preview, is healed by one `up` in place, and is quiet afterwards."""

import re

import pytest

from lab import layouts, picture
from lab.hosts import Host, Lab, wait
from lab.picture import Picture
from lab.project import DRIFT, Plan, Project, settings
from tests.lab.drifts import OF_ALL, PROMETHEUS, ROUNDS, Drift


@pytest.fixture(scope="module")
def before() -> dict[str, Picture]:
    """Keep what each machine was like before the first `up`."""
    return {}


@pytest.fixture(scope="module")
def hosts(lab: Lab, project: Project, before: dict[str, Picture]) -> dict[str, Host]:
    mon1 = lab.add("mon1", layouts.SERVERS["comments"])
    web1 = lab.add("web1", layouts.EXPORTERS["packaged"])
    db1 = lab.add("db1", layouts.EXPORTERS["hand-made"])
    lab.boot()
    before |= {name: picture.take(host) for name, host in lab.hosts.items()}
    project.settings(settings(lab, [mon1], [web1, db1]))
    project.up()
    return lab.hosts


def _names(some: list[Drift]) -> str:
    return ",".join(drift.name for drift in some)


@pytest.mark.parametrize("some", ROUNDS, ids=_names)
def test_drift(some: list[Drift], hosts: dict[str, Host], project: Project) -> None:
    other = picture.times(hosts["db1"])
    plan = _told_and_healed(some, hosts, project)
    assert plan.steps.keys() == {drift.resource for drift in some}
    assert picture.times(hosts["db1"]) == other


@pytest.mark.parametrize("some", OF_ALL, ids=_names)
def test_drift_of_a_keypair(some: list[Drift], hosts: dict[str, Host], project: Project) -> None:
    _told_and_healed(some, hosts, project)


def _told_and_healed(some: list[Drift], hosts: dict[str, Host], project: Project) -> Plan:
    for drift in some:
        hosts[drift.machine].run(drift.command)
    plan = project.plan()
    assert plan.code == DRIFT
    for drift in some:
        assert any(re.match(f"{drift.machine} .*{drift.finding}", text) for text in plan.warnings), plan.warnings
        assert plan.steps[drift.resource] == "update"
    assert not [text for text in plan.warnings if "would refuse" in text]
    healed = project.up()
    assert not re.search("replac|creat|delet", healed.output.partition("Resources:")[2]), healed.output
    assert project.plan().code == 0
    wait("web1 to be scraped", lambda: hosts["mon1"].scraped("web1") == "1")
    return plan


def test_an_earlier_dropin_that_overrides_ours_is_shown_and_refused_with_its_name(
    hosts: dict[str, Host], project: Project
) -> None:
    culprit = "/etc/ssh/sshd_config.d/05-x.conf"
    hosts["web1"].run(
        f"printf 'Match User metrics-tunnel\\nAllowTcpForwarding no\\n' >{culprit}; systemctl reload ssh; sleep 0.5"
    )
    plan = project.plan()
    assert plan.steps == {"web1-authorized-key-mon1": "update"}
    assert any(re.match(f"web1 .*does not obey.*{culprit}", text) for text in plan.warnings), plan.warnings
    refused = project.up(codes=(255, 1))
    assert re.search(f"web1 authorized-key.*{culprit}", refused.output), refused.output
    hosts["web1"].run(f"rm {culprit}; systemctl reload ssh")
    project.up()
    assert project.plan().code == 0


def test_everything_we_keep_on_a_server_deleted_is_written_again(hosts: dict[str, Host], project: Project) -> None:
    hosts["mon1"].run("rm -r /var/lib/metrics-tunnel")
    plan = project.plan()
    on_mon1 = {"mon1-keypair", "mon1-tunnel-watchdog", "mon1-scrape-job"} | {
        f"{host}-{part}" for host in ("web1", "db1") for part in ("ssh-tunnel", "scrape-config")
    }
    # The keypair's public key is not known before it ran, so whatever takes it is planned with it.
    assert on_mon1 <= set(plan.steps)
    assert any(re.match(r"mon1 .*receipt .* missing", text) for text in plan.warnings)
    before = picture.times(hosts["mon1"])
    project.up()
    assert project.plan().code == 0
    after = picture.times(hosts["mon1"])
    assert after["metrics-tunnel-web1.service"] == before["metrics-tunnel-web1.service"]


_JOB = "  - job_name: other\\n    static_configs: [{targets: ['127.0.0.1:1']}]\\n"
_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGmOVTcVQ5zuRbIFAMt0LOSTDBoTNXsJoL5Cc3FBIpvA me"
_ARGS = 'ARGS="--collector.disable-defaults --collector.uname"'
QUIET = {
    "a comment elsewhere in prometheus.yml": ("mon1", f"sed -i '1i # looked at by ops' {PROMETHEUS}"),
    "another job": ("mon1", f'printf "{_JOB}" >>{PROMETHEUS}; pkill -HUP -x prometheus; sleep 1'),
    "another user's key": ("web1", f"echo '{_KEY}' >>/home/deploy/.ssh/authorized_keys"),
    "other arguments in /etc/default": (
        "web1",
        f"echo '{_ARGS}' >/etc/default/prometheus-node-exporter; systemctl restart prometheus-node-exporter; sleep 1",
    ),
    "an exporter that was down for a scrape": (
        "db1",
        "systemctl stop node_exporter; sleep 2; systemctl start node_exporter; sleep 1",
    ),
}


def test_what_is_no_drift_stays_quiet(hosts: dict[str, Host], project: Project) -> None:
    assert project.plan().code == 0
    for machine, command in QUIET.values():
        hosts[machine].run(command)
    plan = project.plan()
    assert plan.code == 0, plan


def test_what_is_offline_or_not_looked_at_is_left_alone(lab: Lab, hosts: dict[str, Host], project: Project) -> None:
    hosts["db1"].run("systemctl stop node_exporter")
    plain = settings(lab, [hosts["mon1"]], [hosts["web1"], hosts["db1"]])
    try:
        assert project.plan().steps == {"db1-exporter-node": "update"}
        project.settings({**plain, "detectDrift": False})
        assert project.plan().code == 0
        offline = {name: {**one, "offline": name == "db1"} for name, one in plain["hosts"].items()}
        project.settings({**plain, "hosts": offline})
        hosts["db1"].unplug()
        assert project.plan().code == 0
        assert "unchanged" in project.up().output
    finally:
        hosts["db1"].plug()
        project.settings(plain)
    assert project.plan().steps == {"db1-exporter-node": "update"}
    project.up()
    wait("db1 to be scraped", lambda: hosts["mon1"].scraped("db1") == "1")


def test_an_unreachable_machine_is_a_warning_and_fails_alone(hosts: dict[str, Host], project: Project) -> None:
    hosts["web1"].run("systemctl stop prometheus-node-exporter")
    hosts["db1"].run("systemctl stop ssh")
    try:
        plan = project.plan()
        assert any(re.match(r"db1: cannot look at it .*; check address", text) for text in plan.warnings)
        assert {"db1-authorized-key-mon1", "db1-exporter-node", "web1-exporter-node"} <= set(plan.steps)
        failed = project.up("--continue-on-error", codes=(255, 1))
        assert "db1-authorized-key-mon1" in failed.output
        assert hosts["web1"].get(9100)
    finally:
        hosts["db1"].run("systemctl start ssh")
    project.up()
    assert project.plan().code == 0


def test_a_new_host_that_is_offline_is_not_reached_for_and_joins_later(
    lab: Lab, hosts: dict[str, Host], project: Project
) -> None:
    plain = settings(lab, [hosts["mon1"]], [hosts["web1"], hosts["db1"]])
    absent = {"address": f"{lab.network}.251", "hostKey": hosts["web1"].host_key, "offline": True}
    project.settings({**plain, "hosts": {**plain["hosts"], "later": absent}})
    assert "cannot look" not in project.up().output
    assert project.plan().code == 0
    later = lab.add("later", layouts.EXPORTERS["packaged"])
    lab.boot(later)
    clean = picture.take(later)
    project.settings(settings(lab, [hosts["mon1"]], [hosts["web1"], hosts["db1"], later]))
    project.up()
    assert project.plan().code == 0
    assert hosts["mon1"].scraped("later") == "1"
    project.settings(plain)
    project.up()
    assert picture.difference(clean, picture.take(later)) == []


def test_destroy_after_all_that_leaves_what_hands_edited_elsewhere_and_nothing_else(
    hosts: dict[str, Host], project: Project, before: dict[str, Picture]
) -> None:
    project.destroy()
    left = {
        line.split(":")[0] for name in before for line in picture.difference(before[name], picture.take(hosts[name]))
    }
    assert left == {
        PROMETHEUS,
        "/home/deploy/.ssh/authorized_keys",
        "/etc/default/prometheus-node-exporter",
    }
    assert "metrics-tunnel" not in hosts["mon1"].run(f"cat {PROMETHEUS}")
