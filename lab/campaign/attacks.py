"""Attacks with a tunnel's private key on what `pulumi up` installed: the dedicated user, a `login` user, a plain key.

The plain key is the control: what it does not let through either, an attack could not show.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from lab import base, layouts
from lab.campaign.attack_list import ATTACKS, FIRST
from lab.campaign.figures import Figure, count
from lab.campaign.thief import Scene
from lab.hosts import Host, Lab, temporary, wait
from lab.project import ROOT, Project, settings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lab.campaign.figures import Tell

DEDICATED, LOGIN, PLAIN = "metrics-tunnel", base.ADMIN, base.ASKED
"""The users whose key is attacked; each holds the same one."""
LOGIN_LETS = {
    "-R /path.sock": "no option of a key line forbids a socket",
    "raw streamlocal-forward": "no option of a key line forbids a socket",
    "raw session": "it opens, and runs /bin/false",
    "other ways to log in": "a password is asked for, as sshd does for that user anyway",
}
CONTROL = 46
"""So many of the first 64 get through with a plain key on any sshd that is not blind to us."""
# What shall not stand in the attackers' way, or they would look defeated: no limit that we promise.
_OPEN = "MaxStartups 1000\n"
_PENALTIES = {"trixie": "PerSourcePenalties no\n"}
# As loose as an admin may have made it for everybody.
_LOOSE = """AcceptEnv *
PermitUserEnvironment yes
PermitTunnel yes
GatewayPorts yes
StreamLocalBindUnlink yes
KbdInteractiveAuthentication yes
MaxSessions 100
"""
_DECOY = """[Socket]
Accept=yes
MaxConnections=1000
ListenStream=9101
ListenStream=127.0.0.2:9100
ListenStream=[::1]:9100
ListenStream={address}:9100
ListenStream=/run/decoy.sock
"""
_SERVICE = "[Service]\nExecStart=/bin/echo this is the decoy\nStandardOutput=socket\n"


@dataclass(frozen=True)
class AttackOutcome:
    """What got through, of `ATTACKS`, and whether the exporter was reached afterwards."""

    through: list[str]
    legitimate: bool


@dataclass(frozen=True)
class Range:
    """A lab with a server, hosts to attack, one of them with a loose sshd, and another one behind them."""

    lab: Lab
    server: Host
    other: Host
    hosts: list[Host]
    loose: Host
    project: Project
    key: Path

    def apply(self, **more: str) -> None:
        """Run `up`; `more` are keys of the hosts to attack."""
        values = settings(self.lab, [self.server], [*self.hosts, self.loose])
        for host in self.hosts:
            values["hosts"][host.name] |= more
        self.project.settings(values)
        self.project.up()


def make(lab: Lab, releases: Iterable[str]) -> Range:
    """Boot a host for each release, and one with a loose sshd; install the product, and steal the key."""
    server = lab.add("mon", layouts.SERVERS["default"], layouts.none)
    other = lab.add("other", layouts.EXPORTERS["packaged"])
    hosts = [target(lab, f"deb{base.RELEASES[release]}", release) for release in releases]
    loose = target(lab, "loose", base.RELEASE, _LOOSE)
    lab.boot()
    made = Range(lab, server, other, hosts, loose, Project(lab.folder / "project"), lab.folder / "stolen")
    made.apply()
    private = next(server.tree.glob("etc/metrics-tunnel/keys/*-1"))
    shutil.copy(private, made.key)
    for host in hosts:
        with (host.tree / f"home/{PLAIN}/.ssh/authorized_keys").open("a") as file:
            file.write(private.with_suffix(".pub").read_text())
    return made


def tireless(host: Host, sshd: str = "") -> None:
    """Have sshd refuse nobody because there are many logins, or because they fail; `sshd` are more settings."""
    settings_file = host.tree / "etc/ssh/sshd_config.d/99-lab.conf"
    settings_file.write_text(_OPEN + _PENALTIES.get(host.release, "") + sshd)


def target(lab: Lab, name: str, release: str, sshd: str = "") -> Host:
    """Add a host to attack, with listeners that attackers must not reach."""
    host = lab.add(name, layouts.EXPORTERS["packaged"], release=release)
    tireless(host, sshd)
    files = {
        "etc/systemd/system/decoy.socket": _DECOY.format(address=host.address),
        "etc/systemd/system/decoy@.service": _SERVICE,
        "usr/bin/xauth": "#!/bin/sh\n",  # without one, sshd forwards no X11 to anybody
    }
    for path, text in files.items():
        (host.tree / path).write_text(text)
    (host.tree / "usr/bin/xauth").chmod(0o755)
    return host


def attack(made: Range, user: str, hosts: list[Host]) -> list[AttackOutcome]:
    """Try all attacks on a user of each host, the hosts side by side; then their real tunnels must still carry."""
    for host in hosts:
        host.run("systemctl start decoy.socket")
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda host: _attack(made, host, user), hosts))
    for host in hosts:
        host.run("systemctl stop decoy.socket")
        wait(f"{host.name} to be scraped", lambda host=host: made.server.scraped(host.name) == "1")  # type: ignore[misc]
    return found


def _attack(made: Range, host: Host, user: str) -> AttackOutcome:
    scene = Scene(
        host=host.address,
        user=user,
        key=str(made.key),
        other=made.other.address,
        tree=str(host.tree),
        namespace=host.namespace,
        first_port=20000 + 200 * host.number,  # the attackers of all hosts share one address
    )
    command = [sys.executable, "-m", "lab.campaign.attack_list", json.dumps(asdict(scene))]
    enter = ["nsenter", f"--net=/run/netns/{made.server.namespace}"]
    done = subprocess.run([*enter, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=600)
    return AttackOutcome(**json.loads(done.stdout))


def measure(folder: Path, tell: Tell) -> list[Figure]:
    """Attack three users on every release, and the dedicated one behind a loose sshd as well."""
    with temporary(folder) as lab:
        made = make(lab, base.RELEASES)
        tell("the product is installed and its key stolen")
        *dedicated, loose = attack(made, DEDICATED, [*made.hosts, made.loose])
        tell("the dedicated user was attacked")
        made.apply(login=LOGIN)
        login = attack(made, LOGIN, made.hosts)
        tell("a login user was attacked")
        plain = attack(made, PLAIN, made.hosts)
        tell("a plain key was attacked")
        versions = [_version(host) for host in made.hosts]
    figures: list[Figure] = []
    for release, version, *outcomes in zip(base.RELEASES, versions, dedicated, login, plain, strict=True):
        figures.append(Figure(f"OpenSSH of {release}", version, "the release's", bool(version)))
        figures += _figures(release, *outcomes)
    figures.append(_none("the rest of sshd loose", loose))
    of = [one.legitimate for one in (*dedicated, loose, *login, *plain)]
    return [*figures, count("the exporter is reached after the attacks", sum(of), len(of), wanted=len(of))]


def _figures(release: str, dedicated: AttackOutcome, login: AttackOutcome, plain: AttackOutcome) -> list[Figure]:
    seen = len(FIRST.keys() & plain.through)
    return [
        _none(release, dedicated),
        Figure(
            f"attacks that got through: {release}, `login`",
            f"{len(login.through)} of {len(ATTACKS)}",
            f"{len(LOGIN_LETS)} of {len(ATTACKS)}",
            set(login.through) == LOGIN_LETS.keys(),
            "; ".join(f"{name}: {LOGIN_LETS.get(name, 'not expected')}" for name in login.through),
        ),
        Figure(
            f"control, attacks that got through: {release}, a plain key",
            f"{seen} of {len(FIRST)}",
            f"at least {CONTROL} of {len(FIRST)}",
            seen >= CONTROL,
            "not even so: " + ", ".join(name for name in FIRST if name not in plain.through),
        ),
    ]


def _none(where: str, outcome: AttackOutcome) -> Figure:
    what = f"attacks that got through: {where}"
    return count(what, len(outcome.through), len(ATTACKS), wanted=0, note=", ".join(outcome.through))


def _version(host: Host) -> str:
    found = re.match(r"OpenSSH_(\S+)", host.run("ssh -V 2>&1"))
    return found[1] if found else ""
