"""What holds for the script of every part, in every shell: it converges, restores, and fails without a trace."""

import fcntl
import re
import shutil
from pathlib import Path

import pytest

from components.drift import Finding
from components.facts import read
from components.payload import LAST_LINE, source, was_applied
from tests.scripts.sandbox import Sandbox, deployed, in_each_shell, parts, script_of

NAMES = list(parts())
HOSTS = {"web1": "web1-authorized-key-mon1", "mon1": "mon1-keypair"}
STACK = "metrics-tunnel:test"
"""How owners name the stack of these parts."""
SHARED = [name for name in NAMES if "\nshared() { true; }" in source(script_of(name))]
"""Parts that stacks share."""
USERS = ("etc/passwd", "etc/shadow", "etc/group")
"""Files that programs of the machine write."""


def add_all(machine: Sandbox, name: str) -> None:
    """Make it server and host, with what has to come before a part."""
    machine.add_all()
    if name == "web1-scrape-config":
        assert machine.apply(parts()["mon1-scrape-job"]).code == 0


def receipt(machine: Sandbox, name: str) -> Path:
    return machine / f"var/lib/metrics-tunnel/{parts()[name].receipt}"


def where(name: str) -> str:
    """Return the machine of a part."""
    machine = re.search(r"^MACHINE=(\S+)$", parts()[name].stdin, re.MULTILINE)
    assert machine
    return machine[1]


@in_each_shell
def test_a_fleet_goes_in_and_out_and_leaves_no_trace(machine: Sandbox) -> None:
    machine.add_all()
    before = machine.state()
    for part in parts().values():
        done = machine.apply(part)
        assert (done.code, done.err, was_applied(done.out)) == (0, "", True)
    assert machine.state("etc") != before
    found = machine.look_around("mon1") | machine.look_around("web1")
    assert found == {part.receipt: Finding("0a1b2c3d") for part in parts().values()}
    for part in reversed(parts().values()):
        done = machine.remove(part)
        assert (done.code, done.err) == (0, "")
    assert machine.state() == before


@pytest.mark.parametrize("name", NAMES)
def test_what_a_part_writes_is_on_the_disk_before_it_is_in_its_place(name: str, machine: Sandbox) -> None:
    """A power cut then leaves the old file or the new one."""
    add_all(machine, name)
    before = machine.files()
    assert machine.apply(parts()[name]).code == 0
    changed = {
        f"/{path}"
        for path, what in machine.files().items()
        if what != before.get(path) and isinstance(what[1], bytes) and path not in USERS
    }
    flushed = [line.removeprefix("sync ") for line in machine.calls("sync ")]
    in_receipt = {path for path in changed if path.startswith(f"/var/lib/metrics-tunnel/{parts()[name].receipt}/")}
    assert in_receipt
    assert flushed.count(f"/var/lib/metrics-tunnel/{parts()[name].receipt}/.new") >= len(in_receipt)
    assert changed - in_receipt <= {path.removesuffix(".mt-new") for path in flushed}


@in_each_shell
def test_applied_twice_nothing_is_written_and_nothing_restarts(machine: Sandbox) -> None:
    machine.add_all()
    for part in parts().values():
        assert machine.apply(part).code == 0
    before = machine.state("etc", times=True)
    (machine / "fake/calls").unlink()
    for part in parts().values():
        done = machine.apply(part, "22222222")
        assert (done.code, done.err) == (0, "")
    assert machine.state("etc", times=True) == before
    assert not machine.calls("restart")
    assert not machine.calls("kill")
    assert not machine.calls("user")
    found = machine.look_around("mon1") | machine.look_around("web1")
    assert found == {part.receipt: Finding("22222222") for part in parts().values()}


@pytest.mark.parametrize("name", NAMES)
def test_a_part_restores_what_was_there(name: str, machine: Sandbox) -> None:
    add_all(machine, name)
    before = machine.state("etc")
    assert machine.apply(parts()[name]).code == 0
    assert machine.state("etc") != before
    assert machine.remove(parts()[name]).code == 0
    assert machine.state("etc") == before
    assert not receipt(machine, name).exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_part_whose_receipt_was_lost_restores_all_the_same(name: str, machine: Sandbox) -> None:
    add_all(machine, name)
    before = machine.state("etc")
    assert machine.apply(parts()[name]).code == 0
    receipt(machine, name).rename(machine / "lost")
    done = machine.remove(parts()[name])
    assert (done.code, done.err) == (0, "")
    assert machine.state("etc") == before


@pytest.mark.parametrize("name", NAMES)
def test_a_lost_receipt_is_told_and_applying_again_heals_it(name: str, machine: Sandbox) -> None:
    add_all(machine, name)
    assert machine.apply(parts()[name]).code == 0
    receipt(machine, name).rename(machine / "lost")
    before = machine.state("etc", times=True)
    found = machine.look(parts()[name], where(name))
    assert found.generation is None
    assert len(found.drift) == 1
    assert "receipt" in found.drift[0]
    assert machine.apply(parts()[name], "22222222").code == 0
    assert machine.state("etc", times=True) == before
    found = machine.look(parts()[name], where(name))
    assert (found.generation, found.drift) == ("22222222", [])


@pytest.mark.parametrize("name", NAMES)
def test_removing_a_part_under_another_owner_does_nothing(name: str, machine: Sandbox) -> None:
    add_all(machine, name)
    assert machine.apply(parts()[name]).code == 0
    before = machine.state(times=True)
    for owner in (f"{STACK}.{name}.ffffffff", f"metrics-tunnel:other.{name}.00000000"):
        assert machine.remove(parts()[name], owner).code == 0
        assert machine.state(times=True) == before


@pytest.mark.parametrize("held", ["", "half", "both"])
@pytest.mark.parametrize("name", NAMES)
def test_a_part_whose_owners_file_was_cut_short_or_is_there_twice_goes_all_the_same(
    name: str, held: str, machine: Sandbox
) -> None:
    add_all(machine, name)
    before = machine.state("etc")
    assert machine.apply(parts()[name]).code == 0
    assert machine.state("etc") != before
    (file,) = (receipt(machine, name) / "owners").iterdir()
    if held == "both":
        # As where a run was killed between the file of today and that of a release that named no project.
        (file.parent / file.name.split(":")[1]).write_text(file.read_text().split(":")[1])
    else:
        file.write_text(held and file.read_text()[:-9])
    assert machine.remove(parts()[name]).code == 0
    assert machine.state("etc") == before
    assert not receipt(machine, name).exists()


@pytest.mark.parametrize("held", ["", "metrics-tunnel:te"])
def test_a_part_whose_owners_file_was_cut_short_is_told_and_hides_no_other(held: str, machine: Sandbox) -> None:
    machine.add_all()
    for part in parts().values():
        assert machine.apply(part).code == 0
    name = "web1-authorized-key-mon1"
    (file,) = (receipt(machine, name) / "owners").iterdir()
    file.write_text(held)
    folder = f"/var/lib/metrics-tunnel/{parts()[name].receipt}"
    found = machine.look(parts()[name], "web1")
    assert found == Finding(None, [f"its receipt {folder} is damaged; it is applied again"])
    receipts = read(machine.run(dict(deployed().asked)["web1"]).out).receipts
    assert {part for part, receipt in receipts.items() if [*receipt.owners()]} == {
        part.receipt for part in parts().values()
    } - {parts()[name].receipt}
    assert machine.apply(parts()[name], "22222222").code == 0
    assert machine.look(parts()[name], "web1") == Finding("22222222")


def test_where_the_whole_folder_of_ours_was_deleted_each_part_tells_of_it_and_is_healed(machine: Sandbox) -> None:
    machine.add_all()
    for part in parts().values():
        assert machine.apply(part).code == 0
    has_files_there = {
        file.parent.name
        for file in (machine / "var/lib/metrics-tunnel").glob("*/manifest")
        if f"{machine.root}/etc/metrics-tunnel/" in file.read_text()
    }
    known = ("mon1-keypair", "web1-ssh-tunnel", "web1-scrape-config")
    assert has_files_there >= {parts()[name].receipt for name in known}
    shutil.rmtree(machine / "etc/metrics-tunnel")
    found = machine.look_around("mon1")
    assert {part for part, finding in found.items() if finding.drift} == has_files_there
    assert "/etc/metrics-tunnel/known_hosts/web1 is missing" in found["ssh-tunnel-web1"].drift
    for part in parts().values():
        assert machine.apply(part).code == 0
    assert not [part for part, finding in machine.look_around("mon1").items() if finding.drift]


@pytest.mark.parametrize("name", NAMES)
def test_after_a_replacement_the_old_instances_remove_leaves_the_new_one(name: str, machine: Sandbox) -> None:
    add_all(machine, name)
    part = parts()[name]
    assert machine.apply(part).code == 0
    assert machine.apply(part, "22222222", owner=f"{STACK}.{name}.ffffffff").code == 0
    before = machine.state("etc", times=True)
    assert machine.remove(part).code == 0
    assert machine.state("etc", times=True) == before
    assert machine.remove(part, f"{STACK}.{name}.ffffffff").code == 0
    assert machine.state("etc") != before


@pytest.mark.parametrize("name", NAMES)
def test_a_part_that_was_removed_can_be_removed_again(name: str, machine: Sandbox) -> None:
    add_all(machine, name)
    assert machine.apply(parts()[name]).code == 0
    assert machine.remove(parts()[name]).code == 0
    before = machine.state()
    assert machine.remove(parts()[name]).code == 0
    assert machine.state() == before


@pytest.mark.parametrize("name", NAMES)
def test_a_look_at_a_machine_with_nothing_applied_finds_and_leaves_nothing(name: str, machine: Sandbox) -> None:
    add_all(machine, name)
    found = machine.look(parts()[name], where(name))
    assert (found.generation, found.drift, found.refusals) == (None, [], [])
    assert not receipt(machine, name).exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_payload_cut_anywhere_changes_nothing(name: str, machine: Sandbox) -> None:
    add_all(machine, name)
    before = machine.state(times=True)
    called = machine.calls()
    text = machine.inside(parts()[name].stdin)
    # Where the cut is among the values and functions is of little matter; at the call each byte is.
    call = len(text) - len(LAST_LINE)
    for end in (*range(1, call, 800), *range(call, len(text) - 1)):
        assert machine.run(text[:end], "apply", f"{STACK}.x.0", "0a1b2c3d", ready=True).code
    assert machine.state(times=True) == before
    assert machine.calls() == called


@pytest.mark.parametrize("limit", [0, 200, 300, 400])
@pytest.mark.parametrize("name", NAMES)
def test_on_a_full_disk_a_part_fails_with_every_file_as_it_was_and_running_again_converges(
    name: str, limit: int, machine: Sandbox
) -> None:
    add_all(machine, name)
    before = machine.state()
    done = machine.apply(parts()[name], limit=limit)
    assert done.code or limit
    if done.code:
        assert f"{where(name)} {parts()[name].receipt}: " in done.err
        assert machine.state() == before
    assert machine.apply(parts()[name]).code == 0


# Files of the parts that share theirs with others, so that no manifest names them.
NO_MANIFEST = {
    "mon1-scrape-job": "etc/prometheus/prometheus.yml",
    "web1-authorized-key-mon1": "etc/ssh/sshd_config.d/10-metrics-tunnel.conf",
}


def file_of(machine: Sandbox, name: str) -> Path:
    """Return a file of an applied part."""
    if name in NO_MANIFEST:
        return machine / NO_MANIFEST[name]
    manifest = (receipt(machine, name) / "manifest").read_text()
    file: str = re.findall(r"^[0-9a-f]{64}  (.*)$", manifest, re.MULTILINE)[0]
    return machine / file


@in_each_shell
@pytest.mark.parametrize("name", NAMES)
def test_a_part_that_was_killed_is_taken_away_without_a_trace(name: str, machine: Sandbox) -> None:
    add_all(machine, name)
    before = machine.state()
    assert machine.apply(parts()[name]).code == 0
    file = file_of(machine, name)
    # There would be nothing to put in its place otherwise.
    file.write_text(file.read_text().replace("15000", "7") if name == "mon1-scrape-job" else "edited\n")
    machine.write("fake/killed-at", str(file))
    assert machine.apply(parts()[name], "22222222").code == -9
    assert list(file.parent.glob("*.mt-old")), "nothing to take away"
    (machine / "fake/killed-at").unlink()
    assert machine.remove(parts()[name]).code == 0
    assert machine.state() == before


@pytest.mark.parametrize("limit", [None, 400])
@pytest.mark.parametrize("name", NAMES)
def test_a_part_whose_connection_is_lost_is_applied_or_undone_and_running_again_converges(
    name: str, limit: int | None, machine: Sandbox
) -> None:
    add_all(machine, name)
    before = machine.state()
    done = machine.apply(parts()[name], limit=limit, alone=True)
    if done.code:
        assert machine.state() == before
    else:
        assert receipt(machine, name).exists()
    assert not [path for path in machine.state() if ".mt-" in path]
    assert machine.apply(parts()[name]).code == 0


@pytest.mark.parametrize("name", NAMES)
def test_while_another_run_holds_the_lock_a_part_is_refused_and_says_who_holds_it(name: str, machine: Sandbox) -> None:
    add_all(machine, name)
    before = machine.state(times=True)
    lock = machine.write("run/metrics-tunnel.lock", "1, noon\n")
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = machine.apply(parts()[name])
    assert done.code == 3
    assert len(done.err.splitlines()) == 1
    assert "another run holds the lock (pid 1, noon)" in done.err
    assert machine.state(times=True) == before


@pytest.mark.parametrize("name", NAMES)
def test_an_error_is_one_line_that_names_machine_and_part(name: str, machine: Sandbox) -> None:
    add_all(machine, name)
    (machine / "run/systemd/system").rmdir()
    foreseen = machine.look(parts()[name], where(name)).refusals
    done = machine.apply(parts()[name])
    assert done.code == 3
    assert foreseen == ["needs root and a running systemd >= 247; log in as root or with sudo"]
    assert done.err == f"{where(name)} {parts()[name].receipt}: {foreseen[0]}\n"
    assert not receipt(machine, name).exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_user_who_is_not_root_is_refused(name: str, machine: Sandbox) -> None:
    add_all(machine, name)
    before = machine.state(times=True)
    machine.write("fake/nobody", "")
    done = machine.apply(parts()[name])
    assert done.code == 3
    assert "needs root" in done.err
    assert machine.state(times=True) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_part_that_two_resources_have_goes_with_the_last_one(name: str, machine: Sandbox) -> None:
    """As where two stacks close the same exporter, or a resource is called otherwise than before."""
    add_all(machine, name)
    before = machine.state("etc")
    assert machine.apply(parts()[name]).code == 0
    whole = machine.state("etc", times=True)
    other = f"{'metrics-tunnel:other' if name in SHARED else STACK}.same.00000000"
    assert machine.apply(parts()[name], owner=other).code == 0
    assert machine.state("etc", times=True) == whole
    assert machine.look(parts()[name], where(name)).drift == []
    assert machine.remove(parts()[name]).code == 0
    assert machine.state("etc", times=True) == whole
    assert machine.remove(parts()[name], other).code == 0
    assert machine.state("etc") == before


@pytest.mark.parametrize("name", NAMES)
def test_a_systemd_that_is_too_old_is_refused_before_anything_changes(name: str, machine: Sandbox) -> None:
    add_all(machine, name)
    before = machine.state()
    machine.write("fake/systemd", "246")
    refused = machine.apply(parts()[name])
    assert refused.code == 3
    assert "needs root and a running systemd >= 247" in refused.err
    assert machine.state() == before
    machine.write("fake/systemd", "247")
    assert machine.apply(parts()[name]).code == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_file_gets_the_label_of_its_place_where_selinux_is(name: str, machine: Sandbox) -> None:
    add_all(machine, name)
    before = machine.state("etc")
    assert machine.apply(parts()[name]).code == 0
    after = machine.state("etc")
    written = {f"/{path}" for path, what in after.items() if what[0].startswith("-") and before.get(path) != what}
    assert written - {"/etc/passwd", "/etc/shadow", "/etc/group"} <= {
        call.removeprefix("restorecon ") for call in machine.calls("restorecon")
    }


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SHARED])
def test_a_stack_of_the_same_name_in_another_project_is_refused_before_anything_changes(
    name: str, machine: Sandbox
) -> None:
    add_all(machine, name)
    part = parts()[name]
    theirs = f"elsewhere:test.{name}.00000000"
    assert machine.apply(part, owner=theirs).code == 0
    before = machine.state(times=True)
    refused = machine.apply(part)
    assert refused.code == 3
    assert "project elsewhere has a stack test too" in refused.err
    assert "pulumi stack rename" in refused.err
    assert machine.state(times=True) == before
    assert "project elsewhere has a stack test too" in machine.look(part, where(name)).refusals[0]
    assert machine.remove(part, theirs).code == 0
    assert machine.apply(part).code == 0


@pytest.mark.parametrize("name", SHARED)
def test_what_stacks_share_is_shared_with_one_of_the_same_name_in_another_project(name: str, machine: Sandbox) -> None:
    add_all(machine, name)
    before = machine.state("etc")
    part = parts()[name]
    theirs = f"elsewhere:test.{name}.00000000"
    assert machine.apply(part, owner=theirs).code == 0
    assert machine.apply(part).code == 0
    closed = machine.state("etc")
    assert machine.remove(part).code == 0
    assert machine.state("etc") == closed
    assert machine.remove(part, theirs).code == 0
    assert machine.state("etc") == before


@in_each_shell
@pytest.mark.parametrize("name", NAMES)
def test_a_receipt_of_a_release_that_named_no_project_is_taken_over_and_taken_away(name: str, machine: Sandbox) -> None:
    add_all(machine, name)
    before = machine.state("etc")
    part = parts()[name]
    earlier = part.owner.removeprefix("metrics-tunnel:")
    assert machine.apply(part, owner=earlier).code == 0
    assert machine.look(part, where(name)) == Finding("0a1b2c3d")
    closed = machine.state("etc", times=True)
    # As where its stack was upgraded with detectDrift: false, which keeps the command as it is recorded.
    assert machine.remove(part, f"{STACK}.{name}.ffffffff").code == 0
    assert machine.state("etc", times=True) == closed
    assert machine.apply(part, "22222222").code == 0
    assert [file.name for file in (receipt(machine, name) / "owners").iterdir()] == [part.owner.rpartition(".")[0]]
    assert machine.state("etc", times=True) == closed
    assert machine.remove(part).code == 0
    assert machine.state("etc") == before
    assert machine.apply(part, owner=earlier).code == 0
    assert machine.remove(part).code == 0
    assert machine.state("etc") == before


@in_each_shell
def test_the_lock_goes_with_the_last_part_and_not_before(machine: Sandbox) -> None:
    machine.add_all()
    lock = machine / "run/metrics-tunnel.lock"
    for part in parts().values():
        assert machine.apply(part).code == 0
        assert lock.exists()
    *others, last = reversed(parts().values())
    for part in others:
        assert machine.remove(part).code == 0
        assert lock.exists()
    assert machine.remove(last).code == 0
    assert not lock.exists()


def test_who_waits_for_a_lock_whose_file_goes_meanwhile_takes_the_new_one(machine: Sandbox) -> None:
    """Two would be at work at once otherwise: one with the old file's lock, one with the new file's."""
    machine.add_all()
    lock = machine.write("run/metrics-tunnel.lock", "1, noon\n")
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        lock.unlink()
        with lock.open("a") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            refused = machine.apply(parts()["mon1-keypair"])
            assert "another run holds the lock" in refused.err
        # Nobody has the new one now, whoever has the old one.
        assert machine.apply(parts()["mon1-keypair"]).code == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_refused_part_on_a_fresh_machine_leaves_no_lock(name: str, machine: Sandbox) -> None:
    add_all(machine, name)
    fresh = not (machine / "var/lib/metrics-tunnel").exists()
    machine.write("fake/systemd", "246")
    assert machine.apply(parts()[name]).code == 3
    assert (machine / "run/metrics-tunnel.lock").exists() != fresh


# For each part whose files lie below it: a folder of ours with the mode it has, and one that is the machine's.
FOLDERS = {
    "mon1-keypair": ("etc/metrics-tunnel/keys", 0o700, "etc"),
    "mon1-tunnel-watchdog": ("var/lib/metrics-tunnel/tunnel-watchdog", 0o755, "etc/systemd/system"),
    "web1-ssh-tunnel": ("etc/metrics-tunnel/known_hosts", 0o755, "etc/systemd"),
    "web1-scrape-config": ("etc/metrics-tunnel/targets/test", 0o755, "etc"),
    "web1-authorized-key-mon1": ("etc/ssh/authorized_keys.d", 0o755, "etc/ssh"),
}


@in_each_shell
@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_ours_that_others_may_write_to_is_drift_and_heals(name: str, machine: Sandbox) -> None:
    folder, mode, _ = FOLDERS[name]
    add_all(machine, name)
    assert machine.apply(parts()[name]).code == 0
    whole = machine.state()
    assert machine.look(parts()[name], where(name)) == Finding("0a1b2c3d")
    for wrong in (0o777, 0o600):
        (machine / folder).chmod(wrong)
        assert machine.look(parts()[name], where(name)).drift == [
            f"/{folder} has mode and owner {wrong:o} root instead of {mode:o} root"
        ]
        done = machine.apply(parts()[name])
        assert (done.code, done.err) == (0, "")
        assert machine.state() == whole


@pytest.mark.parametrize("name", [*FOLDERS, "web1-exporter-node"])
def test_a_folder_of_the_machine_that_others_may_write_to_is_told_and_refused(name: str, machine: Sandbox) -> None:
    folder = FOLDERS[name][2] if name in FOLDERS else "etc/systemd/system"
    add_all(machine, name)
    (machine / folder).chmod(0o775)
    remedy = f"mend that: chown root /{folder}; chmod go-w /{folder}"
    says = f"others than root may write to /{folder} (mode and owner 775 root); {remedy}"
    before = machine.state(times=True)
    assert machine.look(parts()[name], where(name)).refusals == [says]
    done = machine.apply(parts()[name])
    assert (done.code, done.err) == (3, f"{where(name)} {parts()[name].receipt}: {says}\n")
    assert machine.state(times=True) == before
    (machine / folder).chmod(0o755)
    assert machine.apply(parts()[name]).code == 0
    (machine / folder).chmod(0o777)
    found = machine.look(parts()[name], where(name))
    assert (found.drift, found.refusals) == ([says.replace("775", "777")], [])
