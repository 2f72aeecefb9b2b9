"""What is sent to machines, and what they answer."""

import re
import subprocess
from pathlib import Path

import pytest

from components.payload import (
    CODE_BEGINS,
    SENT,
    assignments,
    code,
    libraries,
    observation,
    payload,
    rehearsal,
    source,
    started,
    was_applied,
)
from components.ssh_tunnel import values_of_others
from lab import sent
from lab.sent import SCRIPTS as FOLDER
from lab.sent import bare, bare_awk, parts

SCRIPTS = parts()
_LIBRARIES = [f"lib/{file.name.removesuffix('.sh')}" for file in (FOLDER / "lib").iterdir() if file.stem != "look"]
_FUNCTION = re.compile(r"^(\w+(?=\(\) )|\w+_AWK(?==))", re.MULTILINE)
_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
HOSTILE = ["'", '"', "$(id)", "`id`", "a\nb", "\\", "\\'", " -o x", "%h", "é", "", "!x"]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_arrives_byte_for_byte(value: str) -> None:
    script = assignments({"X": value}) + 'printf %s "$X"'
    assert subprocess.run(["sh", "-s"], input=script.encode(), capture_output=True, check=True).stdout == value.encode()


@pytest.mark.parametrize("name", ["x", "X Y", "", "X;id"])
def test_a_name_that_is_no_variable_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="upper-case"):
        assignments({name: "x"})


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("shell", ["dash", "bash --posix", "busybox sh"])
def test_a_payload_is_well_formed_in_every_shell_and_ends_with_its_call(script: str, shell: str) -> None:
    text = payload(script, {"PART": "x"})
    assert text.endswith('{ main "$@" </dev/null; exit; }\n')
    for one in (text, code(script)):
        subprocess.run([*shell.split(), "-n"], input=one, text=True, check=True)
        assert subprocess.run(
            [*shell.split(), "-n"], input=one[:-40] + "(", text=True, capture_output=True, check=False
        ).returncode


def test_what_is_sent_are_the_scripts_and_their_libraries() -> None:
    """Where this fails `make sent` writes them anew: they are the same for everyone with one release."""
    assert {file: file.read_text() for file in sent.FOLDER.rglob("*.*")} == sent.sent()


@pytest.mark.parametrize("script", SCRIPTS)
def test_of_what_is_sent_nothing_but_comments_and_indents_is_gone_whole(script: str) -> None:
    text = code(script)
    for name in libraries(script):
        if name.endswith(".awk"):
            assert (FOLDER / name).read_text().partition("\n")[0] not in code(script, SENT)
            text = text.replace(source(name), source(name, SENT))
    # Twice, for shfmt ends a line where a comment stood.
    assert bare(code(script, SENT)) == bare(bare(text)).removeprefix(CODE_BEGINS)


def test_of_what_is_sent_nothing_but_comments_and_indents_is_gone() -> None:
    text = """\
# A comment.
says() { # WORDS
  # An indented one.
  cat <<END
  # This stays, and its indent.
END
  echo "  # and
    this  " '  # and this' a#b # not this
}
"""
    assert bare(text) == (
        "says(){\ncat <<END\n  # This stays, and its indent.\nEND\necho \"  # and\n    this  \" '  # and this' a#b\n}\n"
    )


AWK_PROGRAMS = sorted(FOLDER.glob("lib/*.awk"))


@pytest.mark.parametrize("program", AWK_PROGRAMS, ids=[path.stem for path in AWK_PROGRAMS])
def test_an_awk_program_is_the_same_one_without_its_comments(program: Path) -> None:
    """By what awk makes of it before it runs."""
    text = program.read_text()
    assert text.startswith("# ")
    assert not re.search(r"^\s*#", bare_awk(text), re.MULTILINE)
    assert compiled(bare_awk(text)) == compiled(text)
    assert compiled(text) != compiled(f"{text}END {{ print 1 }}\n")


def compiled(program: str) -> str:
    """Return mawk's code for a program, less the addresses that it has in memory."""
    command = ["mawk", "-W", "dump", program]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    return re.sub(r"\b0x[0-9a-f]+\b", "", done.stdout)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_names_each_library_that_it_uses_and_none_beyond_that(script: str) -> None:
    defined = {name: _FUNCTION.findall(source(name)) for name in _LIBRARIES}
    text = code(script)
    words = set(re.findall(r"\w+", "\n".join(line.partition(" # ")[0] for line in _COMMENT.sub("", text).splitlines())))
    own = set(_FUNCTION.findall(source(script)))
    used = {name for name, functions in defined.items() if words & {*functions} - own}
    assert used == {*libraries(script)}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_payload_cut_anywhere_before_its_last_line_runs_nothing(script: str) -> None:
    text = payload(script, {"PART": "x"})
    for end in (text.rindex("main ") + 2, text.rindex("}") - 40, len(text) // 2):
        done = subprocess.run(
            ["dash", "-s", "--", "apply"], input=text[:end], text=True, capture_output=True, check=False
        )
        assert done.stdout == ""
        assert "not found" in done.stderr or "Syntax error" in done.stderr


_SENT = "# metrics-tunnel\nMACHINE='web1'\necho \"$MACHINE $*\"\nexit\n"


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox sh"])
@pytest.mark.parametrize("eaten", range(len(_SENT) + 1))
def test_nothing_runs_and_that_is_no_success_where_a_startup_file_has_read_some_of_it(eaten: int, shell: str) -> None:
    command = started(9, "apply", "shop:prod.web1-exporter-node.1", "0a").replace(" sh -c ", f" {shell} -c ", 1)
    done = subprocess.run(["sh", "-c", command], input=_SENT[eaten:], capture_output=True, text=True, check=False)
    if not eaten:
        assert (done.returncode, done.stdout) == (0, "web1 apply shop:prod.web1-exporter-node.1 0a\n")
        return
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "standard input lost\n"


def test_a_payload_without_its_end_is_no_success() -> None:
    done = subprocess.run(["sh", "-c", started(9)], input=_SENT[: -len("exit\n")], text=True, check=False)
    assert done.returncode == 3


def test_a_look_that_another_shell_reads_in_place_of_its_command_is_refused() -> None:
    look = observation([])
    done = subprocess.run(["sh"], input=look, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "another shell in place of our command" in done.stderr
    assert subprocess.run(["sh", "-c", started(9)], input=look, text=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("command", "goes_on"),
    [
        ("sh -c SCRIPT metrics-tunnel apply x", True),
        # What a state of 0.1.0 keeps where `detectDrift` is false.
        ("sh -c SCRIPT sh apply x", True),
        ("sh -c SCRIPT sh remove x", True),
        ("sh -c SCRIPT sh", False),
        ("sh -c SCRIPT -dash", False),
        ("sh -c SCRIPT /bin/bash apply x", False),
    ],
)
def test_a_shell_in_place_of_our_command_is_known_and_a_command_of_a_release_is_none(
    command: str, goes_on: bool
) -> None:
    script = f'{source("lib/core")}\nby_its_command "$@"\necho goes on'
    words = [script if word == "SCRIPT" else word for word in command.split()]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == ((0, "goes on\n") if goes_on else (3, ""))


@pytest.mark.parametrize(
    ("said", "ran"),
    [
        ("metrics-tunnel applied 0a1b2c3d\n", True),
        ("Hello, without an end\nmetrics-tunnel applied 0a1b2c3d", True),
        ("", False),
        ("metrics-tunnel applied\n", False),
        ("Hello. metrics-tunnel applied 0a1b2c3d by hand\n", False),
    ],
)
def test_what_ran_to_its_end_is_known_by_its_last_line(said: str, ran: bool) -> None:
    assert was_applied(said) == ran


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_part_has_every_verb(script: str) -> None:
    assert {"preflight", "change", "prove", "record", "undo", "restore"} <= {*_FUNCTION.findall(code(script))}


def test_what_reads_is_well_formed_and_ends_with_its_end() -> None:
    parts = [(script, "o", {"PART": script}) for script in SCRIPTS]
    for text in (observation([]), observation([(*part, "tells") for part in parts]), rehearsal(parts)):
        subprocess.run(["dash", "-n"], input=text, text=True, check=True)
        assert text.endswith("end\\n'\nexit\n")


@pytest.mark.parametrize("address", ["-oProxyCommand=x", "a b", "a\nb", "a%H"])
def test_a_hostile_address_reaches_no_unit(address: str) -> None:
    with pytest.raises(ValueError, match="no host name"):
        values_of_others("web1", address, "p", "k")
