"""A stack that changes: machines go, keys rotate, receipts are lost, hands edit meanwhile."""

import re

import pytest

from lab import layouts, picture
from lab.hosts import Host, Lab, wait
from lab.picture import Picture
from lab.project import Project, machine, settings


@pytest.fixture(scope="module")
def before(lab: Lab, project: Project) -> dict[str, Picture]:
    for name in ("mon1", "mon2"):
        lab.add(name, layouts.SERVERS["comments"])
    lab.add("web1", layouts.EXPORTERS["packaged"])
    lab.add("web2", layouts.EXPORTERS["hand-made"])
    lab.add("web3", layouts.EXPORTERS["packaged"])
    lab.boot()
    pictures = {name: picture.take(host) for name, host in lab.hosts.items()}
    apply(lab, project, ["web1", "web2"])
    return pictures


def apply(lab: Lab, project: Project, names: list[str], **more: object) -> None:
    servers = [lab.hosts["mon1"], lab.hosts["mon2"]]
    project.settings(settings(lab, servers, [lab.hosts[name] for name in names], **more))
    project.up()


def _starts(host: Host) -> Picture:
    return {name: when for name, when in picture.times(host).items() if not name.startswith("/")}


def test_two_servers_scrape_one_host(lab: Lab, before: dict[str, Picture]) -> None:
    assert before
    for server in ("mon1", "mon2"):
        assert lab.hosts[server].scraped("web1") == "1"
    assert len(lab.hosts["web1"].run("cat /etc/ssh/authorized_keys.d/metrics-tunnel").splitlines()) == 2


def test_the_tunnels_unit_is_valid_and_tight(lab: Lab, before: dict[str, Picture]) -> None:
    assert before
    unit = "/etc/systemd/system/metrics-tunnel-web1.service"
    assert lab.hosts["mon1"].run(f"systemd-analyze verify {unit} 2>&1") == ""
    rate = f"systemd-analyze security --offline=true --threshold={{}} {unit} >/dev/null && echo good || echo bad"
    assert lab.hosts["mon1"].run(rate.format(11)) == "good\n"
    assert lab.hosts["mon1"].run(rate.format(10)) == "bad\n", "the rating tells nothing"


def test_a_changed_label_is_one_update_on_each_server_and_is_proven_by_new_samples(
    lab: Lab, project: Project, before: dict[str, Picture]
) -> None:
    assert before
    values = settings(lab, [lab.hosts["mon1"], lab.hosts["mon2"]], [lab.hosts["web1"], lab.hosts["web2"]])
    values["hosts"]["web1"]["labels"] = {"env": "prod", "note": 'a "b" \\ é {c}'}
    project.settings(values)
    assert project.plan().steps == {f"web1-scrape-config-{server}": "update" for server in ("mon1", "mon2")}
    assert project.up().seconds < 30
    query = "promtool query instant http://127.0.0.1:9090 'up{instance=\"web1\"}'"
    assert 'env="prod"' in lab.hosts["mon1"].run(query)
    assert 'note="a \\"b\\" \\\\ é {c}"' in lab.hosts["mon1"].run(query)
    assert project.plan().code == 0


def test_a_setting_that_a_change_makes_wrong_is_told_by_the_preview(
    lab: Lab, project: Project, before: dict[str, Picture]
) -> None:
    assert before
    values = settings(lab, [lab.hosts["mon1"], lab.hosts["mon2"]], [lab.hosts["web1"], lab.hosts["web2"]])
    values["prometheus"]["mon1"]["configFile"] = "/etc/prometheus/none.yml"
    values["prometheus"]["mon2"]["service"] = "none.service"
    project.settings(values)
    told = sorted(text for text in project.plan().warnings if "would refuse" in text)
    assert len(told) == 2
    assert told[0].startswith("mon1 scrape-job-lab: `pulumi up` would refuse: /etc/prometheus/none.yml does not exist;")
    assert told[1].startswith("mon2 scrape-job-lab: `pulumi up` would refuse: none.service does not run here;")


def test_a_sample_limit_that_would_blind_a_host_is_refused(
    lab: Lab, project: Project, before: dict[str, Picture]
) -> None:
    assert before
    hosts = [lab.hosts["web1"], lab.hosts["web2"]]
    plain = settings(lab, [lab.hosts["mon1"], lab.hosts["mon2"]], hosts)
    project.settings({**plain, "scrape": {**plain["scrape"], "sampleLimit": 100}})
    try:
        told = project.plan().warnings
        said = project.up(codes=(1, 255)).output
    finally:
        project.settings(plain)
    brings = r"web[12] brings \d{3,}"
    refusal = rf"{brings},{brings} samples, more than 100; raise scrape.sampleLimit"
    assert any(re.search(rf"mon1 scrape-job-lab: `pulumi up` would refuse: {refusal}", text) for text in told), told
    assert re.search(rf"mon1 scrape-job-lab: {refusal}", said)
    assert "sample_limit: 15000" in lab.hosts["mon1"].run("cat /etc/prometheus/prometheus.yml")
    assert lab.hosts["mon1"].scraped("web1") == "1"
    project.up()
    assert project.plan().code == 0


def test_a_host_taken_out_is_restored_and_the_others_units_are_not_restarted(
    lab: Lab, project: Project, before: dict[str, Picture]
) -> None:
    starts = {name: _starts(lab.hosts[name]) for name in ("mon1", "web1")}
    unit = "metrics-tunnel-web2.service"
    assert starts["mon1"].pop(unit)
    apply(lab, project, ["web1"])
    assert picture.difference(before["web2"], picture.take(lab.hosts["web2"])) == []
    assert {name: _starts(lab.hosts[name]) for name in ("mon1", "web1")} == starts
    apply(lab, project, ["web1", "web2"])


def test_a_rotated_key_replaces_the_old_one_everywhere(lab: Lab, project: Project, before: dict[str, Picture]) -> None:
    assert before
    old = lab.hosts["mon1"].run("cat /etc/metrics-tunnel/keys/*.pub").split()[1]
    assert old in lab.hosts["web1"].run("cat /etc/ssh/authorized_keys.d/metrics-tunnel")
    # One that has stopped does not keep its host from the new key, and starts again.
    lab.hosts["web1"].run("systemctl stop prometheus-node-exporter")
    apply(lab, project, ["web1", "web2"], rotation=2)
    assert old not in lab.hosts["web1"].run("cat /etc/ssh/authorized_keys.d/metrics-tunnel")
    assert lab.hosts["mon1"].run("ls /etc/metrics-tunnel/keys").split() == [
        "metrics-tunnel-lab-mon1-2",
        "metrics-tunnel-lab-mon1-2.pub",
    ]
    wait("the scrape by the new key", lambda: lab.hosts["mon1"].scraped("web1") == "1")
    assert project.plan().code == 0


def test_an_abandoned_host_is_forgotten_without_contacting_it(
    lab: Lab, project: Project, before: dict[str, Picture]
) -> None:
    assert before
    apply(lab, project, ["web1", "web2", "web3"], rotation=2)
    assert lab.hosts["mon1"].scraped("web3") == "1"
    lab.hosts["web3"].unplug()
    values = settings(lab, [lab.hosts["mon1"], lab.hosts["mon2"]], list(lab.hosts.values())[2:], rotation=2)
    values["hosts"]["web3"]["abandoned"] = True
    project.settings(values)
    ended = project.up()
    assert "cannot look" not in ended.output
    assert project.plan().code == 0
    for server in ("mon1", "mon2"):
        assert "web3" not in lab.hosts[server].run("find /etc /var/lib/metrics-tunnel -name '*web3*'")
    apply(lab, project, ["web1", "web2"], rotation=2)
    assert b"web3" not in project.state()
    lab.hosts["web3"].plug()
    assert "metrics-tunnel" in lab.hosts["web3"].run("ls /etc/ssh/authorized_keys.d")


def test_destroy_names_a_machine_that_is_away_restores_without_receipts_and_keeps_what_hands_edited_meanwhile(
    lab: Lab, project: Project, before: dict[str, Picture]
) -> None:
    comment = "# looked at by ops"
    lab.hosts["mon1"].run(f"echo '{comment}' >>/etc/prometheus/prometheus.yml; echo hello >/etc/motd")
    lab.hosts["web1"].run("rm -r /var/lib/metrics-tunnel/exporter-9100")
    lab.hosts["mon2"].run("rm -r /var/lib/metrics-tunnel")
    lab.hosts["web2"].run("rm -r /var/lib/metrics-tunnel")
    lab.hosts["web2"].unplug()
    failed = project.destroy(codes=(1, 255)).output
    lab.hosts["web2"].plug()
    assert re.search(r"web2-exporter-node\S* .*deleting failed", failed), failed
    assert f"dial tcp {lab.hosts['web2'].address}:22" in failed
    project.destroy()
    for name in ("mon2", "web1", "web2"):
        assert picture.difference(before[name], picture.take(lab.hosts[name])) == []
    left = picture.difference(before["mon1"], picture.take(lab.hosts["mon1"]))
    assert [line.split(":")[0] for line in left] == ["/etc/motd", "/etc/prometheus/prometheus.yml"]
    file = lab.hosts["mon1"].run("cat /etc/prometheus/prometheus.yml")
    assert file == layouts.PROMETHEUS_YML + comment + "\n"
    assert machine(lab.hosts["mon1"])
