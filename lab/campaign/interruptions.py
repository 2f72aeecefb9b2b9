"""The engine killed after each step of a first `up` and of a `destroy`, and what the next run makes of that."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab import layouts, picture
from lab.campaign.engine import LOCKED, end_plugins, kill_after, unlock
from lab.campaign.figures import Figure, count
from lab.hosts import temporary
from lab.project import Project, settings

if TYPE_CHECKING:
    from pathlib import Path

    from lab.campaign.figures import Tell
    from lab.hosts import Lab
    from lab.picture import Picture


@dataclass(frozen=True)
class Interruption:
    """A run that was killed after `step`, and whether what came next ended as it should."""

    step: str
    mixed: list[str]
    """Files that were neither old nor new then."""
    converged: bool
    """Whether the next `up`, or after a `destroy` the next one of those, ended well and left nothing to do."""
    left: list[str]
    """What `destroy` at the end did not restore."""


class InterruptedStack:
    """A server and a host, not applied yet, and pictures of them without and with the stack.

    Its tunnels' key is the user's own, for another one each time would make other files.
    """

    def __init__(self, lab: Lab) -> None:
        server = lab.add("mon1", layouts.SERVERS["comments"])
        host = lab.add("web1", layouts.EXPORTERS["packaged-args"])
        lab.boot()
        self.lab = lab
        self.project = Project(lab.folder / "project")
        self.project.settings(settings(lab, [server], [host]))
        # As good as any key; hosts let it in for the tunnel user alone.
        self.project.secret("tunnelPrivateKey", lab.key.read_text())
        self.without = self.pictures()
        self.project.up()
        self.applied = self.pictures()
        self.project.destroy()

    def pictures(self) -> dict[str, Picture]:
        """Look at both machines."""
        return {name: picture.take(host) for name, host in self.lab.hosts.items()}

    def interrupt(self, verb: str, step: int) -> Interruption | None:
        """Kill `up` or `destroy` after so many steps, go on as a user does, and destroy; None: no more steps.

        The stack is not applied before and after.
        """
        if verb == "destroy":
            self.project.up()
        name = kill_after(self.project, verb, step)
        if name:
            seen = self.pictures()
            unlock(self.project)
        converged = verb == "destroy" or (
            self.project.up(codes=(0, 1, LOCKED)).code == 0 and self.project.plan().code == 0
        )
        self.project.destroy()
        end_plugins(self.project)
        after = self.pictures()
        left = [line for one in after for line in picture.difference(self.without[one], after[one])]
        return Interruption(name, self._mixed(seen), converged, left) if name else None

    def _mixed(self, seen: dict[str, Picture]) -> list[str]:
        """Return files that are neither as without the stack nor as with it; receipts differ each time."""
        return [
            f"{machine}:{path}"
            for machine, now in seen.items()
            for path, what in now.items()
            if path.startswith("/")
            and ".mt-" not in path  # a script that is still at work
            and not path.startswith("/var/lib/metrics-tunnel/")
            and what not in (self.without[machine].get(path), self.applied[machine].get(path))
        ]


def measure(folder: Path, tell: Tell) -> list[Figure]:
    """Kill both at every step."""
    found: dict[str, list[Interruption]] = {"up": [], "destroy": []}
    with temporary(folder) as lab:
        stack = InterruptedStack(lab)
        for verb, done in found.items():
            for step in itertools.count(1):
                tell(f"`{verb}` killed after step {step}")
                if not (one := stack.interrupt(verb, step)):
                    break
                done.append(one)
    return [figure for verb, done in found.items() for figure in _figures(verb, done)]


def _figures(verb: str, done: list[Interruption]) -> list[Figure]:
    steps = len(done)
    faults = [f"{one.step}: {', '.join(one.mixed + one.left)}" for one in done if one.mixed or one.left]
    what = f"first `{verb}` killed (SIGKILL of the engine) after each step"
    figures = [
        count(f"{what}: no file is mixed", sum(not one.mixed for one in done), steps, wanted=steps),
        count(
            f"{what}: `destroy` restores every machine",
            sum(not one.left for one in done),
            steps,
            wanted=steps,
            note="; ".join(faults),
        ),
    ]
    if verb == "up":
        figures.insert(
            1, count(f"{what}: `cancel` and `up` finish", sum(one.converged for one in done), steps, wanted=steps)
        )
    return figures
