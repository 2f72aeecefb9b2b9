"""What cannot be done is refused with machine, step and remedy, and nothing is half done; the preview tells first."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import layouts, picture
from lab.hosts import Lab
from lab.picture import Picture
from lab.project import Plan, Project, Run, machine, settings

# Starts, but not where we put it.
PICKY = '#!/bin/sh\ncase $* in *127.0.0.1*) exit 1 ;; esac\nexec /usr/bin/prometheus-node-exporter "$@"\n'


def picky(tree: Path) -> None:
    layouts.EXPORTERS["hand-made"](tree)
    (tree / "usr/local/bin/node_exporter").write_text(PICKY)


def listed(tree: Path) -> None:
    (tree / "etc/ssh/sshd_config.d/50-company.conf").write_text("AllowUsers root deploy\n")


def no_sudo(tree: Path) -> None:
    (tree / "etc/sudoers.d/deploy").unlink()


def no_shell(tree: Path) -> None:
    users = tree / "etc/passwd"
    users.write_text(re.sub(r"^(deploy:.*:).*$", r"\1/usr/sbin/nologin", users.read_text(), flags=re.MULTILINE))


def same_job(tree: Path) -> None:
    layouts.SERVERS["comments"](tree)
    with (tree / "etc/prometheus/prometheus.yml").open("a") as file:
        file.write("  - job_name: metrics-tunnel-lab\n")


def flooding(tree: Path) -> None:
    layouts.EXPORTERS["packaged"](tree)
    # Nothing but the flood, so that a scrape of it is in time on a busy machine too.
    few = "--collector.disable-defaults --collector.textfile"
    (tree / "etc/default/prometheus-node-exporter").write_text(f'ARGS="{few}"\n')
    samples = "".join(f'flood{{n="{number}"}} 1\n' for number in range(16000))
    (tree / "var/lib/prometheus/node-exporter/flood.prom").write_text(samples)


TROUBLE = {
    "docker": layouts.EXPORTERS["docker-like"],
    "socket": layouts.EXPORTERS["socket-activated"],
    "none": layouts.none,
    "listed": listed,
    "nosudo": no_sudo,
    "badkey": layouts.EXPORTERS["packaged"],
    "nosysd": layouts.EXPORTERS["packaged"],
    "full": layouts.EXPORTERS["packaged"],
    "locked": layouts.EXPORTERS["packaged"],
    "picky": picky,
    "flooding": flooding,
    "noshell": no_shell,
    "badsshd": layouts.EXPORTERS["packaged"],
    "oldsysd": layouts.EXPORTERS["packaged"],
    "readonly": layouts.EXPORTERS["packaged"],
    "nospace": layouts.EXPORTERS["packaged"],
    "noinode": layouts.EXPORTERS["packaged"],
    "taken": layouts.EXPORTERS["packaged"],
}
SERVERS = {
    "mon": layouts.SERVERS["comments"],
    "invalid": layouts.SERVERS["comments"],
    "nopromt": layouts.SERVERS["comments"],
    "bound": layouts.SERVERS["comments"],
    "frozen": layouts.SERVERS["comments"],
    "immut": layouts.SERVERS["comments"],
    "samejob": same_job,
}
_PROMETHEUS_YML = "/etc/prometheus/prometheus.yml"
_OLD_SYSTEMD = """#!/bin/sh
[ "$1" != --version ] || { echo "systemd 246 (246.6)"; exit; }
exec /usr/bin/systemctl "$@"
"""


def _small_etc_ssh(options: str, fill: str) -> str:
    """Return what lays a small file system over /etc/ssh and fills it up."""
    mount = (
        f"cp -a /etc/ssh /root/kept; mount -t tmpfs -o mode=755,{options} none /etc/ssh; cp -a /root/kept/. /etc/ssh"
    )
    return f"{mount}; rm -r /root/kept; {fill}"


AFTER_BOOT = {
    "badsshd": "echo Nonsense yes >>/etc/ssh/sshd_config",
    "oldsysd": f"printf %s '{_OLD_SYSTEMD}' >/usr/local/bin/systemctl; chmod 755 /usr/local/bin/systemctl",
    "readonly": "mount --bind /etc/ssh /etc/ssh; mount -o remount,bind,ro /etc/ssh",
    "nospace": _small_etc_ssh("size=1m", "dd if=/dev/zero of=/etc/ssh/filler bs=1k 2>/dev/null || :"),
    "noinode": _small_etc_ssh("nr_inodes=40", "for i in $(seq 50); do : >/etc/ssh/$i || break; done 2>/dev/null"),
    "bound": f"mount --bind {_PROMETHEUS_YML} {_PROMETHEUS_YML}",
    "frozen": "kill -STOP $(systemctl show -p MainPID --value prometheus)",
    "immut": f"chattr +i {_PROMETHEUS_YML}",
    "nosysd": "mount -t tmpfs none /run/systemd",
    "full": "mkdir /var/lib/metrics-tunnel; mount -t tmpfs -o size=4k none /var/lib/metrics-tunnel; "
    "dd if=/dev/zero of=/var/lib/metrics-tunnel/filler bs=1k 2>/dev/null || :",
    "locked": "setsid flock /run/metrics-tunnel.lock sleep 1000 >/dev/null 2>&1 </dev/null &",
    "invalid": "echo 'nonsense: [' >>/etc/prometheus/prometheus.yml",
    "nopromt": "chmod 0 /usr/bin/promtool",
    "mon": "systemd-run -q --unit squatter prometheus-node-exporter --web.listen-address=127.0.0.1:7080",
}
AT_LAST = {
    "full": "umount /var/lib/metrics-tunnel; rmdir /var/lib/metrics-tunnel",
    "frozen": "kill -CONT $(systemctl show -p MainPID --value prometheus)",
    "bound": f"umount {_PROMETHEUS_YML}",
    "immut": f"chattr -i {_PROMETHEUS_YML}",
}
# Said by the first preview already, with the remedy.
FORESEEN = {
    "docker": r"docker exporter-9100: .*container.*bind it to 127.0.0.1",
    "socket": r"socket exporter-9100: .*socket.*bind it to 127.0.0.1",
    "none": r"none exporter-9100: .*nothing listens on port 9100; start the exporter",
    "listed": r"listed authorized-key.*out by AllowUsers; add the line 'AllowUsers metrics-tunnel' to /etc/ssh",
    "nosysd": r"nosysd authorized-key.*a running systemd >= 247; log in",
    "nosudo": r"nosudo: cannot look at it .*sudo.*; set sudoPassword",
    "badkey": r"badkey: cannot look at it .*[Hh]ost key.*; compare the key with",
    "noshell": r"noshell: cannot look at it .*not available.*; check with ssh what the user's login shell",
    "badsshd": r"badsshd authorized-key.*sshd's configuration is invalid, mend it: .*Nonsense",
    "oldsysd": r"oldsysd authorized-key.*a running systemd >= 247; log in",
    "frozen": r"frozen scrape-job.*Prometheus does not answer on http://\S+; give url",
    "samejob": r"samejob scrape-job.*the job metrics-tunnel-lab has lost its marks; delete that job",
    "gone": r"gone: cannot look at it .*; check address, port and firewall",
    "invalid": r"invalid scrape-job.*prometheus.yml is invalid, mend it",
    "nopromt": r"nopromt scrape-job.*no promtool.*install it",
    "taken": r"mon ssh-tunnel-taken: .*127.0.0.1:7080 is used by prometheus-nod.*another listen",
}
# Said by `up`.
SAID = {
    "docker": FORESEEN["docker"],
    "socket": r"mon ssh-tunnel-socket: no scrape through",
    "none": r"none authorized-key.*nothing listens on port 9100; start the exporter",
    "listed": FORESEEN["listed"],
    "nosudo": r"sudo: .*password",
    "badkey": r"host key mismatch",
    "gone": r"dial tcp \S+:22: connect: no route to host",
    "nosysd": FORESEEN["nosysd"],
    "full": r"full authorized-key.*(cannot write|run again).*its old state is restored",
    "locked": r"locked authorized-key.*another run holds the lock.*run again",
    "picky": r"picky exporter-9100: .*old state is restored",
    "flooding": r"mon scrape-config-flooding: .* in 44 s; see the targets on http://\S+: .*sample limit exceeded",
    "invalid": FORESEEN["invalid"],
    "nopromt": FORESEEN["nopromt"],
    "taken": FORESEEN["taken"],
    "noshell": r"account is currently not available",
    "badsshd": FORESEEN["badsshd"],
    "oldsysd": FORESEEN["oldsysd"],
    "frozen": FORESEEN["frozen"],
    "samejob": FORESEEN["samejob"],
    "readonly": r"Read-only file system\s+readonly authorized-key.*run again; its old state is restored",
    "nospace": r"nospace authorized-key.*cannot write \S+; see: df -h, mount; its old state is restored",
    "noinode": r"(No space left on device\s+)noinode authorized-key.*; its old state is restored",
    "bound": r"bound scrape-job.*cannot replace \S+; if it is a mount of its own, mount its folder",
    "immut": r"Operation not permitted\s+immut scrape-job.*cannot replace \S+;",
}


@dataclass
class Seen:
    """One life of a stack full of trouble: pictures before, after `up` and after `destroy`."""

    plan: Plan
    up: Run
    before: dict[str, Picture]
    after: dict[str, Picture]
    at_last: dict[str, Picture]
    answers: str


@pytest.fixture(scope="module")
def seen(lab: Lab, project: Project) -> Seen:
    servers = [lab.add(name, layout) for name, layout in SERVERS.items()]
    hosts = [lab.add(name, layout) for name, layout in TROUBLE.items()]
    lab.boot()
    for name, command in AFTER_BOOT.items():
        lab.hosts[name].run(command)
    given = {host.name: {**machine(host), "servers": ["mon"]} for host in hosts}
    given["nosudo"]["user"] = given["noshell"]["user"] = "deploy"
    given["badkey"]["hostKey"] = servers[0].host_key
    given["gone"] = {"address": f"{lab.network}.251", "hostKey": servers[0].host_key, "servers": ["mon"]}
    given["taken"]["listen"] = "127.0.0.1:7080"
    project.settings({**settings(lab, servers, []), "hosts": given})
    before = {name: picture.take(host) for name, host in lab.hosts.items() if name != "nosysd"}
    plan = project.plan()
    up = project.up("--continue-on-error", codes=(1, 255))
    after = {name: picture.take(host) for name, host in lab.hosts.items() if name != "nosysd"}
    answers = lab.hosts["picky"].get(9100)
    for name, command in AT_LAST.items():
        lab.hosts[name].run(command)
    project.destroy()
    at_last = {name: picture.take(host) for name, host in lab.hosts.items() if name != "nosysd"}
    return Seen(plan, up, before, after, at_last, answers)


@pytest.mark.parametrize("name", FORESEEN)
def test_the_first_preview_tells(name: str, seen: Seen) -> None:
    assert any(re.search(FORESEEN[name], text, re.DOTALL) for text in seen.plan.warnings), seen.plan.warnings


@pytest.mark.parametrize("name", SAID)
def test_up_tells(name: str, seen: Seen) -> None:
    assert re.search(SAID[name], seen.up.output), seen.up.output


@pytest.mark.parametrize("name", sorted({*SERVERS} - {"mon"}))
def test_a_refused_configuration_is_not_written(name: str, seen: Seen) -> None:
    left = picture.difference(seen.before[name], seen.after[name])
    assert [line for line in left if line.startswith("/etc/metrics-tunnel/keys/")], "the server's key was made"
    assert not [line for line in left if line.startswith("/etc/prometheus")]


_REFUSED = {"listed", "nosudo", "badkey", "full", "locked", "noshell", "badsshd", "oldsysd", "readonly"}


@pytest.mark.parametrize("name", sorted(_REFUSED | {"nospace", "noinode"}))
def test_a_refused_machine_is_as_it_was(name: str, seen: Seen) -> None:
    assert picture.difference(seen.before[name], seen.after[name]) == []


@pytest.mark.parametrize("name", ["docker", "socket", "none", "picky", "flooding", "taken"])
def test_an_exporter_that_cannot_be_moved_stays_as_it_was(name: str, seen: Seen) -> None:
    exporter = [line for line in seen.before[name] if ":9100" in line or ".service.d" in line]
    assert exporter or name == "none"
    assert [line for line in seen.after[name] if ":9100" in line or ".service.d" in line] == exporter


def test_an_exporter_that_did_not_come_back_answers_as_before(seen: Seen) -> None:
    assert "node_" in seen.answers


@pytest.mark.parametrize("name", sorted({*TROUBLE, *SERVERS} - {"nosysd", "full"}))
def test_destroy_after_it_leaves_every_machine_as_it_was(name: str, seen: Seen) -> None:
    assert picture.difference(seen.before[name], seen.at_last[name]) == []
