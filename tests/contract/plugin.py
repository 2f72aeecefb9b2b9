"""A command plugin as the engine sees it: a process that speaks the provider protocol."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from concurrent import futures
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2, json_format, struct_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
STAND_IN = [sys.executable, "-m", "lab.provider"]
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SIGNATURE = "4dabf18193072939515e22adb298388d"
PATIENCE = 20  # seconds for any one call
LARGEST_ERROR = 16 * 1024 * 1024
Values = dict[str, Any]


def secret(value: Any) -> Values:
    """Mark a value secret, as the protocol does."""
    return {SIGNATURE: "1b47061264138c4ac30d75fd1eb44270", "value": value}


def official() -> Path:
    """Say where the official plugin is, or would be."""
    installed = "~/.pulumi/plugins/resource-command-v1.2.1/pulumi-resource-command"
    return Path(os.environ.get("METRICS_TUNNEL_COMMAND_PLUGIN") or installed).expanduser()


class Failed(Exception):  # noqa: N818 (what the plugin answered, not an error of the test)
    """A call failed, with this code and text."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code, self.text = code, text


def failure(call: Callable[..., object], *arguments: Any, **inputs: Any) -> str:
    """Return the text that a call fails with."""
    try:
        call(*arguments, **inputs)
    except Failed as failed:
        return failed.text
    raise AssertionError("did not fail")


class Message(NamedTuple):
    """What a plugin told the engine about a resource."""

    severity: int
    text: str
    passing: bool


INFO, WARNING, ERROR = 1, 2, 3


class Engine(engine_pb2_grpc.EngineServicer):
    """The engine's side: it keeps every message."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.address = ""

    def Log(self, request: Any, context: Any) -> empty_pb2.Empty:  # noqa: ARG002, N802 (the protocol's signature)
        """Keep a message."""
        self.messages.append(Message(request.severity, request.message, request.ephemeral))
        return empty_pb2.Empty()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Serve at `address`."""
        server = grpc.server(futures.ThreadPoolExecutor(4))
        engine_pb2_grpc.add_EngineServicer_to_server(self, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self.address = f"127.0.0.1:{port}"
        try:
            yield
        finally:
            server.stop(None).wait()


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
        answer = _call(self.stub.Check, request)
        return Checked(_values(answer.inputs), {one.property: one.reason for one in answer.failures})

    def diff(self, old: Values, new: Values, ignoring: list[str] | None = None) -> Difference:
        """Compare new inputs with the old ones, and the state made of them."""
        olds = self._checked(old)
        state = {**olds, "stdout": "printed", "stderr": ""}
        answer = _call(
            self.stub.Diff,
            provider_pb2.DiffRequest(
                id="web1",
                urn=self.urn,
                olds=_struct(state),
                old_inputs=_struct(olds),
                news=_struct(self._checked(new)),
                ignoreChanges=ignoring or [],
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
        answer = _call(self.stub.Create, request)
        return State(answer.id, _values(answer.properties))

    def update(self, state: State, **inputs: Any) -> State:
        """Update a resource in place, to exactly these inputs."""
        request = provider_pb2.UpdateRequest(
            id=state.id,
            urn=self.urn,
            olds=_struct(state.properties),
            news=_struct(self._checked(inputs)),
            preview=self.preview,
            timeout=self.seconds,
        )
        return State(state.id, _values(_call(self.stub.Update, request).properties))

    def delete(self, state: State) -> None:
        """Delete a resource."""
        request = provider_pb2.DeleteRequest(
            id=state.id, urn=self.urn, properties=_struct(state.properties), timeout=self.seconds
        )
        _call(self.stub.Delete, request)

    def read(self, state: State) -> State:
        """Refresh a resource."""
        request = provider_pb2.ReadRequest(
            id=state.id, urn=self.urn, properties=_struct(state.properties), inputs=_struct({})
        )
        answer = _call(self.stub.Read, request)
        return State(answer.id, _values(answer.properties))

    def _checked(self, inputs: Values) -> Values:
        checked = self.check(**inputs)
        assert not checked.failures, checked.failures
        return checked.inputs


@dataclass
class Plugin:
    """One running plugin process."""

    command: list[str]
    engine: str
    environment: dict[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def running(self) -> Iterator[Plugin]:
        """Start the process, and end it."""
        environment = {**os.environ, **self.environment}
        if "SSH_AUTH_SOCK" not in self.environment:
            environment.pop("SSH_AUTH_SOCK", None)
        with subprocess.Popen(
            [*self.command, self.engine], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                address = f"127.0.0.1:{process.stdout.readline().strip()}"
                # An error travels as metadata: it holds the command and all that it printed.
                with grpc.insecure_channel(address, [("grpc.max_metadata_size", LARGEST_ERROR)]) as channel:
                    self.stub = provider_pb2_grpc.ResourceProviderStub(channel)
                    _call(self.stub.Configure, provider_pb2.ConfigureRequest(acceptSecrets=True, sends_old_inputs=True))
                    yield self
            finally:
                process.kill()

    def with_environment(self, **environment: str) -> Plugin:
        """Return another process of the same plugin, not yet started."""
        return Plugin(self.command, self.engine, environment)

    @property
    def local(self) -> Resource:
        """The command resource of this machine."""
        return Resource(self.stub, "command:local:Command")

    @property
    def remote(self) -> Resource:
        """The command resource of another machine."""
        return Resource(self.stub, "command:remote:Command")

    def version(self) -> str:
        """Ask for the version."""
        return str(_call(self.stub.GetPluginInfo, empty_pb2.Empty()).version)

    def cancel(self) -> None:
        """Tell the plugin to stop all work."""
        _call(self.stub.Cancel, empty_pb2.Empty())


def _call(method: Callable[..., Any], request: Any) -> Any:
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
