"""What create, update and delete of a command resource do, on property values; the protocol is not known here."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from lab.provider import local, schema
from lab.provider.diff import same
from lab.provider.engine import Engine, Journal
from lab.provider.values import UNKNOWN, Properties, plain
from lab.provider.work import CommandError, Stop, job

if TYPE_CHECKING:
    from lab.provider.schema import Shape

OUTPUTS = ("stdout", "stderr")


class EncodingError(Exception):
    """The outputs cannot be told to the engine."""


async def create(kind: Shape, urn: str, inputs: Properties, preview: bool, engine: Engine, stop: Stop) -> Properties:
    """Run `create`, where there is one, and return the state; a preview runs nothing and knows no outputs."""
    _fits(kind, inputs, "invalid inputs: ")
    if preview:
        return {**inputs, **dict.fromkeys(OUTPUTS, UNKNOWN)}
    command = plain(inputs).get("create")
    printed = await _run(kind, urn, command, inputs, {}, engine, stop)
    return {**inputs, **(printed or dict.fromkeys(OUTPUTS, ""))}


async def update(
    kind: Shape, urn: str, olds: Properties, news: Properties, preview: bool, engine: Engine, stop: Stop
) -> Properties:
    """Run `update`, or else `create`, with the new inputs, and return the new state.

    A preview knows the outputs only where no input of the old state is unknown or differs: an input that is merely
    added counts for no difference.
    """
    _fits(schema.state_of(kind), olds)
    _fits(kind, news)
    before = {name: plain(olds.get(name)) for name in OUTPUTS}
    if preview:
        changed = any(
            news.get(name) is UNKNOWN or (name in olds and not same(olds[name], news.get(name))) for name in kind.fields
        )
        return {**news, **(dict.fromkeys(OUTPUTS, UNKNOWN) if changed else before)}
    wanted = plain(news)
    command = wanted["update"] if wanted.get("update") is not None else wanted.get("create")
    return {**news, **(await _run(kind, urn, command, news, before, engine, stop) or before)}


async def delete(kind: Shape, urn: str, state: Properties, engine: Engine, stop: Stop) -> None:
    """Run the recorded `delete`, where there is one, on the recorded connection."""
    _fits(schema.state_of(kind), state)
    await _run(kind, urn, plain(state).get("delete"), state, plain(state), engine, stop)


def new_id(urn: str) -> str:
    """Make an id from the resource's name and chance."""
    return urn.rpartition("::")[2] + secrets.token_hex(4)


def _fits(shape: Shape, properties: Properties, what: str = "") -> None:
    if failures := schema.problems(shape, properties):
        raise CommandError(what + schema.decoding(failures))


async def _run(
    kind: Shape, urn: str, command: str | None, properties: Properties, before: Properties, engine: Engine, stop: Stop
) -> Properties | None:
    """Run a command and return its outputs, each without one newline at its end; None without a command."""
    if command is None:
        return None
    settings = plain(properties)
    journal = Journal(engine, urn, settings.get("logging"))
    work = job(settings, command, before, stop)
    if kind is schema.LOCAL:
        output = await local.run(work, settings, journal)
    else:
        from lab.provider import remote  # noqa: PLC0415 (asyncssh takes a quarter second to load)

        output = await remote.run(work, settings, journal)
    return {"stdout": _text(output.stdout), "stderr": _text(output.stderr)}


def _text(printed: bytes | bytearray) -> str:
    try:
        return printed.decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise EncodingError("grpc: error while marshaling: string field contains invalid UTF-8") from error
