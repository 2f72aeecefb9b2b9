"""Debian 11, 12 and 13, each as server and as host of each other: one stack over all of them, from first to last.

On the youngest host busybox is /bin/sh; on none is there curl, wget or Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab import base, layouts, picture
from lab.campaign.figures import Figure, at_most, count, few
from lab.hosts import Lab, LabError, temporary
from lab.project import Project, settings

if TYPE_CHECKING:
    from pathlib import Path

    from lab.campaign.figures import Tell
    from lab.hosts import Host

AGAIN = 2
"""So often `pulumi up` runs again after the first time."""
TIGHT = 1.1
WATCHDOG = "metrics-tunnels-watchdog.service"


@dataclass(frozen=True)
class Life:
    """One life of the stack."""

    scraped: dict[tuple[str, str], bool]
    """By server and host."""
    exposed: dict[tuple[str, str], float]
    """What `systemd-analyze security` says, by server and unit."""
    verified: dict[tuple[str, str], str]
    """What `systemd-analyze verify` says, by server and unit."""
    changed: list[str]
    """Resources that an `up` after the first changed, or a preview would."""
    touched: list[str]
    """Files of every machine that were written, and units that were started, meanwhile."""
    left: dict[str, list[str]]
    """What `destroy` did not restore, by machine."""


def boot(lab: Lab) -> tuple[list[Host], list[Host]]:
    """Boot a server and a host of each release. Raises `LabError` where a host has easier tools than it should."""
    servers, hosts = [], []
    for release, number in base.RELEASES.items():
        more = [layouts.busybox_shell] if number == max(base.RELEASES.values()) else []
        servers.append(lab.add(f"mon{number}", layouts.SERVERS["comments"], layouts.none, release=release))
        hosts.append(lab.add(f"web{number}", layouts.EXPORTERS["packaged"], *more, release=release))
    lab.boot()
    for host in hosts:
        if easier := host.run("command -v curl python3 wget", check=False):
            raise LabError(f"{host.name} has {easier}")
    return servers, hosts


def live(lab: Lab) -> Life:
    """Apply a stack over all of them, look, apply again, and destroy."""
    servers, hosts = boot(lab)
    before = {name: picture.take(host) for name, host in lab.hosts.items()}
    project = Project(lab.folder / "project")
    project.settings(settings(lab, servers, hosts))
    project.up()
    scraped = {(mon.name, web.name): mon.scraped(web.name) == "1" for mon in servers for web in hosts}
    units = [f"metrics-tunnel-{host.name}.service" for host in hosts] + [WATCHDOG]
    exposed = {(mon.name, unit): _exposure(mon, unit) for mon in servers for unit in units}
    verified = {(mon.name, unit): _verify(mon, unit) for mon in servers for unit in units}
    times = {name: picture.times(host) for name, host in lab.hosts.items()}
    changed = []
    for _ in range(AGAIN):
        said = project.up().output.partition("Resources:")[2]
        changed += [line.strip() for line in said.splitlines() if "updated" in line or "created" in line]
        changed += project.plan().steps
    touched = [
        f"{name}: {line}"
        for name, host in lab.hosts.items()
        for line in picture.difference(times[name], picture.times(host))
    ]
    project.destroy()
    left = {name: picture.difference(before[name], picture.take(host)) for name, host in lab.hosts.items()}
    return Life(scraped, exposed, verified, changed, touched, left)


def _exposure(server: Host, unit: str) -> float:
    # systemd 247 rates what runs, not files.
    rated = server.run(f"systemd-analyze security --no-pager {unit} | tail -n 1")
    return float(rated.split(":")[1].split()[0])


def _verify(server: Host, unit: str) -> str:
    return server.run(f"systemd-analyze verify /etc/systemd/system/{unit} 2>&1 || echo it ends with $?")


def measure(folder: Path, tell: Tell) -> list[Figure]:
    """Give the figures of one life."""
    with temporary(folder) as lab:
        tell("a stack over six machines")
        seen = live(lab)
    scraped = list(seen.scraped.values())
    figures = [count("servers and hosts of any two releases that are scraped", sum(scraped), len(scraped), wanted=9)]
    for release, number in base.RELEASES.items():
        rates = {unit: rate for (server, unit), rate in seen.exposed.items() if server == f"mon{number}"}
        watchdog = rates.pop(WATCHDOG)
        what = f"exposure by `systemd-analyze security`, {release}"
        figures.append(at_most(f"{what}: a tunnel", max(rates.values()), TIGHT, ""))
        figures.append(at_most(f"{what}: the watchdog", watchdog, TIGHT, ""))
    said = [text for text in seen.verified.values() if text]
    left = [f"{name}: {line}" for name, lines in seen.left.items() for line in lines]
    return [
        *figures,
        few("units that `systemd-analyze verify` says something of", len(said), 0, "; ".join(said)),
        few(f"resources that {AGAIN} more `up` and previews change", len(seen.changed), 0, "; ".join(seen.changed)),
        few("files written and units started by them", len(seen.touched), 0, "; ".join(seen.touched[:5])),
        few("files, users, units and listeners that `destroy` did not restore", len(left), 0, "; ".join(left[:5])),
    ]
