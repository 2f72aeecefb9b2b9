"""Long steps that say what they do and for how long."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time work in a folder of the cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def watched(
    command: Sequence[str], log: Path, what: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> int:
    """Run a command, tell how long it takes, and return its exit status; what it prints goes into `log`."""
    started = time.monotonic()
    with log.open("w") as file, subprocess.Popen(command, cwd=cwd, env=env, stdout=file, stderr=file) as process:
        try:
            while process.poll() is None:
                tell(what, time.monotonic() - started)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(1 if sys.stdout.isatty() else 30)
        except BaseException:
            process.terminate()
            raise
    tell(what, time.monotonic() - started, "failed" if process.returncode else "done")
    return process.returncode


def tell(what: str, seconds: float, ending: str = "") -> None:
    """Say what goes on: on a terminal in one line that changes, elsewhere in a line now and then."""
    clock = f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
    text = f"{what} ... {clock}{ending and ', '}{ending}"
    if sys.stdout.isatty():
        print(f"\r{text}", end="\n" if ending else "", flush=True)
    else:
        print(text, flush=True)
