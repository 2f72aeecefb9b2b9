"""Which variables a command has, and what becomes of those that a machine refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.contract.plugin import ERROR, WARNING, Message
from tests.contract.resource import Resource, failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import asyncssh

    from tests.contract.sshd import Machine


PREVIOUS = 'echo "$PULUMI_COMMAND_STDOUT,$PULUMI_COMMAND_STDERR"'


def test_the_outputs_before_are_in_the_environment_of_update_and_delete(command: Resource, note: Path) -> None:
    made = command.create(create="echo out; echo problem >&2", delete=f"{PREVIOUS} > {note}")
    command.delete(made)
    assert note.read_text() == "out,problem\n"
    assert command.update(made, create=PREVIOUS)["stdout"] == "out,problem"


def test_the_outputs_before_are_kept_out_of_the_environment_on_request(command: Resource, note: Path) -> None:
    made = command.create(create="echo out", delete=f"{PREVIOUS} > {note}", addPreviousOutputInEnv=False)
    command.delete(made)
    assert note.read_text() == ",\n"
    assert command.update(made, create=PREVIOUS, addPreviousOutputInEnv=False)["stdout"] == ","


def test_create_has_no_outputs_before(command: Resource) -> None:
    assert command.create(create=PREVIOUS)["stdout"] == ","


def test_environment_adds_variables(command: Resource) -> None:
    made = command.create(create='echo "$ONE $TWO"', environment={"ONE": "1", "TWO": "zwei  2"})
    assert made["stdout"] == "1 zwei  2"


def test_refused_environment_is_fatal(
    remote: Resource, serve: Callable[..., Machine], key: asyncssh.SSHKey, messages: list[Message]
) -> None:
    machine = serve(authorized=[key], refuses=("env",))
    told = failure(remote.create, create="echo ran", environment={"ONE": "1"}, connection=machine.connection())
    assert told == 'could not set environment variable "ONE": ssh: setenv failed'
    assert machine.commands == []
    assert [(one.severity, one.passing) for one in messages] == [(ERROR, False)]
    assert messages[0].text.startswith("Unable to set 'ONE'.")
    assert "AcceptEnv" in messages[0].text
    assert remote.create(create="echo ran", connection=machine.connection())["stdout"] == "ran"


def test_refused_outputs_before_are_a_warning(
    remote: Resource, serve: Callable[..., Machine], key: asyncssh.SSHKey, messages: list[Message]
) -> None:
    machine = serve(authorized=[key], refuses=("env",))
    made = remote.create(create="echo out; echo problem >&2", logging="none", connection=machine.connection())
    assert messages == []
    updated = remote.update(made, create="echo ran", logging="none", connection=machine.connection())
    assert updated["stdout"] == "ran"
    assert [(one.severity, one.passing) for one in messages] == [(WARNING, False)] * 2
    assert [one.text.partition(".")[0] for one in messages] == [
        "Unable to set 'PULUMI_COMMAND_STDOUT'",
        "Unable to set 'PULUMI_COMMAND_STDERR'",
    ]


def test_outputs_before_are_not_even_offered_on_request(
    remote: Resource, serve: Callable[..., Machine], key: asyncssh.SSHKey, messages: list[Message]
) -> None:
    machine = serve(authorized=[key], refuses=("env",))
    quiet = remote.with_always(addPreviousOutputInEnv=False, logging="none", connection=machine.connection())
    made = quiet.create(create="echo out")
    assert quiet.update(made, create="echo ran")["stdout"] == "ran"
    assert messages == []
