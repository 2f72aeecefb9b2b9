"""What people's exporters are, on hosts that greet: each is closed and given back, or refused untouched.

Without the engine: what is sent to a machine is run there as it stands, over a login.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Queue
from typing import Any, Self

import pytest

from components.payload import started
from lab import layouts
from lab.hosts import Host, Lab
from tests.lab.sent import over_login
from tests.mocked import exporter
from tests.scripts.sandbox import Part, parts, rehearsed

_NAME = "web1-exporter-node"
_RELEASES = {"web11": "bullseye", "web12": "bookworm", "web13": "trixie"}
# What waits for an answer that does not come does so side by side.
_MORE = ("web12b", "web12c", "web12d")
_NODE = "/usr/bin/prometheus-node-exporter"
_FEW = "--collector.disable-defaults --collector.uname"
_LIMITS = "[Unit]\nStartLimitIntervalSec=500\nStartLimitBurst=5\n"
_BROKEN = """\
#!/bin/sh
# Answers as it is told where it is told to listen on loopback alone, and as an exporter elsewhere.
case $* in
*127.0.0.1*) ;;
*) exec {node} {few} "$@" ;;
esac
{broken}
"""
# perl is in every Debian.
_SAYS = """exec perl -MIO::Socket::INET -e '
$server = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1:9100", ReuseAddr => 1) or die $!;
while ($client = $server->accept) {{ {then} close $client }}'
"""
_READ = "while (<$client>) {{ last if /^\\r?\\n$/ }} "


def _answers(answer: str) -> str:
    return _SAYS.format(then=_READ.format() + f'print $client "{answer}";')


BROKEN: dict[str, tuple[str, str]] = {
    "dies of the flag": ("exit 1", "takes no connection"),
    "hangs": ("exec sleep 1000", "takes no connection"),
    "takes and hangs": (_SAYS.format(then="sleep 8;"), "answers nothing within 6 s"),
    "closes": (_SAYS.format(then=_READ.format()), "closes the connection without an answer"),
    "greets": (_answers("*** production ***\\nup 1\\n"), "answers with what is no HTTP"),
    "wants a password": (
        _answers("HTTP/1.1 401 No\\r\\n\\r\\nup 1\\n"),
        "answers with status 401; one that wants a password or TLS is not served",
    ),
    "fails": (_answers("HTTP/1.1 500 No\\r\\n\\r\\nup 1\\n"), "answers with status 500"),
    "shows a page": (_answers("HTTP/1.1 200 OK\\r\\n\\r\\n<html>up 1</html>\\n"), "answers with what is no metrics"),
    "is empty": (_answers("HTTP/1.1 200 OK\\r\\n\\r\\n"), "answers without one sample"),
    "speaks TLS": (
        _answers("\\x15\\x03\\x01\\x00\\x02\\x02\\x16"),
        "speaks TLS; one that wants a password or TLS is not served",
    ),
    "stays open": (f'exec {_NODE} {_FEW} --web.listen-address=:9100 # "$@"', "exporter still listens on"),
}


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> dict[str, Host]:
    releases = _RELEASES | dict.fromkeys(_MORE, "bookworm")
    made = {name: lab.add(name, layouts.none, release=release) for name, release in releases.items()}
    lab.boot()
    return made


def part(**given: Any) -> Part:
    """Return an exporter's part with these arguments."""
    wanted = {"node": exporter(**given)} if given else None
    return parts(hosts={"web1": {"exporters": wanted}} if wanted else None)[_NAME]


class Unit:
    """A unit on a host, taken away at the end."""

    def __init__(self, host: Host, text: str, **programs: str) -> None:
        self.host = host
        (host.tree / "etc/systemd/system/case.service").write_text(text)
        for name, program in programs.items():
            file = host.tree / "usr/local/bin" / name
            file.write_text(program)
            file.chmod(0o755)
        host.run("systemctl daemon-reload; systemctl reset-failed case 2>/dev/null; systemctl restart case")
        host.run("for i in $(seq 100); do ss -Hltn 'sport = :9100' | grep -q . && exit; sleep .1; done; exit 1")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Without cgroups of version 2 around the lab, systemd does not wait for a service's other processes.
        self.host.run("systemctl kill -s KILL case front 2>/dev/null; systemctl stop case front 2>/dev/null; :")
        self.host.run("rm -rf /etc/systemd/system/case.service* /var/lib/metrics-tunnel; systemctl daemon-reload")
        self.host.run("systemctl reset-failed case 2>/dev/null; :")
        self.host.run("for i in $(seq 100); do ss -Hltn | grep -qv ':22 ' || exit 0; sleep .1; done; ss -Hltnp; exit 1")

    @property
    def places(self) -> list[str]:
        """Where it listens."""
        return sorted(self.host.run("ss -Hltn | awk '$4 !~ /:22$/ { print $4 }'").split())

    def apply(self, one: Part, generation: str = "0a1b2c3d") -> str:
        """Apply, and return what was said: nothing where it went well."""
        return self._do(one, "apply", one.owner, generation)

    def remove(self, one: Part) -> str:
        """Remove."""
        return self._do(one, "remove", one.owner)

    def _do(self, one: Part, *words: str) -> str:
        ended = over_login(self.host, started(300, *words), one.stdin)
        return f"{ended.said} (ended with {ended.code})" if ended.code else ""


def unit(command: str, more: str = "", before: str = "") -> str:
    return f"{before}[Service]\nExecStart={command}\n{more}"


def lives(host: Host, text: str, expected: list[str], **programs: str) -> None:
    """Close it and give it back."""
    with Unit(host, text, **programs) as one:
        before = one.places
        assert one.apply(part()) == ""
        assert one.places == expected
        assert "node_uname_info{" in host.get(9100) or "node_" in host.get(9100)
        assert one.remove(part()) == ""
        assert one.places == before


CLOSED = "127.0.0.1:9100"
SERVED: dict[str, str] = {
    "plain": unit(f"{_NODE} {_FEW}"),
    "comment with a backslash": unit(f"{_NODE} {_FEW}", before="[Service]\n#ExecStart=/bin/x \\\n#  --y \\\n"),
    "indented": "".join(f"   {line}\n" for line in unit(f"{_NODE} {_FEW} --web.listen-address=:9100").splitlines()),
    "over lines": unit(f"{_NODE} \\\n  # not this \\\n  {_FEW} \\\n  --web.listen-address=:9100"),
    "by env": unit(f"/usr/bin/env X=1 {_NODE} {_FEW}"),
    "by a variable": unit(f"{_NODE} $OPTIONS", f'Environment="OPTIONS={_FEW} --web.listen-address=:9100"\n'),
    "a blank in the flag": unit(f"{_NODE} {_FEW} --web.listen-address :9100"),
    "reset": unit("/bin/false", f"ExecStart=\nExecStart=-{_NODE} {_FEW}\n"),
}
_HANDED = f'#!/bin/sh\nexec {_NODE} {_FEW} "$@"\n'
_KEPT = f'#!/bin/sh\n{_NODE} {_FEW} "$@"\n'


@pytest.mark.parametrize("name", SERVED)
def test_what_systemd_reads_is_read_alike(name: str, hosts: dict[str, Host]) -> None:
    lives(hosts["web12"], SERVED[name], [CLOSED])


@pytest.mark.parametrize("script", [_HANDED, _KEPT], ids=["exec", "child"])
def test_a_script_that_hands_its_arguments_on_is_served(script: str, hosts: dict[str, Host]) -> None:
    lives(hosts["web12"], unit("/usr/local/bin/case"), [CLOSED], case=script)


def test_a_listener_for_somebody_else_stays(hosts: dict[str, Host]) -> None:
    text = unit(f"{_NODE} {_FEW} --web.listen-address=:9100 --web.listen-address=127.0.0.1:9199")
    lives(hosts["web13"], text, [CLOSED, "127.0.0.1:9199"])


_BY_HAND = "bind it to 127.0.0.1:9100 by its own settings, and set manage: false"
_EDGE = (
    f'#!/bin/bash\n[ "$*" = "-f x" ] || exit 1\nbusybox httpd -f -p 8080 -h /srv &\n'
    f"exec {_NODE} {_FEW} --web.listen-address=:9100\n"
)
REFUSED: dict[str, tuple[str, str]] = {
    "customers": (unit("/usr/local/bin/case -f x"), r"case.service serves \S*:8080 \(busybox\) too, and may not know"),
    "no flag": (unit("/usr/bin/busybox httpd -f -p 9100 -h /srv"), "busybox of case.service does not know --web"),
    "no shell": (
        unit(f"{_NODE} {_FEW}", f"NoExecPaths=/\nExecPaths={_NODE} /usr/lib /lib -/lib64\n"),
        "case.service may not run /bin/sh",
    ),
    "a shell of its own": (unit(f"/bin/bash -c 'exec {_NODE} {_FEW}'"), "behind a shell of its own"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_not_take_the_flag_is_refused_by_the_first_look_untouched(name: str, hosts: dict[str, Host]) -> None:
    text, says = REFUSED[name]
    with Unit(hosts["web12"], text, case=_EDGE) as one:
        process = one.host.run("systemctl show -p MainPID --value case")
        look = rehearsed()["web1"]
        seen = [
            line for line in one.host.run(started(60), text=look).splitlines() if "\texporter-9100\trefuse\t" in line
        ]
        assert len(seen) == 1
        assert re.search(says, seen[0])
        assert _BY_HAND in seen[0]
        assert re.search(f"web1 exporter-9100: .*{says}.*{_BY_HAND}", one.apply(part()))
        assert one.host.run("systemctl show -p MainPID --value case") == process


def test_two_programs_on_the_port_are_refused_by_name(hosts: dict[str, Host]) -> None:
    host = hosts["web12"]
    with Unit(host, unit(f"{_NODE} {_FEW} --web.listen-address=127.0.0.1:9100")) as one:
        host.run(f"systemd-run -q --unit front {_NODE} {_FEW} --web.listen-address={host.address}:9100")
        host.run(f"for i in $(seq 100); do ss -Hltn | grep -q {host.address}:9100 && exit; sleep .1; done; exit 1")
        said = one.apply(part())
        host.run("systemctl stop front")
    for says in (f"(front.service) on {host.address}:9100", "(case.service) on 127.0.0.1:9100"):
        assert says in said


@dataclass(frozen=True)
class Given:
    """What was said of an exporter that breaks, where it listened before and afterwards, and what it answers."""

    said: str
    before: list[str]
    after: list[str]
    answer: str


@pytest.fixture(scope="module")
def given_back(hosts: dict[str, Host]) -> dict[str, Given]:
    """Break exporters on several hosts at once."""
    exporter_part = part()
    free: Queue[Host] = Queue()
    for name in ("web12", *_MORE):
        free.put(hosts[name])

    def breaks(name: str) -> Given:
        host = free.get()
        program = _BROKEN.format(node=_NODE, few=_FEW, broken=BROKEN[name][0])
        try:
            with Unit(host, unit("/usr/local/bin/case", "Restart=always\nRestartSec=1\n"), case=program) as one:
                before = one.places
                return Given(one.apply(exporter_part), before, one.places, host.get(9100))
        finally:
            free.put(host)

    with ThreadPoolExecutor(free.qsize()) as pool:
        return dict(zip(BROKEN, pool.map(breaks, BROKEN), strict=True))


@pytest.mark.parametrize("name", BROKEN)
def test_an_exporter_that_breaks_is_given_back_and_the_text_says_why(name: str, given_back: dict[str, Given]) -> None:
    seen = given_back[name]
    assert re.search(f"{BROKEN[name][1]}.*; its old state is restored", seen.said), seen.said
    assert seen.after == seen.before
    assert "node_uname_info{" in seen.answer


def test_metrics_of_another_program_prove_nothing_and_what_does_not_come_back_is_told(hosts: dict[str, Host]) -> None:
    other = f"systemd-run -q --unit front {_NODE} {_FEW} --web.listen-address=127.0.0.1:9100; exit 1"
    program = _BROKEN.format(node=_NODE, few=_FEW, broken=other)
    with Unit(hosts["web12"], unit("/usr/local/bin/case", "Restart=always\nRestartSec=1\n"), case=program) as one:
        said = one.apply(part())
    assert "port 9100 is no longer case.service's alone: front.service" in said
    assert "its old files are back, but case.service does not answer on *:9100 as it did; see: journalctl" in said


@dataclass(frozen=True)
class Limited:
    """Units with a limit of starts: what each apply said, and where they listened before and after each."""

    broken: list[str]
    sound: list[str]
    places: list[list[str]]


@pytest.fixture(scope="module")
def limited(hosts: dict[str, Host]) -> dict[str, Limited]:
    """Start them again and again on every release at once."""
    exporter_part = part()
    with ThreadPoolExecutor(len(_RELEASES)) as pool:
        return dict(zip(_RELEASES, pool.map(lambda name: _limited(hosts[name], exporter_part), _RELEASES), strict=True))


def _limited(host: Host, exporter_part: Part) -> Limited:
    seen = Limited([], [], [])
    dies = _BROKEN.format(node=_NODE, few=_FEW, broken="exit 1")
    with Unit(host, unit("/usr/local/bin/case", "Restart=on-failure\nRestartSec=1\n", _LIMITS), case=dies) as one:
        seen.places.append(one.places)
        for _ in range(2):
            seen.broken.append(one.apply(exporter_part))
            seen.places.append(one.places)
    with Unit(host, unit(f"{_NODE} {_FEW}", "Restart=on-failure\n", _LIMITS)) as one:
        seen.places.append(one.places)
        for round_ in range(3):
            seen.sound.append(one.apply(exporter_part, f"{round_}{round_}{round_}{round_}0000"))
            (host.tree / "etc/systemd/system/case.service.d/zz-metrics-tunnel.conf").unlink()
        seen.sound.append(one.apply(exporter_part, "99990000"))
        seen.sound.append(one.remove(exporter_part))
        seen.places.append(one.places)
    return seen


@pytest.mark.parametrize("name", _RELEASES)
def test_a_limit_of_starts_does_not_leave_an_exporter_dead(name: str, limited: dict[str, Limited]) -> None:
    seen = limited[name]
    assert len(seen.broken) == 2
    for said in seen.broken:
        assert "its old state is restored" in said
    assert seen.sound == [""] * 5
    assert seen.places == [["*:9100"]] * 5


def test_what_is_bound_by_hand_is_looked_at_and_not_touched(hosts: dict[str, Host]) -> None:
    unmanaged = part(manage=False)
    with Unit(hosts["web12"], unit(f"/bin/bash -c 'exec {_NODE} {_FEW} --web.listen-address=127.0.0.1:9100'")) as one:
        process = one.host.run("systemctl show -p MainPID --value case")
        assert one.apply(unmanaged) == ""
        assert one.remove(unmanaged) == ""
        assert one.host.run("systemctl show -p MainPID --value case") == process
    with Unit(hosts["web12"], unit(f"{_NODE} {_FEW}")) as one:
        assert "port 9100 is open on *:9100, and manage: false changes nothing; bind it" in one.apply(unmanaged)
