"""What of a command's output the engine is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.contract.plugin import Message, Plugin
    from tests.contract.resource import Resource
    from tests.contract.sshd import Machine


SPEAKS = "echo out; sleep 0.05; echo problem >&2"


@pytest.mark.parametrize("kind", ["local", "remote"])
@pytest.mark.parametrize(
    ("logging", "shown"),
    [
        ({}, {"out", "problem"}),
        ({"logging": "stdoutAndStderr"}, {"out", "problem"}),
        ({"logging": "stdout"}, {"out"}),
        ({"logging": "stderr"}, {"problem"}),
        ({"logging": "none"}, set()),
    ],
)
def test_output_passes_over_the_console_as_far_as_logging_allows(
    plugin: Plugin, machine: Machine, messages: list[Message], kind: str, logging: dict[str, str], shown: set[str]
) -> None:
    resource: Resource = getattr(plugin, kind)
    connection = {"connection": machine.connection()} if kind == "remote" else {}
    made = resource.create(create=SPEAKS, **connection, **logging)
    assert (made["stdout"], made["stderr"]) == ("out", "problem")
    assert {one.text for one in messages} == shown
    assert all(one.passing for one in messages)
