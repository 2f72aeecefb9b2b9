"""Scripts ended before each program that changes something, by SIGKILL or by SIGTERM to their whole group."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scripts.sandbox import Done, Sandbox, parts, tools

LOGIN = parts(hosts={"web1": {"login": "ann"}})["web1-authorized-key-mon1"]
PARTS = {**parts(), "login": LOGIN}
CHANGING = ["rm", "mv", "cp", "mkdir", "rmdir", "touch", "chmod", "cat", "restorecon", "ssh-keygen", "useradd"]
# Counts the step, keeps the machine as it stands or ends the script's group where it is the turn of that, and runs what
# it stands for. What only reads, or is a fake's own, is no step.
COUNTER = """#!/bin/sh
case "${{0##*/}} $*" in
cat\\ ?* | *"$ROOT/fake/"*) ;;
*) if [ -e "$ROOT.turn" ]; then
  read -r turn <"$ROOT.turn"
  echo >>"$ROOT.steps"
  step=$(wc -l <"$ROOT.steps")
  case $turn in
  each) "$REAL/cp" -aT "$ROOT" "$ROOT.$step" ;;
  "$step") "$REAL/kill" -TERM -- -$(/bin/cat "$ROOT.group") ;;
  esac
fi ;;
esac
exec {real} "$@"
"""


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the sandbox's programs, of which those that change something are counted."""
    folder, real = tools(tmp_path_factory.mktemp("tools")), tmp_path_factory.mktemp("real")
    for name in CHANGING:
        (folder / name).rename(real / name)
        (folder / name).write_text(COUNTER.format(real=real / name))
        (folder / name).chmod(0o755)
    return folder


class Ended:
    """A machine whose folder is put back before each run."""

    def __init__(self, folder: Path, programs: Path, name: str) -> None:
        self.machine = machine = Sandbox(folder / "m", programs, f"{shutil.which('setsid')} -w {shutil.which('dash')}")
        self.kept = folder / "kept"
        self.part = PARTS[name]
        machine.add_all()
        (machine / "home/ann").mkdir(parents=True)
        if name == "login":
            machine.edit("etc/passwd", "/home/ann", f"{machine.root}/home/ann")
        if name == "web1-scrape-config":
            assert machine.apply(parts()["mon1-scrape-job"]).code == 0
        self.text = machine.inside(self.part.stdin).replace("\n", '\necho $$ >"$ROOT.group"\n', 1)
        self.runs = {"apply": ("apply", self.part.owner, "0a1b2c3d"), "remove": ("remove", self.part.owner)}

    def state(self) -> dict[str, object]:
        """Return what is on it; a key is another one each time that it is made."""
        found = self.machine.state("etc", "var", "home")
        return {p: s[0] if "/keys/" in p or p.endswith("/manifest") else s for p, s in found.items()}

    def keep(self) -> None:
        """Keep the machine as it is now."""
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.copytree(self.machine.root, self.kept, symlinks=True)

    def back(self) -> None:
        """Make it again as it was kept."""
        shutil.rmtree(self.machine.root)
        shutil.copytree(self.kept, self.machine.root, symlinks=True)

    def run(self, verb: str) -> Done:
        """Run a verb to its end."""
        return self.machine.run(self.text, *self.runs[verb], ready=True)

    def killed(self, verb: str) -> Iterator[tuple[int, None]]:
        """Make the machine by turns what a verb leaves that is killed before each of its steps.

        SIGKILL asks nobody: what stands at a step is what it leaves. So one run shows all of them.
        """
        self.back()
        for step in range(1, self.steps(verb, "each") + 1):
            shutil.rmtree(self.machine.root)
            Path(f"{self.machine.root}.{step}").rename(self.machine.root)
            yield step, None

    def terminated(self, verb: str) -> Iterator[tuple[int, Done]]:
        """Make the machine by turns what a verb leaves that is ended before each second of its steps."""
        self.back()
        for step in range(1, self.steps(verb, "none") + 1, 2):
            self.back()
            self.steps(verb, str(step))
            deadline = time.monotonic() + 1
            while alive(int(Path(f"{self.machine.root}.group").read_text())) and time.monotonic() < deadline:
                time.sleep(0.002)
            yield step, self.done

    def steps(self, verb: str, turn: str) -> int:
        """Run a verb and return how many steps it has taken."""
        steps, turns = Path(f"{self.machine.root}.steps"), Path(f"{self.machine.root}.turn")
        steps.write_text("")
        turns.write_text(f"{turn}\n")
        self.done = self.machine.run(self.text, *self.runs[verb], ready=True)
        turns.unlink()
        return steps.read_text().count("\n")


def alive(group: int) -> bool:
    """Whether a process of the group still runs; what init has not yet taken is dead."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    for process in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - a glob fails where one ends meanwhile
        try:
            state, _, its = Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its) == group and state != "Z" and int(process) != os.getpid():
            return True
    return False


@pytest.mark.parametrize("signal", ["KILL", "TERM"])
@pytest.mark.parametrize("name", PARTS)
def test_ended_at_any_step_a_part_goes_on_to_either_end_without_a_trace(
    name: str, signal: str, tmp_path: Path, counted: Path
) -> None:
    one = Ended(tmp_path, counted, name)
    away = one.state()
    one.keep()
    assert one.run("apply").code == 0
    ends = {"apply": one.state(), "remove": away}
    for verb, other in (("apply", "remove"), ("remove", "apply")):
        if verb == "remove":
            one.back()
            assert one.run("apply").code == 0
            one.keep()
        ended = 0
        for step, done in one.killed(verb) if signal == "KILL" else one.terminated(verb):
            ended += 1
            if done:
                now = one.state()
                assert not [path for path in now if ".mt-" in path], (verb, step, done)
                assert done.code == 0 or "is restored" not in done.err or now == ends[other], (verb, step, done)
            # Back at once, or by turns to the end that was meant and back.
            for then in (verb, other):
                again = one.run(then)
                now = one.state()
                differ = {path for path in now.keys() | ends[then].keys() if now.get(path) != ends[then].get(path)}
                assert (again.code, differ) == (0, set()), (verb, step, done, then, again)
        assert ended
