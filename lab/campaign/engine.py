"""The engine, killed in the middle of its work."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from lab.hosts import LabError
from lab.project import PULUMI

if TYPE_CHECKING:
    from lab.project import Project

LOCKED = 255
_DONE = ("created", "updated", "deleted")
_TORN = "failed to load checkpoint: EOF"
"""Pulumi's file backend writes a checkpoint at once, but not the `.attrs` file beside it: a kill may leave it empty."""


def kill_after(project: Project, verb: str, step: int) -> str:
    """Start `pulumi up` or `destroy`, kill it with all that it started after so many steps, and return the last.

    Nothing where there were no more steps and it ended well. Raises `LabError` where it did not.
    """
    command = [
        *PULUMI,
        verb,
        "--yes",
        "--skip-preview",
        "--stack",
        project.stack,
        "--non-interactive",
        "--color=never",
    ]
    with subprocess.Popen(
        command,
        cwd=project.folder,
        env=project.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as engine:
        done = 0
        for line in engine.stdout or ():
            match line.split():
                case [_, "command:remote:Command", name, what, *_] if what in _DONE:
                    done += 1
                    if done == step:
                        os.killpg(engine.pid, signal.SIGKILL)
                        return f"{name} {what}"
    if engine.returncode:
        raise LabError(f"pulumi {verb} ended with {engine.returncode} after {done} steps")
    return ""


def unlock(project: Project) -> None:
    """Do what a user does after a kill. Raises `LabError` where the stack is not locked: then nothing was killed."""
    said = project.up(codes=(0, 1, LOCKED)).output
    if _TORN in said:
        # As TROUBLESHOOTING says.
        for file in (project.folder / "backend").rglob("*.attrs"):
            if not file.stat().st_size:
                file.unlink()
        said = project.up(codes=(0, 1, LOCKED)).output
    if "pulumi cancel" not in said:
        raise LabError(f"after a kill the stack is not locked: {said[-2000:]}")
    project.pulumi("cancel", "--yes", "--stack", project.stack)


def end_plugins(project: Project) -> None:
    """End what the engine had started and its kill left alive: plugins are process groups of their own."""
    home = f"PULUMI_HOME={project.home.resolve()}".encode()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if home in environment.read_bytes().split(b"\0"):
                os.kill(int(environment.parent.name), signal.SIGKILL)
