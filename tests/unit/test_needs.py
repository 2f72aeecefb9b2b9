"""What a machine lacks for a command is installed, or told at once in a line with the way to get it."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO = Path("/var/tmp/metrics-tunnel-demo/lab.json")  # noqa: S108 (where the demo is)
# A machine that has all of it, as its programs' answers.
WHOLE = {
    **dict.fromkeys(
        ("dash", "busybox", "ssh-keygen", "debootstrap", "ip", "jq", "systemd-nspawn", "unshare", "python3"), ""
    ),
    "id": "echo 0",
    "uname": "echo Linux",
    # Notes what it is asked for, and brings each package's program.
    "apt-get": """
        echo "$*" >>"$HERE/asked"
        case "$*" in *install*) for word; do
          case $word in
            iproute2) word=ip ;; openssh-client) word=ssh-keygen ;; systemd-container) word=systemd-nspawn ;;
            python3-venv) word=python3 ;;
          esac
          printf '#!/bin/sh\\n' >"$HERE/$word"
          chmod +x "$HERE/$word"
        done ;; esac""",
}
LAB = ("demo", "bench", "campaign")
USER = "echo 1000"
ANSWERS = 'case "$*" in *{}*) {} ;; esac'


def ran(folder: Path, command: str, programs: dict[str, str | None] | None = None) -> tuple[int, list[str], str]:
    """Return how the needs of a command are met: the exit code, the lines, and what apt-get was asked for."""
    folder.mkdir(exist_ok=True)
    for name in ("sh", "dirname", "tail", "chmod"):
        (folder / name).symlink_to(shutil.which(name) or "")
    for name, text in (WHOLE | (programs or {})).items():
        if text is not None:
            (folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / name).chmod(0o755)
    environment = {"PATH": str(folder), "HERE": str(folder)}
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "lab/needs.sh"), command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    asked = folder / "asked"
    return done.returncode, done.stdout.splitlines(), asked.read_text() if asked.exists() else ""


@pytest.mark.parametrize("command", ["lint", "quick", "test", *LAB])
def test_a_machine_that_has_all_is_told_nothing(command: str, tmp_path: Path) -> None:
    assert ran(tmp_path, command) == (0, [], "")


@pytest.mark.parametrize(
    ("command", "packages"),
    [
        ("quick", "dash busybox openssh-client"),
        ("test", "dash busybox openssh-client"),
        ("campaign", "dash busybox openssh-client"),
        ("demo", "debootstrap iproute2 openssh-client systemd-container"),
    ],
)
def test_root_gets_the_packages_that_are_missing(command: str, packages: str, tmp_path: Path) -> None:
    programs: dict[str, str | None] = dict.fromkeys(set(WHOLE) - {"id", "uname", "apt-get", "unshare", "python3"})
    code, lines, asked = ran(tmp_path, command, programs)
    assert code == 0
    assert lines[0] == f"make {command} installs with apt-get: {packages}"
    assert asked.splitlines()[:2] == ["-qq update", f"-qq install -y --no-install-recommends {packages}"]
    assert "make lint" not in "".join(ran(tmp_path / "lint", "lint", programs)[1])


def test_root_gets_python_too_where_there_is_none(tmp_path: Path) -> None:
    code, lines, asked = ran(tmp_path, "lint", {"python3": None})
    assert (code, lines) == (0, ["make lint installs with apt-get: python3-venv"])
    assert asked.endswith(" python3-venv\n")


@pytest.mark.parametrize(
    ("command", "programs", "says"),
    [
        (
            "lint",
            {"python3": None, "id": USER},
            "needs Python 3.11 or later as python3; install them with: sudo apt-get",
        ),
        (
            "quick",
            {"python3": ANSWERS.format("version_info", "exit 1") + "; echo Python 3.9.2"},
            "needs Python 3.11 or later as python3, first on PATH (here: Python 3.9.2); Debian has it from 12 on",
        ),
        (
            "quick",
            {"python3": ANSWERS.format("ensurepip", "exit 1"), "id": USER},
            "needs Python's modules venv and ensurepip; install them with: sudo apt-get install python3-venv",
        ),
        (
            "test",
            {"busybox": None, "dash": None, "id": USER},
            "needs the programs dash busybox; install them with: sudo apt-get install dash busybox",
        ),
        (
            "quick",
            {"busybox": None, "apt-get": None},
            "needs the programs busybox, and there is no apt-get to install them; in Debian they are in: busybox",
        ),
        (
            "demo",
            {"systemd-nspawn": None, "apt-get": "echo 'E: no network' >&2; exit 100"},
            "needs the programs systemd-nspawn, but apt-get could not install systemd-container: E: no network",
        ),
        *[
            (
                command,
                {"id": USER},
                f'needs root, to boot hosts in namespaces of their own: sudo env "PATH=$PATH" make {command}',
            )
            for command in (*LAB, "demo-down")
        ],
        *[
            (command, {"uname": "echo Darwin"}, "needs Linux; elsewhere, run it in a virtual machine with Debian")
            for command in ("quick", "test", *LAB, "demo-down")
        ],
        ("bench", {"unshare": "exit 1"}, "needs namespaces, which a container has with more rights alone"),
        *[
            (command, {"python3": ANSWERS.format("lab.tools", "echo Go 1.25; exit 1")}, "needs Go 1.25")
            for command in ("test", *LAB)
        ],
        *([] if DEMO.exists() else [("demo-down", {}, "needs a demo, and there is none; make one with: make demo")]),
    ],
)
def test_what_cannot_be_installed_is_told_in_a_line(
    command: str, programs: dict[str, str | None], says: str, tmp_path: Path
) -> None:
    code, lines, _ = ran(tmp_path, command, programs)
    assert code != 0
    assert any(line.startswith(f"make {command} {says}") for line in lines), lines
    assert len(lines) <= 3


def test_who_is_not_root_may_run_the_tests_without_lab_hosts(tmp_path: Path) -> None:
    assert ran(tmp_path, "test", {"id": USER, "systemd-nspawn": None}) == (
        0,
        ["make test skips the tests on lab hosts, which need root"],
        "",
    )


def test_every_command_asks_what_it_needs_before_all_else() -> None:
    rules = (ROOT / "Makefile").read_text()
    for command in ("lint", "quick", "test", "demo", "demo-down", "bench", "campaign"):
        assert f"\n{command}: needs-{command} " in rules
        assert f"make {command} " in (ROOT / "README.md").read_text()
        assert f"make {command} " in rules
    ci = (ROOT / ".ci/run").read_text().splitlines()
    assert [line for line in ci if not line.startswith("#")] == ["set -eu", 'cd "$(dirname "$0")/.."', "make lint test"]
