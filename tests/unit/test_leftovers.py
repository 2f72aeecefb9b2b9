"""What lies on a machine beyond the parts that are asked about, and what the state says of it."""

import pytest

from components.leftovers import leftovers
from components.payload import started
from components.state import Recorded, parse, without_project

HOLDER = "shop:prod"
DECLARED = {"web1-exporter-node": "exporter-9100", "mon1-keypair": "keypair-metrics-tunnel-prod-mon1-1"}


def told(receipt: str, owner: str, recorded: dict[str, Recorded] | None = None) -> list[str]:
    return leftovers([(receipt, owner)], HOLDER, DECLARED, {} if recorded is None else recorded)


@pytest.mark.parametrize(
    ("receipt", "owner"),
    [
        ("exporter-9100", "shop:prod.web1-exporter-node.1"),
        ("exporter-9100", "prod.web1-exporter-node.1"),
        ("exporter-9200", "shop:test.web1-exporter-app.1"),
        ("exporter-9200", "other:prod.web1-exporter-app.1"),
        ("exporter-9200", "shop:prod.eu.web1-exporter-app.1"),
        ("scrape-job-test", "test.mon1-scrape-job.1"),
        ("exporter-9200", "garbled"),
        ("exporter-9200", ""),
    ],
)
def test_what_is_declared_or_another_stacks_is_no_leftover(receipt: str, owner: str) -> None:
    assert told(receipt, owner) == []


@pytest.mark.parametrize(
    ("receipt", "name", "remedy"),
    [
        ("keypair-metrics-tunnel-prod-mon1-2", "mon1-keypair", "put rotation: 2 into"),
        ("login-key-deploy-metrics-tunnel-prod-mon1-3", "web1-authorized-key-mon1", "put rotation: 3 into"),
        ("ssh-tunnel-web9", "web9-ssh-tunnel", "put the host web9 into"),
        ("scrape-config-web9", "web9-scrape-config", "put the host web9 into"),
        ("exporter-9187", "web1-exporter-postgres", "put the exporter on port 9187 into"),
        ("scrape-job-prod", "mon9-scrape-job", "put what it was made for into"),
    ],
)
@pytest.mark.parametrize("holder", ["shop:prod", "prod"])
def test_what_neither_settings_nor_state_have_is_told_with_its_remedy(
    holder: str, receipt: str, name: str, remedy: str
) -> None:
    (text,) = told(receipt, f"{holder}.{name}.1")
    assert text.startswith(f"{receipt} ({name}) is this stack's by its name")
    assert remedy in text


def test_what_this_run_takes_away_is_silent_but_for_a_port_that_opens() -> None:
    recorded = {name: Recorded(f"prod.{name}.1", "0") for name in ("web9-ssh-tunnel", "web1-exporter-app")}
    assert told("ssh-tunnel-web9", "shop:prod.web9-ssh-tunnel.1", recorded) == []
    (text,) = told("exporter-9200", "shop:prod.web1-exporter-app.1", recorded)
    assert "port 9200 is then open as it was before" in text
    # Another instance than the one that the state takes away.
    (text,) = told("ssh-tunnel-web9", "shop:prod.web9-ssh-tunnel.2", recorded)
    assert "nothing looks after it" in text


def test_a_port_that_another_stack_keeps_closed_does_not_open() -> None:
    recorded = {"web1-exporter-app": Recorded("shop:prod.web1-exporter-app.1", "0")}
    reported = [("exporter-9200", "shop:prod.web1-exporter-app.1"), ("exporter-9200", "shop:test.web1-exporter-app.1")]
    assert leftovers(reported, HOLDER, DECLARED, recorded) == []


def test_where_the_state_is_not_known_a_port_that_opens_is_told_all_the_same() -> None:
    reported = [("exporter-9200", "shop:prod.web1-exporter-app.1"), ("ssh-tunnel-web9", "shop:prod.web9-ssh-tunnel.1")]
    (text,) = leftovers(reported, HOLDER, DECLARED, None)
    assert "exporter-9200" in text


def test_a_state_tells_owner_and_generation_of_each_part_however_it_was_sent() -> None:
    kind = "urn:pulumi:prod::shop::metrics-tunnel:index:MonitoredHost$command:remote:Command::"
    sudo = (
        """sh -c 'IFS= read -r p; printf "%s\\n" "$p" | sudo -S -p "" -v && sudo -n timeout 180 sh -s -- apply {} 1f'"""
    )
    found = parse(
        {
            f"{kind}a": {"outputs": {"create": "timeout 180 sh -s -- apply prod.a.1 0a1b2c3d"}},
            f"{kind}b": {"outputs": {"create": sudo.format("shop:prod.b.1")}},
            f"{kind}c": {
                "outputs": {"create": f"sh -c '... sudo -n \"$@\"' sudo {started(180, 'apply', 'shop:prod.c.1', '2e')}"}
            },
            f"{kind}never": {"outputs": {}},
            "urn:pulumi:prod::shop::pulumi:pulumi:Stack::x": {"outputs": {"listens": {}}},
        }
    )
    assert found == {
        "a": Recorded("prod.a.1", "0a1b2c3d"),
        "b": Recorded("shop:prod.b.1", "1f"),
        "c": Recorded("shop:prod.c.1", "2e"),
    }
    assert without_project("shop:prod.b.1") == without_project("prod.b.1") == "prod.b.1"
