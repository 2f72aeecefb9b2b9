"""The Debian trees that lab hosts boot from: each made once by debootstrap and kept in the user's cache folder.

The mirror is the one that this machine's own package lists come from; `METRICS_TUNNEL_MIRROR` names another.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from lab.progress import locked, watched
from lab.tools import ToolsError, default_cache

RELEASE = "bookworm"
RELEASES = {"bullseye": 11, "bookworm": 12, "trixie": 13}
# No Python and no curl: a managed machine need not have them. No libpam-systemd: without cgroups of version 2 around
# the lab, a user manager that ends takes its 90 seconds, and logins wait for it.
PACKAGES = "systemd,systemd-sysv,dbus,openssh-server,prometheus-node-exporter,iproute2,ca-certificates,sudo"
SHELLS = "busybox fish"
ADMIN, ASKED, PASSWORD = "deploy", "ops", "correct horse"
_AFTERWARDS = f"""
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get install -y -qq --no-install-recommends prometheus {SHELLS} >/dev/null
apt-get clean
# The package of fish wants it.
rm -f /usr/bin/python3*
rm -rf /var/lib/apt/lists/*
systemctl disable prometheus
# Of these each release has others.
for timer in apt-daily apt-daily-upgrade dpkg-db-backup e2scrub_all logrotate man-db fstrim; do
  systemctl disable $timer.timer 2>/dev/null || :
done
useradd -m -s /bin/bash {ADMIN}
echo '{ADMIN} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{ADMIN}
useradd -m -s /bin/bash -G sudo {ASKED}
echo '{ASKED}:{PASSWORD}' | chpasswd
rm -f /etc/ssh/ssh_host_* /etc/machine-id /var/lib/dbus/machine-id
"""


def ensure(release: str = RELEASE) -> Path:
    """Return a release's tree. Needs root, and the programs that `lab/needs.sh` installs."""
    key = hashlib.sha256(f"{PACKAGES}{_AFTERWARDS}".encode()).hexdigest()[:12]
    tree = default_cache() / "base" / f"{release}-{key}"
    with locked(tree.parent / "lock"):
        if not tree.exists():
            _build(tree, release)
    return tree


def mirror() -> list[str]:
    """Return the package mirror for debootstrap, as an argument, or nothing for its own default.

    A mirror of one release has the others too.
    """
    if given := os.environ.get("METRICS_TUNNEL_MIRROR"):
        return [given]
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(SUITE) $(CODENAME) $(COMPONENT)"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in found.stdout.splitlines():
        match line.split():
            case [uri, suite, codename, "main"] if codename in RELEASES and "-" not in suite:
                return [uri]
    return []


def _build(tree: Path, release: str) -> None:
    with tempfile.TemporaryDirectory(dir=tree.parent, prefix="building-") as folder:
        made, log = Path(folder) / "tree", Path(folder) / "log"
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", release, str(made), *mirror()]
        what = f"making a Debian {release} tree with debootstrap, 1 to 2 minutes"
        if watched(command, log, what):
            raise ToolsError(
                f"debootstrap failed: {log.read_text()[-600:]}\nis there a Debian mirror for apt-get here?"
            )
        what = "installing Prometheus in it, about half a minute"
        if watched(["chroot", str(made), "sh", "-c", _AFTERWARDS], log, what):
            raise ToolsError(f"the tree could not be completed: {log.read_text()[-600:]}")
        (made / "etc/machine-id").touch()
        made.rename(tree)
