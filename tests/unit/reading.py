"""Settings read as Pulumi hands them over, and a note of every connection that is made meanwhile."""

import asyncio
import json
import os
import runpy
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pulumi

import stacks.settings
from stacks.settings import Settings
from tests.mocked import Deployment, deploy

_PROGRAM = str(Path(__file__).parents[2] / "__main__.py")
# What Python tells of before it does it: whatever reaches another machine, by itself or by another program.
_REACHING = {"socket.connect", "socket.sendto", "socket.getaddrinfo", "subprocess.Popen", "os.posix_spawn", "os.system"}
_noting: list[list[str]] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    # Without a port it is asked how an address is written, and nobody else is.
    if _noting and event in _REACHING and not (event == "socket.getaddrinfo" and arguments[1] is None):
        for notes in _noting:
            notes.append(f"{event} {arguments[1:]}")


sys.addaudithook(_hear)  # it cannot be taken back, and is quiet outside `connections`


@contextmanager
def connections() -> Iterator[list[str]]:
    """Give a list of the connections and programs that are tried meanwhile."""
    notes: list[str] = []
    _noting.append(notes)
    try:
        yield notes
    finally:
        _noting.pop()


@contextmanager
def configured(settings: Mapping[str, Any], secrets: Mapping[str, str], plain: Sequence[str] = ()) -> Iterator[None]:
    """Set the stack's configuration as Pulumi does; the secrets named in `plain` stand unencrypted in it."""
    whole = {**settings, **secrets}
    config = {
        key if ":" in key else f"metrics-tunnel:{key}": one if isinstance(one, str) else json.dumps(one)
        for key, one in whole.items()
    }
    hidden = [f"metrics-tunnel:{key}" for key in secrets if secrets[key] and key not in plain]
    pulumi.runtime.set_all_config(config, hidden)
    with patch.dict(os.environ, {"PULUMI_CONFIG": json.dumps(config)}):
        yield


@contextmanager
def nowhere() -> Iterator[None]:
    """Give a home that has nothing, and no agent."""
    with patch.dict(os.environ, {"HOME": "/nonexistent"}):
        os.environ.pop("SSH_AUTH_SOCK", None)
        yield


def load(settings: Mapping[str, Any], secrets: Mapping[str, str]) -> Settings:
    """Load settings as the program does first of all. Raises pulumi.RunError as it does."""

    async def loaded() -> Settings:
        return stacks.settings.load()

    with configured(settings, secrets), nowhere(), patch.object(pulumi, "get_stack", lambda: "test"):
        return asyncio.run(loaded())


def run(settings: Mapping[str, Any], secrets: Mapping[str, str]) -> Deployment:
    """Run the whole program under mocks. Raises pulumi.RunError as it does."""
    with configured(settings, secrets), nowhere():
        return deploy(lambda: runpy.run_path(_PROGRAM))
