"""All that will run as root, as files to read before `pulumi up`: METRICS_TUNNEL_SHOW names their folder.

A plan shows what is sent without comments, and hides it where a sudo password goes before it. These files hold for each
part its commands, its values and its whole script; instead of a secret, and of what only `up` makes, they say so.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pulumi

from .payload import LAST_LINE, assignments, code

FOLDER = "METRICS_TUNNEL_SHOW"
_SECRET = "(a secret, which is not shown)"  # noqa: S105 - what stands there instead of one
_LATER = "(made by `pulumi up`)"


def show(
    name: str,
    machine: str,
    script: str,
    owner: pulumi.Output[str],
    values: Mapping[str, pulumi.Input[Any]],
    run: Callable[..., str],
) -> None:
    """Write the file of one part where a folder for it is named.

    `values` are all that may be sent; `run` makes the command of a verb and its words.
    """
    folder = os.environ.get(FOLDER)
    if not folder:
        return

    async def text() -> str:
        known = {key: await _readable(value) for key, value in values.items()}
        return whole(name, machine, await _readable(owner), script, known, run)

    Path(folder).mkdir(parents=True, exist_ok=True)
    written: pulumi.Output[str] = pulumi.Output.from_input(text())
    written.apply((Path(folder) / f"{name}.sh").write_text)


async def _readable(value: pulumi.Input[Any]) -> str:
    output: pulumi.Output[Any] = pulumi.Output.from_input(value)
    if await output.is_secret():
        return _SECRET
    return str(await output.future()) if await output.is_known() else _LATER


def whole(name: str, machine: str, owner: str, script: str, values: Mapping[str, str], run: Callable[..., str]) -> str:
    """Return one part's text: how it is started by `run`, and what its standard input does, to be read."""
    return (
        f"# {name}: what runs as root on {machine}.\n"
        f"# Applied by:    {run('apply', owner, 'GENERATION')}\n"
        f"# Taken away by: {run('remove', owner)}\n"
        "# GENERATION is a new word with each repair. What follows the values is sent without comments and indents:\n"
        f"# components/scripts/{script}.sh, behind the libraries that it names; main is in lib/core.sh.\n\n"
        f"{assignments(values)}\n{code(script)}\n{LAST_LINE}"
    )
