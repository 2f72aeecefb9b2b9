"""On a server: the hardened unit that carries a host's scrapes. It proves itself, or nothing of it stays."""

import shutil

import pytest

from components.drift import Finding
from tests.mocked import HOST_KEY, exporter
from tests.scripts.sandbox import Sandbox, in_each_shell, parts

NAME = "web1-ssh-tunnel"
TUNNEL = parts()[NAME]
LISTEN = "127.77.0.1:19100"
UNIT = "etc/systemd/system/metrics-tunnel-web1.service"
HOSTS = "etc/metrics-tunnel/known_hosts/web1"
WHOLE = """\
# Managed by metrics-tunnel, stack test; key a598f76782a3daf6
[Unit]
Description=SSH tunnel to web1
Wants=network-online.target
After=network-online.target nss-lookup.target
StartLimitIntervalSec=0
[Service]
Type=exec
Restart=always
RestartSec=5
User=metrics-tunnel-ssh
UMask=0077
ExecStart=/usr/bin/ssh -NTF none -oIdentitiesOnly=yes -oIdentityFile=${CREDENTIALS_DIRECTORY}/key \
-oUserKnownHostsFile=${CREDENTIALS_DIRECTORY}/known_hosts -oGlobalKnownHostsFile=/dev/null \
-oStrictHostKeyChecking=yes -oHostKeyAlias=web1 -oUpdateHostKeys=no -oBatchMode=yes -oExitOnForwardFailure=yes \
-oConnectTimeout=5 -oServerAliveInterval=5 -oServerAliveCountMax=2 -p 2222 \
-L [::1]:19100:127.0.0.1:9100 -L 127.77.0.1:19187:127.0.0.1:9187 -- ann@2001:db8::7
LoadCredential=key:/etc/metrics-tunnel/keys/metrics-tunnel-test-mon1-1
LoadCredential=known_hosts:/etc/metrics-tunnel/known_hosts/web1
"""
SANDBOX = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
SecureBits=noroot-locked
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
PrivateIPC=yes
PrivateMounts=yes
ProtectSystem=strict
ProtectHome=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources @setuid @keyring @memlock
NoExecPaths=/
ExecPaths=/usr/bin/ssh /usr/lib /lib -/lib64
InaccessiblePaths=-/boot -/srv -/media -/mnt -/var/lib -/run/dbus
TasksMax=8
MemoryMax=64M
LimitCORE=0
OOMScoreAdjust=-200
[Install]
WantedBy=multi-user.target
"""


NEWER = {"PrivateIPC=yes", "NoExecPaths=/", "ExecPaths=/usr/bin/ssh /usr/lib /lib -/lib64"}


@in_each_shell
def test_unit_and_pinned_host_key_are_there_and_the_unit_starts_at_boot(machine: Sandbox) -> None:
    machine.add_tunnel(LISTEN)
    assert machine.apply(TUNNEL).code == 0
    assert machine.read(HOSTS) == f"web1 {HOST_KEY}\n"
    unit = machine.read(UNIT)
    assert "-L 127.77.0.1:19100:127.0.0.1:9100 -- metrics-tunnel@10.0.0.20\n" in unit
    assert "LoadCredential=key:/etc/metrics-tunnel/keys/metrics-tunnel-test-mon1-1\n" in unit
    assert "User=metrics-tunnel-ssh\n" in unit
    assert unit.endswith(f"\nLoadCredential=known_hosts:/{HOSTS}\n{SANDBOX}")
    assert (machine / "etc/systemd/system/multi-user.target.wants/metrics-tunnel-web1.service").is_symlink()
    assert (machine / "fake/running/metrics-tunnel-web1.service").exists()


@in_each_shell
def test_the_whole_unit_of_a_login_of_its_own_over_ipv6_is_this(machine: Sandbox) -> None:
    machine.add_tunnel("[::1]:19100")
    start = "fake/on-start/metrics-tunnel-web1.service"
    machine.write(start, machine.read(start) + 'echo "127.77.0.1:19187 4242 ssh" >>"$ROOT/fake/listeners"\n')
    both = {"node": exporter(listen="[::1]:19100"), "db": exporter(port=9187, job="db")}
    there = {"address": "2001:db8::7", "port": 2222}
    done = machine.apply(parts(hosts={"web1": {"connection": there, "login": "ann", "exporters": both}})[NAME])
    assert (done.code, done.err) == (0, "")
    assert machine.read(UNIT) == f"{WHOLE}{SANDBOX}"


def test_a_changed_tunnel_is_restarted_once(machine: Sandbox) -> None:
    machine.add_tunnel(LISTEN)
    assert machine.apply(TUNNEL).code == 0
    (machine / "fake/calls").unlink()
    moved = parts(hosts={"web1": {"connection": {"address": "10.9.9.9"}}})[NAME]
    assert machine.apply(moved).code == 0
    assert machine.calls("restart") == ["systemctl restart metrics-tunnel-web1.service"]
    assert "metrics-tunnel@10.9.9.9\n" in machine.read(UNIT)


@pytest.mark.parametrize("taken", [LISTEN, "*:19100", "0.0.0.0:19100", "[::]:19100"])
def test_a_local_port_that_another_process_owns_is_refused_before_anything_changes(
    taken: str, machine: Sandbox
) -> None:
    machine.write("fake/listeners", f"{taken} 99 nginx\n")
    before = machine.state(times=True)
    done = machine.apply(TUNNEL)
    assert done.code == 3
    assert f"{LISTEN} is used by nginx; give another listen" in done.err
    assert machine.state(times=True) == before
    found = machine.look(TUNNEL, "mon1")
    assert found.refusals == [f"{LISTEN} is used by nginx; give another listen"]


@pytest.mark.parametrize(
    ("empties", "refused"),
    [
        ("LoadCredential=", True),
        (" LoadCredential = ", True),
        ("LoadCredentialEncrypted=", True),
        ("LoadCredential=a:/b", False),
    ],
)
@in_each_shell
def test_a_drop_in_of_all_services_that_empties_what_they_load_is_refused(
    empties: str, refused: bool, machine: Sandbox
) -> None:
    machine.add_tunnel(LISTEN)
    machine.write("etc/systemd/system/service.d/image.conf", f"[Service]\n{empties}\n")
    before = machine.state(times=True)
    done = machine.apply(TUNNEL)
    if not refused:
        assert done.code == 0
        return
    says = "/etc/systemd/system/service.d/image.conf empties LoadCredential= of every service"
    assert done.code == 3
    assert says in done.err
    assert "; take that line out of it: sed -i '/^[[:space:]]*LoadCredential" in done.err
    assert machine.state(times=True) == before
    (found,) = machine.look(TUNNEL, "mon1").refusals
    assert found.startswith(says)


def test_a_drop_in_for_all_units_whose_names_begin_as_ours_is_told_and_refused(machine: Sandbox) -> None:
    machine.add_tunnel(LISTEN)
    assert machine.apply(TUNNEL).code == 0
    path = "etc/systemd/system/metrics-tunnel-.service.d/x.conf"
    machine.write(path, "[Service]\nUser=root\n")
    found = machine.look(TUNNEL, "mon1")
    assert found.drift == [f"metrics-tunnel-web1.service is overridden by /{path}"]
    (refusal,) = found.refusals
    assert refusal.endswith("as are others whose names begin so; take that away, or give it another name")
    assert machine.apply(TUNNEL, "22222222").code == 3
    (machine / path).unlink()
    assert machine.look(TUNNEL, "mon1").drift == []


@in_each_shell
def test_a_folder_that_cannot_be_mended_is_told_in_one_line(machine: Sandbox) -> None:
    machine.add_tunnel(LISTEN)
    assert machine.apply(TUNNEL).code == 0
    (machine / "etc/metrics-tunnel/known_hosts").chmod(0o777)
    tools = machine.root / "tools"
    shutil.copytree((machine / "usr/bin").readlink(), tools, symlinks=True)
    for folder in ("usr/bin", "usr/sbin"):
        (machine / folder).unlink()
        (machine / folder).symlink_to(tools)
    (tools / "chmod").unlink()
    (tools / "chmod").write_text("#!/bin/sh\necho 'Read-only file system' >&2\nexit 1\n")
    (tools / "chmod").chmod(0o755)
    done = machine.apply(TUNNEL, "22222222")
    assert done.code
    assert done.err.splitlines()[-1].startswith("mon1 ssh-tunnel-web1: ")
    assert "parameter not set" not in done.err
    assert not (machine / "run/metrics-tunnel.lock").exists() or machine.read("run/metrics-tunnel.lock")


def test_the_same_port_on_another_loopback_address_is_no_obstacle(machine: Sandbox) -> None:
    machine.add_tunnel(LISTEN)
    machine.write("fake/listeners", "127.77.9.9:19100 99 nginx\n")
    assert machine.apply(TUNNEL).code == 0


def test_a_unit_of_somebody_else_is_refused_untouched(machine: Sandbox) -> None:
    machine.write(UNIT, "[Service]\nExecStart=/bin/true\n")
    before = machine.state(times=True)
    done = machine.apply(TUNNEL)
    assert done.code == 3
    assert f"/{UNIT} is another stack's; rename the host" in done.err
    assert machine.state(times=True) == before


@pytest.mark.parametrize("fault", ["enable-fails", "start-fails", "silent"])
def test_a_tunnel_that_cannot_be_proven_leaves_nothing(fault: str, machine: Sandbox) -> None:
    machine.add_tunnel(LISTEN)
    machine.write("fake/journal", "ssh: connect to host 10.0.0.20 port 22: No route to host\n")
    machine.write(f"fake/{fault}", "")
    before = machine.files()
    done = machine.apply(TUNNEL)
    assert done.code
    assert "its old state is restored" in done.err
    if fault == "silent":
        assert (
            "no scrape through 127.77.0.1:19100/metrics: ssh: connect to host 10.0.0.20 port 22: No route to host"
            in done.err
        )
    assert "journalctl -u metrics-tunnel-web1.service" in done.err or "Failed to enable unit" in done.err
    assert machine.files() == before
    assert not (machine / "fake/running/metrics-tunnel-web1.service").exists()
    (machine / f"fake/{fault}").unlink()
    assert machine.apply(TUNNEL).code == 0


@in_each_shell
def test_a_changed_tunnel_that_cannot_be_proven_gives_the_old_one_back(machine: Sandbox) -> None:
    machine.add_tunnel(LISTEN)
    assert machine.apply(TUNNEL).code == 0
    before = machine.files()
    machine.write("fake/silent", "")
    moved = parts(hosts={"web1": {"connection": {"address": "10.9.9.9"}}})[NAME]
    done = machine.apply(moved, "22222222")
    assert done.code == 3
    assert done.err.endswith("; its old state is restored\n")
    assert machine.files() == before
    assert (machine / "fake/running/metrics-tunnel-web1.service").exists()


def test_an_old_tunnel_that_does_not_log_in_again_is_told(machine: Sandbox) -> None:
    machine.add_tunnel(LISTEN)
    assert machine.apply(TUNNEL).code == 0
    before = machine.files()
    machine.write("fake/on-start/metrics-tunnel-web1.service", "")
    moved = parts(hosts={"web1": {"connection": {"address": "10.9.9.9"}}})[NAME]
    done = machine.apply(moved, "22222222")
    assert done.code == 3
    assert done.err.endswith(
        "; its old files are back, but metrics-tunnel-web1.service does not work as before; "
        "see: journalctl -u metrics-tunnel-web1.service\n"
    )
    assert machine.files() == before


def test_an_old_tunnel_that_logs_in_again_and_carries_nothing_is_told(machine: Sandbox) -> None:
    """As where sshd forbids the forward since it has logged in."""
    machine.add_tunnel(LISTEN)
    assert machine.apply(TUNNEL).code == 0
    start = (machine / "fake/on-start/metrics-tunnel-web1.service").read_text()
    machine.write("fake/on-start/metrics-tunnel-web1.service", f'{start}\n: >"$ROOT/fake/silent"\n')
    moved = parts(hosts={"web1": {"connection": {"address": "10.9.9.9"}}})[NAME]
    done = machine.apply(moved, "22222222")
    assert done.code == 3
    assert "its old files are back, but metrics-tunnel-web1.service does not work as before; see:" in done.err


@pytest.mark.parametrize("hand", ["stop", "disable", "delete"])
def test_where_healing_fails_the_drift_is_there_as_before(hand: str, machine: Sandbox) -> None:
    machine.add_tunnel(LISTEN)
    assert machine.apply(TUNNEL).code == 0
    match hand:
        case "stop":
            (machine / "fake/running/metrics-tunnel-web1.service").unlink()
            machine.write("fake/listeners", "")
        case "disable":
            (machine / "etc/systemd/system/multi-user.target.wants/metrics-tunnel-web1.service").unlink()
        case "delete":
            # The link that enables it leads nowhere then.
            (machine / UNIT).unlink()
            (machine / "fake/running/metrics-tunnel-web1.service").unlink()
            machine.write("fake/listeners", "")
    machine.write("fake/silent", "")
    before, running = machine.files(), (machine / "fake/running/metrics-tunnel-web1.service").exists()
    moved = parts(hosts={"web1": {"connection": {"address": "10.9.9.9"}}})[NAME]
    done = machine.apply(moved, "22222222")
    assert done.code == 3
    if hand != "delete":
        assert done.err.endswith("; its old state is restored\n")
        assert machine.files() == before
    assert (machine / "fake/running/metrics-tunnel-web1.service").exists() == running


def test_no_limit_of_starts_stands_in_the_way_of_a_start_of_ours(machine: Sandbox) -> None:
    machine.add_tunnel(LISTEN)
    machine.write("fake/start-limit", "1\n")
    assert machine.apply(TUNNEL).code == 0
    moved = parts(hosts={"web1": {"connection": {"address": "10.9.9.9"}}})[NAME]
    assert machine.apply(moved, "22222222").code == 0
    machine.write("fake/silent", "")
    done = machine.apply(TUNNEL, "33333333")
    assert done.err.endswith("; its old state is restored\n")
    assert (machine / "fake/running/metrics-tunnel-web1.service").exists()


@in_each_shell
def test_a_script_that_is_ended_while_it_waits_puts_everything_back(machine: Sandbox) -> None:
    machine.add_tunnel(LISTEN)
    before = machine.files()
    machine.write("fake/silent", "")
    machine.write("fake/terminated", "")
    done = machine.apply(TUNNEL)
    assert done.code == 143
    assert "mon1 ssh-tunnel-web1: stopped at proof; " in done.err
    assert "run again; its old state is restored" in done.err
    assert machine.files() == before


def test_an_exporter_that_is_down_behind_a_tunnel_that_carries_is_health_not_failure(machine: Sandbox) -> None:
    machine.add_tunnel(LISTEN)
    machine.write("fake/refused", "")
    assert machine.apply(TUNNEL).code == 0


@in_each_shell
@pytest.mark.parametrize(
    ("fault", "text", "says"),
    [
        ("silent", "", "it takes no connection"),
        ("answer", "", "it closes the connection without an answer"),
    ],
)
def test_no_banner_proves_anything_or_is_the_reason(fault: str, text: str, says: str, machine: Sandbox) -> None:
    machine.add_tunnel(LISTEN)
    machine.write(f"fake/{fault}", text)
    banner = "Connection to this system is watched.\nchannel 2: open failed: connect failed: Connection refused\nup 1\n"
    machine.write("fake/journal", banner)
    before = machine.files()
    done = machine.apply(TUNNEL)
    assert done.code == 3
    # What only ssh could have said may be told, wherever it is from; it is no proof.
    assert (
        f"no scrape through {LISTEN}/metrics: channel 2: open failed: connect failed: Connection refused; " in done.err
    )
    assert machine.files() == before
    machine.write("fake/journal", "Connection to this system is watched.\nup 1\n")
    assert f"no scrape through {LISTEN}/metrics: {says}; see: journalctl" in machine.apply(TUNNEL).err
    (machine / f"fake/{fault}").unlink()
    assert machine.apply(TUNNEL).code == 0


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("up 1\n", "the exporter answers with what is no HTTP"),
        ("*** production ***\n", "the exporter answers with what is no HTTP"),
        ("HTTP/1.1 200 OK\r\n\r\n<html>up 1</html>\n", "the exporter answers with what is no metrics"),
        (
            "HTTP/1.1 401 Unauthorized\r\n\r\nup 1\n",
            "the exporter answers with status 401; one that wants a password or TLS is not served",
        ),
        ("HTTP/1.1 500 Internal Server Error\r\n\r\nup 1\n", "the exporter answers with status 500"),
        (
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            (
                "the exporter answers with status 400; it may answer to names alone that it knows: "
                "let it know 127.77.0.1, or give another listen"
            ),
        ),
        (
            "HTTP/1.1 301 Moved\r\nLocation: /metrics/\r\n\r\n",
            "the exporter answers with status 301; redirects are not followed: give the path where its metrics are",
        ),
        ("\x15\x03\x01", "the exporter speaks TLS; one that wants a password or TLS is not served"),
    ],
)
def test_an_exporter_that_brings_no_metrics_is_the_reason(answer: str, says: str, machine: Sandbox) -> None:
    machine.add_tunnel(LISTEN)
    machine.write("fake/journal", "Welcome.\n")
    machine.write("fake/answer", answer)
    done = machine.apply(TUNNEL)
    assert done.code == 3
    assert f"no scrape through {LISTEN}/metrics: {says}; see: journalctl -u metrics-tunnel-web1.service" in done.err
    (machine / "fake/answer").unlink()
    assert machine.apply(TUNNEL).code == 0


@pytest.mark.parametrize(
    "line",
    [
        "ssh: connect to host 10.0.0.20 port 22: Connection timed out",
        "metrics-tunnel@10.0.0.20: Permission denied (publickey).",
        "kex_exchange_identification: read: Connection reset by peer",
        "channel 2: open failed: administratively prohibited: open failed",
        "Host key verification failed.",
        "bind [127.77.0.1]:19100: Address already in use",
        "Timeout, server 10.0.0.20 not responding.",
        "Connection closed by 10.0.0.20 port 22",
        "Connection to 10.0.0.20 port 22 timed out",
        "Unable to negotiate with 10.0.0.20 port 22: no matching host key type found. Their offer: ssh-rsa",
    ],
)
def test_the_reason_is_what_ssh_says_last_of_itself(line: str, machine: Sandbox) -> None:
    machine.add_tunnel(LISTEN)
    machine.write("fake/silent", "")
    machine.write("fake/journal", f"ssh: an older one\n{line}\n*** All activity is watched: ssh too ***\nBye.\n")
    assert f"no scrape through {LISTEN}/metrics: {line}; see: journalctl" in machine.apply(TUNNEL).err


def test_a_drop_in_for_all_services_is_the_machines_own(machine: Sandbox) -> None:
    machine.add_tunnel(LISTEN)
    machine.write("etc/systemd/system/service.d/10-alert.conf", "[Unit]\nOnFailure=alert.service\n")
    assert machine.apply(TUNNEL).code == 0
    assert machine.look(TUNNEL, "mon1").drift == []
    assert (machine / "etc/systemd/system/service.d/10-alert.conf").exists()


def test_a_drop_in_from_another_folder_is_drift_and_heals(machine: Sandbox) -> None:
    machine.add_tunnel(LISTEN)
    assert machine.apply(TUNNEL).code == 0
    before = machine.state("etc")
    machine.write(
        "etc/systemd/system.control/metrics-tunnel-web1.service.d/50-CPUWeight.conf", "[Service]\nCPUWeight=50\n"
    )
    assert [text for text in machine.look(TUNNEL, "mon1").drift if "50-CPUWeight.conf" in text]
    assert machine.apply(TUNNEL, "22222222").code == 0
    assert machine.look(TUNNEL, "mon1").drift == []
    (machine / "etc/systemd/system.control").rmdir()
    assert machine.state("etc") == before


@pytest.mark.parametrize("text", ["", "[Unit]\n"])
def test_a_unit_of_ours_that_a_hand_replaced_heals_and_another_stacks_is_refused(text: str, machine: Sandbox) -> None:
    machine.add_tunnel(LISTEN)
    assert machine.apply(TUNNEL).code == 0
    whole = machine.state("etc")
    machine.write(UNIT, text)
    assert machine.apply(TUNNEL, "22222222").code == 0
    assert machine.state("etc") == whole
    done = machine.apply(parts("prod")[NAME])
    assert done.code == 3
    assert "is another stack's; rename the host" in done.err


def test_every_exporter_of_the_host_must_answer(machine: Sandbox) -> None:
    both = {"node": exporter(), "postgres": exporter(port=9187, job="postgres")}
    machine.add_tunnel(LISTEN)
    done = machine.apply(parts(hosts={"web1": {"exporters": both}})[NAME])
    assert done.code == 3
    assert "no scrape through 127.77.0.1:19187" in done.err


@pytest.mark.parametrize(
    ("hand", "says"),
    [
        ("edit", "metrics-tunnel-web1.service was edited"),
        ("mode", "metrics-tunnel-web1.service has mode and owner 666 root instead of 644 root"),
        ("host key", "/etc/metrics-tunnel/known_hosts/web1 was edited"),
        ("disable", "metrics-tunnel-web1.service is not enabled"),
        ("stop", "metrics-tunnel-web1.service is stopped"),
        ("mask", "metrics-tunnel-web1.service is masked"),
        ("delete", "metrics-tunnel-web1.service is missing"),
        ("override", "metrics-tunnel-web1.service is overridden by"),
    ],
)
def test_drift_is_told_in_words_and_heals(hand: str, says: str, machine: Sandbox) -> None:
    machine.add_tunnel(LISTEN)
    assert machine.apply(TUNNEL).code == 0
    whole = machine.state("etc")
    match hand:
        case "edit":
            machine.edit(UNIT, "Restart=always", "Restart=no")
        case "mode":
            (machine / UNIT).chmod(0o666)
        case "host key":
            machine.edit(HOSTS, "web1", "web2")
        case "disable":
            (machine / "etc/systemd/system/multi-user.target.wants/metrics-tunnel-web1.service").unlink()
        case "stop":
            (machine / "fake/running/metrics-tunnel-web1.service").unlink()
            machine.write("fake/listeners", "")
        case "mask":
            (machine / UNIT).unlink()
            (machine / UNIT).symlink_to("/dev/null")
        case "delete":
            (machine / UNIT).unlink()
        case "override":
            machine.write(f"{UNIT}.d/override.conf", "[Service]\nUser=root\n")
    found = machine.look(TUNNEL, "mon1")
    assert found.generation == "0a1b2c3d"
    assert [text for text in found.drift if says in text], found.drift
    done = machine.apply(TUNNEL, "22222222")
    assert done.code == 0, done.err
    assert machine.look(TUNNEL, "mon1").drift == []
    assert machine.state("etc") == whole


@in_each_shell
def test_an_old_systemd_is_not_told_what_it_does_not_know(machine: Sandbox) -> None:
    machine.add_tunnel(LISTEN)
    machine.write("fake/systemd", "247")
    assert machine.apply(TUNNEL).code == 0
    assert set(SANDBOX.splitlines()) - set(machine.read(UNIT).splitlines()) == NEWER
    assert machine.look(TUNNEL, "mon1") == Finding("0a1b2c3d")


def test_the_copy_of_an_override_that_a_killed_run_has_left_is_taken_away(machine: Sandbox) -> None:
    machine.add_all()
    before = machine.state()
    assert machine.apply(TUNNEL).code == 0
    machine.write(f"{UNIT}.d.mt-old/override.conf", "[Service]\nUser=root\n")
    assert machine.remove(TUNNEL).code == 0
    assert machine.state() == before
