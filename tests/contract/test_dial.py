"""How a machine is reached: tries and their limit, and timeouts."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.contract.plugin import INFO, Message, Plugin
from tests.contract.resource import Resource, failure, wait_until
from tests.contract.sshd import HOST, Machine, private, public

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import asyncssh

    Serve = Callable[..., Machine]

CUT = "ssh: handshake failed: EOF"
SOCKETS = Path("/proc/net/tcp")
OPEN, KEEPALIVE = "01", "02"


@pytest.fixture
def silent() -> Iterator[int]:
    """Keep a port of this machine that answers no packet: its queue of connections is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((HOST, 0))
        listener.listen(0)
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.mark.parametrize("limit", [0, 2])
def test_a_limit_of_n_means_n_plus_one_tries(
    remote: Resource, serve: Serve, key: asyncssh.SSHKey, messages: list[Message], limit: int
) -> None:
    machine = serve(authorized=[key], drops=limit)
    made = remote.create(create="echo in", logging="none", connection=machine.connection(dialErrorLimit=limit))
    assert made["stdout"] == "in"
    assert len(machine.connections) == limit + 1
    machine = serve(authorized=[key], drops=limit + 1)
    told = failure(remote.create, create="true", connection=machine.connection(dialErrorLimit=limit))
    assert told == f"after {limit} failed attempts: {CUT}"
    assert len(machine.connections) == limit + 1
    waits = [Message(INFO, f"Dial {one}/{limit} failed: retrying", True) for one in range(1, limit + 1)]
    assert messages == waits * 2


def test_a_limit_of_minus_one_is_none_and_pauses_grow_from_a_tenth_of_a_second(
    remote: Resource, serve: Serve, key: asyncssh.SSHKey, messages: list[Message]
) -> None:
    machine = serve(authorized=[key], drops=3)
    began = time.monotonic()
    made = remote.create(create="echo in", logging="none", connection=machine.connection(dialErrorLimit=-1))
    assert made["stdout"] == "in"
    assert [one.text for one in messages] == [f"Dial {one}/inf failed: retrying" for one in (1, 2, 3)]
    assert 0.1 + 0.15 + 0.225 <= time.monotonic() - began < 3


def test_every_failure_is_tried_again_even_a_refused_login(
    remote: Resource, machine: Machine, stranger: asyncssh.SSHKey, host_key: asyncssh.SSHKey
) -> None:
    failure(remote.create, create="true", connection=machine.address(privateKey=private(stranger), dialErrorLimit=1))
    assert len(machine.connections) == 2
    wrong = machine.connection(hostKey=public(stranger), dialErrorLimit=1)
    failure(remote.create, create="true", connection=wrong)
    assert len(machine.connections) == 4
    right = machine.connection(hostKey=public(host_key), dialErrorLimit=1)
    assert remote.create(create="echo in", connection=right)["stdout"] == "in"
    assert len(machine.connections) == 5


def test_a_failed_command_is_not_tried_again(remote: Resource, machine: Machine) -> None:
    failure(remote.create, create="exit 1", connection=machine.connection(dialErrorLimit=3))
    assert machine.commands == ["exit 1"]


def test_a_refused_connection_is_told_with_its_address(remote: Resource, machine: Machine, closed: int) -> None:
    told = failure(remote.create, create="true", connection=machine.connection(port=closed))
    assert told == f"after 0 failed attempts: dial tcp {HOST}:{closed}: connect: connection refused"
    told = failure(remote.create, create="true", connection=machine.connection(port=closed, host="::1"))
    assert told.startswith(f"after 0 failed attempts: dial tcp [::1]:{closed}: connect: ")
    assert remote.create(create="echo in", connection=machine.connection())["stdout"] == "in"


def test_a_host_may_be_a_name(remote: Resource, machine: Machine) -> None:
    try:
        socket.gethostbyname("localhost")
    except OSError:
        pytest.skip("this machine knows no localhost: it has no /etc/hosts")
    assert remote.create(create="echo in", connection=machine.connection(host="localhost"))["stdout"] == "in"


def test_a_port_loses_its_fraction(remote: Resource, machine: Machine) -> None:
    made = remote.create(create="echo in", connection=machine.connection(port=machine.port + 0.7))
    assert made["stdout"] == "in"


def test_the_timeout_ends_a_tcp_connect(remote: Resource, machine: Machine, silent: int) -> None:
    began = time.monotonic()
    told = failure(remote.create, create="true", connection=machine.connection(port=silent, perDialTimeout=1))
    assert told == f"after 0 failed attempts: dial tcp {HOST}:{silent}: i/o timeout"
    assert 0.9 < time.monotonic() - began < 3


def test_the_timeout_does_not_end_a_login(remote: Resource, serve: Serve, key: asyncssh.SSHKey) -> None:
    machine = serve(authorized=[key], delay=1.15)
    began = time.monotonic()
    assert remote.create(create="echo in", connection=machine.connection(perDialTimeout=1))["stdout"] == "in"
    assert time.monotonic() - began > 1.1


@pytest.mark.skipif(not SOCKETS.exists(), reason="/proc/net/tcp is Linux's")
def test_a_silent_machine_is_probed_every_15_seconds(remote: Resource, machine: Machine) -> None:
    remote.create(create="true", connection=machine.connection())
    wait_until(lambda: _timer(machine.port)[0] == KEEPALIVE)
    assert 1300 < int(_timer(machine.port)[1], 16) <= 1500


def _timer(port: int) -> list[str]:
    """Return kind and time left, in hundredths of a second, of the timer of a connection to a port."""
    rows = [line.split() for line in SOCKETS.read_text().splitlines()]
    return next(row[5] for row in rows if row[2].endswith(f":{port:04X}") and row[3] == OPEN).split(":")


def test_a_timeout_of_zero_is_none(remote: Resource, machine: Machine) -> None:
    assert remote.create(create="echo in", connection=machine.connection(perDialTimeout=0))["stdout"] == "in"


def test_tries_end_when_the_resource_s_own_time_is_up(remote: Resource, machine: Machine, closed: int) -> None:
    endless = machine.connection(port=closed, dialErrorLimit=-1)
    assert failure(remote.within(1).create, create="true", connection=endless) == "context deadline exceeded"
    assert remote.within(1).create(create="echo in", connection=machine.connection())["stdout"] == "in"


def test_tries_end_when_all_work_is_cancelled(
    plugin: Plugin, machine: Machine, closed: int, messages: list[Message]
) -> None:
    told: list[str] = []
    endless = machine.connection(port=closed, dialErrorLimit=-1)
    with plugin.with_environment().running() as other:
        work = threading.Thread(
            target=lambda: told.append(failure(other.remote.create, create="true", connection=endless))
        )
        work.start()
        wait_until(lambda: bool(messages))
        other.cancel()
        work.join()
    assert told == ["context canceled"]
