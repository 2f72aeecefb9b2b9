"""Machines as reports and configurations from the field have them: served, or refused with a remedy that helps."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab import layouts, picture
from lab.hosts import Lab, wait
from lab.picture import Picture
from lab.project import Plan, Project, machine, settings

_HARD = """\
AuthorizedKeysCommand /usr/bin/true %u
AuthorizedKeysCommandUser nobody
AuthenticationMethods publickey
UsePAM no
HostKey /etc/ssh/ssh_host_ed25519_key
MaxAuthTries 2
MaxSessions 2
ClientAliveInterval 300
AllowTcpForwarding no
PermitOpen none
LogLevel ERROR
Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com
"""
_HIDDEN = "mount -o remount,hidepid=2 /proc; mount -t tmpfs -o noexec none /tmp"
_AGED = "chage -M 60 -d 2024-01-01 metrics-tunnel"


# Longer than our own least wait for a scrape, and within the time-out of the settings.
_SLOW_SECONDS = 7
_SCRAPE = {"interval": "10s", "timeout": "9s"}
_SLOW = f"""\
#!/usr/bin/perl
use IO::Socket::INET;
$SIG{{CHLD}} = "IGNORE";
$place = "0.0.0.0:9100";
for (@ARGV) {{ $place = $1 if /^--web.listen-address=(.*)/ }}
$server = IO::Socket::INET->new(Listen => 5, LocalAddr => $place, ReuseAddr => 1) or die $!;
while ($client = $server->accept) {{
  if (fork) {{
    close $client;
    next;
  }}
  while (<$client>) {{ last if /^\\r?\\n$/ }}
  sleep {_SLOW_SECONDS};
  print $client "HTTP/1.0 200 OK\\r\\n\\r\\nslow 1\\n";
  exit;
}}
"""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def logged(tree: Path) -> None:
    """Let a shell wait for Prometheus, which writes a log through it."""
    layouts.SERVERS["comments"](tree)
    command = "/bin/bash -c '/usr/bin/prometheus $ARGS 2>&1 | tee -a /var/lib/prometheus/prometheus.log'"
    _write(tree / "etc/systemd/system/prometheus.service.d/log.conf", f"[Service]\nExecStart=\nExecStart={command}\n")


def shut(tree: Path) -> None:
    """Let in by TCP wrappers and PAM who was let in so far."""
    pam = tree / "etc/pam.d/sshd"
    pam.write_text(f"account required pam_access.so\n{pam.read_text()}")
    with (tree / "etc/security/access.conf").open("a") as rules:
        rules.write("+ : root deploy : ALL\n- : ALL : ALL\n")
    _write(tree / "etc/hosts.deny", "sshd: ALL\n")


def hard(tree: Path) -> None:
    _write(tree / "etc/ssh/sshd_config.d/50-hardening.conf", _HARD)
    with (tree / "etc/profile").open("a") as profile:
        profile.write("umask 077\nTMOUT=600\nreadonly TMOUT\n")


def by_hand(tree: Path) -> None:
    """Start the exporter in the background, as people's rc.local does."""
    layouts.none(tree)
    _write(tree / "etc/rc.local", "#!/bin/sh\nnohup /usr/bin/prometheus-node-exporter >/dev/null 2>&1 &\n")
    (tree / "etc/rc.local").chmod(0o755)


def slow(tree: Path) -> None:
    """Let each scrape take seconds, as where an exporter asks many disks."""
    layouts.none(tree)
    _write(tree / "usr/local/bin/slow_exporter", _SLOW)
    (tree / "usr/local/bin/slow_exporter").chmod(0o755)
    _write(tree / "etc/systemd/system/slow.service", "[Service]\nExecStart=/usr/local/bin/slow_exporter\n")
    (tree / "etc/systemd/system/multi-user.target.wants/slow.service").symlink_to("/etc/systemd/system/slow.service")


def flags_in_a_file(tree: Path) -> None:
    _write(tree / "etc/default/prometheus-node-exporter", "ARGS=@/etc/node-exporter.args\n")
    _write(tree / "etc/node-exporter.args", "--web.listen-address=:9100\n")
    unit = "prometheus-node-exporter.service"
    command = "ExecStart=/usr/bin/prometheus-node-exporter @/etc/node-exporter.args"
    _write(tree / f"etc/systemd/system/{unit}.d/args.conf", f"[Service]\nExecStart=\n{command}\n")


def no_shell(tree: Path) -> None:
    paths = "NoExecPaths=/\nExecPaths=/usr/bin/prometheus-node-exporter /usr/lib /lib -/lib64"
    _write(tree / "etc/systemd/system/prometheus-node-exporter.service.d/paths.conf", f"[Service]\n{paths}\n")


LAYOUTS = {"shut": [shut], "hard": [hard], "aging": [], "slow": [slow]}
SERVED = [*LAYOUTS, "lan"]
_REFUSED = {
    "rclocal": (by_hand, "exporter-9100: "),
    "args": (flags_in_a_file, "has flags in a file"),
    "noexec": (no_shell, "may not run /bin/sh"),
}


@dataclass
class Seen:
    """What previews said of `shut` as it was opened step by step, and what came of all."""

    before: dict[str, Picture]
    refused: list[str] = field(default_factory=list)
    told: list[list[str]] = field(default_factory=list)
    main_process: list[str] = field(default_factory=list)
    scraped: dict[str, str] = field(default_factory=dict)
    aged: str = ""
    drift: Plan | None = None
    healed: str = ""
    after: dict[str, Picture] = field(default_factory=dict)


@pytest.fixture(scope="module")
def seen(lab: Lab, project: Project) -> Seen:
    mon1 = lab.add("mon1", logged)
    hosts = {name: lab.add(name, *layout) for name, layout in LAYOUTS.items()}
    lan = hosts["lan"] = lab.add("lan")
    _write(lan.tree / "etc/default/prometheus-node-exporter", f'ARGS="--web.listen-address={lan.address}:9100"\n')
    refused = [lab.add(name, layout) for name, (layout, _) in _REFUSED.items()]
    opened = hosts["shut"]
    _write(opened.tree / "etc/hosts.allow", f"sshd: {lab.network}.1\n")
    lab.boot()
    hosts["hard"].run(_HIDDEN)
    mon1.run("mount -o remount,hidepid=2 /proc")
    seen = Seen({host.name: picture.take(host) for host in lab.hosts.values()})
    given = settings(lab, [mon1], list(hosts.values()), scrape=_SCRAPE)
    given["prometheus"]["mon1"]["service"] = "prometheus.service"
    project.settings({**given, "hosts": {one.name: machine(one) for one in refused}})
    seen.refused = project.plan().warnings
    project.settings(given)
    ask = "systemctl show -p MainPID --value prometheus"
    seen.main_process.append(mon1.run(ask))
    opened.run("echo closed >/etc/nologin")
    for remedy in (
        f"echo 'sshd: {mon1.address}' >>/etc/hosts.allow",
        "rm /etc/nologin",
        "sed -i 's/^- : ALL/+ : metrics-tunnel : ALL\\n&/' /etc/security/access.conf",
    ):
        seen.told.append(project.plan().warnings)
        opened.run(remedy)
    seen.told.append(project.plan().warnings)
    project.up()
    seen.main_process.append(mon1.run(ask))
    seen.scraped = {name: mon1.scraped(name, 30) for name in hosts}
    hosts["aging"].run(_AGED)
    mon1.run("systemctl restart metrics-tunnel-aging")
    wait("a login that is refused", lambda: mon1.scraped("aging", 0) == "0")
    seen.aged = mon1.scraped("aging", 6)
    seen.drift = project.plan()
    project.up()
    seen.healed = mon1.scraped("aging", 30)
    project.destroy()
    seen.main_process.append(mon1.run(ask))
    opened.run(
        f"echo 'sshd: {lab.network}.1' >/etc/hosts.allow; sed -i '/^+ : metrics-tunnel/d' /etc/security/access.conf"
    )
    seen.after = {host.name: picture.take(host) for host in lab.hosts.values()}
    return seen


def test_each_preview_tells_one_remedy_and_it_helps(seen: Seen) -> None:
    first = [
        "out by 'sshd: ALL' of /etc/hosts.deny; add",
        "/etc/nologin lets nobody",
        "out by '- : ALL : ALL' of /etc/sec",
    ]
    for told, text in zip(seen.told, first, strict=False):
        assert [line for line in told if "shut authorized-key" in line and text in line], told
    assert seen.told[3] == []


@pytest.mark.parametrize("name", _REFUSED)
def test_an_exporter_that_our_flag_does_not_reach_is_refused_by_the_first_preview(name: str, seen: Seen) -> None:
    told = [line for line in seen.refused if line.startswith(f"{name} exporter-9100: `pulumi up` would refuse: ")]
    assert len(told) == 1, seen.refused
    assert _REFUSED[name][1] in told[0]
    assert "manage: false" in told[0]


@pytest.mark.parametrize("name", SERVED)
def test_all_of_them_are_scraped(name: str, seen: Seen) -> None:
    assert seen.scraped[name] == "1"


def test_a_shell_that_waits_for_prometheus_lives_through_up_and_destroy(seen: Seen) -> None:
    assert len(set(seen.main_process)) == 1
    assert seen.main_process[0].strip() not in {"", "0"}


def test_a_password_that_has_expired_ends_the_tunnels_logins_and_is_drift_that_up_heals(seen: Seen) -> None:
    assert seen.aged == "0"
    assert seen.drift is not None
    assert seen.drift.steps == {"aging-authorized-key-mon1": "update"}
    assert any("user metrics-tunnel expires, or its password does" in line for line in seen.drift.warnings)
    assert seen.healed == "1"


@pytest.mark.parametrize("name", ["mon1", *SERVED])
def test_destroy_leaves_them_as_they_were(name: str, seen: Seen) -> None:
    assert picture.difference(seen.before[name], seen.after[name]) == []
