"""The provider protocol: what the engine calls, and how it is answered."""

# ruff: noqa: N802 (the protocol gives the names)

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from grpc import aio
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from lab.provider import commands, schema, values
from lab.provider.diff import differences, replaces, top
from lab.provider.engine import Engine
from lab.provider.work import CommandError, Stop, StoppedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    Context = Any  # grpc's own context class is not typed

VERSION = "1.2.1"
LARGEST_MESSAGE = 400 * 1024 * 1024  # as the engine's own
LARGEST_ERROR = 16 * 1024 * 1024  # an error travels as metadata: it holds the command and all it printed
KINDS = {"command:remote:Command": schema.REMOTE, "command:local:Command": schema.LOCAL}
ACCEPTED = ("acceptSecrets", "acceptOutputs", "acceptResources", "supportsPreview")
PRIVATE = "__"


class RefusedError(Exception):
    """A kind of resource that is left out; the text says so."""


def kind_of(urn: str) -> schema.Shape:
    """Return the input shape of a resource; raises `RefusedError` for the kinds left out."""
    token = urn.split("::")[2].rpartition("$")[2]
    if token not in KINDS:
        raise RefusedError(f"{token} is not done by this stand-in for the command plugin; install the official plugin")
    return KINDS[token]


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """The calls of the protocol that the engine makes of this plugin."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.running: set[Stop] = set()
        self.cancelled = False

    async def Handshake(self, _request: Any, context: Context) -> Any:
        """Decline: the engine then goes on with `Configure`, as it does with the official plugin."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Handshake is not implemented")

    async def DiffConfig(self, _request: Any, context: Context) -> Any:
        """Decline: there is no configuration to compare."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "DiffConfig is not implemented")

    async def GetPluginInfo(self, _request: Any, _context: Context) -> plugin_pb2.PluginInfo:
        """Tell the version that this stands in for."""
        return plugin_pb2.PluginInfo(version=VERSION)

    async def GetSchema(self, _request: Any, _context: Context) -> provider_pb2.GetSchemaResponse:
        """Tell the names of what is here; the SDKs carry the full schema themselves."""
        resources = ",".join(f'"{token}":{{}}' for token in KINDS)
        text = f'{{"name":"command","version":"{VERSION}","resources":{{{resources}}}}}'
        return provider_pb2.GetSchemaResponse(schema=text)

    async def CheckConfig(self, request: provider_pb2.CheckRequest, _context: Context) -> provider_pb2.CheckResponse:
        """Take the provider's configuration as it is: there is none."""
        return provider_pb2.CheckResponse(inputs=request.news)

    async def Configure(self, _request: Any, _context: Context) -> provider_pb2.ConfigureResponse:
        """Agree with the engine on what values may carry."""
        return provider_pb2.ConfigureResponse(**dict.fromkeys(ACCEPTED, True))

    async def Check(self, request: provider_pb2.CheckRequest, context: Context) -> provider_pb2.CheckResponse:
        """Fill in defaults, mark secrets, tell what does not fit."""
        async with answering(context):
            inputs, failures = schema.check(kind_of(request.urn), values.read(request.news))
        told = [provider_pb2.CheckFailure(property=one.property, reason=one.reason) for one in failures]
        return provider_pb2.CheckResponse(inputs=values.write(inputs), failures=told)

    async def Diff(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:
        """Compare the new inputs with the old ones."""
        async with answering(context):
            kind_of(request.urn)
        state, olds, news = (values.read(one) for one in (request.olds, request.old_inputs, request.news))
        news = {name: one for name, one in news.items() if name != "version" and not name.startswith(PRIVATE)}
        found = differences(olds, _ignoring(request.ignoreChanges, state, news))
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE,
            replaces=[path for path in found if replaces(path)],
            diffs=sorted({top(path) for path in found}),
            detailedDiff={
                path: provider_pb2.PropertyDiff(
                    kind=provider_pb2.PropertyDiff.Kind.Value(f"{kind}_REPLACE" if replaces(path) else kind)
                )
                for path, kind in found.items()
            },
            hasDetailedDiff=True,
        )

    async def Create(self, request: provider_pb2.CreateRequest, context: Context) -> provider_pb2.CreateResponse:
        """Run `create`."""
        async with answering(context):
            kind, inputs = kind_of(request.urn), values.read(request.properties)
            with self.stoppable(request.timeout) as stop:
                state = await commands.create(kind, request.urn, inputs, request.preview, self.engine, stop)
        return provider_pb2.CreateResponse(id=commands.new_id(request.urn), properties=values.write(state))

    async def Update(self, request: provider_pb2.UpdateRequest, context: Context) -> provider_pb2.UpdateResponse:
        """Run `update`, or else `create`."""
        async with answering(context):
            kind, olds, news = kind_of(request.urn), values.read(request.olds), values.read(request.news)
            news = _ignoring(request.ignoreChanges, olds, news)
            with self.stoppable(request.timeout) as stop:
                state = await commands.update(kind, request.urn, olds, news, request.preview, self.engine, stop)
        return provider_pb2.UpdateResponse(properties=values.write(state))

    async def Delete(self, request: provider_pb2.DeleteRequest, context: Context) -> empty_pb2.Empty:
        """Run the recorded `delete`."""
        async with answering(context):
            kind, state = kind_of(request.urn), values.read(request.properties)
            with self.stoppable(request.timeout) as stop:
                await commands.delete(kind, request.urn, state, self.engine, stop)
        return empty_pb2.Empty()

    async def Read(self, request: provider_pb2.ReadRequest, _context: Context) -> provider_pb2.ReadResponse:
        """See nothing: what is recorded comes back as it is."""
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    async def Invoke(self, request: provider_pb2.InvokeRequest, context: Context) -> Any:
        """Refuse functions."""
        text = f"{request.tok} is not done by this stand-in for the command plugin; install the official plugin"
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, text)

    async def Cancel(self, _request: Any, _context: Context) -> empty_pb2.Empty:
        """Stop local commands and all tries to connect; a remote command that runs is not stopped."""
        self.cancelled = True
        for stop in list(self.running):
            stop.now()
        return empty_pb2.Empty()

    @contextlib.contextmanager
    def stoppable(self, timeout: float) -> Iterator[Stop]:
        """Give an operation its stop, which `Cancel` and the resource's own timeout (`customTimeouts`) set.

        As officially, a part of a second of the timeout counts for nothing: half a second is over at once.
        """
        stop = Stop()
        self.running.add(stop)
        if self.cancelled:
            stop.now()
        if 0 < timeout < 1:
            stop.now(late=True)
        timer = asyncio.get_running_loop().call_later(int(timeout), stop.now, True) if timeout else None
        try:
            yield stop
        finally:
            self.running.discard(stop)
            if timer:
                timer.cancel()


@contextlib.asynccontextmanager
async def answering(context: Context) -> AsyncIterator[None]:
    """Turn what fails inside into an answer of the protocol."""
    try:
        yield
    except StoppedError as error:
        late = grpc.StatusCode.DEADLINE_EXCEEDED if error.late else grpc.StatusCode.CANCELLED
        await context.abort(late, str(error))
    except CommandError as error:
        await context.abort(grpc.StatusCode.UNKNOWN, str(error))
    except RefusedError as error:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, str(error))
    except commands.EncodingError as error:
        await context.abort(grpc.StatusCode.INTERNAL, str(error))


def _ignoring(names: Any, state: values.Properties, news: values.Properties) -> values.Properties:
    return {**news, **{name: state[name] for name in names if name in state}}


async def serve() -> None:
    """Serve on a free port of this machine and print the port: the engine reads it there."""
    options = [("grpc.max_receive_message_length", LARGEST_MESSAGE), ("grpc.max_metadata_size", LARGEST_ERROR)]
    server = aio.server(options=options)
    address = sys.argv[1] if len(sys.argv) > 1 else None
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(Engine(address)), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()
