"""How inputs are checked: defaults, secrets, and what is told of inputs that do not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.resource import SIGNATURE, UNKNOWN, Resource, secret

if TYPE_CHECKING:
    from tests.contract.sshd import Machine

DEFAULTS = {"user": "root", "port": 22, "dialErrorLimit": 10, "perDialTimeout": 15}
HOST = {"host": "10.0.0.21"}


def opened(value: Any) -> Any:
    """Take a secret's mark away; fails where there is none."""
    assert isinstance(value, dict)
    assert SIGNATURE in value, "not secret"
    return value["value"]


def test_a_connection_is_a_secret_as_a_whole_with_its_defaults(remote: Resource) -> None:
    checked = remote.check(connection=HOST)
    assert not checked.failures
    assert opened(checked.inputs["connection"]) == {**DEFAULTS, **HOST}


def test_a_connection_that_is_secret_already_is_the_same(remote: Resource) -> None:
    assert remote.check(connection=secret(HOST)) == remote.check(connection=HOST)


def test_passwords_and_private_keys_are_secrets_of_their_own(remote: Resource) -> None:
    mine = {"password": "one", "privateKey": "two", "privateKeyPassword": "three"}
    connection = opened(remote.check(connection={**HOST, **mine}).inputs["connection"])
    assert {name: opened(connection[name]) for name in mine} == mine


def test_a_proxy_has_the_same_defaults_and_secrets(remote: Resource) -> None:
    connection = {**HOST, "proxy": {"host": "10.0.0.1", "password": "one"}}
    checked = remote.check(connection=connection)
    assert not checked.failures
    proxy = opened(checked.inputs["connection"])["proxy"]
    assert opened(proxy["password"]) == "one"
    assert proxy == {**DEFAULTS, "host": "10.0.0.1", "password": secret("one")}


def test_given_values_beat_defaults_even_zero_and_empty(remote: Resource) -> None:
    mine = {"user": "", "port": 0, "dialErrorLimit": 0, "perDialTimeout": 0, **HOST}
    assert opened(remote.check(connection=mine).inputs["connection"]) == mine


def test_whole_numbers_lose_their_fraction_and_ports_keep_it(remote: Resource) -> None:
    mine = {"port": 22.5, "dialErrorLimit": 2.7, "perDialTimeout": 3.2, **HOST}
    connection = opened(remote.check(connection=mine).inputs["connection"])
    assert (connection["port"], connection["dialErrorLimit"], connection["perDialTimeout"]) == (22.5, 2, 3)


def test_a_null_is_as_good_as_absent(remote: Resource) -> None:
    given = remote.check(connection={**HOST, "user": None}, create=None, stdin="x")
    assert given == remote.check(connection=HOST, stdin="x")


def test_other_inputs_come_back_as_they_are(local: Resource) -> None:
    inputs = {
        "create": "true",
        "update": secret("hush"),
        "delete": UNKNOWN,
        "stdin": "",
        "triggers": ["one", 2.0, True, {"three": [3.0]}],
        "environment": {"A": "b"},
        "logging": "none",
        "addPreviousOutputInEnv": False,
        "dir": "/",
        "interpreter": ["/bin/sh", "-c"],
    }
    checked = local.check(**inputs)
    assert not checked.failures
    assert checked.inputs == inputs


def test_unknown_inputs_fit_everywhere(remote: Resource) -> None:
    for connection in (UNKNOWN, {"host": UNKNOWN, "port": UNKNOWN, "privateKey": UNKNOWN}):
        checked = remote.check(
            connection=connection, create=UNKNOWN, stdin=UNKNOWN, triggers=UNKNOWN, environment=UNKNOWN
        )
        assert not checked.failures
        assert checked.inputs["create"] == UNKNOWN


LOGIN = "An error occurred decoding 'CommandInputs.connection': 1 failures decoding:\n\t"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"connection": None}, {"connection": "Missing required field 'connection' on 'remote.CommandInputs'"}),
        (
            {"connection": {}},
            {"connection": f"{LOGIN}host: Missing required field 'host' on 'remote.Connection'"},
        ),
        (
            {"connection": {**HOST, "keyFile": "id"}},
            {"connection": f"{LOGIN}keyFile: Unrecognized field 'keyFile' on 'remote.Connection'"},
        ),
        (
            {"connection": {**HOST, "port": "22"}},
            {
                "connection": f"{LOGIN}port: Field 'port' on 'remote.Connection' must be a 'float64'; "
                "got 'string' instead"
            },
        ),
        (
            {"connection": {**HOST, "proxy": {"port": 22}}},
            {
                "connection": f"{LOGIN}proxy: An error occurred decoding 'Connection.proxy': 1 failures decoding:"
                "\n\thost: Missing required field 'host' on 'remote.ProxyConnection'"
            },
        ),
        ({"read": "true"}, {"read": "Unrecognized field 'read' on 'remote.CommandInputs'"}),
        (
            {"create": 1},
            {"create": "Field 'create' on 'remote.CommandInputs' must be a 'string'; got 'float64' instead"},
        ),
        (
            {"triggers": "one"},
            {"triggers": "Field 'triggers' on 'remote.CommandInputs' must be a '[]interface {}'; got 'string' instead"},
        ),
        (
            {"create": True, "stdin": []},
            {
                "create": "Field 'create' on 'remote.CommandInputs' must be a 'string'; got 'bool' instead",
                "stdin": "Field 'stdin' on 'remote.CommandInputs' must be a 'string'; got '[]interface {}' instead",
            },
        ),
    ],
)
def test_what_does_not_fit_is_told_by_property(remote: Resource, wrong: dict[str, Any], told: dict[str, str]) -> None:
    right: dict[str, Any] = {"connection": HOST, "create": "true", "triggers": ["one"]}
    assert not remote.check(**right).failures
    assert remote.check(**{**right, **wrong}).failures == told


def test_stdout_is_not_secret_because_an_input_is(local: Resource) -> None:
    made = local.create(create=secret("cat"), stdin=secret("hush"))
    assert made["stdin"] == secret("hush")
    assert made["stdout"] == "hush"


def test_a_recorded_connection_is_secret_and_what_it_printed_is_not(remote: Resource, machine: Machine) -> None:
    made = remote.create(create="echo open", connection=machine.connection())
    assert opened(made["connection"])["host"] == "127.0.0.1"
    assert made["stdout"] == "open"


def test_logging_is_not_held_to_its_four_words(local: Resource) -> None:
    for word in ("stdout", "stderr", "stdoutAndStderr", "none", "loud"):
        assert not local.check(logging=word).failures
    assert local.check(logging=1.0).failures
