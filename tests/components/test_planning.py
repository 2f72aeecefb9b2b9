"""What a run plans from what its machines say: nothing where all is in sync, one update for each drifted part."""

import asyncio
import re
from functools import cache
from typing import Any

import asyncssh
import pulumi
import pytest

from components import PrometheusServer
from components.payload import started
from tests.mocked import (
    END,
    HOST_KEY,
    TUNNEL_KEY,
    UNKNOWN,
    Answer,
    Deployment,
    deploy,
    exporter,
    fact,
    fleet,
    generation,
    refusal,
)

KEY_PART = "authorized-key-metrics-tunnel-test-mon1-1"


def parts(done: Deployment, names: list[str]) -> list[str]:
    found = [re.search(r"^PART=(\S+)$", done.resources[name].inputs["stdin"], re.MULTILINE) for name in names]
    return [one[1] for one in found if one]


@cache
def first() -> Deployment:
    return deploy(fleet())


def on_machine(name: str) -> list[str]:
    """Return the parts of a machine, in the order of the run."""
    found = re.compile(rf"^MACHINE={name}$", re.MULTILINE)
    return [one.name for one in first().resources.values() if found.search(one.inputs.get("stdin", ""))]


ON_SERVER, ON_HOST = on_machine("mon1"), on_machine("web1")


def in_sync() -> dict[str, str]:
    return {
        "mon1": "".join(generation(part, "0a1b2c3d") for part in parts(first(), ON_SERVER)) + END,
        "web1": "".join(generation(part, "0a1b2c3d") for part in parts(first(), ON_HOST)) + END,
    }


def test_a_fleet_in_sync_keeps_every_command_as_it_is_recorded() -> None:
    one, two = deploy(fleet(), in_sync()), deploy(fleet(), in_sync())
    assert {one.generation(name) for name in ON_SERVER + ON_HOST} == {"0a1b2c3d"}
    assert {name: got.inputs for name, got in one.resources.items()} == {
        name: got.inputs for name, got in two.resources.items()
    }
    assert not one.warnings


def test_preview_plans_what_up_plans() -> None:
    shown = deploy(fleet(), in_sync(), preview=True)
    done = deploy(fleet(), in_sync())
    for name in ON_SERVER + ON_HOST:
        assert shown.resources[name].inputs["create"] == done.resources[name].inputs["create"]


def test_machines_with_nothing_applied_get_new_generations_without_a_warning() -> None:
    one, two = deploy(fleet()), deploy(fleet())
    tokens = [done.generation(name) for done in (one, two) for name in ON_SERVER + ON_HOST]
    assert len(set(tokens)) == len(tokens)
    assert not one.warnings


def test_a_drifted_part_alone_is_planned_and_a_warning_on_it_says_machine_part_and_finding() -> None:
    answers = in_sync()
    answers["web1"] = answers["web1"].replace(END, fact("listener", "0.0.0.0:9100") + END)
    done = deploy(fleet(), answers, preview=True)
    changed = {name for name in ON_SERVER + ON_HOST if done.generation(name) != "0a1b2c3d"}
    assert changed == {"web1-exporter-node"}
    assert done.warnings == [("web1-exporter-node", "web1 exporter-9100: exporter listens on 0.0.0.0:9100")]


def test_an_update_says_that_it_mends_what_its_preview_has_warned_of() -> None:
    answers = in_sync()
    stopped = fact("unit", "Id=exporter-9100.service") + fact("unit", "ActiveState=failed")
    answers["web1"] = answers["web1"].replace(END, stopped + refusal("exporter-9100", "busy") + END)
    done = deploy(fleet(), answers)
    assert not done.warnings
    text = "web1 exporter-9100: found, and mended by this run: exporter exporter-9100.service is stopped"
    assert done.notes == [("web1-exporter-node", text)]


def test_every_difference_is_a_warning_of_its_own() -> None:
    answers = in_sync()
    answers["web1"] = answers["web1"].replace(
        END, fact("said", f"{KEY_PART}\tsshd would refuse") + fact("said", "tunnel-user\tits shell") + END
    )
    said = deploy(fleet(), answers, preview=True).said("web1-authorized-key-mon1")
    assert said == [f"web1 {KEY_PART}: its shell", f"web1 {KEY_PART}: sshd would refuse"]


def test_the_first_preview_warns_of_what_up_would_refuse() -> None:
    done = deploy(fleet(), {"mon1": refusal("scrape-job-test", "no promtool here; install it") + END}, preview=True)
    assert done.warnings == [
        ("mon1-scrape-job", "mon1 scrape-job-test: `pulumi up` would refuse: no promtool here; install it")
    ]


def test_what_an_update_applies_is_not_rehearsed_for_it_refuses_by_itself() -> None:
    assert first().asked
    assert not first().rehearsed


def test_each_machine_is_asked_once_a_run_however_many_parts_it_has() -> None:
    hosts: dict[str, dict[str, Any]] = {
        f"web{n}": {"exporters": {"node": exporter(n), "app": exporter(n, 9200, job="app")}} for n in range(12)
    }
    done = deploy(fleet({"mon1": {}, "mon2": {}}, hosts))
    assert sorted(name for name, _ in done.asked) == sorted(["mon1", "mon2", *hosts])


def test_a_look_is_at_all_parts_of_the_machine_and_at_no_others() -> None:
    done = deploy(fleet(hosts={"web1": {}, "db1": {}}), preview=True)
    assert {*parts(done, ON_SERVER)} < {question.part for question in done.questions["mon1"]}
    assert {*parts(done, ON_HOST)} == {question.part for question in done.questions["web1"]}
    rehearsed = dict(done.rehearsed)
    for part in parts(done, ON_SERVER):
        assert f"PART={part}\n" in rehearsed["mon1"]
    assert "db1" not in dict(done.asked)["web1"] + rehearsed["web1"]


def test_what_is_in_sync_is_not_rehearsed_and_a_machine_with_more_parts_is_not_asked_more() -> None:
    done = deploy(fleet(), in_sync(), preview=True)
    assert not done.rehearsed
    assert deploy(fleet(), preview=True).rehearsed
    more = deploy(fleet(hosts={"web1": {}, "db1": {}}))
    assert dict(more.asked)["mon1"] == dict(done.asked)["mon1"]


def test_a_look_carries_no_secret() -> None:
    private = {"private_key": TUNNEL_KEY}
    host = {"connection": {"user": "deploy", "sudo_password": "PLANTED-PASSWORD"}}
    done = deploy(fleet({"mon1": private}, {"web1": host}))
    assert len(done.asked) == 2
    assert not [name for name, text in done.asked if "PLANTED" in text or TUNNEL_KEY.splitlines()[1] in text]


@pytest.mark.parametrize(
    "error",
    [
        OSError("no route to host"),
        TimeoutError(),
        asyncssh.PermissionDenied("no more keys"),
        asyncssh.HostKeyNotVerifiable("it is another"),
    ],
)
def test_a_machine_that_cannot_be_reached_is_warned_of_once_and_its_parts_alone_are_planned(error: Exception) -> None:
    answers: dict[str, Answer] = {**in_sync(), "web1": error}
    done = deploy(fleet(), answers)
    changed = {name for name in ON_SERVER + ON_HOST if done.generation(name) != "0a1b2c3d"}
    assert changed == set(ON_HOST)
    assert len(done.warnings) == 1
    text = done.warnings[0][1]
    assert text.startswith("web1: cannot look at it (")
    assert (str(error) or "no answer in time") in text
    assert "offline: true" in text


def test_half_an_answer_counts_as_none() -> None:
    answers = in_sync()
    answers["web1"] = answers["web1"].removesuffix(END)
    done = deploy(fleet(), answers)
    assert [text for _, text in done.warnings if "cut short" in text]
    assert done.generation("web1-exporter-node") != "0a1b2c3d"


def test_a_machine_whose_sudo_asks_for_none_gets_no_password_and_all_that_is_sent_can_be_read() -> None:
    hosts = fleet(hosts={"web1": {"connection": {"user": "deploy", "sudo_password": "PLANTED"}}})
    done = deploy(hosts, no_password=["web1"])
    for name in ON_HOST:
        assert "stdin" not in done.resources[name].secret
        assert "PLANTED" not in done.resources[name].inputs["stdin"]
        for verb in ("create", "delete"):
            assert done.resources[name].inputs[verb].startswith("sudo -n timeout ")
    asked = deploy(hosts)
    for name in ON_HOST:
        assert "stdin" in asked.resources[name].secret
        assert asked.resources[name].inputs["stdin"].startswith("PLANTED\n")


def test_a_generation_is_public_though_the_connection_is_secret() -> None:
    done = deploy(fleet(hosts={"web1": {"connection": {"user": "deploy", "sudo_password": "PLANTED"}}}))
    assert not {"create", "delete"} & done.resources["web1-exporter-node"].secret


def test_an_offline_host_is_not_asked_and_nothing_of_it_changes_on_either_machine() -> None:
    done = deploy(fleet(hosts={"web1": {"offline": True}, "db1": {}}), in_sync())
    assert sorted(name for name, _ in done.asked) == ["db1", "mon1"]
    told = [text for _, text in done.warnings]
    assert told == ["web1: offline: true, so nothing there is looked at or changed; take it out for that"]
    for name in (*ON_HOST, "web1-ssh-tunnel", "web1-scrape-config"):
        ignored = done.resources[name].ignore_changes
        assert set(ignored) >= {"create", "delete", "stdin", "connection", "triggers"}, name
        left = {"create", "delete"} & done.resources[name].inputs.keys()
        assert not left, "one that is new would be reached for"
    for name in ("mon1-keypair", "db1-exporter-node", "db1-ssh-tunnel"):
        assert not done.resources[name].ignore_changes


def test_a_new_host_that_is_offline_fails_loudly_where_nobody_would_see_later_that_it_never_ran() -> None:
    off = {"detect_drift": False}
    done = deploy(fleet({"mon1": off}, {"web1": {**off, "offline": True}}))
    assert not done.asked
    for name in (*ON_HOST, "web1-ssh-tunnel", "web1-scrape-config"):
        assert {"create", "delete"} <= done.resources[name].inputs.keys()


def test_of_an_abandoned_host_nothing_is_asked_or_run_and_its_servers_forget_it() -> None:
    done = deploy(fleet({"mon1": {"rotation": 2}}, {"web1": {"abandoned": True}, "db1": {}}), in_sync())
    assert sorted(name for name, _ in done.asked) == ["db1", "mon1"]
    for name in ON_HOST:
        kept = done.resources[name]
        assert kept.retain_on_delete
        assert set(kept.ignore_changes) >= {"create", "delete", "stdin", "connection", "triggers"}
        assert not {"create", "delete"} & kept.inputs.keys(), "what never ran would reach for the machine"
    assert not {"web1-ssh-tunnel", "web1-scrape-config"} & done.resources.keys()
    for name in ("mon1-keypair", "db1-exporter-node", "db1-ssh-tunnel"):
        assert not done.resources[name].retain_on_delete


@pytest.mark.parametrize("name", [*ON_SERVER, *ON_HOST])
@pytest.mark.parametrize("args", [{}, {"detect_drift": False}], ids=["looks", "does not look"])
def test_a_command_that_succeeds_and_ran_nothing_of_ours_is_a_failure_with_a_remedy(
    name: str, args: dict[str, Any]
) -> None:
    program = fleet({"mon1": args}, {"web1": args})
    deploy(program)
    with pytest.raises(pulumi.RunError, match=r"^mon1|^web1") as failed:
        deploy(program, silent=[name])
    assert "the login ended with success and ran nothing" in str(failed.value)
    assert "[ -t 0 ] || return" in str(failed.value)
    assert ("once without detectDrift: false" in str(failed.value)) == bool(args)


@pytest.mark.parametrize(
    ("silent", "never"),
    [
        ("web1-authorized-key-mon1", {"web1-ssh-tunnel", "web1-scrape-config", "web1-exporter-node"}),
        ("web1-ssh-tunnel", {"web1-scrape-config", "web1-exporter-node"}),
        ("web1-scrape-config", {"web1-exporter-node"}),
    ],
)
def test_no_part_is_applied_behind_one_that_never_ran(silent: str, never: set[str]) -> None:
    done = Deployment()
    with pytest.raises(pulumi.RunError, match="ran nothing"):
        deploy(fleet(), silent=[silent], done=done)
    assert silent in done.resources
    assert not never & done.resources.keys()
    assert never <= deploy(fleet(), silent=[silent], preview=True).resources.keys()


def test_a_preview_says_so_of_what_no_look_would_find_and_a_machine_that_is_left_alone_may_never_have_run() -> None:
    off = {"detect_drift": False}
    done = deploy(fleet({"mon1": off}, {"web1": off}), silent=["web1-exporter-node"], preview=True)
    told = [text for _, text in done.warnings if "ran nothing" in text]
    assert len(told) == 1
    assert told[0].startswith("web1 exporter-9100: the login ended with success and ran nothing,")
    assert told[0].endswith("and run `pulumi up` again, once without detectDrift: false")
    assert deploy(fleet(hosts={"web1": {"offline": True}}), silent=[*ON_HOST, "web1-ssh-tunnel", "web1-scrape-config"])


def test_what_a_targeted_run_leaves_as_a_release_before_has_sent_it_is_no_failure() -> None:
    assert deploy(fleet(), untargeted=[*ON_SERVER, *ON_HOST]).resources


def test_an_offline_server_is_not_asked_and_its_hosts_are() -> None:
    done = deploy(fleet({"mon1": {"offline": True}}), in_sync())
    assert [name for name, _ in done.asked] == ["web1"]
    for name in ON_SERVER:
        assert "triggers" in done.resources[name].ignore_changes, name
    assert not done.resources["web1-exporter-node"].ignore_changes


def test_without_drift_detection_no_machine_is_asked_and_settings_alone_decide() -> None:
    off = {"detect_drift": False}
    done = deploy(fleet({"mon1": off}, {"web1": off}))
    again = deploy(fleet({"mon1": off}, {"web1": off | {"labels": {"env": "prod"}}}))
    assert not done.asked
    for name in ON_SERVER + ON_HOST:
        assert sorted(done.resources[name].ignore_changes) == ["create"]
    changed = {name for name in ON_SERVER + ON_HOST if done.resources[name].inputs != again.resources[name].inputs}
    assert changed == {"web1-scrape-config"}


def test_a_machine_whose_address_is_not_known_yet_is_not_asked() -> None:
    def program() -> None:
        loop = asyncio.get_running_loop()
        value, known = loop.create_future(), loop.create_future()
        value.set_result(None)
        known.set_result(False)
        address: pulumi.Output[str] = pulumi.Output(set(), value, known)
        PrometheusServer("mon1", {"connection": {"address": address, "host_key": HOST_KEY}})

    done = deploy(program, preview=True)
    assert not done.asked
    assert not done.warnings
    assert done.resources["mon1-keypair"].inputs["create"] is UNKNOWN


def owner_line(receipt: str, owner: str) -> str:
    """Return the line by which an observation tells who has applied a part."""
    return f"metrics-tunnel\t{receipt}\towner\t{owner}\n"


def state(done: Deployment, **more: str) -> dict[str, str]:
    """Return what a state has after `done`, with the generation that `in_sync` tells."""
    names = ON_SERVER + ON_HOST
    return {name: started(180, "apply", done.owner(name), "0a1b2c3d") for name in names} | more


def test_a_state_that_knows_what_is_there_has_nothing_to_explain() -> None:
    assert not deploy(fleet(), in_sync(), preview=True, state=state(first())).warnings


def test_what_the_state_does_not_know_is_said_once_for_each_machine_with_what_to_do() -> None:
    said = [text for _, text in deploy(fleet(), in_sync(), preview=True, state={}).warnings]
    assert sorted(text.split(":")[0] for text in said) == ["mon1", "web1"]
    for text in said:
        assert "the stack test of the project metrics-tunnel was applied here before" in text
        assert "`pulumi up` takes over all that is here" in text
        assert "pulumi stack rename" in text
    done = deploy(fleet(), in_sync(), state={})
    assert not done.warnings, "an update has nothing to explain: its preview did"
    assert "0a1b2c3d" not in {done.generation(name) for name in ON_SERVER + ON_HOST}, (
        "the other state would see nothing"
    )


def test_a_part_that_is_wholly_gone_is_told_and_one_that_is_new_or_replaced_is_not() -> None:
    gone = in_sync() | {"web1": END}
    said = deploy(fleet(), gone, preview=True, state=state(first())).warnings
    assert sorted(said) == [
        (name, f"web1 {part}: nothing of it is left on the machine; it is applied again")
        for name, part in zip(ON_HOST, parts(first(), ON_HOST), strict=True)
    ]
    new = {name: text for name, text in state(first()).items() if name not in ON_HOST}
    assert not deploy(fleet(), gone, preview=True, state=new).warnings
    other = {
        name: text.replace(first().owner(name), f"{first().owner(name)[:-8]}00000000")
        for name, text in state(first()).items()
    }
    assert not deploy(
        fleet(), gone, preview=True, state={**state(first()), **{name: other[name] for name in ON_HOST}}
    ).warnings


def test_a_part_that_another_run_has_applied_since_is_told() -> None:
    since = state(first()) | {"mon1-scrape-job": state(first())["mon1-scrape-job"].replace("0a1b2c3d", "99999999")}
    done = deploy(fleet(), in_sync(), preview=True, state=since)
    assert {name for name in ON_SERVER + ON_HOST if done.generation(name) != "0a1b2c3d"} == {"mon1-scrape-job"}
    ((name, text),) = done.warnings
    assert name == "mon1-scrape-job"
    assert "applied by a run that this state does not know of" in text


def test_an_exporter_taken_out_of_the_settings_is_told_to_open_its_port_and_a_lost_key_is_told_as_left_over() -> None:
    answers = in_sync()
    postgres = "metrics-tunnel:test.web1-exporter-postgres.11111111"
    key = "metrics-tunnel:test.web1-authorized-key-mon1.22222222"
    lines = owner_line("exporter-9187", postgres) + owner_line("authorized-key-metrics-tunnel-test-mon1-2", key)
    answers["web1"] = answers["web1"].replace(END, lines + END)
    known = state(first(), **{"web1-exporter-postgres": f"apply {postgres} 0a1b2c3d"})
    said = [text for _, text in deploy(fleet(), answers, preview=True, state=known).warnings]
    assert len(said) == 2
    assert said[0].startswith(
        "web1: authorized-key-metrics-tunnel-test-mon1-2 (web1-authorized-key-mon1) is this stack's"
    )
    assert "put rotation: 2 into the settings and run `pulumi up`" in said[0]
    assert said[1].startswith("web1: exporter-9187 (web1-exporter-postgres) is no longer in the settings")
    assert "port 9187 is then open" in said[1]


def test_a_part_whose_values_are_not_those_that_were_sent_is_rehearsed_and_no_other() -> None:
    sent = {name: first().resources[name].inputs["stdin"] for name in ON_SERVER + ON_HOST}
    for servers, changed in (
        ({"mon1": {}}, set()),
        ({"mon1": {"config_file": "/etc/other.yml"}}, {"scrape-job-test"}),
        (
            {"mon1": {"scrape_interval": "30s"}},
            {"scrape-job-test", "scrape-config-web1", "ssh-tunnel-web1", "exporter-9100"},
        ),
    ):
        done = deploy(fleet(servers), in_sync(), preview=True, state=state(first()), sent=sent)
        rehearsed = "".join(script for _, script in done.rehearsed)
        assert {*re.findall(r"^PART=(\S+)$", rehearsed, re.MULTILINE)} == changed


def test_a_key_that_is_replaced_in_this_run_is_no_leftover() -> None:
    answers = dict.fromkeys(("mon1", "web1"), END)
    answers["mon1"] = owner_line("keypair-metrics-tunnel-test-mon1-1", first().owner("mon1-keypair")) + END
    rotated = fleet({"mon1": {"rotation": 2}})
    assert not deploy(rotated, answers, preview=True, state={"mon1-keypair": state(first())["mon1-keypair"]}).warnings
