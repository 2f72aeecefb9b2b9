"""docs/reliability.md: the campaign's figures, each with when, with what and by which command it was measured."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import base, tools

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.campaign.figures import Figure

_PACKAGES = ("systemd", "openssh-server", "prometheus", "prometheus-node-exporter")
_HEAD = """\
# Reliability

What metrics-tunnel promises, measured on lab hosts with the real engine, sshd, systemd and Prometheus. `make campaign`
wrote this page and measures all of it again; a figure that falls short stands here as it is. How it is measured stands
in the modules of [lab/campaign](../lab/campaign).
"""


@dataclass(frozen=True)
class Outcome:
    """What one experiment gave: when it ended (UTC), and with which versions."""

    figures: list[Figure]
    seconds: float
    date: str
    versions: list[str]


def report(titles: Mapping[str, str], outcomes: Mapping[str, Outcome]) -> str:
    """Return the page. An experiment without an outcome is told as not run."""
    parts = [_HEAD]
    for name, title in titles.items():
        parts.append(f"## {title}\n")
        if outcome := outcomes.get(name):
            parts.append(
                f"{outcome.date} UTC, {outcome.seconds / 60:.1f} min: `.venv/bin/python -m lab.campaign {name}`\n"
            )
            parts.append(_table(outcome.figures))
        else:
            parts.append("Not measured.\n")
    used = sorted({tuple(outcome.versions) for outcome in outcomes.values()})
    parts += ["## Measured with\n\n" + "".join(f"- {line}\n" for line in lines) for lines in used]
    return "\n".join(parts)


def _table(figures: list[Figure]) -> str:
    rows = ["| what | measured | wanted | holds |", "|---|---|---|---|"]
    rows += [
        f"| {_cell(one.what)} | {_cell(one.value)} | {_cell(one.wanted)} | {'yes' if one.good else '**no**'} |"
        for one in figures
    ]
    notes = [f"- {one.what}: {one.note}" for one in figures if one.note]
    return "\n".join([*rows, *([""] if notes else []), *notes]) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def versions() -> list[str]:
    """Return what is measured with, a line each."""
    found = tools.ensure()
    with tempfile.TemporaryDirectory() as home:
        plugin = tools.command_plugin(found, Path(home))
    engine = f"Pulumi {_said(str(found / 'pulumi'), 'version').strip()}, {plugin} command plugin {tools.PLUGIN_VERSION}"
    machine = f"Python {platform.python_version()}, Linux {platform.release().split('-')[0]}, {os.cpu_count()} cores"
    lines = [f"{engine}, {machine}"]
    for release, number in base.RELEASES.items():
        where = f"--admindir={base.ensure(release)}/var/lib/dpkg"
        known = _said("dpkg-query", where, "-W", "-f", "${Package} ${Version}\n", *_PACKAGES).splitlines()
        lines.append(f"Debian {number}: {', '.join(known)}")
    return lines


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
