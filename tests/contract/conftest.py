"""What the contract is held against: each plugin, an SSH server, keys and an agent."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from tests.contract.plugin import STAND_IN, Engine, Message, Plugin, official
from tests.contract.resource import wait_until
from tests.contract.sshd import HOST, Machine, private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.contract.resource import Resource


@pytest.fixture(scope="session", autouse=True)
def signals() -> None:
    """Let signals end what is started here, as they do on a terminal: nohup and shells' background ignore two."""
    for one, usual in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(one) == signal.SIG_IGN:
            signal.signal(one, usual)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    one = Engine()
    with one.listening():
        yield one


PLUGINS = {"stand-in": STAND_IN}
if os.access(official(), os.X_OK):
    PLUGINS["official"] = [str(official())]


def pytest_report_header() -> str:
    here = (
        "and the official plugin"
        if "official" in PLUGINS
        else "alone; METRICS_TUNNEL_COMMAND_PLUGIN may name the official"
    )
    return f"contract: the stand-in {here}"


@pytest.fixture(scope="session", params=PLUGINS)
def plugin(request: pytest.FixtureRequest, engine: Engine) -> Iterator[Plugin]:
    with Plugin(PLUGINS[request.param], engine.address).running() as one:
        yield one


@pytest.fixture
def local(plugin: Plugin) -> Resource:
    return plugin.local


@pytest.fixture
def remote(plugin: Plugin) -> Resource:
    return plugin.remote


@pytest.fixture
def messages(engine: Engine) -> list[Message]:
    """Gather what the plugin tells the engine from here on."""
    engine.messages.clear()
    return engine.messages


@pytest.fixture(scope="session")
def key() -> asyncssh.SSHKey:
    """Make the key that machines let in."""
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture(scope="session")
def stranger() -> asyncssh.SSHKey:
    """Make a key that no machine lets in, and that none has."""
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


@pytest.fixture(params=["local", "remote"])
def command(request: pytest.FixtureRequest, plugin: Plugin, machine: Machine) -> Resource:
    """Take what holds for both kinds of command resource."""
    if request.param == "local":
        return plugin.local
    return plugin.remote.with_always(connection=machine.connection())


@pytest.fixture
def note(tmp_path: Path) -> Path:
    """Name a file for commands to write to."""
    return tmp_path / "note"


@pytest.fixture
def closed() -> Iterator[int]:
    """Keep a port of this machine where nothing listens."""
    with socket.socket() as one:
        one.bind((HOST, 0))
        yield one.getsockname()[1]


@pytest.fixture
def agent(tmp_path: Path, key: asyncssh.SSHKey) -> Iterator[str]:
    """Start an ssh-agent with the key that machines let in, and give its socket."""
    path = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(path.exists)
            environment = {**os.environ, "SSH_AUTH_SOCK": str(path)}
            subprocess.run(["ssh-add", "-q", "-"], input=private(key), text=True, check=True, env=environment)
            yield str(path)
        finally:
            process.terminate()
