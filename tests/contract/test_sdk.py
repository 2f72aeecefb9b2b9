"""What the SDK adds to what the plugin does: the engine is told of it with each resource."""

from __future__ import annotations

import asyncio
from typing import Any

import pulumi
import pulumi_command
from pulumi.runtime.mocks import MockMonitor, Mocks


class Answers(Mocks):
    """An engine that makes resources of their inputs."""

    def call(self, args: Any) -> Any:
        """Answer a function with its arguments."""
        return args.args

    def new_resource(self, args: Any) -> Any:
        """Answer a resource with its inputs."""
        return args.name, args.inputs


class Monitor(MockMonitor):
    """It notes the properties whose change replaces a resource."""

    def __init__(self) -> None:
        super().__init__(Answers())
        self.replacing: dict[str, list[str]] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 (the protocol's name)
        """Note it and answer."""
        self.replacing[request.name] = list(request.replaceOnChanges)
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]


def test_any_changed_trigger_replaces_since_the_sdk_asks_the_engine_for_it() -> None:
    monitor = Monitor()
    loop = asyncio.new_event_loop()  # the mocks ask for the thread's, which another test may have taken away
    asyncio.set_event_loop(loop)
    pulumi.runtime.set_mocks(Answers(), monitor=monitor)

    def program() -> None:
        pulumi_command.local.Command("here", create="true")
        pulumi_command.remote.Command("there", create="true", connection={"host": "10.0.0.21"})

    pulumi.runtime.test(program)()  # type: ignore[no-untyped-call]
    loop.close()
    assert monitor.replacing["here"] == monitor.replacing["there"] == ["triggers[*]"]
