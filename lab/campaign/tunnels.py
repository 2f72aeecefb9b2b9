"""A server, its hosts and the tunnels between them, applied and scraped each second: what faults and rotations hit."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab import layouts
from lab.campaign import scrapes
from lab.project import Project, settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lab.hosts import Host, Lab

PATIENCE = 60
"""Seconds in which a tunnel has to be healthy."""
STARTUPS = 10
"""So many connections may wait for their login at a host's sshd."""


@dataclass(frozen=True)
class Client:
    """A tunnel's ssh process at one moment."""

    pid: int
    files: int
    kilobytes: int


@dataclass(frozen=True)
class Tunnel:
    """The tunnel from `server` to `host`, which Prometheus scrapes on `listen`."""

    server: Host
    host: Host
    listen: str

    @property
    def unit(self) -> str:
        """Its unit on the server."""
        return f"metrics-tunnel-{self.host.name}.service"

    def healthy(self) -> bool:
        """Whether new samples say that it is up, waiting for them."""
        return scrapes.wait_until_back(self.server, self.host.name, time.time(), PATIENCE) is not None

    def client(self) -> Client:
        """Look at its ssh process, which has to run."""
        look = f"P=$(systemctl show -p MainPID --value {self.unit}); echo $P; ls /proc/$P/fd | wc -l; "
        look += "grep VmRSS /proc/$P/status | tr -dc 0-9"
        pid, files, kilobytes = map(int, self.server.run(look).split())
        return Client(pid, files, kilobytes)

    def starts(self) -> int:
        """Return how often its unit was started."""
        return int(self.server.run(f"journalctl -qo cat -u {self.unit} | grep -c '^Started'"))


@dataclass(frozen=True)
class Stack:
    """What is applied."""

    project: Project
    values: Mapping[str, Any]
    tunnels: list[Tunnel]

    def settings(self, **more: Any) -> None:
        """Write the settings anew, with some more."""
        self.project.settings({**self.values, **more})


def applied(lab: Lab, releases: Mapping[str, str]) -> Stack:
    """Boot a server, and a host for each name of the Debian release that is given, and apply the project."""
    server = lab.add("mon1", layouts.SERVERS["comments"])
    # With few collectors, so that a busy machine answers within the second.
    lay_out = (layouts.EXPORTERS["packaged-args"], _few_startups)
    given = [lab.add(name, *lay_out, release=release) for name, release in releases.items()]
    lab.boot()
    project = Project(lab.folder / "project")
    values = settings(lab, [server], given, scrape={"interval": "1s"})
    project.settings(values)
    project.up()
    listens = project.outputs()["listens"]
    return Stack(project, values, [Tunnel(server, host, listens[host.name]["node"]) for host in given])


def _few_startups(tree: Path) -> None:
    (tree / "etc/ssh/sshd_config.d/20-few.conf").write_text(f"MaxStartups {STARTUPS}\n")
