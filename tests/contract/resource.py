"""A resource of a command plugin, asked over the provider protocol as the engine asks."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]
from google.protobuf import json_format, struct_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# The marks are fixed by the protocol.
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET, OUTPUT = "1b47061264138c4ac30d75fd1eb44270", "d0e6a833031e9bbcd3f4e8bde6ca49a4"
PATIENCE = 20  # seconds for any one call
Values = dict[str, Any]


def secret(value: Any) -> Values:
    """Mark a value secret."""
    return {SIGNATURE: SECRET, "value": value}


def output(**parts: Any) -> Values:
    """Make an output of another resource: its `value`, unless unknown, and whether it is `secret`."""
    return {SIGNATURE: OUTPUT, **parts}


class Failed(Exception):  # noqa: N818 (what the plugin answered, not an error of the test)
    """A call failed, with this code and text."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code, self.text = code, text


def failure(work: Callable[..., object], *arguments: Any, **inputs: Any) -> str:
    """Return the text that a call fails with."""
    try:
        work(*arguments, **inputs)
    except Failed as failed:
        return failed.text
    raise AssertionError("did not fail")


def wait_until(done: Callable[[], bool]) -> None:
    """Wait, for a few seconds at most."""
    until = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


@dataclass(frozen=True)
class Checked:
    """Checked inputs, and what is wrong with them by property."""

    inputs: Values
    failures: dict[str, str]


@dataclass(frozen=True)
class Difference:
    """What a diff found: path -> kind, and the paths that replace the resource."""

    paths: dict[str, str]
    replaces: list[str]
    properties: list[str]
    deletes_first: bool


@dataclass(frozen=True)
class State:
    """What the engine keeps of a resource."""

    id: str
    properties: Values

    def __getitem__(self, name: str) -> Any:
        return self.properties[name]


@dataclass(frozen=True)
class Resource:
    """One kind of command resource of one plugin: inputs are checked first, as the engine does."""

    stub: provider_pb2_grpc.ResourceProviderStub
    type: str
    preview: bool = False
    seconds: float = 0
    """The resource's own timeout; 0 for none."""
    always: Values = field(default_factory=dict)
    """Inputs that every call has."""

    @property
    def urn(self) -> str:
        """The one name that is used throughout."""
        return f"urn:pulumi:stack::project::{self.type}::web1"

    def previewed(self) -> Resource:
        """Return the same, for a preview."""
        return replace(self, preview=True)

    def with_always(self, **inputs: Any) -> Resource:
        """Return the same, with inputs that every call has."""
        return replace(self, always=inputs)

    def within(self, seconds: float) -> Resource:
        """Return the same, with a timeout of its own."""
        return replace(self, seconds=seconds)

    def check(self, **inputs: Any) -> Checked:
        """Check inputs."""
        request = provider_pb2.CheckRequest(urn=self.urn, news=_struct({**self.always, **inputs}))
        answer = call(self.stub.Check, request)
        return Checked(_values(answer.inputs), {one.property: one.reason for one in answer.failures})

    def diff(self, old: Values, new: Values, ignoring: Sequence[str] = ()) -> Difference:
        """Compare new inputs with the old ones, and the state made of them."""
        olds = self._checked(old)
        state = {**olds, "stdout": "printed", "stderr": ""}
        answer = call(
            self.stub.Diff,
            provider_pb2.DiffRequest(
                id="web1",
                urn=self.urn,
                olds=_struct(state),
                old_inputs=_struct(olds),
                news=_struct(self._checked(new)),
                ignoreChanges=ignoring,
            ),
        )
        kinds = {path: provider_pb2.PropertyDiff.Kind.Name(one.kind) for path, one in answer.detailedDiff.items()}
        differs = answer.changes == provider_pb2.DiffResponse.DIFF_SOME
        assert differs == bool(kinds), "the answer and its details agree"
        return Difference(kinds, list(answer.replaces), sorted(answer.diffs), answer.deleteBeforeReplace)

    def create(self, **inputs: Any) -> State:
        """Create a resource."""
        request = provider_pb2.CreateRequest(
            urn=self.urn, properties=_struct(self._checked(inputs)), preview=self.preview, timeout=self.seconds
        )
        answer = call(self.stub.Create, request)
        return State(answer.id, _values(answer.properties))

    def update(self, state: State, ignoring: Sequence[str] = (), **inputs: Any) -> State:
        """Update a resource in place, to exactly these inputs."""
        request = provider_pb2.UpdateRequest(
            id=state.id,
            urn=self.urn,
            olds=_struct(state.properties),
            news=_struct(self._checked(inputs)),
            ignoreChanges=ignoring,
            preview=self.preview,
            timeout=self.seconds,
        )
        return State(state.id, _values(call(self.stub.Update, request).properties))

    def delete(self, state: State) -> None:
        """Delete a resource."""
        request = provider_pb2.DeleteRequest(
            id=state.id, urn=self.urn, properties=_struct(state.properties), timeout=self.seconds
        )
        call(self.stub.Delete, request)

    def read(self, state: State) -> State:
        """Refresh a resource."""
        request = provider_pb2.ReadRequest(
            id=state.id, urn=self.urn, properties=_struct(state.properties), inputs=_struct({})
        )
        answer = call(self.stub.Read, request)
        return State(answer.id, _values(answer.properties))

    def _checked(self, inputs: Values) -> Values:
        checked = self.check(**inputs)
        assert not checked.failures, checked.failures
        return checked.inputs


def call(method: Callable[..., Any], request: Any) -> Any:
    """Call the plugin; raises `Failed`."""
    try:
        return method(request, timeout=PATIENCE)
    except grpc.RpcError as error:
        raise Failed(error.code().name, error.details()) from None


def _struct(values: Values) -> struct_pb2.Struct:
    wire = struct_pb2.Struct()
    wire.update(values)
    return wire


def _values(wire: struct_pb2.Struct) -> Values:
    return dict(json_format.MessageToDict(wire))
