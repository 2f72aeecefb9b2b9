"""What the contract is held against: each plugin, an SSH server, keys and an agent."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from tests.contract.plugin import STAND_IN, Engine, Message, Plugin, Resource, official
from tests.contract.sshd import Machine, private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    one = Engine()
    with one.listening():
        yield one


@pytest.fixture(scope="session", params=["stand-in", "official"])
def plugin(request: pytest.FixtureRequest, engine: Engine) -> Iterator[Plugin]:
    command = STAND_IN
    if request.param == "official":
        if not os.access(official(), os.X_OK):
            pytest.skip("the official command plugin is not installed; METRICS_TUNNEL_COMMAND_PLUGIN may name it")
        command = [str(official())]
    with Plugin(command, engine.address).running() as one:
        yield one


@pytest.fixture
def local(plugin: Plugin) -> Resource:
    return plugin.local


@pytest.fixture
def remote(plugin: Plugin) -> Resource:
    return plugin.remote


@pytest.fixture
def messages(engine: Engine) -> list[Message]:
    """What the plugin tells the engine from here on."""
    engine.messages.clear()
    return engine.messages


@pytest.fixture(scope="session")
def key() -> asyncssh.SSHKey:
    """The key that machines let in."""
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture(scope="session")
def stranger() -> asyncssh.SSHKey:
    """A key that no machine lets in, and that no machine has."""
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture(scope="session")
def host_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
def serve(host_key: asyncssh.SSHKey) -> Iterator[Callable[..., Machine]]:
    """Start machines of any make; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(**settings: Any) -> Machine:
            return stack.enter_context(Machine(**{"host_keys": [host_key], **settings}))

        yield start


@pytest.fixture
def machine(serve: Callable[..., Machine], key: asyncssh.SSHKey) -> Machine:
    return serve(authorized=[key])


@pytest.fixture
def agent(tmp_path: Path, key: asyncssh.SSHKey) -> Iterator[str]:
    """The socket of an ssh-agent that holds the key which machines let in."""
    path = str(tmp_path / "agent")
    with subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL) as process:
        try:
            while not os.path.exists(path):
                time.sleep(0.01)
            environment = {**os.environ, "SSH_AUTH_SOCK": path}
            subprocess.run(["ssh-add", "-q", "-"], input=private(key), text=True, check=True, env=environment)
            yield path
        finally:
            process.terminate()
