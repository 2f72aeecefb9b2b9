"""What a change of each input means: an update in place or a replacement."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.resource import UNKNOWN, Difference, Resource, secret

HOST = {"host": "10.0.0.21"}
OLD: dict[str, Any] = {
    "connection": {**HOST, "privateKey": "old"},
    "create": "old",
    "update": "old",
    "delete": "old",
    "stdin": "old",
    "environment": {"A": "old", "B-C": "old"},
    "logging": "none",
    "addPreviousOutputInEnv": False,
    "triggers": ["old", {"deep": "old"}],
}


def changed(remote: Resource, **inputs: Any) -> Difference:
    """Compare, with these inputs changed; None takes one away."""
    return remote.diff(OLD, {**OLD, **inputs})


def test_equal_inputs_differ_in_nothing(remote: Resource) -> None:
    assert changed(remote) == Difference({}, [], [], False)


@pytest.mark.parametrize("name", ["create", "update", "delete", "stdin", "logging"])
def test_a_changed_input_is_an_update_in_place(remote: Resource, name: str) -> None:
    assert changed(remote, **{name: "new"}) == Difference({name: "UPDATE"}, [], [name], False)


@pytest.mark.parametrize("name", ["create", "update", "delete", "stdin", "logging", "environment"])
def test_an_added_input_is_an_update_in_place_and_so_is_one_taken_away(remote: Resource, name: str) -> None:
    assert changed(remote, **{name: None}) == Difference({name: "DELETE"}, [], [name], False)
    without = {key: value for key, value in OLD.items() if key != name}
    assert remote.diff(without, OLD) == Difference({name: "ADD"}, [], [name], False)


def test_a_changed_flag_is_an_update_in_place(remote: Resource) -> None:
    found = changed(remote, addPreviousOutputInEnv=True)
    assert found == Difference({"addPreviousOutputInEnv": "UPDATE"}, [], ["addPreviousOutputInEnv"], False)


def test_a_changed_connection_is_an_update_in_place_told_as_a_whole(remote: Resource) -> None:
    found = changed(remote, connection={**HOST, "privateKey": "new"})
    assert found == Difference({"connection": "UPDATE"}, [], ["connection"], False)
    found = changed(remote, connection={"host": "10.0.0.22", "privateKey": "old"})
    assert found == Difference({"connection": "UPDATE"}, [], ["connection"], False)


def test_a_default_written_out_is_no_difference(remote: Resource) -> None:
    written = {**HOST, "privateKey": "old", "user": "root", "port": 22, "dialErrorLimit": 10, "perDialTimeout": 15}
    assert changed(remote, connection=written).paths == {}
    assert changed(remote, connection={**written, "port": 23}).paths == {"connection": "UPDATE"}


def test_a_changed_variable_is_told_by_name(remote: Resource) -> None:
    found = changed(remote, environment={"A": "new", "B-C": "new"})
    assert found == Difference({"environment.A": "UPDATE", 'environment["B-C"]': "UPDATE"}, [], ["environment"], False)
    found = changed(remote, environment={"A": "old", "D": "new"})
    assert found.paths == {'environment["B-C"]': "DELETE", "environment.D": "ADD"}


def test_triggers_that_come_or_go_replace(remote: Resource) -> None:
    assert changed(remote, triggers=None) == Difference(
        {"triggers": "DELETE_REPLACE"}, ["triggers"], ["triggers"], False
    )
    without = {name: value for name, value in OLD.items() if name != "triggers"}
    assert remote.diff(without, OLD) == Difference({"triggers": "ADD_REPLACE"}, ["triggers"], ["triggers"], False)


@pytest.mark.parametrize(
    ("triggers", "path", "kind"),
    [
        (["new", {"deep": "old"}], "triggers[0]", "UPDATE"),
        (["old", {"deep": "new"}], "triggers[1].deep", "UPDATE"),
        (["old", {"deep": "old"}, "new"], "triggers[2]", "ADD"),
        (["old"], "triggers[1]", "DELETE"),
    ],
)
def test_a_changed_trigger_is_told_by_its_place(remote: Resource, triggers: list[Any], path: str, kind: str) -> None:
    assert changed(remote, triggers=triggers) == Difference({path: kind}, [], ["triggers"], False)


def test_an_unknown_input_differs(remote: Resource) -> None:
    assert changed(remote, stdin=UNKNOWN).paths == {"stdin": "UPDATE"}


def test_an_equal_secret_is_no_difference_and_a_changed_one_is(remote: Resource) -> None:
    hidden = {**OLD, "stdin": secret("old")}
    assert remote.diff(hidden, hidden).paths == {}
    assert remote.diff(hidden, {**OLD, "stdin": secret("new")}).paths == {"stdin": "UPDATE"}


def test_becoming_secret_is_a_difference(remote: Resource) -> None:
    assert changed(remote, stdin=secret("old")).paths == {"stdin": "UPDATE"}


def test_an_ignored_input_makes_no_difference(remote: Resource) -> None:
    new = {**OLD, "stdin": "new", "create": "new"}
    assert remote.diff(OLD, new, ignoring=["stdin"]).paths == {"create": "UPDATE"}
    assert remote.diff(OLD, new, ignoring=["stdin", "create"]).paths == {}
    assert remote.diff(OLD, new).paths == {"create": "UPDATE", "stdin": "UPDATE"}


def test_a_command_of_this_machine_differs_the_same_way(local: Resource) -> None:
    old = {"create": "old", "dir": "/", "interpreter": ["sh", "-c"], "triggers": ["old"]}
    found = local.diff(old, {**old, "dir": "/usr", "interpreter": ["bash", "-c"]})
    assert found == Difference({"dir": "UPDATE", "interpreter[0]": "UPDATE"}, [], ["dir", "interpreter"], False)
    assert local.diff(old, {**old, "triggers": None}).replaces == ["triggers"]
