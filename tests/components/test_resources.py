"""Which resources a stack has, in which order, and what of them the engine and its state get to see."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components import MonitoredHost, PrometheusServer
from components.payload import LAST_LINE, SENT, code
from lab.sent import bare
from tests.mocked import (
    ADMIN_KEY,
    HOST_KEY,
    JUMP_KEY,
    TUNNEL_KEY,
    Deployment,
    Resource,
    deploy,
    exporter,
    fleet,
    public_key,
)
from tests.scripts.sandbox import code_in, script_of, values_in
from tests.unit.harmless import STARTED

COMMAND = "command:remote:Command"
TWO: dict[str, dict[str, Any]] = {"mon1": {}, "mon2": {}}
ADMIN = {"host_key": HOST_KEY, "private_key": ADMIN_KEY}


def commands(done: Deployment) -> dict[str, Resource]:
    return {name: one for name, one in done.resources.items() if one.type.endswith(":Command")}


def triggers(done: Deployment, name: str) -> list[str]:
    found: list[str] = done.resources[name].inputs["triggers"]
    return found


def test_what_the_arguments_call_a_default_may_be_left_out() -> None:
    machine: Any = {"connection": {"address": "10.0.0.1", "host_key": HOST_KEY}}
    done = deploy(lambda: MonitoredHost("web1", machine, servers=[PrometheusServer("mon1", machine)]) and None)
    assert "PORT=9100\n" in done.resources["web1-exporter-node"].inputs["stdin"]
    tunnel = done.resources["web1-ssh-tunnel"].inputs["stdin"]
    assert re.search(r"^FORWARDS=127\.\d+\.\d+\.\d+:19100:127\.0\.0\.1:9100$", tunnel, re.MULTILINE)
    assert '"job":"node"' in done.resources["web1-scrape-config"].inputs["stdin"]


@cache
def usual() -> Deployment:
    return deploy(fleet())


@cache
def doubled() -> Deployment:
    return deploy(fleet(TWO, {"web1": {}, "db1": {}}))


def before(done: Deployment, name: str) -> set[str]:
    """Everything that is done before `name` begins."""
    found: set[str] = set()
    left = [name]
    while left:
        for one in done.resources[left.pop()].depends_on - found:
            found.add(one)
            left.append(one)
    return found


def test_one_server_and_one_host_are_two_components_and_their_commands() -> None:
    done = usual()
    assert {name: (one.type, one.parent) for name, one in done.resources.items()} == {
        "mon1": ("metrics-tunnel:index:PrometheusServer", "metrics-tunnel-test"),
        "mon1-keypair": (COMMAND, "mon1"),
        "mon1-tunnel-watchdog": (COMMAND, "mon1"),
        "mon1-scrape-job": (COMMAND, "mon1"),
        "web1": ("metrics-tunnel:index:MonitoredHost", "metrics-tunnel-test"),
        "web1-authorized-key-mon1": (COMMAND, "web1"),
        "web1-ssh-tunnel": (COMMAND, "web1"),
        "web1-scrape-config": (COMMAND, "web1"),
        "web1-exporter-node": (COMMAND, "web1"),
    }


def test_with_two_servers_a_host_has_key_tunnel_and_scrape_config_for_each_and_one_exporter() -> None:
    done = doubled()
    assert set(commands(done)) == {
        *("mon1-keypair", "mon1-tunnel-watchdog", "mon1-scrape-job"),
        *("mon2-keypair", "mon2-tunnel-watchdog", "mon2-scrape-job"),
        *("web1-authorized-key-mon1", "web1-ssh-tunnel-mon1", "web1-scrape-config-mon1"),
        *("web1-authorized-key-mon2", "web1-ssh-tunnel-mon2", "web1-scrape-config-mon2"),
        *("db1-authorized-key-mon1", "db1-ssh-tunnel-mon1", "db1-scrape-config-mon1"),
        *("db1-authorized-key-mon2", "db1-ssh-tunnel-mon2", "db1-scrape-config-mon2"),
        *("web1-exporter-node", "db1-exporter-node"),
    }


def test_a_host_may_be_scraped_by_one_of_two_servers() -> None:
    done = deploy(fleet(TWO, {"web1": {}}, {"web1": ["mon2"]}))
    assert "web1-authorized-key-mon2" in done.resources
    assert "web1-authorized-key-mon1" not in done.resources
    assert done.resources["web1-ssh-tunnel"].inputs["connection"]["host"] == "10.0.0.11"


def test_several_exporters_share_key_and_tunnel_and_each_goes_to_loopback_by_itself() -> None:
    both = {"node": exporter(), "postgres": exporter(port=9187, job="postgres")}
    done = deploy(fleet(hosts={"db1": {"exporters": both}}))
    assert {name for name in commands(done) if name.startswith("db1-")} == {
        *("db1-authorized-key-mon1", "db1-ssh-tunnel", "db1-scrape-config"),
        *("db1-exporter-node", "db1-exporter-postgres"),
    }
    line = done.resources["db1-authorized-key-mon1"].inputs["stdin"]
    assert 'permitopen="127.0.0.1:9100",permitopen="127.0.0.1:9187"' in line
    tunnel = done.resources["db1-ssh-tunnel"].inputs["stdin"]
    assert "\nFORWARDS='127.77.0.1:19100:127.0.0.1:9100 127.77.0.1:19187:127.0.0.1:9187'\n" in tunnel


def test_an_exporter_is_closed_only_after_every_server_scrapes_it_through_its_tunnel() -> None:
    done = doubled()
    assert done.resources["web1-exporter-node"].depends_on >= {"web1-scrape-config-mon1", "web1-scrape-config-mon2"}
    others = {name for name in commands(done) if name.startswith("db1-")}
    assert before(done, "web1-exporter-node") == set(commands(done)) - others - {"web1-exporter-node"}


def test_a_scrape_config_waits_for_its_own_tunnel_and_its_own_servers_job() -> None:
    done = doubled()
    assert {"web1-ssh-tunnel-mon2", "mon2-scrape-job"} <= done.resources["web1-scrape-config-mon2"].depends_on
    assert not {"web1-ssh-tunnel-mon1", "mon1-scrape-job"} & before(done, "web1-scrape-config-mon2")


def test_a_tunnel_waits_for_its_key_line_and_that_for_the_keypair() -> None:
    done = usual()
    assert "web1-authorized-key-mon1" in done.resources["web1-ssh-tunnel"].depends_on
    assert done.resources["web1-authorized-key-mon1"].depends_on == {"mon1-keypair"}
    assert done.resources["mon1-keypair"].depends_on == frozenset()


def test_hosts_do_not_wait_for_each_other() -> None:
    done = deploy(fleet(hosts={"web1": {}, "db1": {}}))
    assert not [name for name in before(done, "web1-exporter-node") if name.startswith("db1")]


def test_only_the_public_key_flows_from_part_to_part_as_data() -> None:
    done = doubled()
    flows = {
        (key, source) for one in commands(done).values() for key, names in one.data_from.items() for source in names
    }
    assert flows == {("stdin", "mon1-keypair"), ("stdin", "mon2-keypair")}
    assert public_key("metrics-tunnel-test-mon1-1") in done.resources["web1-authorized-key-mon1"].inputs["stdin"]
    assert public_key("metrics-tunnel-test-mon2-1") in done.resources["web1-authorized-key-mon2"].inputs["stdin"]


def test_every_command_updates_as_it_creates_logs_nothing_and_gets_no_earlier_output() -> None:
    for one in commands(doubled()).values():
        assert "update" not in one.inputs
        assert one.inputs["logging"] == "none"
        assert one.inputs["addPreviousOutputInEnv"] is False
        assert "environment" not in one.inputs
        assert not one.retain_on_delete
        assert not one.ignore_changes


def test_dialing_gives_up_soon() -> None:
    for one in commands(usual()).values():
        assert one.inputs["connection"]["dialErrorLimit"] <= 3
        assert one.inputs["connection"]["perDialTimeout"] <= 15


def test_a_command_holds_nothing_but_its_verb_its_owner_and_its_generation() -> None:
    given = {"labels": {"env": "PLANTED"}, "exporters": {"node": exporter(unit="PLANTED.service", path="/PLANTED")}}
    for name, one in commands(deploy(fleet(hosts={"web1": given}))).items():
        owner = rf"metrics-tunnel:test\.{name}\.[0-9a-f]{{8}}"
        assert re.fullmatch(rf"timeout \d+ {re.escape(STARTED)} apply {owner} [0-9a-f]{{8}}", one.inputs["create"])
        assert re.fullmatch(rf"timeout \d+ {re.escape(STARTED)} remove {owner}", one.inputs["delete"])
        assert one.inputs["delete"].split()[-1] == one.inputs["create"].split()[-2]


def test_a_login_other_than_root_goes_through_sudo_that_never_asks() -> None:
    done = deploy(fleet(hosts={"web1": {"connection": {"user": "deploy"}}}))
    on_host = done.resources["web1-exporter-node"].inputs
    for verb in ("create", "delete"):
        assert on_host[verb].startswith("sudo -n timeout ")
    assert on_host["connection"]["user"] == "deploy"
    assert done.resources["web1-ssh-tunnel"].inputs["create"].startswith("timeout ")


def test_a_sudo_password_travels_as_the_first_line_of_a_secret_standard_input_and_nowhere_else() -> None:
    done = deploy(fleet(hosts={"web1": {"connection": {"user": "deploy", "sudo_password": "PLANTED-PASSWORD"}}}))
    on_host = [done.resources[name] for name in ("web1-authorized-key-mon1", "web1-exporter-node")]
    for one in on_host:
        assert one.inputs["stdin"].startswith("PLANTED-PASSWORD\n")
        assert one.secret >= {"stdin", "connection"}
        assert "PLANTED" not in str({key: one.inputs[key] for key in ("create", "delete", "triggers")})
    others = [one for one in commands(done).values() if one not in on_host]
    assert not [one.name for one in others if "PLANTED-PASSWORD" in str(one.inputs) or "stdin" in one.secret]


def test_a_sudo_password_of_root_is_not_sent() -> None:
    done = deploy(fleet(hosts={"web1": {"connection": {"sudo_password": "PLANTED-PASSWORD"}}}))
    assert "PLANTED-PASSWORD" not in str([one.inputs for one in commands(done).values()])


def test_ordinary_parts_show_their_standard_input_and_hide_their_connection() -> None:
    for one in commands(usual()).values():
        assert one.secret == {"connection"}
        assert ADMIN_KEY.splitlines()[1] not in str(
            {key: text for key, text in one.inputs.items() if key != "connection"}
        )


def test_a_private_key_of_the_users_own_is_in_the_keypairs_secret_standard_input_alone() -> None:
    done = deploy(fleet({"mon1": {"private_key": TUNNEL_KEY}}))
    holders = {name for name, one in commands(done).items() if TUNNEL_KEY.splitlines()[1] in str(one.inputs)}
    assert holders == {"mon1-keypair"}
    assert "stdin" in done.resources["mon1-keypair"].secret
    assert not [name for name, one in commands(done).items() if name != "mon1-keypair" and "stdin" in one.secret]


@pytest.mark.parametrize("own", [{}, {"private_key": TUNNEL_KEY}])
def test_the_public_key_is_no_secret(own: dict[str, str]) -> None:
    secret: list[bool] = []
    fingerprints: list[str | None] = []

    async def program() -> None:
        server = PrometheusServer("mon1", {"connection": {"address": "10.0.0.1", **ADMIN}, **own})  # type: ignore[typeddict-item]
        secret.extend([await server.public_key.is_secret(), await server.fingerprint.is_secret()])
        fingerprints.append(await server.fingerprint.future())

    deploy(program)
    assert secret == [False, False]
    assert re.fullmatch("SHA256:[A-Za-z0-9+/]{43}", fingerprints[0] or "")


def test_another_address_replaces_the_parts_of_that_machine_under_another_owner_and_no_others() -> None:
    old = usual()
    new = deploy(fleet(hosts={"web1": {"connection": {"address": "10.9.9.9"}}}))
    replaced = {name for name in commands(old) if triggers(old, name) != triggers(new, name)}
    assert replaced == {"web1-authorized-key-mon1", "web1-exporter-node"}
    assert {name for name in commands(old) if old.owner(name) != new.owner(name)} == replaced
    assert "10.9.9.9" in new.resources["web1-exporter-node"].inputs["triggers"]
    assert "\nADDRESS=10.9.9.9\n" in new.resources["web1-ssh-tunnel"].inputs["stdin"]


def test_a_raised_rotation_replaces_keypair_and_key_lines_and_switches_the_tunnels_in_place() -> None:
    old = usual()
    new = deploy(fleet({"mon1": {"rotation": 2}}))
    replaced = {name for name in commands(old) if triggers(old, name) != triggers(new, name)}
    assert replaced == {"mon1-keypair", "web1-authorized-key-mon1"}
    assert {name for name in commands(old) if old.owner(name) != new.owner(name)} == replaced
    assert {name for name in commands(old) if part(old, name) != part(new, name)} == replaced
    key = "\nKEY=/etc/metrics-tunnel/keys/metrics-tunnel-test-mon1-{}\n"
    assert key.format(2) in new.resources["web1-ssh-tunnel"].inputs["stdin"]
    assert key.format(1) in old.resources["web1-ssh-tunnel"].inputs["stdin"]


def part(done: Deployment, name: str) -> str:
    found = re.search(r"^PART=(\S+)$", done.resources[name].inputs["stdin"], re.MULTILINE)
    assert found
    return found[1]


def test_a_rotation_that_arrives_as_a_float_is_a_whole_number() -> None:
    assert part(deploy(fleet({"mon1": {"rotation": 2.0}})), "mon1-keypair") == "keypair-metrics-tunnel-test-mon1-2"


def test_no_two_parts_of_one_machine_share_a_receipt() -> None:
    done = deploy(fleet(TWO, {"web1": {"exporters": {"a": exporter(), "b": exporter(port=1, job="b")}}, "db1": {}}))
    places = [(one.inputs["connection"]["host"], part(done, name)) for name, one in commands(done).items()]
    assert len(places) == len(set(places))


def test_two_stacks_have_other_owners_and_other_keys_on_the_same_machine() -> None:
    prod, test = deploy(fleet(), stack="prod"), usual()
    for name in commands(test):
        assert prod.owner(name) == test.owner(name).replace(":test.", ":prod.", 1)
    assert part(prod, "mon1-keypair") != part(test, "mon1-keypair")
    assert part(prod, "web1-authorized-key-mon1") != part(test, "web1-authorized-key-mon1")


def test_a_server_that_pulumi_runs_on_gets_local_commands_without_a_connection() -> None:
    local: dict[str, Any] = {"connection": {"address": "local", "host_key": None, "private_key": None}}
    done = deploy(fleet({"mon1": local}))
    types = {name: one.type for name, one in commands(done).items()}
    on_server = {name for name, kind in types.items() if kind == "command:local:Command"}
    assert on_server == {
        *("mon1-keypair", "mon1-tunnel-watchdog", "mon1-scrape-job"),
        *("web1-ssh-tunnel", "web1-scrape-config"),
    }
    for name in on_server:
        one = done.resources[name]
        assert "connection" not in one.inputs
        assert one.inputs["logging"] == "none"
        assert "update" not in one.inputs


def test_a_bastion_stands_in_front_of_both_the_command_and_the_look() -> None:
    bastion = {
        "address": "10.0.0.99",
        "port": 2222,
        "user": "jump",
        "host_key": HOST_KEY,
        "private_key": JUMP_KEY,
    }
    done = deploy(fleet(hosts={"web1": {"connection": {"bastion": bastion, "port": 2200}}}))
    one = done.resources["web1-exporter-node"]
    assert one.inputs["connection"]["port"] == 2200
    proxy = one.inputs["connection"]["proxy"]
    assert (proxy["host"], proxy["port"], proxy["user"]) == ("10.0.0.99", 2222, "jump")
    assert proxy["hostKey"] == HOST_KEY
    assert one.secret == {"connection"}
    assert [plain["bastion"]["address"] for plain in done.plain if "bastion" in plain] == ["10.0.0.99"]


def test_a_machine_without_a_host_key_is_refused_before_anything_is_planned() -> None:
    with pytest.raises(
        pulumi.RunError, match=r"MonitoredHost web1.*\n  connection.host_key: is missing; give it, as shown"
    ):
        deploy(fleet(hosts={"web1": {"connection": {"host_key": None}}}))


def test_any_host_key_is_accepted_only_by_name() -> None:
    server = {"connection": {"host_key": None, "insecure_host_key": True}}
    done = deploy(fleet({"mon1": server}))
    assert "hostKey" not in done.resources["mon1-keypair"].inputs["connection"]


def test_an_address_may_be_another_resources_output() -> None:
    def program() -> None:
        address = pulumi.Output.from_input("10.0.0.77")
        server = PrometheusServer("mon1", {"connection": {"address": address, **ADMIN}})  # type: ignore[typeddict-item]
        host: Any = {"connection": {"address": address, **ADMIN}, "exporters": {"node": exporter()}}
        MonitoredHost("web1", host, servers=[server])

    done = deploy(program)
    assert {one.inputs["connection"]["host"] for one in commands(done).values()} == {"10.0.0.77"}
    assert {plain["address"] for plain in done.plain} == {"10.0.0.77"}
    assert "\nADDRESS=10.0.0.77\n" in done.resources["web1-ssh-tunnel"].inputs["stdin"]


def test_a_scrape_config_waits_for_a_first_scrape_however_long_the_interval() -> None:
    for interval, wait in (("5s", 50), ("1m", 110), ("1h", 3650)):
        done = deploy(fleet({"mon1": {"scrape_interval": interval}}))
        config = done.resources["web1-scrape-config"].inputs
        assert f"WAIT={wait}\n" in config["stdin"]
        assert all(config[verb].startswith(f"timeout {180 + wait} ") for verb in ("create", "delete"))


def test_a_tunnel_and_an_exporter_may_wait_for_what_the_slowest_scrape_may_take() -> None:
    for timeout, scrape in (("5s", 6), ("30s", 30)):
        done = deploy(fleet({"mon1": {"scrape_interval": "1m", "scrape_timeout": timeout}}))
        tunnel, exporter = (done.resources[f"web1-{part}"].inputs for part in ("ssh-tunnel", "exporter-node"))
        assert all(f"SCRAPE_SECONDS={scrape}\n" in part["stdin"] for part in (tunnel, exporter))
        longest = f"timeout {180 + 3 * (20 + 2 * scrape)} "
        assert all(part[verb].startswith(longest) for part in (tunnel, exporter) for verb in ("create", "delete"))


def test_a_server_without_a_key_of_which_nothing_can_be_made_is_told() -> None:
    async def program() -> None:
        server = PrometheusServer(
            "mon1", {"connection": {"address": "10.0.0.1", "host_key": HOST_KEY}, "offline": True}
        )
        assert await server.public_key.future()
        with pytest.raises(pulumi.RunError, match="mon1: is offline and has no key yet; take offline out"):
            server._made("")

    deploy(program)


def test_all_that_will_run_as_root_can_be_read_before_up_but_for_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METRICS_TUNNEL_SHOW", str(tmp_path / "shown"))
    asked = {"connection": {"user": "deploy", "sudo_password": "PLANTED-PASSWORD"}}
    done = deploy(fleet({"mon1": {**asked, "private_key": TUNNEL_KEY}}, {"web1": asked}), preview=True)
    commands = {name for name, made in done.resources.items() if made.type.endswith(":Command")}
    shown = {file.stem: file.read_text() for file in (tmp_path / "shown").iterdir()}
    assert shown.keys() == commands
    assert "PLANTED" not in "".join(shown.values())
    assert TUNNEL_KEY not in "".join(shown.values())
    for name, text in shown.items():
        sent = done.resources[name].inputs["stdin"]
        # Where sudo asks for a password that is its first line.
        sent = sent[sent.index("# metrics-tunnel\n") :]
        head, values = text.split("\n\n")[:2]
        assert f"apply {done.owner(name)} " in head
        assert f"remove {done.owner(name)}\n" in f"{head}\n"
        script = script_of(name)
        whole = text.removesuffix(LAST_LINE).removeprefix(f"{head}\n\n{values}\n\n")
        assert bare(whole) == bare(code(script))
        assert code_in(sent) == code(script, SENT)
        assert text.endswith(LAST_LINE)
        for line in values_in(sent).replace(TUNNEL_KEY, "(a secret, which is not shown)").splitlines():
            assert line in values.splitlines(), name
