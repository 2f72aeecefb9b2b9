"""What the stack's state knows of its parts: asked of the engine, to see and say why something is planned.

The engine answers this for its own stack as for another's (`listResourceOutputs` of the Node SDK asks the same way).
A program must do its work without the answer: one that does not come explains nothing, and changes nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime import invoke_async

_READ = "pulumi:pulumi:readStackResourceOutputs"
_APPLY = re.compile(r"\bapply '?([^\s']+)'? '?([0-9a-f]+)")


@dataclass(frozen=True)
class Recorded:
    """One part as the last run left it in the state: its owner, instance included, and the generation it sent.

    `stdin` is what was sent, with the password for sudo where one went before it.
    """

    owner: str
    generation: str
    stdin: str = field(default="", repr=False)


async def recorded() -> dict[str, Recorded] | None:
    """Return the parts that the state knows by resource name, or None where the engine does not say.

    To be asked before the first part is made: while a stack is updated its state is half old and half new.
    """
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    try:
        answer = await invoke_async(_READ, {"stackName": name})
    except Exception as error:  # noqa: BLE001 - whatever it is, the plan is the same without
        pulumi.log.debug(f"the state could not be read, so a plan is told without its reasons: {error}")
        return None
    return parse(answer["outputs"])


def parse(resources: Mapping[str, Any]) -> dict[str, Recorded]:
    """Return the parts among resources, which are `{urn: {"type": ..., "outputs": {...}}}`."""
    parts = {}
    for urn, resource in resources.items():
        command = resource["outputs"].get("create")
        applied = _APPLY.search(command) if isinstance(command, str) else None
        if applied:
            stdin = resource["outputs"].get("stdin")
            parts[urn.rpartition("::")[2]] = Recorded(applied[1], applied[2], stdin if isinstance(stdin, str) else "")
    return parts


def without_project(owner: str) -> str:
    """Return an owner as releases up to 0.1.0 wrote it."""
    return owner.rpartition(":")[2]
