"""Messages to the engine, which shows them beside the resource."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

from grpc import aio  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from pulumi.runtime.proto import engine_pb2_grpc

    from lab.provider.work import Output

# The engine's own severities: LogSeverity in engine.proto.
DEBUG, INFO, WARNING, ERROR = range(4)
NAMES = ("DEBUG", "INFO", "WARNING", "ERROR")


class Engine:
    """The engine at `address`; without one (a plugin started by hand) messages go to standard error."""

    def __init__(self, address: str | None) -> None:
        self.address = address
        self._stub: engine_pb2_grpc.EngineStub | None = None

    async def log(self, severity: int, message: str, urn: str, *, passing: bool = False) -> None:
        """Show a message; a passing one stands in the status column only and is not kept."""
        if not self.address:
            print(NAMES[severity], message, f"urn={urn}", file=sys.stderr)
            return
        from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc  # noqa: PLC0415 (most runs never log)

        if self._stub is None:
            self._stub = engine_pb2_grpc.EngineStub(aio.insecure_channel(self.address))
        level = cast("engine_pb2.LogSeverity.ValueType", severity)
        await self._stub.Log(engine_pb2.LogRequest(severity=level, message=message, urn=urn, ephemeral=passing))


class Journal:
    """What one operation on one resource may say, with the resource's `logging` setting applied to its output."""

    def __init__(self, engine: Engine, urn: str, logging: str | None = None) -> None:
        self.engine, self.urn = engine, urn
        self.stdout = logging in {None, "stdout", "stdoutAndStderr"}
        self.stderr = logging in {None, "stderr", "stdoutAndStderr"}

    async def error(self, message: str) -> None:
        """Show an error that stays on the console."""
        await self.engine.log(ERROR, message, self.urn)

    async def warning(self, message: str) -> None:
        """Show a warning that stays on the console."""
        await self.engine.log(WARNING, message, self.urn)

    async def status(self, message: str) -> None:
        """Show where the work stands."""
        await self.engine.log(INFO, message, self.urn, passing=True)

    async def output(self, printed: Output) -> None:
        """Show what a command printed, line by line, as far as `logging` allows.

        The official plugin shows lines while the command runs; here they come when it is done.
        """
        for wanted, text in ((self.stdout, printed.stdout), (self.stderr, printed.stderr)):
            for line in text.decode(errors="replace").splitlines() if wanted else []:
                await self.status(line)
