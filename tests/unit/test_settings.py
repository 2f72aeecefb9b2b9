"""Settings are refused as a whole, before any connection, each with its path, value, rule and remedy."""

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from components import rules
from stacks.credentials import Credentials
from stacks.models import (
    BastionSettings,
    ExporterSettings,
    HostSettings,
    ScrapeSettings,
    ServerSettings,
    SshSettings,
    Whole,
)
from stacks.settings import arguments, check
from stacks.wording import SECRETS

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


def errors_of(host: dict[str, Any] | None = None, **more: Any) -> list[str]:
    return check(stack(host, **more))[1]


def hosts(**given: dict[str, Any]) -> dict[str, Any]:
    return {"hosts": {name: machine(**one) for name, one in given.items()}}


@pytest.mark.parametrize(
    ("more", "error"),
    [
        (
            hosts(a={"listen": "127.0.0.1:7080", "exporters": {"x": {"port": 1}, "y": {"port": 2}}}),
            (
                "hosts.a.listen: '127.0.0.1:7080' is for a host with one exporter; "
                "give hosts.a.exporters.x.listen and hosts.a.exporters.y.listen"
            ),
        ),
        (
            hosts(a={"listen": "127.0.0.1:7080", "exporters": {"x": {"port": 1, "listen": "127.0.0.1:7081"}}}),
            "hosts.a.listen: '127.0.0.1:7080' and hosts.a.exporters.x.listen say the same thing twice; keep one",
        ),
        (
            hosts(a={"listen": "127.0.0.1:7080"}, b={"address": "b", "listen": "127.0.0.1:7080"}),
            "hosts.b.listen: '127.0.0.1:7080' is that of hosts.a.listen already; give one of them another listen",
        ),
        (
            hosts(a={"address": "A.org"}, b={"address": "a.ORG"}),
            "hosts.b.address: 'a.ORG' is that of hosts.a already; take one of them out",
        ),
        (
            {"prometheus": {"mon1": machine(), "mon2": machine()}},
            "prometheus.mon2.address: '10.0.0.10' is that of prometheus.mon1 already; take one of them out",
        ),
        (
            hosts(a={"abandoned": True, "offline": True}),
            "hosts.a.abandoned: true and offline: true exclude each other; keep offline while it may come back",
        ),
        (
            hosts(a={"exporters": {"x": {"port": 9100}, "y": {"port": 9100}}}),
            "hosts.a.exporters.y.port: 9100 is that of hosts.a.exporters.x already; give the exporter's own",
        ),
        (
            hosts(a={"exporters": {"x": {"port": 22}}}),
            "hosts.a.exporters.x.port: 22 is that of SSH already; give the exporter's own",
        ),
        (
            hosts(a={"port": 9100}),
            (
                "hosts.a.port: 9100 is SSH's port here, and that of the node exporter, which is there where none is "
                "written; an exporter's port goes to hosts.a.exporters.node.port"
            ),
        ),
        (
            hosts(a={"port": 9100, "exporters": {"x": {"port": 9100}}}),
            "hosts.a.exporters.x.port: 9100 is that of hosts.a.port already; give the exporter's own",
        ),
        (
            hosts(a={"exporters": {"x": {"port": 1, "job": "y"}, "y": {"port": 2}}}),
            "hosts.a.exporters.y: has no job of its own, and 'y' is hosts.a.exporters.x's; give it another job",
        ),
        (hosts(a={"servers": ["mon1", "mon1"]}), "hosts.a.servers[1]: 'mon1' is named twice; take one out"),
        (hosts(a={"servers": ["mon9"]}), "hosts.a.servers[0]: 'mon9' is no server; use one of mon1"),
        (
            {"prometheus": {"mon1": machine(insecureHostKey=True)}},
            "prometheus.mon1.insecureHostKey: true stands beside hostKey; keep one, and best hostKey",
        ),
        (
            {"prometheus": {"mon1": {"address": "local", "port": 22}}},
            "prometheus.mon1.port: is for machines over SSH, and this one is local; take it out",
        ),
        (
            {"prometheus": {"mon1": {"address": "local", "hostKey": KEY}}},
            "prometheus.mon1.hostKey: is for machines over SSH, and this one is local; take it out",
        ),
        (
            {"scrape": {"interval": "5s", "timeout": "6s"}},
            "scrape.timeout: '6s' is longer than scrape.interval (5s); make it no longer",
        ),
        (
            hosts(a={"adress": "x"}),
            "hosts.a.adress: is not known here; did you mean address?",
        ),
        (hosts(a={"host_key": "x"}), "hosts.a.host_key: is not known here; did you mean hostKey?"),
        (
            hosts(a={"bastion": {"address": "b", "hostKey": KEY, "zzz": 1}}),
            (
                "hosts.a.bastion.zzz: is not known here; use one of "
                "address, port, user, hostKey, insecureHostKey, privateKeyPath"
            ),
        ),
        (
            hosts(a={"exporters": {"x": {"port": 1, "zzz": 1}}}),
            "hosts.a.exporters.x.zzz: is not known here; use one of port, unit, job, path, manage, listen",
        ),
        ({"scrape": {"zzz": 1}}, "scrape.zzz: is not known here; use one of job, interval, timeout, sampleLimit"),
        (
            hosts(a={"port": "22"}),
            "hosts.a.port: '22' is not a whole number; write 22",
        ),
        ({"scrape": {"interval": 5}}, "scrape.interval: 5 is no duration; write the unit too, such as 5s, 1m or 1m30s"),
        (
            {"scrape": {"interval": "5"}},
            "scrape.interval: '5' is no duration; write the unit too, such as 5s, 1m or 1m30s",
        ),
        ({"scrape": {"timeout": 5}}, "scrape.timeout: 5 is no duration; write the unit too, such as 5s, 1m or 1m30s"),
        ({"scrape": {"job": 5}}, "scrape.job: 5 is not text; put it in quotes"),
        (
            {"scrape": {"timeout": "6s"}},
            "scrape.timeout: '6s' is longer than scrape.interval (5s where none is written); make it no longer",
        ),
        ({"scrape": {"sampleLimit": "many"}}, "scrape.sampleLimit: 'many' is not a whole number; write such as 15000"),
        ({"rotation": 2.0}, "rotation: 2.0 is not a whole number; write 2"),
        ({"rotation": 1.5}, "rotation: 1.5 is not a whole number; write such as 2"),
        (
            hosts(a={"port": "70000"}),
            "hosts.a.port: '70000' is no port; use a whole number from 1 to 65535",
        ),
        (hosts(a={"offline": "no"}), "hosts.a.offline: 'no' is not true or false; write true or false, without quotes"),
        (hosts(a={"offline": "true"}), "hosts.a.offline: 'true' is not true or false; write true"),
        (hosts(a={"address": None}), "hosts.a.address: nothing is not text; give a value"),
        (hosts(a={"login": None, "labels": {"n": 5}}), "hosts.a.labels.n: 5 is not text; put it in quotes"),
        (hosts(a={"labels": {"port": 70000}}), "hosts.a.labels.port: 70000 is not text; put it in quotes"),
        (hosts(a={"servers": "mon1"}), "hosts.a.servers: a text is not a list; write such as [mon1]"),
        (hosts(a={"servers": []}), "hosts.a.servers: has no entry; write such as [mon1], or take the key out"),
        (
            hosts(a={"exporters": [9100]}),
            "hosts.a.exporters: a list is not a map; write such as {node: {port: 9100}}",
        ),
        (
            hosts(a={"exporters": {}}),
            "hosts.a.exporters: has no entry; write such as {node: {port: 9100}}, or take the key out",
        ),
        ({"prometheus": {}}, "prometheus: has no entry; write such as {mon1: {address: 10.0.0.10}}"),
        (
            hosts(a={}, b={"address": "b", "listen": rules.default_listen("a", 9100)}),
            (
                f"hosts.b.listen: '{rules.default_listen('a', 9100)}' is that of exporter node of hosts.a "
                "by default already; give one of them another listen"
            ),
        ),
        (hosts(a={"user": 5}), "hosts.a.user: 5 is no user name; use small letters, digits, _ and -, 32 at most"),
        (
            hosts(a={"labels": None}),
            "hosts.a.labels: nothing is not a map; give a value, or take the key out",
        ),
        ({"hosts": {"a": None}}, "hosts.a: nothing is not a map; give a value, or take the key out"),
        (
            {"hosts": {"a.b": machine()}},
            "hosts[\"a.b\"]: 'a.b' is not a name; use small letters, digits and inner hyphens, 63 at most",
        ),
        (
            {"hosts": {"a": {"hostKey": KEY}}},
            "hosts.a.address: is missing; add it",
        ),
        ({"rotation": 0}, "rotation: 0 is no rotation; use a whole number from 1 to 1000000"),
        (
            hosts(a={"labels": {f"l{n}": "x" for n in range(33)}}),
            "hosts.a.labels: has more than 32 entries; take some out",
        ),
    ],
)
def test_an_error_says_path_value_rule_and_remedy(more: dict[str, Any], error: str) -> None:
    assert errors_of(**more) == [error]


@pytest.mark.parametrize(
    "more",
    [
        {"hosts": {}},
        hosts(mon1={"port": 22}),
        hosts(a={"port": 22}, b={"port": 2222}),
        hosts(a={}, b={"bastion": machine(address="jump")}),
        hosts(a={"abandoned": True}, b={}),
        hosts(a={"user": None, "bastion": None}),
        hosts(a={"listen": "127.0.0.1:7080"}, b={"address": "b", "listen": "[::1]:7080"}),
        {
            "prometheus": {"mon1": machine(), "mon2": machine(address="mon2")},
            **hosts(
                a={"listen": "127.0.0.1:7080", "servers": ["mon1"]},
                b={"address": "b", "listen": "127.0.0.1:7080", "servers": ["mon2"]},
            ),
        },
        {"prometheus": {"mon1": {"address": "mon1", "insecureHostKey": True}}},
        {"prometheus": {"mon1": {"address": "local", "user": "deploy", "offline": True}}},
    ],
)
def test_what_looks_like_a_clash_and_is_none_is_accepted(more: dict[str, Any]) -> None:
    assert not errors_of(**more)


@pytest.mark.parametrize(
    ("more", "nearest"),
    [
        ({"rotatoin": 2}, "rotatoin: is not known here; did you mean rotation?"),
        ({"promethues": {}}, "promethues: is not known here; did you mean prometheus?"),
        ({"prometheus": {"mon1": machine(config_file="/x")}}, "prometheus.mon1.config_file: ...configFile?"),
        ({"prometheus": {"mon1": machine(egres=[])}}, "prometheus.mon1.egres: ...egress?"),
        (hosts(a={"exportres": {}}), "hosts.a.exportres: ...exporters?"),
        (hosts(a={"lables": {}}), "hosts.a.lables: ...labels?"),
        (hosts(a={"Port": 22}), "hosts.a.Port: ...port?"),
        (hosts(a={"exporters": {"x": {"port": 1, "unti": "x"}}}), "hosts.a.exporters.x.unti: ...unit?"),
        (hosts(a={"bastion": machine(prot=22)}), "hosts.a.bastion.prot: ...port?"),
        ({"ssh": {"private_key_path": "x"}}, "ssh.private_key_path: ...privateKeyPath?"),
        ({"scrape": {"intervall": "5s"}}, "scrape.intervall: ...interval?"),
    ],
)
def test_a_key_with_a_typo_is_told_with_the_nearest_one_at_each_level(more: dict[str, Any], nearest: str) -> None:
    assert errors_of(**more) == [nearest.replace("...", "is not known here; did you mean ")]


def test_an_insecure_host_key_is_loud(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", said.append)
    whole, _ = check({"prometheus": {"mon1": {"address": "mon1", "insecureHostKey": True}}})
    assert whole is not None
    settings = arguments(whole, Credentials({None: {}}))
    assert settings.servers["mon1"]["connection"].get("insecure_host_key") is True
    assert said[-1] == "prometheus.mon1.insecureHostKey: whoever answers at mon1 gets root's commands"
    assert said[0].startswith("hosts: there are none; those that were here are given back")
    said.clear()
    whole, _ = check(stack())
    assert whole is not None
    arguments(whole, Credentials({None: {}}))
    assert not said


@pytest.mark.parametrize(
    ("scrape", "timeout"),
    [
        ({}, "5s"),
        ({"interval": "1m"}, "10s"),
        ({"interval": "1m", "timeout": "30s"}, "30s"),
        ({"interval": "1s"}, "1s"),
    ],
)
def test_a_timeout_that_is_left_out_is_that_of_prometheus(scrape: dict[str, str], timeout: str) -> None:
    whole, _ = check(stack(scrape=scrape))
    assert whole is not None
    assert arguments(whole, Credentials({None: {}})).servers["mon1"].get("scrape_timeout") == timeout


def test_a_hosts_listen_login_and_abandonment_reach_its_component() -> None:
    whole, _ = check(stack({"listen": "[::1]:7080", "login": "deploy", "abandoned": True}))
    assert whole is not None
    host = arguments(whole, Credentials({None: {}})).hosts["web1"]
    assert host["exporters"]["node"].get("listen") == "[::1]:7080"
    assert host.get("login") == "deploy"
    assert host.get("abandoned") is True
    whole, _ = check(stack())
    assert whole is not None
    host = arguments(whole, Credentials({None: {}})).hosts["web1"]
    assert "login" not in host
    assert host.get("abandoned") is False


def test_the_readme_tells_of_every_setting_and_secret() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text()
    settings = text[text.index("## Settings") : text.index("## Limits")]
    models = (Whole, ServerSettings, HostSettings, ExporterSettings, BastionSettings, SshSettings, ScrapeSettings)
    keys = {field.alias or name for model in models for name, field in model.model_fields.items()}
    assert not [key for key in {*keys, *SECRETS} if f"`{key}" not in settings]
    assert not [key for key in SECRETS if f"`pulumi config set --secret metrics-tunnel:{key}" not in settings]


def test_the_example_is_accepted_once_its_keys_are_written() -> None:
    text = (Path(__file__).parents[2] / "stacks" / "Pulumi.example.yaml").read_text()
    config = yaml.safe_load(text.replace("ssh-ed25519 AAAA...", KEY))["config"]
    assert not check({key.removeprefix("metrics-tunnel:"): value for key, value in config.items()})[1]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", "is a fingerprint; the key is needed"),
        pytest.param(f"web1 {KEY}", "begins with the host's name, as in known_hosts; leave that out", id="with-host"),
    ],
)
def test_what_was_copied_instead_of_a_host_key_is_named(given: str, says: str) -> None:
    errors = errors_of({"hostKey": given})
    assert len(errors) == 1
    assert says in errors[0]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"exporters": {"node": 9100}}, "hosts.web1.exporters.node: 9100 is not a map; write such as {port: ...}"),
        ({"bastion": "10.0.0.1"}, "hosts.web1.bastion: a text is not a map; write such as {address: ...}"),
        ({"address": "[fd00::1]"}, "write it alone, without user, port or brackets"),
    ],
)
def test_a_value_in_the_wrong_shape_is_told_in_the_right_one(more: dict[str, Any], says: str) -> None:
    errors = errors_of(more)
    assert len(errors) == 1
    assert says in errors[0]


def test_every_setting_that_is_text_or_a_number_has_a_rule() -> None:
    for model in (Whole, ServerSettings, HostSettings, ExporterSettings, BastionSettings, SshSettings, ScrapeSettings):
        for name, field in model.model_fields.items():
            if {str, int} & {field.annotation, *get_args(field.annotation)}:
                assert model.rule(name), name
