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
    assert machine.calls("sync .mt-new"), "a power cut leaves the old file or the new one"
    assert machine.look(KEY, "web1", done=deployed(hosts=GIVEN)).drift == []
    assert machine.apply(KEY).code == 0
    assert machine.remove(KEY).code == 0
    assert machine.state("home", "etc") == before
    assert not (machine / "var/lib/metrics-tunnel").exists()


def test_a_file_that_its_user_cannot_read_is_drift_and_refused(ann: Sandbox) -> None:
    machine = ann
    assert machine.apply(KEY).code == 0
    assert machine.look(KEY, "web1", done=deployed(hosts=GIVEN)).drift == []
    # What root reads all the same, as a mode 000.
    machine.write("fake/user-may-read-nothing", "")
    says = f"cannot read /{FILE} as ann; see what keeps that user from it, or leave login out"
    assert machine.look(KEY, "web1", done=deployed(hosts=GIVEN)).drift == [says]
    done = machine.apply(KEY, "22222222")
    assert done.code == 3
    assert says in done.err


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
    match trouble:
        case "link to a folder":
            machine.write("root/.ssh/authorized_keys", "root's\n", 0o600)
            (machine / HOME / ".ssh").symlink_to(machine / "root/.ssh")
            says = "/home/ann/.ssh is a link, through which no key is put"
        case "link to a file":
            machine.write("root/.ssh/authorized_keys", "root's\n", 0o600)
            (machine / HOME / ".ssh").mkdir(mode=0o700)
            (machine / FILE).symlink_to(machine / "root/.ssh/authorized_keys")
            says = f"/{FILE} is a link, through which no key is put"
        case "home for all":
            (machine / HOME).chmod(0o777)
            says = "/home/ann is for others to write (drwxrwxrwx), and sshd does not trust it; chmod go-w /home/ann"
        case "file for all":
            machine.write(FILE, OWN, 0o666)
            says = f"/{FILE} is for others to write (-rw-rw-rw-), and sshd does not trust it; chmod go-w /{FILE}"
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
    ("old", "new", "says"),
    [
        ("restrict,", "", f"the line of the key in /{FILE} was changed"),
        (blob(LINE), "AAAA", f"the line of the key in /{FILE} was changed"),
        (LINE, "", f"the line of the key in /{FILE} is missing"),
        (OPTIONS, f"ssh-ed25519 {blob(LINE)} again\n{OPTIONS}", f"the key is not alone in /{FILE}: "),
    ],
)
def test_a_line_that_a_hand_changed_or_doubled_is_drift_and_heals(old: str, new: str, says: str, ann: Sandbox) -> None:
    ann.write(FILE, OWN, 0o600)
    assert ann.apply(KEY).code == 0
    whole = ann.state("home")
    ann.edit(FILE, old, new)
    (ann / FILE).chmod(0o600)
    found = ann.look(KEY, "web1", done=deployed(hosts=GIVEN))
    assert [text.startswith(says) for text in found.drift] == [True], found
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


SAYS = """#!/bin/sh
# PAM, or whatever runs first and last, has its word.
echo "*** ann's own ssh-ed25519 AAAA ***"
: >"$ROOT/fake/said"
shift 3
"$@"
code=$?
printf 'bye\\n'
exit $code
"""


@in_each_shell
@pytest.mark.parametrize("own", [OWN, OWN.rstrip("\n"), None])
def test_no_word_that_another_program_says_gets_into_the_file(own: str | None, ann: Sandbox) -> None:
    if own:
        ann.write(FILE, own, 0o600)
    before = ann.state("home", "etc")
    _programs_of_its_own(ann, "runuser", SAYS)
    done = ann.apply(KEY)
    assert (done.code, done.err) == (0, "")
    assert (ann / "fake/said").exists()
    wanted = "" if own is None else OWN
    assert (ann / FILE).read_text().replace(str(ann.root), "") == wanted + LINE
    assert ann.look(KEY, "web1", done=deployed(hosts=GIVEN)).drift == []
    assert ann.remove(KEY).code == 0
    assert ann.state("home", "etc") == before


def _programs_of_its_own(machine: Sandbox, name: str, text: str) -> None:
    """Give this machine another program than the others have, and note that it ran."""
    tools = machine / "usr/bin"
    shared = tools.resolve()
    tools.unlink()
    shutil.copytree(shared, tools, symlinks=True)
    (tools / name).unlink()
    machine.write(f"usr/bin/{name}", text, 0o755)
    (machine / "usr/sbin").unlink()
    (machine / "usr/sbin").symlink_to(tools)


def test_a_file_that_cannot_be_read_is_not_written(ann: Sandbox) -> None:
    """What would be put in its place is what was read of it."""
    ann.write(FILE, OWN, 0o600)
    before = ann.state("home")
    _programs_of_its_own(ann, "cat", f'#!/bin/sh\ncase $* in *{FILE}) exit 1 ;; esac\nexec "$REAL/cat" "$@"\n')
    done = ann.apply(KEY)
    assert done.code == 3
    assert f"cannot read /{FILE} as ann; see what keeps that user from it, or leave login out" in done.err
    assert ann.state("home") == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("AuthorizedKeysFile .ssh/authorized_keys2", f"sshd does not read /{FILE}; name it in AuthorizedKeysFile"),
        ("AuthorizedKeysFile none", f"sshd does not read /{FILE}; name it in AuthorizedKeysFile"),
        ("AuthorizedKeysFile /etc/keys/%u %h/.ssh/authorized_keys", ""),
        ("DisableForwarding yes", "sshd lets ann forward nothing; set DisableForwarding no for that user"),
        ("AllowTcpForwarding remote", "sshd lets ann forward nothing; set AllowTcpForwarding local for that user"),
        ("PubkeyAuthentication no", "sshd lets ann in by no key; set PubkeyAuthentication yes for that user"),
        ("AuthenticationMethods publickey,password", "sshd wants more of ann than a key; add publickey to"),
        ("AuthenticationMethods publickey,password publickey", ""),
        ("PermitOpen 127.0.0.1:22", "sshd does not let ann reach 127.0.0.1:9100; add it to PermitOpen for that user"),
        ("PermitOpen 127.0.0.1:22 *:9100", ""),
        ("AllowUsers root", "sshd keeps user ann out by AllowUsers; add the line 'AllowUsers ann' to /etc/ssh/sshd_"),
        ("DenyGroups adm", "sshd keeps user ann out by DenyGroups; take its groups out of DenyGroups in /etc/ssh/ssh"),
        ("PubkeyAcceptedAlgorithms rsa-sha2-512", "sshd takes no ssh-ed25519 keys; add ssh-ed25519 to Pubkey"),
        ("Match Address 10.0.0.10\nAllowTcpForwarding no", "sshd lets ann from 10.0.0.10 forward nothing; set"),
    ],
)
def test_what_of_sshd_keeps_the_key_or_its_forward_out_is_refused_with_its_remedy(
    text: str, says: str, ann: Sandbox
) -> None:
    ann.write("etc/ssh/sshd_config.d/50-company.conf", f"{text}\n")
    before = ann.state("home", "etc")
    done = ann.apply(KEY)
    assert done.code == (3 if says else 0)
    if says:
        assert f": {says}" in done.err
        assert ann.state("home", "etc") == before
