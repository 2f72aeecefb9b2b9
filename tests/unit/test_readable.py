"""Scripts are read at night by somebody whose monitoring is blind: what a test can see of that is seen here."""

import re
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "components/scripts"
FILES = sorted(path for path in SCRIPTS.rglob("*.*") if path.parent.name != "packed")
PARTS = [path for path in FILES if path.parent == SCRIPTS]
COLUMNS = 100
# A shell variable that gets a value: by assignment, by a loop, by read.
_ASSIGNED = re.compile(r"(?:^|[\s;({])([A-Za-z_]\w*)=|\bfor (\w+) in\b|\bread -r ((?:\w+ ?)+)")
# The same of awk, and the names between a function's brackets.
_AWK_ASSIGNED = re.compile(r"\b([A-Za-z_]\w*) *(?:[-+*/]?=(?![=~])|\+\+|--)|\bfunction \w+\(([^)]*)\)")


def shown(path: Path) -> str:
    return str(path.relative_to(SCRIPTS))


def code(path: Path) -> list[tuple[int, str]]:
    """Return lines with their numbers, without comments."""
    lines = enumerate(path.read_text().splitlines(), 1)
    return [(number, line) for number, line in lines if not line.lstrip().startswith("#")]


def names(path: Path) -> dict[str, int]:
    """Return each variable that gets a value, with the line where it first does."""
    pattern = _ASSIGNED if path.suffix == ".sh" else _AWK_ASSIGNED
    found: dict[str, int] = {}
    for number, line in code(path):
        # What a program gets in its environment under the same name is not written over.
        for groups in pattern.findall(re.sub(r'\b(\w+)="\$\1"', "", line)):
            for name in re.findall(r"\w+", " ".join(groups)):
                found.setdefault(name, number)
    return found


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_no_line_is_longer_than_a_reader_has_columns(path: Path) -> None:
    long = [number for number, line in enumerate(path.read_text().splitlines(), 1) if len(line) > COLUMNS]
    assert long == []


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_a_variable_has_a_word_for_a_name(path: Path) -> None:
    assert [name for name in names(path) if len(name) == 1 and name != "i"] == []


def test_names_are_seen_in_all_their_forms() -> None:
    assert set(names(SCRIPTS / "lib/core.sh")) >= {"LOCK", "own_process", "rest", "word", "said"}
    assert set(names(SCRIPTS / "lib/prometheus-yml.awk"))


@pytest.mark.parametrize("path", PARTS, ids=shown)
def test_a_value_from_outside_is_never_written_over(path: Path) -> None:
    described = re.search(r"^# Values:.*?(?=^# \w+:|^[^#])", path.read_text(), re.MULTILINE | re.DOTALL)
    assert described, "its head says which values it gets"
    values = set(re.findall(r"\b[A-Z][A-Z_]+\b(?= ?[(,.;\n]| and )", described[0]))
    assert values
    assert values & names(path).keys() == set()
