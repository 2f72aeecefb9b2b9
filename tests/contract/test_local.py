"""How a command runs on this machine, and how its failure is told."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.resource import Failed, Resource, failure, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.plugin import Plugin


def test_a_failure_tells_status_command_and_everything_printed(local: Resource) -> None:
    assert failure(local.create, create="echo no; exit 3") == 'exit status 3: running "echo no; exit 3":\nno\n'


def test_a_failure_shows_both_streams_in_the_order_of_arrival(local: Resource) -> None:
    command = "echo one; sleep 0.05; echo two >&2; sleep 0.05; echo three; exit 1"
    assert failure(local.create, create=command) == f'exit status 1: running "{command}":\none\ntwo\nthree\n'


def test_a_failure_does_not_show_stdin(local: Resource) -> None:
    assert "planted" not in failure(local.create, create="cat >/dev/null; exit 1", stdin="planted")
    assert "planted" in failure(local.create, create="cat; exit 1", stdin="planted")


def test_a_failure_is_told_alike_for_create_update_and_delete(local: Resource) -> None:
    made = local.create(delete="exit 2")
    assert failure(local.delete, made) == 'exit status 2: running "exit 2":\n'
    assert failure(local.update, made, update="exit 2") == 'exit status 2: running "exit 2":\n'
    assert failure(local.create, create="exit 2") == 'exit status 2: running "exit 2":\n'


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('"a b"', r"\"a b\""),
        ("\\n", r"\\n"),
        ("\n\t\a\b\f\r\v", r"\n\t\a\b\f\r\v"),
        ("\x01\x7f", r"\x01\x7f"),
        ("ä“”€\U0001f600", "ä“”€\U0001f600"),
        ("\u00a0\u200b\u2028\ufeff", r"\u00a0\u200b\u2028\ufeff"),
        ("\u00ad\u0085", r"\u00ad\u0085"),
        ("\U000e0001", r"\U000e0001"),
        ("\ue000", r"\ue000"),
    ],
)
def test_a_command_is_told_in_quotes_with_what_cannot_be_seen_spelled_out(
    local: Resource, written: str, told: str
) -> None:
    assert failure(local.create, create=f"exit 1 # {written}") == f'exit status 1: running "exit 1 # {told}":\n'


@pytest.mark.parametrize(
    ("signal", "told"), [("KILL", "killed"), ("TERM", "terminated"), ("HUP", "hangup"), ("INT", "interrupt")]
)
def test_a_signal_is_told_by_name(local: Resource, signal: str, told: str) -> None:
    command = f"kill -{signal} $$"
    assert failure(local.create, create=command) == f'signal: {told}: running "{command}":\n'


def test_a_core_dump_or_other_signal_is_told_by_its_meaning(local: Resource) -> None:
    command = "ulimit -c 0; kill -USR1 $$"
    assert failure(local.create, create=command) == f'signal: user defined signal 1: running "{command}":\n'


def test_the_shell_is_bin_sh_unless_an_interpreter_is_given(local: Resource) -> None:
    assert local.create(create="echo $0")["stdout"] == "/bin/sh"
    assert local.create(create="echo $0", interpreter=[])["stdout"] == "/bin/sh"
    assert (
        local.create(create="echo $0 $1", interpreter=["/bin/sh", "-c", 'printf "%s,%s" "$0" "$1"', "a"])["stdout"]
        == "a,echo $0 $1"
    )


def test_a_missing_interpreter_is_told(local: Resource) -> None:
    told = 'exec: "no-such-shell": executable file not found in $PATH: running "true":\n'
    assert failure(local.create, create="true", interpreter=["no-such-shell"]) == told
    told = 'fork/exec /no/such/shell: no such file or directory: running "true":\n'
    assert failure(local.create, create="true", interpreter=["/no/such/shell"]) == told
    assert local.create(create="true", interpreter=["sh", "-c"])["stdout"] == ""


def test_an_interpreter_that_may_not_be_run_is_told(local: Resource, tmp_path: Path) -> None:
    shell = tmp_path / "shell"
    shell.write_text("#!/bin/sh\necho mine\n")
    told = f'fork/exec {shell}: permission denied: running "true":\n'
    assert failure(local.create, create="true", interpreter=[str(shell)]) == told
    shell.chmod(0o755)
    assert local.create(create="true", interpreter=[str(shell)])["stdout"] == "mine"


def test_dir_is_where_the_command_runs(local: Resource, tmp_path: Path) -> None:
    assert local.create(create="pwd", dir=str(tmp_path))["stdout"] == str(tmp_path)
    told = f'chdir {tmp_path}/none: no such file or directory: running "pwd":\n'
    assert failure(local.create, create="pwd", dir=f"{tmp_path}/none") == told


def test_environment_comes_on_top_of_the_plugin_s_own(plugin: Plugin) -> None:
    with plugin.with_environment(OWN="own", BOTH="own").running() as other:
        made = other.local.create(create='echo "$OWN $BOTH $ONE"', environment={"BOTH": "given", "ONE": "given"})
    assert made["stdout"] == "own given given"


def test_the_outputs_before_beat_the_environment(local: Resource) -> None:
    made = local.create(create="echo old")
    mine = {"PULUMI_COMMAND_STDOUT": "mine"}
    assert local.create(create="echo $PULUMI_COMMAND_STDOUT", environment=mine)["stdout"] == "mine"
    assert local.update(made, create="echo $PULUMI_COMMAND_STDOUT", environment=mine)["stdout"] == "old"


def test_a_command_is_killed_when_its_own_time_is_up_in_whole_seconds(local: Resource) -> None:
    with pytest.raises(Failed) as caught:
        local.within(1.9).create(create="exec sleep 1.5")
    assert (caught.value.code, caught.value.text) == ("UNKNOWN", 'signal: killed: running "exec sleep 1.5":\n')
    with pytest.raises(Failed) as caught:
        local.within(0.9).create(create="true")
    assert (caught.value.code, caught.value.text) == (
        "DEADLINE_EXCEEDED",
        'context deadline exceeded: running "true":\n',
    )
    assert local.within(1).create(create="echo done")["stdout"] == "done"


def test_cancel_kills_what_runs_and_lets_nothing_new_start(plugin: Plugin, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    told: list[Any] = []
    with plugin.with_environment().running() as other:
        command = f"touch {begun}; exec sleep 5"
        work = threading.Thread(target=lambda: told.append(failure(other.local.create, create=command)))
        work.start()
        wait_until(begun.exists)
        assert other.local.create(create="echo lives")["stdout"] == "lives"
        other.cancel()
        work.join()
        assert told == [f'signal: killed: running "{command}":\n']
        with pytest.raises(Failed) as caught:
            other.local.create(create="true")
        assert (caught.value.code, caught.value.text) == ("CANCELLED", 'context canceled: running "true":\n')
