"""Scripts ended before each program that changes something, by SIGKILL or by SIGTERM to their whole group."""

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.scripts.sandbox import Done, Sandbox, parts, tools

LOGIN = parts(hosts={"web1": {"login": "ann"}})["web1-authorized-key-mon1"]
PARTS = {**parts(), "login": LOGIN}
CHANGING = ["rm", "mv", "cp", "mkdir", "rmdir", "touch", "chmod", "cat", "restorecon", "ssh-keygen", "useradd"]
STRIDES = {"KILL": 1, "TERM": 2}
# Runs what it stands for, or ends the script's group at its turn. What only reads, or is a fake's own, is no step.
COUNTER = """#!/bin/sh
case "${{0##*/}} $*" in
cat\\ ?* | *"$ROOT/fake/"*) ;;
*) if [ -e "$ROOT/fake/step" ]; then
  read -r step signal <"$ROOT/fake/step"
  echo >>"$ROOT/fake/steps"
  [ "$(wc -l <"$ROOT/fake/steps")" != "$step" ] || "$REAL/kill" -$signal -- -$(/bin/cat "$ROOT/fake/group")
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
        self.text = machine.inside(self.part.stdin).replace("\n", '\necho $$ >"$ROOT/fake/group"\n', 1)
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

    def end(self, verb: str, step: int, signal: str) -> Done | None:
        """End a verb at a step; None where it has no such step."""
        steps = self.machine.write("fake/steps", "")
        self.machine.write("fake/step", f"{step} {signal}\n")
        done = self.run(verb)
        (self.machine / "fake/step").unlink()
        deadline = time.monotonic() + 1
        while alive(int((self.machine / "fake/group").read_text())) and time.monotonic() < deadline:
            time.sleep(0.002)
        return done if steps.read_text().count("\n") >= step else None


def alive(group: int) -> bool:
    """Whether a process of the group still runs; what init has not yet taken is dead."""
    for process in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - a glob fails where one ends meanwhile
        try:
            state, _, its = Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its) == group and state != "Z" and int(process) != os.getpid():
            return True
    return False


@pytest.mark.parametrize("signal", STRIDES)
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
        for step in range(1, 99, STRIDES[signal]):
            one.back()
            if not (done := one.end(verb, step, signal)):
                break
            ended += 1
            if signal == "TERM":
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
