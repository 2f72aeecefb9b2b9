"""The values that each part gets: a changed key line, place or label is a readable difference here."""

import json

import pytest

from components import authorized_key, exporter, keypair, proof, scrape_config, scrape_job, ssh_tunnel
from components.scrape_config import Target
from components.ssh_tunnel import Forward


def test_a_key_is_named_by_stack_server_and_rotation() -> None:
    assert keypair.desired("prod", "mon1", 2) == {
        "KEY": "/etc/metrics-tunnel/keys/metrics-tunnel-prod-mon1-2",
        "COMMENT": "metrics-tunnel-prod-mon1-2",
    }


def test_a_key_line_forwards_to_one_exporter_and_does_nothing_else() -> None:
    assert authorized_key.line("K", [9100], []) == (
        'restrict,port-forwarding,permitopen="127.0.0.1:9100",permitlisten="localhost:1",command="/bin/false" K'
    )


def test_a_key_line_names_every_port_and_where_its_tunnels_come_from() -> None:
    assert authorized_key.line("K", [9100, 9187], ["10.0.0.10", "10.1.0.0/16"]) == (
        'restrict,port-forwarding,permitopen="127.0.0.1:9100",permitopen="127.0.0.1:9187",permitlisten="localhost:1",'
        'command="/bin/false",from="10.0.0.10,10.1.0.0/16" K'
    )


def test_a_tunnel_goes_from_these_places_on_the_server_to_the_exporters_of_its_host() -> None:
    forwards = [Forward("127.77.0.1:19100", 9100), Forward("[::1]:19187", 9187, "/m")]
    key = "/etc/metrics-tunnel/keys/metrics-tunnel-prod-mon1-1"
    assert ssh_tunnel.desired("web1", "ann", 2222, key, forwards) == {
        "HOST": "web1",
        "LOGIN": "ann",
        "SSH_PORT": "2222",
        "KEY": key,
        "FORWARDS": "127.77.0.1:19100:127.0.0.1:9100 [::1]:19187:127.0.0.1:9187",
        "LISTENS": "127.77.0.1:19100/metrics [::1]:19187/m",
    }


def test_a_tunnel_starts_anew_where_its_keys_file_holds_another_key() -> None:
    public_key = "ssh-ed25519 AAAA metrics-tunnel-prod-mon1-1"
    assert ssh_tunnel.values_of_others("web1", "web1.example.org", public_key, "ssh-ed25519 BBBB") == {
        "ADDRESS": "web1.example.org",
        "KEY_ID": "909f3a819fda6d49",
        "HOST_KEY": "ssh-ed25519 BBBB",
    }
    assert ssh_tunnel.values_of_others("web1", "web1", f"{public_key}x", "k")["KEY_ID"] != "909f3a819fda6d49"


@pytest.mark.parametrize("address", ["10.0.0.21", "fe80::1", "2001:db8::7", "web1", "a-b.example.org"])
def test_a_tunnel_goes_to_any_kind_of_address(address: str) -> None:
    assert ssh_tunnel.values_of_others("web1", address, "p", "k")["ADDRESS"] == address


@pytest.mark.parametrize(
    "address",
    ["", ".", "a..b", "-a", "a;b", "a\nExecStartPre=x", "a%i", "$HOME", "a\tb", "a b", "fe80::1%eth0", "höst"],
)
def test_an_address_that_another_resource_gives_is_checked_before_it_stands_in_a_unit(address: str) -> None:
    with pytest.raises(ValueError, match=r"web1: address .* is no .*address"):
        ssh_tunnel.values_of_others("web1", address, "p", "k")


def test_a_job_is_named_by_its_stack_and_bounds_what_a_target_may_bring() -> None:
    assert scrape_job.desired("prod", "15s", "10s") == {
        "JOB": "metrics-tunnel-prod",
        "INTERVAL": "15s",
        "TIMEOUT": "10s",
        "SAMPLE_LIMIT": "15000",
    }


def test_a_hosts_targets_are_json_with_the_hosts_name_as_instance() -> None:
    targets = [Target("node", "127.77.0.1:19100"), Target("db", "127.77.0.1:19187", "/m")]
    wanted = scrape_config.desired("prod", "web1", {"env": "prod"}, targets)
    assert wanted["TARGETS"] == (
        '[{"labels":{"__metrics_path__":"/metrics","env":"prod","instance":"web1","job":"node"},'
        '"targets":["127.77.0.1:19100"]},'
        '{"labels":{"__metrics_path__":"/m","env":"prod","instance":"web1","job":"db"},'
        '"targets":["127.77.0.1:19187"]}]'
    )
    assert wanted["LISTED"].split("\n") == [
        f'"labels":{{"env":"prod","instance":"web1","job":"{job}"}},'
        f'"scrapePool":"metrics-tunnel-prod","scrapeUrl":"http://127.77.0.1:{place}"'
        for job, place in (("node", "19100/metrics"), ("db", "19187/m"))
    ]


def test_a_targets_labels_are_written_as_prometheus_writes_them() -> None:
    wanted = scrape_config.desired("prod", "web1", {"Z": 'a"\\é<&>'}, [Target("node", "127.77.0.1:1")])
    assert wanted["LISTED"].startswith(r""""labels":{"Z":"a\"\\é<&>","instance":"web1","job":"node"},""")


def test_a_hosts_labels_cannot_take_the_place_of_its_instance_job_or_path() -> None:
    labels = {"instance": "x", "job": "x", "__metrics_path__": "x"}
    wanted = scrape_config.desired("prod", "web1", labels, [Target("node", "127.77.0.1:19100")])
    assert json.loads(wanted["TARGETS"])[0]["labels"] == {
        "instance": "web1",
        "job": "node",
        "__metrics_path__": "/metrics",
    }


def test_an_exporter_is_this_and_a_scrape_of_it_may_take_what_the_most_patient_server_gives_it() -> None:
    assert exporter.desired(9187, "/m", "x.service", 20, manage=False) == {
        "PORT": "9187",
        "METRICS": "/m",
        "SERVICE": "x.service",
        "MANAGE": "no",
        "SCRAPE_SECONDS": "20",
    }
    assert proof.scrape_seconds(["5s", "20s", "10500ms"]) == 20
    assert proof.scrape_seconds(["10500ms"]) == 11
    assert proof.scrape_seconds(["1s"]) == 6
