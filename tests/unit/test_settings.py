"""Settings are refused as a whole, before any connection, each with its path, value, rule and remedy."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from components import rules
from stacks.credentials import Credentials
from stacks.models import Whole
from stacks.settings import arguments, check

KEY = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def machine(**more: Any) -> dict[str, Any]:
    return {"address": "10.0.0.10", "hostKey": KEY, **more}


def stack(host: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"prometheus": {"mon1": machine()}, "hosts": {"web1": machine(**(host or {}))}, **more}


def test_a_plain_stack_is_accepted_and_arrives_as_it_was_written() -> None:
    whole, errors = check(stack({"user": "deploy", "labels": {"env": "prod"}}, scrape={"job": "linux"}))
    assert not errors
    assert whole is not None
    settings = arguments(whole, Credentials({None: {"private_key": "k"}}))
    host = settings.hosts["web1"]
    assert host["connection"]["user"] == "deploy"
    assert host["connection"]["host_key"] == KEY
    assert host["labels"] == {"env": "prod"}
    assert host["exporters"]["node"]["job"] == "linux"
    assert host["exporters"]["node"]["listen"] == rules.default_listen("web1", 9100)
    assert settings.servers_of == {"web1": ["mon1"]}


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"address": "-oProxyCommand=touch /tmp/x"}, "hosts.web1.address"),
        ({"address": "a;b"}, "hosts.web1.address"),
        ({"address": "a b"}, "hosts.web1.address"),
        ({"address": "a\nb"}, "hosts.web1.address"),
        ({"address": "$(id)"}, "hosts.web1.address"),
        ({"address": "fe80::1%eth0"}, "hosts.web1.address"),
        ({"address": "10.0.0.256"}, "hosts.web1.address"),
        ({"address": "local"}, "hosts.web1.address"),
        ({"address": 5}, "hosts.web1.address"),
        ({"user": "-oProxyCommand=x"}, "hosts.web1.user"),
        ({"user": "root;id"}, "hosts.web1.user"),
        ({"user": "Root"}, "hosts.web1.user"),
        ({"port": 0}, "hosts.web1.port"),
        ({"port": 65536}, "hosts.web1.port"),
        ({"port": -1}, "hosts.web1.port"),
        ({"port": True}, "hosts.web1.port"),
        ({"port": "22 -oX"}, "hosts.web1.port"),
        ({"port": "22"}, "hosts.web1.port"),
        ({"hostKey": "ssh-rsa AAAAB3NzaC1yc2EAAA"}, "hosts.web1.hostKey"),
        ({"hostKey": "ssh-ed25519 AAAA"}, "hosts.web1.hostKey"),
        ({"hostKey": KEY + "\n" + KEY}, "hosts.web1.hostKey"),
        ({"hostKey": ""}, "hosts.web1.hostKey"),
        ({"insecureHostKey": True}, "hosts.web1.insecureHostKey"),
        ({"labels": {"__x": "y"}}, "hosts.web1.labels"),
        ({"labels": {"instance": "y"}}, "hosts.web1.labels"),
        ({"labels": {"a-b": "y"}}, "hosts.web1.labels"),
        ({"labels": {"a": "x\ny"}}, "hosts.web1.labels.a"),
        ({"exporters": {}}, "hosts.web1.exporters"),
        ({"exporters": {"node": {"port": 60000}}}, "hosts.web1.exporters.node.port"),
        ({"exporters": {"node": {"port": 9100, "listen": "0.0.0.0:7080"}}}, "hosts.web1.exporters.node.listen"),
        ({"exporters": {"node": {"port": 9100, "listen": "127.0.0.1:07080"}}}, "hosts.web1.exporters.node.listen"),
        ({"exporters": {"node": {"port": 9100, "listen": "127.0.0.1"}}}, "hosts.web1.exporters.node.listen"),
        ({"exporters": {"node": {"port": 9100, "unit": "a b.service"}}}, "hosts.web1.exporters.node.unit"),
        ({"exporters": {"node": {"port": 9100, "path": "/a?b"}}}, "hosts.web1.exporters.node.path"),
        ({"exporters": {"a": {"port": 1, "job": "x"}, "b": {"port": 2, "job": "x"}}}, "hosts.web1.exporters.b.job"),
        ({"servers": ["mon9"]}, "hosts.web1.servers"),
        ({"adress": "x"}, "hosts.web1.adress"),
        ({"bastion": {"address": "b%c"}}, "hosts.web1.bastion.address"),
    ],
)
def test_a_wrong_value_of_a_host_is_refused_with_its_path(given: dict[str, Any], path: str) -> None:
    whole, errors = check(stack(given))
    if path:
        assert whole is None
        assert any(error.startswith(path) for error in errors), errors
    else:
        assert not errors


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"scrape": {"interval": "5"}}, "scrape.interval"),
        ({"scrape": {"interval": "0s"}}, "scrape.interval"),
        ({"scrape": {"interval": "5s", "timeout": "6s"}}, "scrape.timeout"),
        ({"scrape": {"job": "a\nb"}}, "scrape.job"),
        ({"rotation": 0}, "rotation"),
        ({"rotation": True}, "rotation"),
        ({"detectDrift": "no"}, "detectDrift"),
        ({"prometheus": {}}, "prometheus"),
        ({"prometheus": {"Mon 1": machine()}}, 'prometheus["Mon 1"]'),
        ({"prometheus": {"mon1": machine(configFile="/etc/../x")}}, "prometheus.mon1.configFile"),
        ({"prometheus": {"mon1": machine(configFile="x.yml")}}, "prometheus.mon1.configFile"),
        ({"prometheus": {"mon1": machine(url="http://u:p@x/")}}, "prometheus.mon1.url"),
        ({"prometheus": {"mon1": machine(egress=["10.0.0.0/33"])}}, "prometheus.mon1.egress"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_value_of_the_stack_is_refused_with_its_path(more: dict[str, Any], path: str) -> None:
    whole, errors = check({**stack(), **more})
    assert whole is None
    assert any(error.startswith(path) for error in errors), errors


def test_all_errors_come_at_once() -> None:
    _, errors = check(stack({"port": 0, "user": "X", "surprise": 1}, rotation=0))
    assert len(errors) == 4


def test_two_hosts_on_one_listen_are_refused() -> None:
    one = {"exporters": {"node": {"port": 9100, "listen": "127.0.0.1:7080"}}}
    _, errors = check(
        {"prometheus": {"mon1": machine()}, "hosts": {"a": machine(**one), "b": machine(address="10.0.0.11", **one)}}
    )
    assert len(errors) == 1
    assert errors[0].startswith("hosts.b.exporters.node.listen: '127.0.0.1:7080' is that of hosts.a.exporters.node")


def test_a_missing_host_key_is_taken_from_known_hosts_or_refused(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    without = {"prometheus": {"mon1": {"address": "10.0.0.10"}}}
    _, errors = check(without)
    assert errors[0].startswith("prometheus.mon1.hostKey: is missing")
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"10.0.0.10 {KEY}\n")
    whole, errors = check(without)
    assert not errors
    assert whole is not None
    assert arguments(whole, Credentials({None: {}})).servers["mon1"]["connection"]["host_key"] == KEY


def test_no_error_about_a_private_key_holds_any_of_it() -> None:
    planted = "-----BEGIN OPENSSH PRIVATE KEY-----\nPLANTEDSECRET\n-----END OPENSSH PRIVATE KEY-----"
    with pytest.raises(ValueError, match="is no private key") as caught:
        rules.private_key(planted)
    assert "PLANTED" not in str(caught.value)


def test_pulumi_is_told_of_every_key_and_asks_for_none_but_the_servers() -> None:
    declared = yaml.safe_load((Path(__file__).parents[2] / "Pulumi.yaml").read_text())["config"]
    plain = {f"metrics-tunnel:{field.alias or name}" for name, field in Whole.model_fields.items()}
    assert plain == {key for key, one in declared.items() if not one.get("secret")}
    assert [key for key, one in declared.items() if "default" not in one] == ["metrics-tunnel:prometheus"]
    assert all(one["description"] for one in declared.values())


def test_a_default_that_pulumi_fills_in_counts_as_unset() -> None:
    declared = yaml.safe_load((Path(__file__).parents[2] / "Pulumi.yaml").read_text())["config"]
    filled = {key.partition(":")[2]: one["default"] for key, one in declared.items() if one.get("default", "") != ""}
    assert check({**filled, **stack()}) == check(stack())
