"""On a server: the tunnels' user and the unit that ends an ssh which hangs, shared by all stacks."""

import pytest

from components.drift import Finding
from tests.scripts.sandbox import Sandbox, in_each_shell, parts

NAME = "mon1-tunnel-watchdog"
WATCHDOG = parts()[NAME]
OTHERS = parts("prod")[NAME]
UNIT = "etc/systemd/system/metrics-tunnels-watchdog.service"
RUNS = "fake/running/metrics-tunnels-watchdog.service"


@in_each_shell
def test_the_tunnels_user_is_there_and_the_unit_runs_as_that_user(machine: Sandbox) -> None:
    assert machine.apply(WATCHDOG).code == 0
    user = machine.read("etc/passwd").splitlines()[-1]
    assert user.startswith("metrics-tunnel-ssh:x:")
    assert user.endswith(":/nonexistent:/usr/sbin/nologin")
    unit = machine.read(UNIT).splitlines()
    assert "User=metrics-tunnel-ssh" in unit
    # Where control groups do not work, systemd waits for what it has ended already, and the machine's lock is held.
    assert "TimeoutStopSec=5" in unit
    assert "ExecPaths=/bin /usr/bin /usr/lib /lib -/lib64" in unit
    # Tunnels have user namespaces of their own, and would be invisible.
    assert not [line for line in unit if line.startswith("ProtectProc")]
    assert (machine / RUNS).exists()
    assert machine.look(WATCHDOG, "mon1") == Finding("0a1b2c3d")


def test_stacks_share_it_and_the_last_one_takes_it_away(machine: Sandbox) -> None:
    before = machine.state("etc")
    assert machine.apply(WATCHDOG).code == 0
    assert machine.apply(OTHERS).code == 0
    assert len(machine.calls("useradd")) == 1
    assert len(machine.calls("systemctl restart")) == 1
    assert machine.remove(WATCHDOG).code == 0
    assert "metrics-tunnel-ssh:" in machine.read("etc/passwd")
    assert (machine / RUNS).exists()
    assert machine.remove(OTHERS).code == 0
    assert not (machine / RUNS).exists()
    assert machine.state("etc") == before


def test_a_user_who_was_deleted_is_made_anew_and_what_runs_as_the_old_one_starts_again(machine: Sandbox) -> None:
    assert machine.apply(WATCHDOG).code == 0
    machine.edit("etc/passwd", "metrics-tunnel-ssh:", "somebody:")
    assert machine.apply(WATCHDOG, "22222222").code == 0
    assert machine.calls("try-restart")[-1] == "systemctl try-restart metrics-tunnel-*.service"
    assert len(machine.calls("systemctl restart")) == 2


def test_a_container_whose_user_has_the_same_number_is_left_alone(machine: Sandbox) -> None:
    assert machine.apply(WATCHDOG).code == 0
    number = machine.read("etc/passwd").splitlines()[-1].split(":")[2]
    for pid in (501, 502):
        machine.write(f"proc/{pid}/uid", f"{number}\n")
    machine.write("proc/501/status", "NSpid:\t501\n")
    machine.write("proc/502/status", "NSpid:\t502\t1\n")
    assert machine.remove(WATCHDOG).code == 0
    assert machine.calls("kill") == ["kill 501"]


def test_the_user_stays_as_long_as_a_tunnel_is_there(machine: Sandbox) -> None:
    machine.add_tunnel("127.77.0.1:19100")
    assert machine.apply(WATCHDOG).code == 0
    assert machine.apply(parts()["web1-ssh-tunnel"]).code == 0
    assert machine.remove(WATCHDOG).code == 0
    assert "metrics-tunnel-ssh:" in machine.read("etc/passwd")


def test_a_user_or_unit_of_somebody_else_is_refused_untouched(machine: Sandbox) -> None:
    machine.write(UNIT, "[Service]\nExecStart=/bin/true\n")
    before = machine.state(times=True)
    refused = machine.apply(WATCHDOG)
    assert (refused.code, machine.state(times=True)) == (3, before)
    assert f"/{UNIT} is not ours; move it away" in refused.err
    (machine / UNIT).unlink()
    machine.edit("etc/passwd", "ann:", "metrics-tunnel-ssh:x:990:990:Ann:/:/bin/sh\nann:")
    before = machine.state(times=True)
    refused = machine.apply(WATCHDOG)
    assert (refused.code, machine.state(times=True)) == (3, before)
    assert "user metrics-tunnel-ssh is there and not ours; rename it" in refused.err


def test_a_unit_that_does_not_start_leaves_nothing(machine: Sandbox) -> None:
    before = machine.state("etc")
    machine.write("fake/start-fails", "")
    said = "Failed at step CREDENTIALS spawning /bin/sh: Protocol error"
    machine.write("fake/journal", f"Starting it...\nmetrics-tunnels-watchdog.service: {said}\nand more\n")
    refused = machine.apply(WATCHDOG)
    assert refused.code == 3
    assert f"does not start: {said}; see: journalctl -u metrics-tunnels-watchdog.service" in refused.err
    assert machine.state("etc") == before


def test_a_watchdog_that_does_not_watch_is_no_success_and_leaves_nothing(machine: Sandbox) -> None:
    before = machine.state("etc")
    machine.write("fake/watchdog-dies", "")
    refused = machine.apply(WATCHDOG)
    assert refused.code == 3
    assert "metrics-tunnels-watchdog.service does not watch; see: journalctl -u" in refused.err
    assert machine.state("etc") == before
    (machine / "fake/watchdog-dies").unlink()
    assert machine.apply(WATCHDOG).code == 0


def test_an_old_watchdog_that_does_not_watch_again_is_told_and_so_is_a_user_made_anew(machine: Sandbox) -> None:
    assert machine.apply(WATCHDOG).code == 0
    machine.edit("etc/passwd", "metrics-tunnel-ssh:", "somebody:")
    machine.write("fake/watchdog-dies", "")
    refused = machine.apply(WATCHDOG, "22222222")
    assert refused.err.endswith(
        "; its old files are back, but metrics-tunnels-watchdog.service does not work as before; "
        "see: journalctl -u metrics-tunnels-watchdog.service; user metrics-tunnel-ssh stays, made anew\n"
    )


def test_drift_is_told_and_heals(machine: Sandbox) -> None:
    assert machine.apply(WATCHDOG).code == 0
    whole = machine.state("etc")
    (machine / RUNS).unlink()
    machine.write(UNIT, "")
    machine.edit("etc/passwd", "metrics-tunnel-ssh:", "somebody:")
    assert machine.look(WATCHDOG, "mon1").drift == [
        f"/{UNIT} was edited",
        "user metrics-tunnel-ssh is missing; it is made anew, and all tunnels start again as it",
        "metrics-tunnels-watchdog.service is stopped; it is started again",
    ]
    machine.edit("etc/passwd", "somebody:", "metrics-tunnel-ssh:")
    assert machine.apply(WATCHDOG, "22222222").code == 0
    assert machine.state("etc") == whole
    assert machine.look(WATCHDOG, "mon1") == Finding("22222222")


@pytest.mark.parametrize(("state", "looks"), [("T (stopped)", 2), ("D (disk sleep)", 2), ("S (sleeping)", 3)])
def test_an_ssh_that_hangs_is_ended_and_one_that_waits_for_a_slow_login_is_not(
    state: str, looks: int, machine: Sandbox
) -> None:
    assert machine.apply(WATCHDOG).code == 0
    number = machine.read("etc/passwd").splitlines()[-1].split(":")[2]
    for pid, name, unit in (
        (501, "ssh", "metrics-tunnel-web1"),
        (502, "ssh", "docker-1"),
        (503, "sh", "metrics-tunnel-a"),
    ):
        machine.write(f"proc/{pid}/uid", f"{number}\n")
        machine.write(f"proc/{pid}/comm", f"{name}\n")
        machine.write(f"proc/{pid}/cgroup", f"0::/system.slice/{unit}.service\n")
        machine.write(f"proc/{pid}/status", f"State:\t{state}\nvoluntary_ctxt_switches:\t5\n")
    (command,) = [line for line in machine.read(UNIT).splitlines() if line.startswith("ExecStart=/bin/sh -c '")]
    loop = command.partition("'")[2].removesuffix("'").replace("$$", "$")
    for count in (looks - 1, looks):
        assert not machine.calls("kill")
        machine.run("PATH=/usr/bin\no= q=\n" + loop.replace("while :;", f"for i in $(seq {count});", 1))
    assert machine.calls("kill") == ["kill -9 501"]


@in_each_shell
@pytest.mark.parametrize("setting", ["yes", "no"])
def test_the_user_has_a_group_of_its_own_whatever_the_machines_defaults_are(setting: str, machine: Sandbox) -> None:
    machine.write("fake/usergroups", setting)
    before = machine.state()
    assert machine.apply(WATCHDOG).code == 0
    assert "metrics-tunnel-ssh:" in machine.read("etc/group")
    assert machine.look(WATCHDOG, "mon1") == Finding("0a1b2c3d")
    assert machine.remove(WATCHDOG).code == 0
    assert machine.state() == before


def test_a_user_in_the_group_of_all_users_is_drift_and_heals(machine: Sandbox) -> None:
    """As release 0.1.0 has left it where USERGROUPS_ENAB is no."""
    assert machine.apply(WATCHDOG).code == 0
    machine.edit("etc/group", "metrics-tunnel-ssh:", "users:")
    assert machine.look(WATCHDOG, "mon1").drift == [
        "user metrics-tunnel-ssh is in the groups users instead of its own alone; it is put there"
    ]
    assert machine.apply(WATCHDOG, "22222222").code == 0
    assert machine.look(WATCHDOG, "mon1") == Finding("22222222")


def test_a_group_of_somebody_else_is_refused_untouched(machine: Sandbox) -> None:
    machine.edit("etc/group", "adm:", "metrics-tunnel-ssh:x:5:\nadm:")
    before = machine.state(times=True)
    refused = machine.apply(WATCHDOG)
    assert "group metrics-tunnel-ssh is there and not ours; rename it, or delete it: groupdel" in refused.err
    assert machine.state(times=True) == before
