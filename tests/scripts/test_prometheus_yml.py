"""The editor of prometheus.yml: given text, wanted text, and the way back to the byte, with each awk."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from components.payload import code
from tests.scripts.prometheus_texts import ASKED, EDITED, JOB, REFUSED, SERVED, TAKEN_OUT
from tests.scripts.sandbox import AWKS, SHELLS

ITEMS = f"""\
- job_name: {JOB}
  scrape_interval: 5s"""
EDITOR = code("scrape-job") + '\nedited_config "$@"\n'


class Editor:
    """One awk, in the shell that goes with it."""

    def __init__(self, awk: str, folder: Path) -> None:
        (folder / "awk").symlink_to(shutil.which(awk) or awk)
        self.shell = SHELLS[AWKS.index(awk)].split()
        self.environment = {"PATH": f"{folder}:{os.environ['PATH']}", "LC_ALL": "C"}

    def run(self, action: str, text: bytes, job: str = JOB) -> tuple[int, bytes]:
        """Return the code and what is printed."""
        done = subprocess.run(
            [*self.shell, "-c", EDITOR, "-", action, ITEMS.replace(JOB, job)],
            input=text,
            capture_output=True,
            check=False,
            env={**self.environment, "JOB": job},
        )
        assert done.stderr == b""
        return done.returncode, done.stdout

    def edited(self, action: str, text: bytes, job: str = JOB) -> bytes:
        """Return what a text becomes."""
        code, changed = self.run(action, text, job)
        assert code == 0, changed
        return changed


@pytest.fixture(params=AWKS)
def editor(request: pytest.FixtureRequest, tmp_path: Path) -> Editor:
    return Editor(request.param, tmp_path)


def jobs(text: bytes) -> list[str]:
    """Return the names of the first document's jobs."""
    # What Prometheus reads with is a translation of libyaml.
    first = next(iter(yaml.load_all(text, Loader=yaml.CSafeLoader)), None) or {}
    return [job["job_name"] for job in first.get("scrape_configs") or []]


@pytest.mark.parametrize("name", EDITED)
def test_the_block_goes_into_a_text_and_out_again_to_the_byte(name: str, editor: Editor) -> None:
    given, wanted = EDITED[name]
    assert editor.edited("placed", given) == wanted
    assert editor.edited("removed", wanted) == given


@pytest.mark.parametrize("name", TAKEN_OUT)
def test_what_the_block_holds_for_others_goes_on_to_them(name: str, editor: Editor) -> None:
    given, wanted = TAKEN_OUT[name]
    assert editor.edited("removed", given) == wanted


@pytest.mark.parametrize("name", SERVED)
def test_the_job_comes_first_in_the_list_and_goes_again_to_the_byte(name: str, editor: Editor) -> None:
    given = SERVED[name]
    placed = editor.edited("placed", given)
    assert jobs(placed) == [JOB, *jobs(given)]
    assert jobs(editor.edited("twice", given)) == [JOB, JOB, *jobs(given)]
    assert editor.edited("removed", placed) == given
    assert editor.edited("placed", placed) == placed
    kept = placed.splitlines(keepends=True)
    for line in given.splitlines(keepends=True)[:-1]:
        kept.remove(line)
    assert editor.edited("shown", placed).decode().split("\n")[-2].strip() == f"# END {JOB}"
    assert editor.edited("shown", given) == b""


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_place_for_the_job_is_refused_with_the_remedy(name: str, editor: Editor) -> None:
    given, reason = REFUSED[name]
    for action in ("placed", "twice"):
        code, said = editor.run(action, given)
        assert code == 1
        assert said.decode().startswith(reason)
        assert said.count(b"\n") == 1
    assert editor.run("removed", given) in [(0, given), (1, said)]


@pytest.mark.parametrize("name", ASKED)
def test_what_the_editor_takes_wrongly_is_no_list_with_the_job_in_it(name: str, editor: Editor) -> None:
    """For promtool two keys of one name are an error; for this reader the later one counts."""
    twice = editor.edited("twice", ASKED[name])
    found: list[str] = []
    try:
        found = [key.value for key, _ in next(iter(yaml.compose_all(twice, Loader=yaml.CSafeLoader))).value]
    except yaml.YAMLError:
        return
    assert found.count("scrape_configs") != 1 or JOB not in jobs(twice)


EDITS = {
    "an item behind the block": ("scrape_configs:\n", "- job_name: mine\n"),
    "an item behind a block that begins the list": ("global: {}\n", "- job_name: mine\n"),
    "a comment behind a block that begins the list": ("global: {}\n", "# mine\n"),
    "a key behind a block that begins the list": ("global: {}\n", "rule_files: []\n"),
    "a line without an end": ("scrape_configs:", "- job_name: mine"),
    "a blank line": ("global: {}", "\n"),
}


@pytest.mark.parametrize("name", EDITS)
def test_what_others_write_behind_the_block_stays_whole(name: str, editor: Editor) -> None:
    given, more = EDITS[name]
    edited = editor.edited("placed", given.encode()) + more.encode()
    removed = editor.edited("removed", edited).decode()
    assert jobs(removed.encode()) == [job for job in jobs(edited) if job != JOB]
    key = "scrape_configs:\n" if "scrape_configs" not in given and "job_name" in more else ""
    end = "" if given.endswith("\n") else "\n"
    assert removed == given + end + key + more


@pytest.mark.parametrize("change", ["\r\n", "    "], ids=["crlf", "indented"])
def test_a_block_that_an_editor_wrote_anew_is_still_found_and_goes_whole(change: str, editor: Editor) -> None:
    placed = editor.edited("placed", b"scrape_configs:\n  - job_name: own\n").decode()
    if change == "\r\n":
        other = placed.replace("\n", "\r\n")
        wanted = "scrape_configs:\r\n  - job_name: own\r\n"
    else:
        other = placed.replace("\n  ", "\n    ")
        wanted = "scrape_configs:\n    - job_name: own\n"
    assert editor.edited("removed", other.encode()).decode() == wanted


@pytest.mark.parametrize("given", [b"global: {}\n", b"global: {}", b"scrape_configs:", b"---\nglobal: {}\n...\n", b""])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_blocks_of_several_stacks_go_in_any_order_to_the_byte(
    given: bytes, order: tuple[int, ...], editor: Editor
) -> None:
    names = [JOB, "metrics-tunnel-aXb", "metrics-tunnel-a.b2"]
    text = given
    for name in names:
        text = editor.edited("placed", text, name)
    assert sorted(jobs(text)) == sorted(names)
    for number in order:
        text = editor.edited("removed", text, names[number])
        left = [name for name in names if name in jobs(text)]
        assert names[number] not in left
        # Applying again keeps the others as they are.
        for name in left:
            assert sorted(jobs(editor.edited("placed", text, name))) == sorted(left)
    assert text == given


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (f"# BEGIN {JOB}\nglobal: {{}}\n", f"the marks of {JOB} are damaged"),
        (f"# BEGIN {JOB}\n# END {JOB}\n" * 2, f"the marks of {JOB} are damaged"),
        (f"# END {JOB}\n# BEGIN {JOB}\n", f"the marks of {JOB} are damaged"),
        (f"scrape_configs:\n  - job_name: {JOB}\n", f"the job {JOB} has lost its marks"),
        (f"scrape_configs:\n  - job_name: '{JOB}' \r\n", f"the job {JOB} has lost its marks"),
        (f"scrape_configs:\n  - scrape_interval: 5s\n    job_name: {JOB}\n", f"the job {JOB} has lost its marks"),
    ],
)
def test_damaged_marks_are_refused(given: str, reason: str, editor: Editor) -> None:
    for action in ("placed", "twice", "removed"):
        code, said = editor.run(action, given.encode())
        assert code == 1
        assert said.decode().startswith(reason)


@pytest.mark.parametrize("other", ["metrics-tunnel-aXb", "metrics-tunnel-a.b2", "metrics-tunnel-a"])
def test_the_name_of_another_job_that_is_alike_is_another(other: str, editor: Editor) -> None:
    given = f"# BEGIN {other}\n# END {other}\n# - job_name: {JOB}\nscrape_configs:\n  - job_name: {other}\n".encode()
    assert editor.edited("shown", given) == b""
    assert editor.edited("removed", editor.edited("placed", given)) == given
