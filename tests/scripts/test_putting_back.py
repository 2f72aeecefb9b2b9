"""What every part does where it fails: old files come back, and the text says so only where they did."""

import pytest

from components.payload import assignments, libraries, source
from tests.scripts.sandbox import Done, Sandbox, in_each_shell

VALUES = {"MACHINE": "m1", "PART": "trial", "STACK": "test", "PROJECT": "project"}
FILE = "etc/trial.conf"
NOTHING = "preflight() { :; }\nrecord() { :; }\nrestore() { :; }\n"


def run(machine: Sandbox, part: str) -> Done:
    """Run a part that is given as shell text over the whole library."""
    library = "\n".join(map(source, libraries("ssh-tunnel")))
    return machine.run(
        f'{assignments(VALUES)}{library}\n{NOTHING}{part}\nmain "$@" </dev/null\n', "apply", "test.trial.0", "1"
    )


@in_each_shell
def test_a_file_comes_back_and_the_text_says_so(machine: Sandbox) -> None:
    machine.write(FILE, "old\n", 0o640)
    before = machine.state()
    done = run(machine, f"change() {{ put /{FILE} new; fail 'no way'; }}")
    assert (done.code, done.err) == (3, "m1 trial: no way; its old state is restored\n")
    assert machine.state() == before


@in_each_shell
def test_a_file_that_cannot_be_put_back_is_told_and_its_copy_stays(machine: Sandbox) -> None:
    machine.write(FILE, "old\n")
    machine.write("etc/other.conf", "old\n")
    in_the_way = f"rm /{FILE}; mkdir /{FILE}; touch /{FILE}/x"
    done = run(machine, f"change() {{ put /{FILE} new; put /etc/other.conf new; {in_the_way}; fail 'no way'; }}")
    assert done.code == 3
    assert "restored" not in done.err
    assert f"m1 trial: no way; not put back could be: /{FILE}; where there is a copy, it has .mt-old" in done.err
    assert machine.read(f"{FILE}.mt-old") == "old\n"
    assert machine.read("etc/other.conf") == "old\n"


@in_each_shell
def test_a_new_file_that_cannot_be_taken_away_is_told(machine: Sandbox) -> None:
    immutable = 'rm() { case $* in *trial.conf*) return 1 ;; esac; command rm "$@"; }'
    done = run(machine, f"change() {{ put /{FILE} new; put /etc/other.conf new; {immutable}; fail 'no way'; }}")
    assert done.code == 3
    assert "restored" not in done.err
    assert f"m1 trial: no way; not put back could be: /{FILE}; where there is a copy" in done.err
    assert not (machine / "etc/other.conf").exists()


@in_each_shell
@pytest.mark.parametrize("inner", ["(fail 'no way')", "text=$(fail 'no way')", "fail 'no way' | cat >/dev/null; false"])
def test_what_a_subshell_says_as_it_fails_is_not_lost(inner: str, machine: Sandbox) -> None:
    done = run(machine, f"change() {{ {inner}; }}")
    assert done.code
    assert "no way\n" in done.err
    assert done.err.endswith("m1 trial: stopped at change; mend the above, run again; its old state is restored\n")


@in_each_shell
def test_a_link_that_leads_nowhere_comes_back(machine: Sandbox) -> None:
    (machine / FILE).symlink_to("/nowhere")
    before = machine.state()
    done = run(machine, f"change() {{ put /{FILE} new; fail 'no way'; }}")
    assert done.code == 3
    assert machine.state() == before
