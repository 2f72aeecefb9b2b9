"""What of an exporter counts as drift, from its receipt and the facts of its machine."""

from typing import Any

import pytest

from components import exporter
from components.facts import Facts, Receipt, read
from tests.mocked import fact

PART = "exporter-9100"
UNIT = "node.service"
DROPIN = f"/etc/systemd/system/{UNIT}.d/zz-metrics-tunnel.conf"
COMMAND = "/usr/bin/node $ARGS"
ASKED = "/etc/default/node:--web.listen-address=:9100"
MANAGED = {"PART": PART, "PORT": "9100", "MANAGE": "yes"}
BY_HAND = {**MANAGED, "MANAGE": "no"}
HEALTHY: dict[str, Any] = {
    "listeners": ["127.0.0.1:9100", "0.0.0.0:22", "[::]:19100", "*:910"],
    "units": {UNIT: {"LoadState": "loaded", "ActiveState": "active"}},
    "commands": {UNIT: COMMAND},
}


def receipt(**held: str) -> Receipt:
    return Receipt({"unit": UNIT, "command": COMMAND, "asked": "", **held})


def without(name: str) -> Receipt:
    return Receipt({key: text for key, text in receipt().files.items() if key != name})


def shown(load: str, active: str) -> dict[str, Any]:
    return {"units": {UNIT: {"LoadState": load, "ActiveState": active}}}


@pytest.mark.parametrize(
    ("held", "seen", "says"),
    [
        (receipt(), {}, []),
        (receipt(), shown("loaded", "activating"), []),
        (receipt(), shown("loaded", "inactive"), [f"exporter {UNIT} is stopped"]),
        (receipt(), shown("loaded", "failed"), [f"exporter {UNIT} is stopped"]),
        (receipt(), shown("loaded", "deactivating"), [f"exporter {UNIT} is stopped"]),
        (
            receipt(),
            {**shown("not-found", "inactive"), "commands": {}},
            [f"{UNIT} is gone", f"exporter {UNIT} is stopped", f"the command of {UNIT} was changed"],
        ),
        # systemd was not to be asked.
        (receipt(), {"units": {}}, []),
        (receipt(), {"listeners": ["*:9100"]}, ["exporter listens on *:9100"]),
        (
            receipt(),
            {"listeners": ["[fe80::1%eth0]:9100", "127.0.0.1:9100", "10.0.0.1:9100"]},
            ["exporter listens on 10.0.0.1:9100 [fe80::1%eth0]:9100"],
        ),
        (receipt(), {"listeners": ["127.7.7.7:9100", "[::1]:9100", "[::ffff:127.0.0.1]:9100"]}, []),
        (receipt(), {"listeners": ["[::ffff:10.0.0.1]:9100"]}, ["exporter listens on [::ffff:10.0.0.1]:9100"]),
        # Stopped or not, where nothing listens systemd tells it.
        (receipt(), {"listeners": []}, []),
        (receipt(), {"commands": {UNIT: f"{COMMAND} --new"}}, [f"the command of {UNIT} was changed"]),
        (receipt(), {"commands": {UNIT: f"{COMMAND}\n/bin/b"}}, [f"the command of {UNIT} was changed"]),
        (
            receipt(),
            {"listeners_asked": {UNIT: ASKED}},
            [f"environment asks for another listener ({ASKED}); it is overruled"],
        ),
        (
            receipt(),
            {"listeners_asked": {UNIT: f"{ASKED}\n/etc/more:--web.listen-address=:1"}},
            [
                f"environment asks for another listener ({ASKED}, /etc/more:--web.listen-address=:1); it is overruled",
            ],
        ),
        (receipt(asked=ASKED), {"listeners_asked": {UNIT: ASKED}}, []),
        (receipt(asked=ASKED), {}, []),
        # A release that did not keep it yet.
        (without("asked"), {}, []),
        (without("places"), {}, []),
        # As it was applied with manage: false, which names no unit.
        (Receipt({"unit": ""}), {"listeners": ["*:9100"], "commands": {}}, []),
        (Receipt(), {"listeners": ["*:9100"], "commands": {}}, []),
    ],
)
def test_an_exporter_is_compared_with_what_apply_saw(held: Receipt, seen: dict[str, Any], says: list[str]) -> None:
    facts = Facts(**{**HEALTHY, **seen})
    assert exporter.JUDGE.drift(MANAGED, held, facts) == says
    assert exporter.JUDGE.notices(MANAGED, facts) == []


@pytest.mark.parametrize(
    ("listeners", "drift", "notices"),
    [
        (["127.0.0.1:9100"], [], []),
        (
            ["[::]:9100", "127.0.0.1:9100"],
            ["exporter listens on [::]:9100, and manage: false leaves it to you to bind it to loopback"],
            [],
        ),
        (["127.0.0.1:9101"], [], ["nothing listens on 127.0.0.1:9100, so its target is down"]),
    ],
)
def test_one_that_others_bind_is_looked_at_alone(listeners: list[str], drift: list[str], notices: list[str]) -> None:
    facts = Facts(listeners=listeners)
    for held in (Receipt({"unit": ""}), receipt()):
        assert exporter.JUDGE.drift(BY_HAND, held, facts) == drift
    assert exporter.JUDGE.notices(BY_HAND, facts) == notices


@pytest.mark.parametrize(
    ("seen", "held", "there"),
    [
        ({}, {}, False),
        ({"closed_ports": {"9100"}}, {}, True),
        ({"closed_ports": {"910", "19100"}}, {}, False),
        # A hand has changed its text.
        ({"modes": {DROPIN: "644 root"}}, {"unit": UNIT}, True),
        ({"modes": {DROPIN: "644 root"}}, {"unit": "other.service"}, False),
        ({"modes": {DROPIN: "644 root"}}, {"unit": ""}, False),
        ({"modes": {DROPIN: "644 root"}}, {}, False),
    ],
)
def test_one_without_a_receipt_is_there_where_a_drop_in_of_ours_closes_its_port(
    seen: dict[str, Any], held: dict[str, str], *, there: bool
) -> None:
    facts = Facts(**seen, receipts={PART: Receipt(held)} if held else {})
    for values in (MANAGED, BY_HAND):
        assert exporter.JUDGE.present(values, facts) == there


def test_what_a_machine_prints_of_exporters_is_read() -> None:
    unit = "node\\x2dexporter.service"
    lines = [
        ("listener", "127.0.0.1:9100"),
        ("listener", "[::]:22"),
        ("closed", f"9100 {DROPIN}"),
        ("closed", f"9100 {DROPIN}.mt-old"),
        ("unit", "Id=node.service"),
        ("unit", "Names=node.service alias.service"),
        ("unit", "ActiveState=active"),
        ("unit", "Id=other.service"),
        ("unit", "ActiveState=failed"),
        ("unit", "Id=node.service"),
        ("unit", "Names=node.service alias.service"),
        ("unit", "ActiveState=active"),
        ("command", f"{unit}\t/bin/a --b\tc"),
        ("command", f"{unit}\t/bin/b"),
        ("asked", f"{unit}\t{ASKED}"),
    ]
    facts = read("".join(fact(kind, text) for kind, text in lines))
    assert facts.listeners == ["127.0.0.1:9100", "[::]:22"]
    assert facts.closed_ports == {"9100"}
    active = {"ActiveState": "active"}
    assert facts.units == {"node.service": active, "alias.service": active, "other.service": {"ActiveState": "failed"}}
    assert facts.commands == {unit: "/bin/a --b\tc\n/bin/b"}
    assert facts.listeners_asked == {unit: ASKED}
