"""What people's sshd and account settings are: served where our drop-in can lift them, else told by the first preview.

All on one lab, in one life of one stack. Every machine greets.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab import base, layouts, picture
from lab.hosts import Lab
from lab.picture import Picture
from lab.project import Plan, Project, Run, settings

KEYS = "/etc/ssh/authorized_keys.d/metrics-tunnel"
CONF = "/etc/ssh/sshd_config.d/10-metrics-tunnel.conf"
IDLE_SECONDS = 5
_DISABLED = "# benchmark 5.1.x\nDisableForwarding yes\nX11Forwarding no\nMaxStartups 10:30:60\nLogLevel VERBOSE\n"
# Of forwards alone: a session of Pulumi's that is silent for so long on a busy machine would be ended too.
_IDLE = f"# nobody stays\nChannelTimeout direct-tcpip={IDLE_SECONDS}s\nUnusedConnectionTimeout {IDLE_SECONDS}s\n"


def _sshd(text: str, name: str = "00-company.conf") -> Callable[[Path], None]:
    def layout(tree: Path) -> None:
        (tree / "etc/ssh/sshd_config.d" / name).write_text(text)

    return layout


def _edit(path: str, old: str, new: str) -> Callable[[Path], None]:
    def layout(tree: Path) -> None:
        text = (tree / path).read_text()
        assert old in text
        (tree / path).write_text(text.replace(old, new))

    return layout


def _no_folder(tree: Path) -> None:
    _no_usergroups(tree)
    shutil.rmtree(tree / "etc/ssh/sshd_config.d")


def _no_usergroups(tree: Path) -> None:
    text = (tree / "etc/login.defs").read_text()
    (tree / "etc/login.defs").write_text(re.sub(r"(?m)^USERGROUPS_ENAB\s.*$", "USERGROUPS_ENAB no", text))


def _empty_folder(tree: Path) -> None:
    (tree / "etc/ssh/authorized_keys.d").mkdir()


@dataclass(frozen=True)
class Case:
    """A host: how it is laid out, its release, and what is done when it has booted."""

    layout: Callable[[Path], None]
    release: str = base.RELEASE
    then: str = ""


SERVED = {
    **{f"dis{number}": Case(_sshd(_DISABLED), release) for release, number in base.RELEASES.items()},
    **{f"idle{number}": Case(_sshd(_IDLE), release) for release, number in base.RELEASES.items() if number >= 12},
    "nogroup": Case(_no_usergroups),
    "nogrp11": Case(_no_usergroups, "bullseye"),
    "nofolder": Case(_no_folder),
    "found": Case(_empty_folder),
    "login": Case(layouts.EXPORTERS["packaged"]),
}
_OTHER_PORT = "printf 'Port 22\\nPort 2222\\n' >/etc/ssh/sshd_config.d/05-port.conf; systemctl restart ssh; "
# The lab's own key is one.
_NO_ED25519 = "PubkeyAccepted{0} rsa-sha2-512,ecdsa-sha2-nistp256\nMatch User root\nPubkeyAccepted{0} ssh-ed25519\n"
REFUSED = {
    "noincl": Case(_edit("etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/", "#Include ")),
    "noed": Case(_sshd(_NO_ED25519.format("Algorithms"))),
    "noed11": Case(_sshd(_NO_ED25519.format("KeyTypes")), "bullseye"),
    "matched": Case(_sshd("Match User metrics-*\n  MaxSessions 10\nMatch all\n", "05-corp.conf")),
    "address": Case(_sshd("Match Address 10.213.0.0/16\n  PermitTunnel yes\nMatch all\n", "05-corp.conf")),
    "denied": Case(_sshd("DenyUsers metrics-*\n")),
    "loginno": Case(_sshd(f"Match User {base.ADMIN}\n  AllowTcpForwarding no\nMatch all\n", "05-corp.conf")),
    "edited": Case(layouts.EXPORTERS["packaged"], then=f"{_OTHER_PORT} rm /etc/ssh/sshd_config.d/05-port.conf"),
}
# Nobody can foresee it: sshd cannot listen again on an address that has gone since.
LOST = Case(
    layouts.EXPORTERS["packaged"],
    then="ip addr add 10.9.9.9/32 dev lo; printf 'ListenAddress 0.0.0.0:22\\nListenAddress 10.9.9.9:2222\\n' "
    ">/etc/ssh/sshd_config.d/05-port.conf; systemctl restart ssh; ip addr del 10.9.9.9/32 dev lo",
)
_NO_KEYS = "sshd takes no ssh-ed25519 keys; add ssh-ed25519 to PubkeyAcceptedAlgorithms there, or set tunnelPrivateKey"
FORESEEN = {
    "noincl": rf"sshd does not read {CONF}; add to the top of /etc/ssh/sshd_config: Include /etc/ssh/sshd_config.d/\*",
    "noed": _NO_KEYS,
    "noed11": _NO_KEYS,
    "matched": rf"sshd does not obey {CONF} in: MaxSessions 0; /etc/ssh/sshd_config.d/05-corp.conf comes first, with "
    r"'MaxSessions 10' in its block 'Match User metrics-\*'; take that out there",
    "address": rf"sshd does not obey {CONF} for logins from 10\.213\.\d+\.10 in: PermitTunnel no; "
    r"/etc/ssh/sshd_config.d/05-corp.conf comes first, with 'PermitTunnel yes' in its block 'Match Address ",
    "denied": r"sshd keeps user metrics-tunnel out by DenyUsers; take what means it out of DenyUsers in /etc/ssh/sshd_",
    "loginno": f"sshd lets {base.ADMIN} forward nothing; set AllowTcpForwarding local for that user",
    "edited": r"sshd listens on \S*:2222 \S*:2222, of which its settings say nothing any more: to reload",
}


@dataclass
class Seen:
    """What was seen in one life of the stack."""

    plan: Plan
    up: Run
    before: dict[str, Picture]
    during: dict[str, Picture]
    quiet: Plan
    keys_of_login: str
    ends: dict[str, float]
    restarts: dict[str, tuple[str, str]]
    scraped: dict[str, str]
    noticed: list[str] = field(default_factory=list)
    after: dict[str, Picture] = field(default_factory=dict)


def _restarts(lab: Lab, name: str) -> str:
    return lab.hosts["mon1"].run(f"systemctl show -p NRestarts --value metrics-tunnel-{name}").strip()


def _idle_ends(lab: Lab, name: str) -> float:
    """Return after how many seconds sshd ends another user's connection that does nothing."""
    began = time.monotonic()
    command = [
        "ssh",
        "-F",
        "none",
        "-NT",
        "-i",
        str(lab.key),
        "-oStrictHostKeyChecking=no",
        "-oUserKnownHostsFile=/dev/null",
    ]
    with_forward = [*command, "-oBatchMode=yes", f"root@{lab.hosts[name].address}"]
    subprocess.run(["timeout", str(8 * IDLE_SECONDS), *with_forward], capture_output=True, check=False)
    return time.monotonic() - began


@pytest.fixture(scope="module")
def seen(lab: Lab, project: Project) -> Seen:
    server = lab.add("mon1", layouts.SERVERS["default"])
    cases = {**SERVED, **REFUSED, "lost": LOST}
    for name, case in cases.items():
        lab.add(name, case.layout, release=case.release)
    lab.boot()
    for name, case in cases.items():
        if case.then:
            lab.hosts[name].run(case.then)
    before = {name: picture.take(host) for name, host in lab.hosts.items()}
    given = settings(lab, [server], [lab.hosts[name] for name in cases])
    for name in ("login", "loginno"):
        given["hosts"][name]["login"] = base.ADMIN
    project.settings(given)
    plan = project.plan()
    up = project.up("--continue-on-error", codes=(1, 255))
    during = {name: picture.take(host) for name, host in lab.hosts.items()}
    keys_of_login = lab.hosts["login"].run(f"cat /home/{base.ADMIN}/.ssh/authorized_keys")
    project.settings({**given, "hosts": {name: one for name, one in given["hosts"].items() if name in SERVED}})
    project.up()
    # A tunnel that another restart had to mend is none that lives on.
    idle = [name for name in SERVED if name.startswith("idle")]
    restarts = {name: _restarts(lab, name) for name in idle}
    ends = {name: _idle_ends(lab, name) for name in idle}
    found = Seen(plan, up, before, during, project.plan(), keys_of_login, ends, {}, {})
    found.restarts = {name: (restarts[name], _restarts(lab, name)) for name in idle}
    found.scraped = {name: server.scraped(name) for name in SERVED}
    lab.hosts["found"].run(f"echo 'ssh-ed25519 AAAA bob' >>{KEYS}; : >/etc/ssh/authorized_keys.d/ann")
    found.noticed = project.plan().warnings
    lab.hosts["found"].run(f"sed -i /bob/d {KEYS}; rm /etc/ssh/authorized_keys.d/ann")
    project.destroy()
    found.after = {name: picture.take(host) for name, host in lab.hosts.items()}
    return found


@pytest.mark.parametrize("name", SERVED)
def test_what_can_be_lifted_for_our_user_alone_is_served_by_a_real_forward(name: str, seen: Seen) -> None:
    assert not [text for text in seen.plan.warnings if text.startswith(f"{name} ")], seen.plan.warnings
    assert seen.scraped[name] == "1"


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_in_the_first_preview_and_by_up_and_leaves_the_machine_as_it_was(
    name: str, seen: Seen
) -> None:
    assert [
        text for text in seen.plan.warnings if re.search(f"{name} (authorized|login)-key.*{FORESEEN[name]}", text)
    ], "\n".join(seen.plan.warnings)
    assert re.search(f"{name} (authorized|login)-key.*{FORESEEN[name]}", seen.up.output), seen.up.output
    assert picture.difference(seen.before[name], seen.during[name]) == []


def test_a_reload_that_loses_a_listener_is_told_at_once_and_the_files_are_put_back(seen: Seen) -> None:
    said = (
        r"lost authorized-key.*sshd was reloaded and no longer listens on 10.9.9.9:2222; if that is your way in, stay"
    )
    assert re.search(said, seen.up.output), seen.up.output
    lost = picture.difference(seen.before["lost"], seen.during["lost"])
    assert [line.split(": ")[0] for line in lost] == ["listener 10.9.9.9:2222"]


def test_a_tunnel_lives_on_where_sshd_ends_others_that_do_nothing(seen: Seen) -> None:
    for name, seconds in seen.ends.items():
        assert IDLE_SECONDS - 1 < seconds < 8 * IDLE_SECONDS - 1, f"{name} would not show it: {seconds}"
        earlier, later = seen.restarts[name]
        assert earlier == later


def test_it_is_quiet_afterwards(seen: Seen) -> None:
    assert (seen.quiet.code, seen.quiet.warnings) == (0, [])


def test_no_word_of_a_greeting_gets_into_a_login_users_keys(lab: Lab, seen: Seen) -> None:
    greeted = lab.hosts["login"].run(f"runuser -l {base.ADMIN} -c true")
    assert "Welcome to production" in greeted, "this user's login does not greet"
    lines = seen.keys_of_login.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("ssh-ed25519 ")
    assert lines[1].startswith("restrict,")


def test_a_line_of_somebody_else_in_our_key_file_is_a_notice_and_another_users_file_is_not(seen: Seen) -> None:
    assert len(seen.noticed) == 1
    assert re.search(rf"found authorized-key.*{KEYS} has a line that is not ours, of 'bob'", seen.noticed[0])


@pytest.mark.parametrize("name", ["mon1", *SERVED, *REFUSED])
def test_destroy_leaves_the_machine_as_it_was(name: str, seen: Seen) -> None:
    assert picture.difference(seen.before[name], seen.after[name]) == []
