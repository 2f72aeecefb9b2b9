"""On a host: the key line in the file of a user who is there already. What is the user's stays byte for byte."""

import shutil

import pytest

from tests.mocked import public_key
from tests.scripts.sandbox import Sandbox, blob, deployed, fingerprint, in_each_shell, parts

NAME = "web1-authorized-key-mon1"
GIVEN = {"web1": {"login": "ann"}}
KEY = parts(hosts=GIVEN)[NAME]
HOME = "home/ann"
FILE = f"{HOME}/.ssh/authorized_keys"
OPTIONS = 'restrict,port-forwarding,permitopen="127.0.0.1:9100",permitlisten="localhost:1",command="/bin/false"'
LINE = f"{OPTIONS} {public_key('metrics-tunnel-test-mon1-1')}\n"
OWN = "# mine\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7mjxwKQrMwGd3Fq4SVXn5uHFsGCA1HPdKmSeAbmN0q ann\n"


@pytest.fixture
def ann(machine: Sandbox) -> Sandbox:
    machine.write("fake/listeners", "*:9100 1 node\n")
    (machine / HOME).mkdir(parents=True, mode=0o755)
    machine.write("etc/passwd", f"ann:x:1000:1000::{machine.root}/home/ann:/bin/sh\n")
    return machine


@in_each_shell
@pytest.mark.parametrize("own", [OWN, OWN.rstrip("\n"), "a\r\n", ""])
def test_the_line_goes_in_and_out_and_what_is_the_users_stays_byte_for_byte(own: str, ann: Sandbox) -> None:
    machine = ann
    machine.write(FILE, own, 0o640)
    (machine / HOME / ".ssh").chmod(0o750)
    before = machine.state("home", "etc")
    done = machine.apply(KEY)
    assert (done.code, done.err) == (0, "")
    text = (machine / FILE).read_bytes().decode().replace(str(machine.root), "")
    assert text == (own if own.endswith("\n") or not own else f"{own}\n") + LINE
    assert (machine / FILE).stat().st_mode & 0o777 == 0o640
    assert machine.look(KEY, "web1", done=deployed(hosts=GIVEN)).drift == []
    assert machine.apply(KEY).code == 0
    assert machine.remove(KEY).code == 0
    assert machine.state("home", "etc") == before
    assert not (machine / "var/lib/metrics-tunnel").exists()


@in_each_shell
def test_a_file_and_folder_that_were_not_there_are_for_the_user_alone_and_go_again(ann: Sandbox) -> None:
    machine = ann
    before = machine.state("home", "etc")
    assert machine.apply(KEY).code == 0
    assert machine.read(FILE) == LINE
    assert (machine / FILE).stat().st_mode & 0o777 == 0o600
    assert (machine / FILE).parent.stat().st_mode & 0o777 == 0o700
    assert machine.remove(KEY).code == 0
    assert machine.state("home", "etc") == before


@in_each_shell
def test_a_folder_that_the_user_took_away_comes_back(ann: Sandbox) -> None:
    before = ann.state("home", "etc")
    assert ann.apply(KEY).code == 0
    shutil.rmtree(ann / HOME / ".ssh")
    assert ann.apply(KEY, "22222222").code == 0
    assert ann.read(FILE) == LINE
    assert ann.remove(KEY).code == 0
    assert ann.state("home", "etc") == before


@pytest.mark.parametrize("folder", [True, False])
@pytest.mark.parametrize("limit", [0, 1, 100, 200])
def test_a_key_that_cannot_be_written_leaves_no_trace(limit: int, folder: bool, ann: Sandbox) -> None:
    if folder:
        (ann / HOME / ".ssh").mkdir(mode=0o700)
    before = ann.state()
    assert ann.apply(KEY, limit=limit).code != 0
    assert ann.state() == before
    assert ann.apply(KEY).code == 0


@pytest.mark.parametrize("own", [OWN, None])
def test_the_half_copy_of_a_killed_run_goes_with_the_line(own: str | None, ann: Sandbox) -> None:
    if own:
        ann.write(FILE, own, 0o600)
    before = ann.state()
    assert ann.apply(KEY).code == 0
    for half in ("", OWN):
        ann.write(f"{HOME}/.ssh/.mt-new", half)
        assert ann.apply(KEY, "22222222").code == 0
        assert not (ann / HOME / ".ssh/.mt-new").exists()
    ann.write(f"{HOME}/.ssh/.mt-new", OWN)
    assert ann.remove(KEY).code == 0
    assert ann.state() == before


@pytest.mark.parametrize("hand", ["own line", "user gone"])
def test_what_hands_did_to_a_file_that_we_made_leaves_no_note_of_ours(hand: str, ann: Sandbox) -> None:
    assert ann.apply(KEY).code == 0
    if hand == "own line":
        ann.write(FILE, OWN + ann.read(FILE), 0o600)
    else:
        ann.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    assert ann.remove(KEY).code == 0
    assert ann.read(FILE) == (OWN if hand == "own line" else LINE)
    assert not (ann / "var/lib/metrics-tunnel").exists()


def test_two_lines_in_a_file_that_we_made_go_one_by_one_and_the_file_with_the_last(ann: Sandbox) -> None:
    before = ann.state()
    both = [parts(stack, hosts=GIVEN)[NAME] for stack in ("test", "prod")]
    for part in both:
        assert ann.apply(part).code == 0
    for part in both:
        assert ann.remove(part).code == 0
    assert ann.state() == before


@in_each_shell
def test_an_exporter_that_has_stopped_does_not_hinder_the_healing_of_its_line(ann: Sandbox) -> None:
    ann.write(FILE, OWN, 0o600)
    assert ann.apply(KEY).code == 0
    whole = ann.read(FILE)
    ann.write(FILE, OWN, 0o600)
    ann.write("fake/listeners", "")
    assert ann.apply(KEY, "22222222").code == 0
    assert ann.read(FILE) == whole


def test_neither_the_tunnel_user_nor_sshds_limits_for_it_are_made(ann: Sandbox) -> None:
    before = ann.state("etc")
    assert ann.apply(KEY).code == 0
    assert ann.state("etc") == before
    assert not ann.calls("user metrics-tunnel")
    assert ann.calls("runuser ann")


def test_two_stacks_share_the_file_and_the_last_one_takes_it_away(ann: Sandbox) -> None:
    prod = parts("prod", hosts=GIVEN)[NAME]
    before = ann.state("home", "etc")
    assert ann.apply(KEY).code == 0
    assert ann.apply(prod).code == 0
    assert len(ann.read(FILE).splitlines()) == 2
    assert ann.remove(KEY).code == 0
    assert ann.read(FILE).split()[-1] == "metrics-tunnel-prod-mon1-1"
    assert ann.remove(prod).code == 0
    assert ann.state("home", "etc") == before


@pytest.mark.parametrize(
    "trouble", ["link to a folder", "link to a file", "home for all", "file for all", "nobody", "sshd"]
)
def test_what_sshd_would_not_trust_is_refused_untouched_and_told_by_the_first_look(trouble: str, ann: Sandbox) -> None:
    machine = ann
    says = "for others to write"
    match trouble:
        case "link to a folder":
            machine.write("root/.ssh/authorized_keys", "root's\n", 0o600)
            (machine / HOME / ".ssh").symlink_to(machine / "root/.ssh")
        case "link to a file":
            machine.write("root/.ssh/authorized_keys", "root's\n", 0o600)
            (machine / HOME / ".ssh").mkdir(mode=0o700)
            (machine / FILE).symlink_to(machine / "root/.ssh/authorized_keys")
        case "home for all":
            (machine / HOME).chmod(0o777)
        case "file for all":
            machine.write(FILE, OWN, 0o666)
        case "nobody":
            machine.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
            says = "no user ann with a home here"
        case "sshd":
            machine.write("etc/ssh/sshd_config", "AllowTcpForwarding no\n")
            says = "sshd lets ann forward nothing"
    before = machine.state("home", "etc", "root", "var", times=True)
    done = machine.apply(KEY)
    assert done.code == 3
    assert says in done.err
    assert machine.state("home", "etc", "root", "var", times=True) == before
    refusals = machine.look(KEY, "web1", done=deployed(hosts=GIVEN)).refusals
    assert len(refusals) == 1
    assert says in refusals[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [("restrict,", ""), (blob(LINE), "AAAA"), (OPTIONS, f"ssh-ed25519 {blob(LINE)} again\n{OPTIONS}")],
)
def test_a_line_that_a_hand_changed_or_doubled_is_drift_and_heals(old: str, new: str, ann: Sandbox) -> None:
    ann.write(FILE, OWN, 0o600)
    assert ann.apply(KEY).code == 0
    whole = ann.state("home")
    ann.write(FILE, ann.read(FILE).replace(old, new), 0o600)
    found = ann.look(KEY, "web1", done=deployed(hosts=GIVEN))
    assert [text for text in found.drift if "is missing, changed or not alone" in text], found
    assert ann.apply(KEY, "22222222").code == 0
    assert ann.look(KEY, "web1", done=deployed(hosts=GIVEN)).drift == []
    assert ann.state("home") == whole


def test_of_the_users_sessions_only_those_of_the_key_are_ended(ann: Sandbox) -> None:
    assert ann.apply(KEY).code == 0
    ann.write("proc/501/uid", "1000\n")
    ann.write("proc/501/status", "Name:\tsshd\nPPid:\t500\n")
    assert ann.remove(KEY).code == 0
    assert not ann.calls("kill"), "a session without a word in the journal may be the user's own"


def test_a_session_that_sshd_was_just_letting_in_is_ended_too(ann: Sandbox) -> None:
    assert ann.apply(KEY).code == 0
    ann.late_process(501, 1000)
    ann.write("fake/journal", f"Accepted publickey for ann from ::1 port 4 ssh2: ED25519 SHA256:{fingerprint(LINE)}\n")
    assert ann.remove(KEY).code == 0
    assert ann.calls("kill") == ["kill 501"]


def test_a_user_who_is_gone_hinders_no_removal(ann: Sandbox) -> None:
    assert ann.apply(KEY).code == 0
    ann.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    assert ann.remove(KEY).code == 0


def test_a_line_that_another_hand_put_behind_ours_keeps_its_end(ann: Sandbox) -> None:
    ann.write(FILE, OWN.rstrip("\n"), 0o600)
    assert ann.apply(KEY).code == 0
    ann.write(FILE, ann.read(FILE) + "ssh-ed25519 AAAA later\n", 0o600)
    assert ann.remove(KEY).code == 0
    assert ann.read(FILE) == OWN + "ssh-ed25519 AAAA later\n"
