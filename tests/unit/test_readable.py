"""Scripts are read at night by somebody whose monitoring is blind: what a test can see of that is seen here."""

import re
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "components/scripts"
FILES = sorted(path for path in SCRIPTS.rglob("*.*") if "sent" not in path.parts)
PARTS = [path for path in FILES if path.parent == SCRIPTS]
COLUMNS = 100
# The text of a file on a machine does not change for its looks.
_HERE_DOCUMENT = re.compile(r"<<'?(\w+)'?\n.*?^\1$", re.MULTILINE | re.DOTALL)
# A shell variable that gets a value: by assignment, by a loop, by read.
_ASSIGNED = re.compile(r"(?:^|[\s;({])([A-Za-z_]\w*)=|\bfor (\w+) in\b|\bread -r ((?:\w+ ?)+)")
# The same of awk, and the names between a function's brackets.
_AWK_ASSIGNED = re.compile(r"(?<![\w\\])([A-Za-z_]\w*) *(?:[-+*/]?=(?![=~])|\+\+|--)|\bfunction \w+\(([^)]*)\)")
# What a program gets in its environment under the same name is not written over.
_HANDED_ON = re.compile(r'\b(\w+)="\$\1"')


def shown(path: Path) -> str:
    return str(path.relative_to(SCRIPTS))


def lines(path: Path) -> list[str]:
    """Return the lines of a script that are its own, without texts of files."""
    return _HERE_DOCUMENT.sub("<<", path.read_text()).splitlines()


def names(path: Path) -> set[str]:
    """Return each variable that gets a value."""
    pattern = _ASSIGNED if path.suffix == ".sh" else _AWK_ASSIGNED
    code = [_HANDED_ON.sub("", line) for line in lines(path) if not line.lstrip().startswith("#")]
    found = [group for line in code for groups in pattern.findall(line) for group in groups]
    return set(re.findall(r"\w+", " ".join(found)))


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_no_line_is_longer_than_a_reader_has_columns(path: Path) -> None:
    assert [line for line in lines(path) if len(line) > COLUMNS] == []


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_a_variable_has_a_word_for_a_name(path: Path) -> None:
    assert [name for name in names(path) if len(name) == 1 and name != "i"] == []


@pytest.mark.parametrize("path", PARTS, ids=shown)
def test_a_value_from_outside_is_never_written_over(path: Path) -> None:
    described = re.search(r"^# Values:.*?(?=^# \w+:|^[^#])", path.read_text(), re.MULTILINE | re.DOTALL)
    values = set(re.findall(r"\b[A-Z][A-Z_]+\b(?= ?[(,.;\n]| and )", described[0] if described else ""))
    assert (values | {"MACHINE", "PART", "STACK"}) & names(path) == set()


def test_names_are_seen_in_all_their_forms(tmp_path: Path) -> None:
    shell, program = tmp_path / "some.sh", tmp_path / "some.awk"
    shell.write_text('a=1; for b in x; do read -r c d; done\nJOB="$JOB" run\ncat <<END\ne=1\nEND\n# f=1\n( g=1 )\n')
    program.write_text("function h(k, l) { m = k == l }\n{ split($0, n, /[\\t=]/); o++; p[1] += 2 }\n")
    assert names(shell) == set("abcdg")
    assert names(program) == set("klmo")
