"""What a host is like: its configuration, users, units and listeners, to compare before with after."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.hosts import Host

Picture = dict[str, str]

# The system's own tools keep these copies of the user database.
_BACKUPS = {"/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-"}
# As sudo keeps this in the home of whoever has used it.
_SUDO_WAS_USED = ".sudo_as_admin_successful"
# Which units there are and are enabled stands in _FOLDERS and here: to list them costs systemd half a second of work.
_UNITS = (
    "find /run/systemd/system /run/systemd/system.control -mindepth 1 -printf '%p %y %l\n' 2>/dev/null; "
    "systemctl list-units --no-legend --no-pager --plain --state=active,failed --type=service,socket,timer,path "
    "| awk '{print $1, $3}'"
)
# Those of a login come and go.
_PASSING = ("user@", "user-runtime-dir@", "session-", "run-", "systemd-tmpfiles-clean.service")
_FOLDERS = ("/etc", "/srv", "/home", "/root", "/var/lib/metrics-tunnel", "/usr/local", "/lib/systemd/system")


def take(host: Host) -> Picture:
    """Return everything that has to be as before after `pulumi destroy`, by name."""
    seen: Picture = {}
    for folder in _FOLDERS:
        seen |= _tree(host.tree, folder)
    for line in host.run(_UNITS).splitlines():
        if not line.startswith(_PASSING):
            seen[f"unit {line}"] = "there"
    for line in host.run("ss -Hltn | awk '{print $4}'").split():
        seen[f"listener {line}"] = "open"
    return seen


def difference(before: Picture, after: Picture) -> list[str]:
    """Return a line for each thing that is another, new or gone."""
    return [
        f"{name}: {before.get(name, 'not there')} -> {after.get(name, 'not there')}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def times(host: Host) -> Picture:
    """Return when each file of ours or near us was written and when each unit started, in the clock's finest grain."""
    seen: Picture = {}
    for folder in ("/etc", "/srv", "/home", "/root", "/var/lib/metrics-tunnel"):
        for path in _paths(host.tree, folder):
            seen[f"/{path.relative_to(host.tree)}"] = str(path.lstat().st_mtime_ns)
    units = host.run("systemctl show '*.service' -p Id -p ActiveEnterTimestampMonotonic -p ExecMainPID --no-pager")
    for block in units.split("\n\n"):
        known = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if not known.get("Id", "").startswith(_PASSING):
            seen[known.get("Id", "")] = f"{known.get('ActiveEnterTimestampMonotonic')} {known.get('ExecMainPID')}"
    return seen


def _tree(root: Path, folder: str) -> Picture:
    seen = {}
    for path in _paths(root, folder):
        with contextlib.suppress(FileNotFoundError):  # a script at work moves its files
            seen[f"/{path.relative_to(root)}"] = _entry(path)
    return seen


def _paths(root: Path, folder: str) -> list[Path]:
    top = root / folder.lstrip("/")
    found = [top] if top.exists() else []
    for where, folders, files in os.walk(top):
        found += [Path(where) / name for name in (*folders, *files)]
    return [path for path in found if path.name != _SUDO_WAS_USED and f"/{path.relative_to(root)}" not in _BACKUPS]


def _entry(path: Path) -> str:
    status = path.lstat()
    owned = f"{status.st_mode:o} {status.st_uid}:{status.st_gid}"
    if path.is_symlink():
        return f"{owned} -> {path.readlink()}"
    if path.is_file():
        return f"{owned} {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
    return owned
