"""A command plugin as the engine sees it: a process that speaks the provider protocol."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc

from tests.contract.resource import Resource, call

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
STAND_IN = [sys.executable, "-m", "lab.provider"]
LARGEST_ERROR = 16 * 1024 * 1024


def official() -> Path:
    """Say where the official plugin is, or would be."""
    installed = "~/.pulumi/plugins/resource-command-v1.2.1/pulumi-resource-command"
    return Path(os.environ.get("METRICS_TUNNEL_COMMAND_PLUGIN") or installed).expanduser()


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
                    call(self.stub.Configure, provider_pb2.ConfigureRequest(acceptSecrets=True, sends_old_inputs=True))
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
        return str(call(self.stub.GetPluginInfo, empty_pb2.Empty()).version)

    def cancel(self) -> None:
        """Tell the plugin to stop all work."""
        call(self.stub.Cancel, empty_pb2.Empty())
