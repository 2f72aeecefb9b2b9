"""What proves a scrape job and a scrape config fails where the thing proven is broken; it says why and puts back.

On machines that greet. After `pulumi up` each part is run again as the engine runs it, over a login of root's.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from lab import layouts, picture
from lab.hosts import Host, Lab, wait
from lab.project import Project, machine, settings
from tests.lab.sent import Ended, Sent

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG = "/etc/prometheus/prometheus.yml"
JOB, SCRAPED = "scrape-job", "scrape-config"
RESTORED = "its old state is restored"
_NOTHING = "true"
_RELOAD = "systemctl kill -s HUP --kill-who=main prometheus; sleep 1"
_EXPORTER = "prometheus-node-exporter"


@dataclass(frozen=True)
class Fault:
    """What is broken, on the server or the host, and how the part has to end: `says` and `outcome` are in its line."""

    says: str
    outcome: str = RESTORED
    server: str = _NOTHING
    host: str = _NOTHING
    mend: str = _NOTHING
    mend_host: str = _NOTHING
    values: Callable[[str], str] = field(default=lambda text: text)


def _value(name: str, text: str) -> Callable[[str], str]:
    """Return what gives a part another value."""

    def change(sent: str) -> str:
        changed, count = re.subn(rf"(?m)^{name}=.*$", lambda _: f"{name}={text}", sent)
        assert count == 1, name
        return changed

    return change


# promtool, as root, can read what Prometheus cannot.
_RULES = "rule_files: [/etc/prometheus/rules-of-root.yml]"
JOBS = {
    "a rule file that Prometheus may not read": Fault(
        r"Prometheus did not load \S+prometheus.yml .*; see: journalctl -u prometheus.service",
        "its old files are back, but Prometheus did not load",
        server=f"(umask 077; echo 'groups: []' >/etc/prometheus/rules-of-root.yml); echo '{_RULES}' >>{CONFIG}",
        mend=f"rm /etc/prometheus/rules-of-root.yml; sed -i '/rules-of-root/d' {CONFIG}; {_RELOAD}",
    ),
    "another file than Prometheus reads": Fault(
        r"Prometheus reads /etc/prometheus/prometheus.yml, not /etc/prometheus/other.yml; correct configFile",
        "",
        server=f"cp {CONFIG} /etc/prometheus/other.yml",
        mend="rm /etc/prometheus/other.yml",
        values=_value("CONFIG", "/etc/prometheus/other.yml"),
    ),
    "another program at the address": Fault(
        r"Prometheus does not answer on http://127.0.0.1:9101; give url",
        "",
        server=f"systemd-run -q --unit squatter {_EXPORTER} --web.listen-address=127.0.0.1:9101; sleep 1",
        mend="systemctl stop squatter",
        values=_value("URL", "http://127.0.0.1:9101"),
    ),
    "no inotify instance": Fault(
        r"Prometheus cannot watch its target files: prometheus has no inotify instance left; raise fs.inotify",
        server="mkdir -p /etc/systemd/system/prometheus.service.d; "
        "printf '[Service]\\nSystemCallFilter=~inotify_init1\\nSystemCallErrorNumber=EMFILE\\n' "
        ">/etc/systemd/system/prometheus.service.d/fault.conf; systemctl daemon-reload; systemctl restart prometheus",
        mend="rm -r /etc/systemd/system/prometheus.service.d; systemctl daemon-reload; systemctl restart prometheus",
    ),
}
_ANSWERS = """\
use IO::Socket::INET;
$server = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1:9100", ReuseAddr => 1) or die $!;
while ($client = $server->accept) { while (<$client>) { last if /^\\r?\\n$/ } print $client "%s"; close $client }
"""


def _instead(says: str, answer: str) -> Fault:
    """Put a program that answers so in the exporter's place."""
    program = _ANSWERS.replace("%s", answer)
    return Fault(
        says,
        host=f"systemctl stop {_EXPORTER}; cat >/root/answers.pl <<'END'\n{program}END\n"
        "systemd-run -q --unit instead perl /root/answers.pl; "
        "for i in $(seq 100); do ss -Hltn 'sport = :9100' | grep -q . && exit; sleep .1; done; exit 1",
        mend_host=f"systemctl stop instead; rm /root/answers.pl; systemctl start {_EXPORTER}",
    )


CONFIGS = {
    "status 500": _instead("server returned HTTP status 500", "HTTP/1.1 500 No\\r\\n\\r\\nup 1\\n"),
    "a page": _instead("is not a valid start token", "HTTP/1.1 200 OK\\r\\n\\r\\n<html>up 1</html>\\n"),
    "a greeting": _instead("malformed HTTP", "*** Welcome to production ***\\nup 1\\n"),
    "an exporter that hangs": Fault(
        r"context deadline exceeded|timeout",
        host=f"kill -STOP $(systemctl show -p MainPID --value {_EXPORTER})",
        mend_host=f"kill -CONT $(systemctl show -p MainPID --value {_EXPORTER})",
    ),
    "no tunnel": Fault(
        r"connection refused",
        server="systemctl stop TUNNEL",
        # On a busy machine a start may fail once; systemd tries again, and the journal says why.
        mend="systemctl start TUNNEL || { journalctl -u TUNNEL -n 20 >&2; sleep 8; systemctl is-active TUNNEL; }",
    ),
    "no job": Fault(
        r"it does not know the target yet; see: journalctl -u prometheus.service",
        server=f"cp -p {CONFIG} /root/kept; sed -i '/BEGIN metrics-tunnel/,/END metrics-tunnel/d' {CONFIG}; {_RELOAD}",
        mend=f"cp -p /root/kept {CONFIG}; rm /root/kept; {_RELOAD}",
    ),
    "no Prometheus": Fault(
        r"its list of targets is not to be had: no answer",
        server="systemctl stop prometheus",
        mend="systemctl start prometheus",
    ),
    "another program in its place": Fault(
        r"its list of targets is not to be had: HTTP/1.0 200 OK",
        server=f"systemctl stop prometheus; systemd-run -q --unit squatter {_EXPORTER} "
        "--web.listen-address=127.0.0.1:9090; sleep 1",
        mend="systemctl stop squatter; systemctl start prometheus",
    ),
}
# What is no fault: the same part is proven with these.
SOUND = {
    "an exporter that is down": Fault("", host=f"systemctl stop {_EXPORTER}", mend_host=f"systemctl start {_EXPORTER}"),
    "nothing": Fault(""),
}


# What is tried with which part, on a server and a host for each number: most of it is waiting, side by side.
TRIALS = {
    1: (JOB, JOBS),
    2: (SCRAPED, {**dict(list(CONFIGS.items())[:5]), **SOUND}),
    3: (SCRAPED, dict(list(CONFIGS.items())[5:])),
}


@dataclass
class Seen:
    """How each part ended, broken and then mended, and what is left of all."""

    broken: dict[str, Ended] = field(default_factory=dict)
    again: dict[str, Ended] = field(default_factory=dict)
    left: dict[str, list[str]] = field(default_factory=dict)


def _files(server: Host) -> picture.Picture:
    """Return the server's files of these parts."""
    ours = ("/etc/prometheus", "/etc/metrics-tunnel")
    return {path: what for path, what in picture.take(server).items() if path.startswith(ours)}


def _edit(server: Host, host: Host, part: str) -> None:
    """Edit what a part writes, so that it has something to do."""
    if part == JOB:
        server.run(f"sed -i 's/sample_limit: .*/sample_limit: 14999/' {CONFIG}; {_RELOAD}")
    else:
        server.run(f'sed -i \'s/"job": *"node"/"job":"other"/\' /etc/metrics-tunnel/targets/lab/{host.name}.json')


def _runs(server: Host) -> None:
    """Wait until Prometheus answers."""
    server.run("for i in $(seq 100); do promtool query instant http://127.0.0.1:9090 1 && exit; sleep .1; done; exit 1")


def _try(sent: Sent, server: Host, host: Host, part: str, fault: Fault) -> tuple[Ended, Ended]:
    """Return how the part ends with a fault, and how once it is mended."""
    resource = f"{server.name if part == JOB else host.name}-{part}"
    _edit(server, host, part)
    host.run(fault.host)
    server.run(fault.server.replace("TUNNEL", f"metrics-tunnel-{host.name}"))
    if part == JOB:
        _runs(server)
    before = _files(server)
    ended = sent.apply(server, resource, lambda text: fault.values(re.sub(r"(?m)^WAIT=\d+$", "WAIT=10", text)))
    ended = replace(ended, before=before, after=_files(server))
    server.run(fault.mend.replace("TUNNEL", f"metrics-tunnel-{host.name}"))
    host.run(fault.mend_host)
    _runs(server)
    return ended, sent.apply(server, resource)


@pytest.fixture(scope="module")
def seen(lab: Lab, project: Project) -> Seen:
    pairs = {
        number: (lab.add(f"mon{number}", layouts.SERVERS["comments"]), lab.add(f"web{number}")) for number in TRIALS
    }
    lab.boot()
    clean = {name: picture.take(one) for name, one in lab.hosts.items()}
    hosts = {host.name: {**machine(host), "servers": [server.name]} for server, host in pairs.values()}
    project.settings({**settings(lab, [server for server, _ in pairs.values()], []), "hosts": hosts})
    project.up()
    sent, found = Sent(project), Seen()

    def one_after_the_other(number: int) -> None:
        part, faults = TRIALS[number]
        for name, fault in faults.items():
            found.broken[name], found.again[name] = _try(sent, *pairs[number], part, fault)

    with ThreadPoolExecutor() as pool:
        list(pool.map(one_after_the_other, TRIALS))
    for server, host in pairs.values():
        wait(f"{host.name} to be scraped", lambda server=server, host=host: server.scraped(host.name) == "1")  # type: ignore[misc]
    project.up()
    project.destroy()
    found.left = {name: picture.difference(clean[name], picture.take(one)) for name, one in lab.hosts.items()}
    return found


@pytest.mark.parametrize("name", [*JOBS, *CONFIGS])
def test_what_prometheus_does_not_run_or_scrape_is_no_success_and_says_why(name: str, seen: Seen) -> None:
    ended, fault = seen.broken[name], {**JOBS, **CONFIGS}[name]
    assert ended.code == 3, ended
    assert re.match(r"(mon1 scrape-job-lab|mon2 scrape-config-web2|mon3 scrape-config-web3): ", ended.said), ended.said
    assert re.search(fault.says, ended.said), ended.said
    assert fault.outcome in ended.said
    assert picture.difference(ended.before, ended.after) == []


@pytest.mark.parametrize("name", SOUND)
def test_a_target_that_is_down_behind_its_tunnel_is_proven_and_one_that_is_up(name: str, seen: Seen) -> None:
    ended = seen.broken[name]
    assert ended.code == 0, ended
    assert picture.difference(ended.before, ended.after), "there was nothing to do"


def test_with_the_fault_mended_the_same_part_is_proven(seen: Seen) -> None:
    assert {name: ended.code for name, ended in seen.again.items()} == dict.fromkeys(seen.again, 0), seen.again


def test_destroy_after_all_that_leaves_every_machine_as_it_was(seen: Seen) -> None:
    assert seen.left == {name: [] for name in ("mon1", "web1", "mon2", "web2", "mon3", "web3")}
