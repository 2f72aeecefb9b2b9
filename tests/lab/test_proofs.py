"""What proves a part fails where the thing proven is broken, on machines whose logins greet; it says why and puts back.

The parts are run as the engine runs them, over a login of root's: first by `pulumi up`, then each again with something
broken.
"""

import re
import shlex
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from lab import layouts, picture
from lab.hosts import Host, Lab, wait
from lab.picture import Picture
from lab.project import Project, settings
from tests.lab.sent import Ended, Sent

GREETINGS = ("production", "load 0.42", "a note of")
_KEYS = "/etc/ssh/authorized_keys.d/metrics-tunnel"
_CONF = "/etc/ssh/sshd_config.d/10-metrics-tunnel.conf"
_NOTHING = "true"
RESTORED = "its old state is restored"


@dataclass(frozen=True)
class Fault:
    """A tunnel's proof with something broken: commands for its host and server, and how the part has to end.

    `says` is what the error must hold, `outcome` how it ends; `values` are replaced in what is sent.
    """

    says: str
    outcome: str
    host: str = _NOTHING
    server: str = _NOTHING
    mend: str = _NOTHING
    mend_server: str = _NOTHING
    values: Callable[[str], str] = field(default=lambda text: text)


def _dead(name: str) -> str:
    unit = f"metrics-tunnel-{name}.service"
    return f"its old files are back, but {unit} does not work as before; see: journalctl -u {unit}"


def _other_host_key(text: str) -> str:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGmOVTcVQ5zuRbIFAMt0LOSTDBoTNXsJoL5Cc3FBIpvA"
    return re.sub(r"^HOST_KEY='.*'$", f"HOST_KEY='{key}'", text, flags=re.MULTILINE)


TUNNELS = {
    "nologin": Fault(
        "Connection (closed|reset)", _dead("nologin"), "echo 'Closed for today.' >/etc/nologin", mend="rm /etc/nologin"
    ),
    "wrongkey": Fault("Host key verification failed", RESTORED, values=_other_host_key),
    "noforward": Fault(
        "administratively prohibited",
        _dead("noforward"),
        f"cp -p {_CONF} /root/kept; sed -i 's/^PermitOpen.*/PermitOpen none/' {_CONF}; systemctl reload ssh; sleep 1",
        mend=f"mv /root/kept {_CONF}; systemctl reload ssh",
    ),
    "nokey": Fault(
        r"Permission denied \(publickey", _dead("nokey"), f"mv {_KEYS} /root/kept", mend=f"mv /root/kept {_KEYS}"
    ),
    "nosshd": Fault(
        "port 22: Connection refused", _dead("nosshd"), "systemctl stop ssh.socket ssh", mend="systemctl start ssh"
    ),
    "silent": Fault("Connection (timed out|to .* timed out)|No route to host", _dead("silent")),
    "taken": Fault(
        "is used by prometheus-nod.*; give another listen",
        "give another listen",
        server="systemctl stop metrics-tunnel-taken; systemd-run -q --unit squatter prometheus-node-exporter "
        "--web.listen-address=$(grep -o '[0-9.:]*:127.0.0.1:9100' /etc/systemd/system/metrics-tunnel-taken.service "
        "| sed 's/:127.*//')",
        mend_server="systemctl stop squatter",
    ),
}
# So many tunnels are tried at once. Where more wait for the server's lock, one whose host is gone ends before its turn.
_AT_ONCE = 4
# The server's own ssh, by what becomes of it.
PROGRAMS = {
    "missing": "mv /usr/bin/ssh /root/ssh",
    "broken": "mv /usr/bin/ssh /root/ssh; printf '#!/bin/sh\\necho Welcome; sleep 100\\n' >/usr/bin/ssh; "
    "chmod 755 /usr/bin/ssh",
    "false": "mv /usr/bin/ssh /root/ssh; cp /bin/false /usr/bin/ssh",
}


@dataclass
class Seen:
    """What was seen of all parts."""

    ends: dict[str, Ended] = field(default_factory=dict)
    answers: dict[str, bool] = field(default_factory=dict)
    again: dict[str, Ended] = field(default_factory=dict)
    left: dict[str, list[str]] = field(default_factory=dict)


def _files(server: Host, name: str) -> Picture:
    """Return the server's files of a tunnel, and what enables it."""
    seen = {path: what for path, what in picture.take(server).items() if name in path and path.startswith("/etc")}
    assert len(seen) >= 2, seen
    return seen


def _answers(server: Host, name: str) -> bool:
    listen = server.run(f"grep -o '[0-9.:]*:127.0.0.1:9100' /etc/systemd/system/metrics-tunnel-{name}.service")
    address, port = listen.strip().removesuffix(":127.0.0.1:9100").rsplit(":", 1)
    return "node_" in server.get(int(port), address=address)


def _edited(server: Host, name: str) -> None:
    """Edit a unit, so that the part writes it and starts it anew."""
    server.run(f"echo '# by hand' >>/etc/systemd/system/metrics-tunnel-{name}.service; systemctl daemon-reload")


def _break(sent: Sent, server: Host, host: Host, fault: Fault) -> Ended:
    _edited(server, host.name)
    host.run(fault.host)
    server.run(fault.server)
    if host.name == "silent":
        host.detach()
    before = _files(server, host.name)
    ended = sent.apply(server, f"{host.name}-ssh-tunnel", fault.values)
    return Ended(ended.code, ended.out, ended.err, before, _files(server, host.name))


def _mend(host: Host, server: Host, fault: Fault) -> None:
    if host.name == "silent":
        host.attach()
    host.run(fault.mend)
    server.run(fault.mend_server)


@pytest.fixture(scope="module")
def seen(lab: Lab, project: Project) -> Seen:
    mon1 = lab.add("mon1", layouts.SERVERS["comments"])
    mon2 = lab.add("mon2", layouts.SERVERS["comments"], release="trixie")
    hosts = [lab.add(name) for name in (*TUNNELS, "good", "down")]
    other = lab.add("other")
    lab.boot()
    clean = {name: picture.take(host) for name, host in lab.hosts.items()}
    given = settings(lab, [mon1, mon2], [*hosts, other])
    for name, one in given["hosts"].items():
        one["servers"] = ["mon2" if name == "other" else "mon1"]
    project.settings(given)
    project.up()
    sent, found = Sent(project), Seen()
    # Most of it is waiting for what does not come: tunnels wait side by side, and the other server's parts meanwhile.
    with ThreadPoolExecutor(1) as beside:
        others = beside.submit(_other_parts, sent, mon2, found)
        _tunnels(sent, mon1, found)
        others.result()
    wait("the good one to be scraped", lambda: mon1.scraped("good") == "1")
    project.up()
    project.destroy()
    found.left = {name: picture.difference(clean[name], picture.take(host)) for name, host in lab.hosts.items()}
    return found


def _tunnels(sent: Sent, server: Host, found: Seen) -> None:
    """Break every tunnel but the sound ones, and mend them."""
    hosts, faults = server.lab.hosts, {**TUNNELS, "good": Fault("", ""), "down": Fault("", "")}
    hosts["down"].run("systemctl stop prometheus-node-exporter")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        runs = {name: pool.submit(_break, sent, server, hosts[name], fault) for name, fault in faults.items()}
        found.ends |= {name: run.result() for name, run in runs.items()}
    found.answers = {name: _answers(server, name) for name in faults}
    for name, fault in faults.items():
        _mend(hosts[name], server, fault)
    hosts["down"].run("systemctl start prometheus-node-exporter")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        again = {name: pool.submit(sent.apply, server, f"{name}-ssh-tunnel") for name in faults}
        found.again |= {name: run.result() for name, run in again.items()}


def _other_parts(sent: Sent, server: Host, found: Seen) -> None:
    """Break what else is proven, one after the other: each is the server's own."""
    _programs(sent, server, found)
    _watchdog(sent, server, found)
    _keypair(sent, server, found)


def _programs(sent: Sent, server: Host, found: Seen) -> None:
    for name, command in PROGRAMS.items():
        _edited(server, "other")
        server.run(command)
        before = _files(server, "other")
        ended = sent.apply(server, "other-ssh-tunnel")
        found.ends[name] = Ended(ended.code, ended.out, ended.err, before, _files(server, "other"))
        server.run("rm -f /usr/bin/ssh; mv /root/ssh /usr/bin/ssh")
        found.again[name] = sent.apply(server, "other-ssh-tunnel")


def _watchdog(sent: Sent, server: Host, found: Seen) -> None:
    """Let every service's shell find no program: the loop runs, and does nothing."""
    folder = "/etc/systemd/system/service.d"
    unit = "/etc/systemd/system/metrics-tunnels-watchdog.service"
    server.run(f"echo '# by hand' >>{unit}")
    server.run(f"mkdir {folder}; printf '[Service]\\nEnvironment=PATH=/nowhere\\n' >{folder}/x.conf")
    before = _files(server, "watchdog")
    ended = sent.apply(server, f"{server.name}-tunnel-watchdog")
    found.ends["watchdog"] = Ended(ended.code, ended.out, ended.err, before, _files(server, "watchdog"))
    server.run(f"rm -r {folder}; systemctl daemon-reload")
    found.again["watchdog"] = sent.apply(server, f"{server.name}-tunnel-watchdog")


def _keypair(sent: Sent, server: Host, found: Seen) -> None:
    """Let the program that tells the public key greet instead."""
    says = shlex.quote("#!/bin/sh\necho Welcome to production.\n")
    server.run(
        f"mv /usr/bin/ssh-keygen /root/kept; printf %s {says} >/usr/bin/ssh-keygen; chmod 755 /usr/bin/ssh-keygen"
    )
    before = _files(server, "keys/")
    ended = sent.apply(server, f"{server.name}-keypair")
    found.ends["keypair"] = Ended(ended.code, ended.out, ended.err, before, _files(server, "keys/"))
    server.run("mv -f /root/kept /usr/bin/ssh-keygen")
    found.again["keypair"] = sent.apply(server, f"{server.name}-keypair")


@pytest.mark.parametrize("name", TUNNELS)
def test_a_tunnel_that_carries_nothing_is_no_success_and_says_why(name: str, seen: Seen) -> None:
    ended, fault = seen.ends[name], TUNNELS[name]
    assert ended.code == 3, ended
    assert re.search(fault.says, ended.said), ended.err
    assert ended.said.endswith(fault.outcome), ended.err
    assert not [text for text in GREETINGS if text in ended.said]


@pytest.mark.parametrize("name", [*TUNNELS, *PROGRAMS, "watchdog", "keypair"])
def test_a_part_whose_proof_fails_has_its_files_as_before(name: str, seen: Seen) -> None:
    assert picture.difference(seen.ends[name].before, seen.ends[name].after) == []


@pytest.mark.parametrize("name", sorted({*TUNNELS} - {"taken"}))
def test_what_is_called_restored_carries_again_and_what_does_not_is_not_called_so(name: str, seen: Seen) -> None:
    assert seen.answers[name] == (TUNNELS[name].outcome == RESTORED)


def test_a_server_without_ssh_is_refused_before_anything_is_touched(seen: Seen) -> None:
    ended = seen.ends["missing"]
    assert ended.code == 3, ended
    assert ended.said.startswith("mon2 ssh-tunnel-other: no /usr/bin/ssh; install the OpenSSH client here"), ended.err


@pytest.mark.parametrize("name", sorted({*PROGRAMS} - {"missing"}))
def test_a_server_whose_ssh_is_broken_is_told(name: str, seen: Seen) -> None:
    ended = seen.ends[name]
    assert ended.code == 3, ended
    assert re.search("other.service does not start|no scrape through", ended.said), ended.err
    assert ended.said.endswith(_dead("other")), ended.err


def test_a_watchdog_that_finds_no_program_is_no_success(seen: Seen) -> None:
    ended = seen.ends["watchdog"]
    assert ended.code == 3
    assert "metrics-tunnels-watchdog.service does not watch; see: journalctl -u" in ended.said
    assert "its old files are back, but metrics-tunnels-watchdog.service does not work as before; see:" in ended.said


def test_a_greeting_in_place_of_a_public_key_is_no_key(seen: Seen) -> None:
    ended = seen.ends["keypair"]
    assert ended.code == 3
    assert "metrics-tunnel " not in ended.out
    assert re.search("keypair.*ssh-keygen.*its old state is restored", ended.said), ended.err


def test_a_tunnel_that_carries_is_proven_and_one_whose_exporter_is_down_too(seen: Seen) -> None:
    for name in ("good", "down"):
        assert seen.ends[name].code == 0, seen.ends[name]
        assert picture.difference(seen.ends[name].before, seen.ends[name].after), "the unit was not written"
    assert seen.answers["good"]
    assert not seen.answers["down"]


def test_with_the_fault_mended_the_same_part_is_proven(seen: Seen) -> None:
    assert {name: ended.code for name, ended in seen.again.items()} == dict.fromkeys(seen.again, 0), seen.again


def test_destroy_after_all_that_leaves_every_machine_as_it_was(seen: Seen) -> None:
    assert seen.left == {name: [] for name in seen.left}
