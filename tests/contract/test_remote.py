"""How a command runs on another machine, and how its failure is told."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.contract.resource import Resource, failure, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import asyncssh

    from tests.contract.plugin import Plugin
    from tests.contract.sshd import Machine


@pytest.mark.parametrize("status", [1, 3, 127, 255])
def test_a_failure_tells_status_command_and_what_it_printed(remote: Resource, machine: Machine, status: int) -> None:
    command = f"echo no >&2; exit {status}"
    told = f'Process exited with status {status}: running "{command}":\nno\n'
    assert failure(remote.create, create=command, connection=machine.connection()) == told


def test_a_failure_is_told_alike_for_create_update_and_delete(remote: Resource, machine: Machine) -> None:
    connection, told = machine.connection(), 'Process exited with status 2: running "exit 2":\n'
    made = remote.create(delete="exit 2", connection=connection)
    assert failure(remote.delete, made) == told
    assert failure(remote.update, made, update="exit 2", connection=connection) == told
    assert failure(remote.create, create="exit 2", connection=connection) == told


def test_a_failure_does_not_show_stdin(remote: Resource, machine: Machine) -> None:
    connection = machine.connection()
    told = failure(remote.create, create="cat >/dev/null; exit 1", stdin="planted", connection=connection)
    assert told == 'Process exited with status 1: running "cat >/dev/null; exit 1":\n'
    assert "planted" in failure(remote.create, create="cat; exit 1", stdin="planted", connection=connection)


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ("exit-signal TERM", "Process exited with status 143 from signal TERM"),
        ("exit-signal KILL", "Process exited with status 137 from signal KILL"),
        ("exit-signal HUP gone away", "Process exited with status 129 from signal HUP. Reason was: gone away"),
        ("exit-signal FPE", "Process exited with status 136 from signal FPE"),
        ("exit-signal USR1", "Process exited with status 128 from signal USR1"),
        ("vanish", "wait: remote command exited without exit status or exit signal"),
        ("hang up", "wait: remote command exited without exit status or exit signal"),
    ],
)
def test_an_end_without_a_status_is_told(remote: Resource, machine: Machine, order: str, told: str) -> None:
    assert failure(remote.create, create=order, connection=machine.connection()) == f'{told}: running "{order}":\n'


def test_the_command_arrives_as_it_was_written(remote: Resource, machine: Machine) -> None:
    command = "echo \"a  b\"\n\techo 'ä' # done"
    assert remote.create(create=command, connection=machine.connection())["stdout"] == "a  b\nä"
    assert machine.commands == [command]


def test_an_empty_command_is_run_as_one(remote: Resource, machine: Machine) -> None:
    assert remote.create(create="", connection=machine.connection())["stdout"] == ""
    assert machine.commands == [""]


def test_a_command_has_to_fit_one_packet_of_256_kilobytes(remote: Resource, machine: Machine) -> None:
    fits = "exit-signal TERM ".ljust(256 * 1024 - 200, "x")
    told = failure(remote.create, create=fits, connection=machine.connection())
    assert told.startswith("Process exited with status 143 from signal TERM")
    assert machine.commands == [fits]
    told = failure(remote.create, create=fits + "x" * 300, connection=machine.connection())
    assert told.startswith('EOF: running "exit-signal')
    assert machine.commands == [fits]


def test_a_machine_that_runs_no_commands_is_told(
    remote: Resource, serve: Callable[..., Machine], key: asyncssh.SSHKey
) -> None:
    machine = serve(authorized=[key], refuses=("exec",))
    told = failure(remote.create, create="echo a", connection=machine.connection())
    assert told == 'ssh: command echo a failed: running "echo a":\n'


def test_a_changed_connection_runs_on_the_new_machine_and_cleans_nothing_on_the_old(
    remote: Resource, serve: Callable[..., Machine], key: asyncssh.SSHKey
) -> None:
    old, new = serve(authorized=[key]), serve(authorized=[key])
    made = remote.create(create="echo on", delete="echo off", connection=old.connection())
    made = remote.update(made, create="echo on", delete="echo off", connection=new.connection())
    remote.delete(made)
    assert (old.commands, new.commands) == (["echo on"], ["echo on", "echo off"])


def test_without_a_command_no_machine_is_reached(remote: Resource, machine: Machine) -> None:
    made = remote.create(connection=machine.connection())
    remote.delete(remote.update(made, stdin="x", connection=machine.connection()))
    remote.previewed().create(create="true", connection=machine.connection())
    assert machine.connections == []
    remote.create(create="true", connection=machine.connection())
    assert len(machine.connections) == 1


def test_delete_on_a_machine_that_is_gone_fails(remote: Resource, serve: Callable[..., Machine], key: object) -> None:
    machine = serve(authorized=[key])
    made = remote.create(delete="true", connection=machine.connection())
    remote.delete(made)
    machine.close()
    assert "connection refused" in failure(remote.delete, made)


def test_each_command_has_a_connection_of_its_own_open_until_the_plugin_ends(plugin: Plugin, machine: Machine) -> None:
    with plugin.with_environment().running() as other:
        for _ in range(3):
            other.remote.create(create="true", connection=machine.connection())
        assert len(machine.connections) == machine.open_connections == 3
    wait_until(lambda: machine.open_connections == 0)


def test_a_running_command_can_be_neither_timed_out_nor_cancelled(
    plugin: Plugin, machine: Machine, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    told: list[str] = []
    command = f"touch {begun}; sleep 1.2; echo done"
    with plugin.with_environment().running() as other:
        work = threading.Thread(
            target=lambda: told.append(
                other.remote.within(1).create(create=command, connection=machine.connection())["stdout"]
            )
        )
        work.start()
        wait_until(begun.exists)
        other.cancel()
        work.join()
    assert told == ["done"]
