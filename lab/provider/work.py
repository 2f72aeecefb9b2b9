"""One run of a command, wherever: what it needs, what it gives, how it fails and how it is stopped."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

STDOUT_VARIABLE, STDERR_VARIABLE = "PULUMI_COMMAND_STDOUT", "PULUMI_COMMAND_STDERR"


class CommandError(Exception):
    """A command, or the way to it, failed; the text is what the user reads."""


class StoppedError(CommandError):
    """The run was cancelled or its time is up, before it came to an end of its own."""

    def __init__(self, late: bool, rest: str = "") -> None:
        super().__init__(("context deadline exceeded" if late else "context canceled") + rest)
        self.late = late


class Stop:
    """Set when the engine cancels everything, or when one operation's own timeout is over."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.late = False

    def now(self, late: bool = False) -> None:
        """Stop the work."""
        self.late = self.late or late
        self._event.set()

    @property
    def over(self) -> bool:
        """Whether the work is stopped already."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Wait until the work is to stop."""
        await self._event.wait()

    async def sleep(self, seconds: float) -> None:
        """Sleep, unless the work is stopped first."""
        try:
            await asyncio.wait_for(self._event.wait(), seconds)
        except TimeoutError:
            return
        raise StoppedError(self.late)


@dataclass
class Job:
    """One command and what it is run with."""

    command: str
    stdin: bytes
    environment: dict[str, str]
    previous: dict[str, str]
    """Outputs of the run before, offered as environment variables: set where the machine accepts them."""
    stop: Stop


@dataclass
class Output:
    """What a command printed: both streams, and both together in the order of arrival."""

    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    both: bytearray = field(default_factory=bytearray)

    def take(self, data: bytes, error: bool) -> None:
        """Add what arrived."""
        (self.stderr if error else self.stdout).extend(data)
        self.both.extend(data)


def job(properties: dict[str, Any], command: str, before: dict[str, Any], stop: Stop) -> Job:
    """Make the job for plain (unmarked) properties; `before` holds the outputs of the run before, if any."""
    offered = properties.get("addPreviousOutputInEnv") is not False
    names = {"stdout": STDOUT_VARIABLE, "stderr": STDERR_VARIABLE}
    return Job(
        command=command,
        stdin=(properties.get("stdin") or "").encode(),
        environment=dict(properties.get("environment") or {}),
        previous={name: before[key] for key, name in names.items() if offered and before.get(key)},
        stop=stop,
    )
