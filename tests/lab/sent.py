"""Runs a part once more as the plugin runs it: over a login of root's, which greets."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.hosts import Host
    from lab.picture import Picture
    from lab.project import Project

_OPTIONS = ["-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"]
# The parts' own longest time is known to them; this is for one that hangs for good.
_SECONDS = 400
GREETING = "a note of ~/.bashrc"


@dataclass(frozen=True)
class Ended:
    """How one run of a part ended, and what its machine's files of it were before and after."""

    code: int
    out: str
    err: str
    before: Picture = field(default_factory=dict)
    after: Picture = field(default_factory=dict)

    @property
    def said(self) -> str:
        """The part's own line, which begins with its machine; all that was printed where it has none."""
        return next(
            (line for line in self.err.splitlines() if re.match(r"[a-z0-9]+ [a-z]+-?[a-z0-9.-]*: ", line)), self.err
        )


def over_login(host: Host, command: str, text: str) -> Ended:
    """Run a command with a standard input as the plugin does. Fails where that login does not greet."""
    login = ["ssh", "-F", "none", "-i", str(host.lab.key), *_OPTIONS, f"root@{host.address}", command]
    done = subprocess.run(login, input=text, capture_output=True, text=True, check=False, timeout=_SECONDS)
    assert GREETING in done.stderr, "this login does not greet"
    return Ended(done.returncode, done.stdout, done.stderr)


class Sent:
    """What the engine has sent for each resource, by its name."""

    def __init__(self, project: Project) -> None:
        resources = json.loads(project.state())["checkpoint"]["latest"]["resources"]
        self.inputs = {one["urn"].rpartition("::")[2]: one.get("inputs", {}) for one in resources}

    def apply(self, host: Host, resource: str, change: Callable[[str], str] = lambda text: text) -> Ended:
        """Apply a part once more, with its values changed."""
        given = self.inputs[resource]
        return over_login(host, given["create"], change(given["stdin"]))
