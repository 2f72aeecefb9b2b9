"""A host that turns hostile: its exporter lies, floods, stalls or sends elsewhere, and its sshd is another.

Each behaviour is met by the tunnels' job, as `pulumi up` has made it, and then by plain jobs of the same servers,
which scrape the same host without our limits: that shows the behaviour to be one.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.ssh_tunnel import TUNNEL_USER
from lab import base, layouts
from lab.campaign.figures import Figure, at_most, count
from lab.campaign.hostile import ABOVE, BELOW, CODES
from lab.hosts import LabError, temporary, wait
from lab.project import ROOT, Project, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from lab.campaign.figures import Tell
    from lab.hosts import Host, Lab

RELEASES = tuple(base.RELEASES)
"""Debian releases of the servers."""
TUNNEL, PLAIN, QUICK, SSH, RECORDER = 9100, 9101, 9102, 22, 9099
"""Ports: those of the hostile host that the jobs and the tunnels ask, and the one of whoever must not be asked."""
GROWTH_MB = 400
"""What Prometheus may grow by in all: it keeps the series of a refused scrape for hours."""
BACK_SECONDS = 15
_TWO_SCRAPES = {TUNNEL: 6, PLAIN: 12}
_PATIENCE_SECONDS = 30
_FOLLOWED_SECONDS = 2
EXPORTER = "prometheus-node-exporter"
_METADATA = "latest/meta-data/iam"
_PLAIN_JOBS = """\
scrape_configs:
  - job_name: plain
    scrape_interval: 5s
    honor_labels: true
    static_configs:
      - targets: ['{address}:{port}']
        labels: {{instance: plain}}
  # Large bodies take their time, redirects none.
  - job_name: quick
    scrape_interval: 2s
    static_configs:
      - targets: ['{address}:{quick}']
        labels: {{instance: quick}}
"""


@dataclass(frozen=True)
class Case:
    """One behaviour of an exporter.

    `error` is what Prometheus says where it refuses the scrape, as it should; empty: it takes it, and `harmless` is a
    query that finds something then. `control` finds something where the plain job was harmed.
    """

    name: str
    behaviour: str
    error: str = ""
    harmless: str = ""
    control: str = ""


_TOO_BIG = "body size limit exceeded|deadline exceeded"
CASES = [
    Case(f"{ABOVE} samples", "above", "sample limit exceeded", control=f'count(many{{instance="plain"}}) == {ABOVE}'),
    Case(f"{BELOW} samples", "below", harmless=f'count(many{{instance="web"}}) == {BELOW}'),
    Case("a body of 100 MB", "big", _TOO_BIG, control='big{instance="plain"}'),
    Case("100 MB packed in 100 KB", "bomb", _TOO_BIG, control='bomb{instance="plain"}'),
    Case("a body without end", "endless", _TOO_BIG),
    Case("a byte a second", "slow", "deadline exceeded"),
    Case(
        "another target's labels",
        "spoof",
        harmless='spoof{instance="web",job="node",exported_job="evil"} '
        'unless on() ({job="evil"} or spoof{instance="good"})',
        control='spoof{instance="good",job="evil"}',
    ),
    Case("a name among the labels", "name", "."),
    Case("200 labels", "labels", "label_limit exceeded", control='labels{instance="plain"}'),
    Case("a label of 1 MB", "value", "label_value_length_limit exceeded", control='value{instance="plain"}'),
    Case("random bytes", "garbage", "."),
    Case("invalid UTF-8", "not-utf-8", "."),
    Case(
        "samples of half an hour ago",
        "times",
        harmless='past{instance="web"} unless past{instance="web"} offset 28m',
        control='past{instance="plain"} offset 28m',
    ),
]


@dataclass(frozen=True)
class Sshd:
    """Another sshd on the host than the one we know; `said` is what the tunnel says of it."""

    name: str
    behaviour: str
    said: str


SSHDS = [
    Sshd("another host key", "", "Host key verification failed"),
    Sshd("8 MB before its version", "ssh-banner", "kex_exchange_identification|banner"),
    Sshd("8 MB of lines before its version", "ssh-lines", "kex_exchange_identification|banner"),
    Sshd("hangs up at once", "ssh-close", "kex_exchange_identification|Connection (closed|reset)"),
    Sshd("says nothing", "ssh-silent", "timed out"),
]


@dataclass
class Trial:
    """One hostile host, a good one, and servers that scrape both."""

    tell: Tell
    servers: Sequence[Host]
    web: Host
    good: Host

    @contextlib.contextmanager
    def behaving(self, host: Host, behaviour: str, *places: str) -> Iterator[Path]:
        """Let a host behave so on `address:port`s. Gives the file in which it notes who asked."""
        log = host.folder / f"{behaviour.partition('=')[0]}.log"
        log.write_text("")
        command = ["nsenter", f"--net=/run/netns/{host.namespace}", sys.executable, "-m", "lab.campaign.hostile"]
        with subprocess.Popen([*command, behaviour, str(log), *places], cwd=ROOT, stdout=subprocess.PIPE) as process:
            try:
                if not process.stdout or process.stdout.readline() != b"ready\n":
                    raise LabError(f"{host.name} does not behave as {behaviour}")
                yield log
            finally:
                process.kill()

    def met(self, case: Case) -> dict[str, str]:
        """Let the exporter behave as in a case; what is wrong with the scrapes through the tunnels, by server."""
        self.tell(case.name)
        with self.behaving(self.web, case.behaviour, f"127.0.0.1:{TUNNEL}") as log:
            self._asked(log, TUNNEL, 2)
            return {server.name: _wrong(server, case) for server in self.servers}

    def controlled(self, case: Case) -> dict[str, bool]:
        """Let the plain job see a case; whether that harms it, by server."""
        self.tell(f"{case.name}, in a job without limits")
        with self.behaving(self.web, case.behaviour, f"{self.web.address}:{PLAIN}"):
            _soon(lambda: all(ask(server, case.control) for server in self.servers))
            return {server.name: bool(ask(server, case.control)) for server in self.servers}

    def forged(self, port: int, instance: str) -> dict[str, bool]:
        """Whether a target that has written its own `up` of time to come is not down once it is dead, by server."""
        self.tell(f"{instance} writes its own up")
        mine = "127.0.0.1" if port == TUNNEL else self.web.address
        with self.behaving(self.web, "times", f"{mine}:{port}") as log:
            self._asked(log, port, 2)
        time.sleep(_TWO_SCRAPES[port])
        return {server.name: server.scraped(instance, 0) != "0" for server in self.servers}

    def redirected(self, port: int) -> dict[str, tuple[int, int]]:
        """Redirect those who ask a port, by each code and to each place: fetches there and redirects, by server."""
        self.tell(f"redirects on port {port}")
        hosts = [self.good, *self.servers]
        places = f"http://{self.good.address}:{RECORDER}/{_METADATA},http://127.0.0.1:{RECORDER}/{_METADATA}"
        mine = "127.0.0.1" if port == TUNNEL else self.web.address
        with contextlib.ExitStack() as stack:
            logs = [stack.enter_context(self.behaving(host, "fine", f"0.0.0.0:{RECORDER}")) for host in hosts]
            with self.behaving(self.web, f"redirect={places}", f"{mine}:{port}") as sent:
                self._asked(sent, port, 2 * len(CODES) + 1)
            # No more are sent, and whoever follows the last one is there by then.
            time.sleep(_FOLLOWED_SECONDS)
            fetched = "".join(log.read_text() for log in logs)
            return {
                server.name: (
                    len(re.findall(f"{re.escape(agent(server))} .*by={port}", fetched)),
                    sent.read_text().count(f" {agent(server)} "),
                )
                for server in self.servers
            }

    def another_sshd(self, sshd: Sshd) -> tuple[bool, float]:
        """Let the host's sshd be another: whether each tunnel refuses it, and the seconds to be scraped again."""
        self.tell(f"a strange sshd: {sshd.name}")
        since = int(time.time())
        with self._sshd_as(sshd.behaviour):
            refused = _soon(
                lambda: all(_said(one, sshd.said, since) and one.scraped("web", 0) == "0" for one in self.servers)
            )
        started = time.monotonic()
        wait("up == 1", lambda: all(one.scraped("web") == "1" for one in self.servers))
        return refused, time.monotonic() - started

    @contextlib.contextmanager
    def _sshd_as(self, behaviour: str) -> Iterator[None]:
        """End the tunnels' sessions and let them in no more; without a behaviour it is the host key that is another."""
        self.web.run(f"systemctl stop ssh; pkill -u {TUNNEL_USER}")
        try:
            if behaviour:
                with self.behaving(self.web, behaviour, f"0.0.0.0:{SSH}"):
                    yield
            else:
                with self._another_key():
                    yield
        finally:
            self.web.run("systemctl restart ssh")

    @contextlib.contextmanager
    def _another_key(self) -> Iterator[None]:
        self.web.run("cd /etc/ssh && mkdir kept && mv ssh_host_* kept && ssh-keygen -qA && systemctl start ssh")
        try:
            yield
        finally:
            self.web.run("cd /etc/ssh && mv kept/* . && rmdir kept")

    def _asked(self, log: Path, port: int, times: int) -> None:
        """Wait until every server has asked so often: then all but the last scrape have ended."""
        names = [agent(server) for server in self.servers]
        wait(
            f"{times} scrapes of port {port} by each server",
            lambda: all(
                len(re.findall(f"^{port} .* {re.escape(name)} ", log.read_text(), re.MULTILINE)) >= times
                for name in names
            ),
        )


def prepare(lab: Lab, releases: Sequence[str], tell: Tell) -> Trial:
    """Boot a server of each release and two hosts, apply the stack, and take the hostile host's exporter away."""
    web = lab.add("web", layouts.EXPORTERS["packaged-args"])
    good = lab.add("good", layouts.EXPORTERS["packaged-args"])

    def scraping_directly(tree: Path) -> None:
        layouts.none(tree)
        layouts.SERVERS["no-jobs"](tree)
        with (tree / "etc/prometheus/prometheus.yml").open("a") as file:
            file.write(_PLAIN_JOBS.format(address=web.address, port=PLAIN, quick=QUICK))

    servers = [lab.add(f"mon{number}", scraping_directly, release=name) for number, name in enumerate(releases)]
    lab.boot()
    project = Project(lab.folder / "project")
    project.settings(settings(lab, servers, [web, good]))
    project.up()
    web.run(f"systemctl stop {EXPORTER}")
    return Trial(tell, servers, web, good)


@dataclass(frozen=True)
class SeenByServer:
    """What was seen, by server: fetches and redirects, what was wrong with each case, health; and so in a plain job."""

    redirected: dict[str, tuple[int, int]]
    wrong: dict[str, dict[str, str]]
    suffered: dict[str, tuple[float, int, int]]
    forged: dict[str, bool]
    followed: dict[str, tuple[int, int]]
    harmed: dict[str, dict[str, bool]]
    believed: dict[str, bool]


def measure(folder: Path, tell: Tell) -> list[Figure]:
    """Measure it for a server of each release."""
    with temporary(folder) as lab:
        hostile = prepare(lab, RELEASES, tell)
        health = {server.name: Health(server) for server in hostile.servers}
        seen = SeenByServer(
            redirected=hostile.redirected(TUNNEL),
            wrong={case.name: hostile.met(case) for case in CASES},
            suffered={name: one.suffered() for name, one in health.items()},
            forged=hostile.forged(TUNNEL, "web"),
            followed=hostile.redirected(QUICK),
            harmed={case.name: hostile.controlled(case) for case in CASES if case.control},
            believed=hostile.forged(PLAIN, "plain"),
        )
        hostile.web.run(f"systemctl start {EXPORTER}")
        sshds = [hostile.another_sshd(sshd) for sshd in SSHDS]
    return [
        *(figure for server in hostile.servers for figure in _figures(server, seen)),
        count("strange sshds that every tunnel refuses", sum(ok for ok, _ in sshds), len(sshds), wanted=len(sshds)),
        at_most("scraped again once the sshd is the known one", max(back for _, back in sshds), BACK_SECONDS),
    ]


def _figures(server: Host, seen: SeenByServer) -> list[Figure]:
    """Return what was seen on one server."""
    name, of = server.name, f"Debian {base.RELEASES[server.release]}"
    notes = [f"{case}: {found[name]}" for case, found in seen.wrong.items() if found[name]]
    grown, failed, scrapes = seen.suffered[name]
    cases, harmed = len(seen.wrong), [found[name] for found in seen.harmed.values()]
    met, same = f"hostile answers refused, or harmless ({of})", f"in a job without limits ({of})"
    fetched, sent = seen.followed[name]
    return [
        count(f"redirects that {of}'s Prometheus follows", *seen.redirected[name], wanted=0, note=_follows(server)),
        count(f"... {same}", fetched, sent, wanted=sent),
        count(met, cases - len(notes), cases, wanted=cases, note="; ".join(notes)),
        count(f"... that do harm {same}", sum(harmed), len(harmed), wanted=len(harmed)),
        count(f"dead targets hidden by an `up` of their own ({of})", int(seen.forged[name]), 1, wanted=0),
        count(f"... {same}", int(seen.believed[name]), 1, wanted=1),
        count(f"failed scrapes of another target meanwhile ({of})", failed, scrapes, wanted=0),
        at_most(f"growth of Prometheus meanwhile, without a restart ({of})", grown, GROWTH_MB, "MB"),
    ]


class Health:
    """How a server's Prometheus fares from now on."""

    def __init__(self, server: Host) -> None:
        self.server, self.pid, self.since, self.held = server, pid(server), time.time(), _memory(server, "VmRSS")

    def suffered(self) -> tuple[float, int, int]:
        """Return what it has grown by at most, in MB, and of the good target the failed and all scrapes.

        Raises `LabError` where it has been restarted.
        """
        if pid(self.server) != self.pid:
            raise LabError(f"{self.server.name}: Prometheus was restarted")
        up = f'up{{instance="good"}}[{int(time.time() - self.since)}s]'
        scrapes, good = (int(_value(ask(self.server, f"{of}_over_time({up})"))) for of in ("count", "sum"))
        return _memory(self.server, "VmHWM") - self.held, scrapes - good, scrapes


def _follows(server: Host) -> str:
    return "it has no follow_redirects" if server.release == "bullseye" else ""


def _wrong(server: Host, case: Case) -> str:
    """Return what its Prometheus did with a case, where it is not what it should do."""
    error = _target(server, "web")["lastError"]
    if case.error:
        return "" if re.search(case.error, error) else error or "let in"
    return error or ("" if ask(server, case.harmless) else "stored as it was sent")


def _soon(found: Callable[[], bool]) -> bool:
    """Whether it comes true within half a minute."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while not (result := found()) and time.monotonic() < until:
        time.sleep(0.5)
    return result


def _said(server: Host, text: str, since: int) -> bool:
    """Whether its tunnel has said something since then."""
    said = server.run(f"journalctl -qo cat -u metrics-tunnel-web --since @{since}")
    return bool(re.search(text, said))


def agent(server: Host) -> str:
    """Return how its Prometheus calls itself."""
    return f"Prometheus/{_api(server, 'status/buildinfo')['version']}"


def pid(server: Host) -> int:
    """Return the process id of its Prometheus."""
    return int(server.run("systemctl show -p MainPID --value prometheus"))


def ask(server: Host, query: str) -> str:
    """Return what its Prometheus finds, empty where that is nothing."""
    return server.run(f"promtool query instant http://127.0.0.1:9090 {shlex.quote(query)}").strip()


def _api(server: Host, path: str) -> Any:
    return json.loads(server.get(9090, f"/api/v1/{path}").partition("\n\n")[2])["data"]


def _value(found: str) -> float:
    """Return the value of the one series that was found: `{labels} => value @[time]`."""
    return float(found.split("=>")[1].split(maxsplit=1)[0])


def _target(server: Host, instance: str) -> Any:
    return next(one for one in _api(server, "targets")["activeTargets"] if one["labels"]["instance"] == instance)


def _memory(server: Host, kind: str) -> float:
    """Return `VmRSS`, what its Prometheus holds now, or `VmHWM`, what it held at most, in MB."""
    status = server.run(f"cat /proc/{pid(server)}/status")
    return int(status.partition(f"{kind}:")[2].split()[0]) / 1024
