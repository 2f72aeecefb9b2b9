"""On a host: the tunnel user, its restricted key line and sshd's limits. Other users' lines are never touched."""

import pytest

from tests.mocked import exporter, public_key
from tests.scripts.sandbox import Sandbox, blob, deployed, fingerprint, in_each_shell, parts

NAME = "web1-authorized-key-mon1"
KEY = parts()[NAME]
KEYS = "etc/ssh/authorized_keys.d/metrics-tunnel"
CONF = "etc/ssh/sshd_config.d/10-metrics-tunnel.conf"
OPTIONS = 'restrict,port-forwarding,permitopen="127.0.0.1:9100",permitlisten="localhost:1",command="/bin/false"'
LINE = f"{OPTIONS} {public_key('metrics-tunnel-test-mon1-1')}\n"
FOREIGN = "restrict ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7mjxwKQrMwGd3Fq4SVXn5uHFsGCA1HPdKmSeAbmN0q somebody else's\n"
ACCEPTED = "Accepted publickey for metrics-tunnel from 10.0.0.10 port 4 ssh2: ED25519 SHA256:{}\n"
USER = "metrics-tunnel:x:{}:{}:Prometheus tunnels:/nonexistent:/usr/sbin/nologin"
DROPIN = """\
# Managed by metrics-tunnel.
Match User metrics-tunnel
AuthorizedKeysFile /etc/ssh/authorized_keys.d/%u
AuthenticationMethods publickey
AllowTcpForwarding local
AllowStreamLocalForwarding no
PermitOpen 127.0.0.1:9100
PermitListen none
GatewayPorts no
MaxSessions 0
ForceCommand /bin/false
PermitTTY no
PermitTunnel no
PermitUserRC no
X11Forwarding no
AllowAgentForwarding no
PasswordAuthentication no
KbdInteractiveAuthentication no
ClientAliveInterval 15
ClientAliveCountMax 3
Match all
"""


@pytest.fixture(autouse=True)
def exporters(machine: Sandbox) -> None:
    """Let something listen on the ports that key lines open."""
    machine.write("fake/listeners", "*:9100 1 node\n*:9187 2 postgres\n")


@in_each_shell
def test_line_drop_in_and_user_are_these(machine: Sandbox) -> None:
    machine.write("fake/running/ssh.service", "")
    assert machine.apply(KEY).code == 0
    assert machine.read(KEYS) == LINE
    assert machine.read(CONF) == DROPIN
    assert (machine / KEYS).stat().st_mode & 0o777 == 0o644
    assert (machine / "etc/ssh/authorized_keys.d").stat().st_mode & 0o777 == 0o755
    fields = machine.read("etc/passwd").splitlines()[-1].split(":")
    assert ":".join(fields) == USER.format(fields[2], fields[3])
    assert machine.read("etc/shadow").splitlines()[-1].startswith("metrics-tunnel:*:")
    assert machine.calls("reload") == ["systemctl reload ssh"]
    assert not machine.calls("restart")


def test_the_line_says_where_tunnels_come_from_and_all_ports_of_the_host(machine: Sandbox) -> None:
    both = {"node": exporter(), "postgres": exporter(port=9187, job="postgres")}
    given = parts(servers={"mon1": {"egress": ["10.0.0.10", "10.1.0.0/16"]}}, hosts={"web1": {"exporters": both}})
    assert machine.apply(given[NAME]).code == 0
    assert 'permitopen="127.0.0.1:9100",permitopen="127.0.0.1:9187",' in machine.read(KEYS)
    assert ',from="10.0.0.10,10.1.0.0/16" ssh-ed25519 ' in machine.read(KEYS)
    assert "PermitOpen 127.0.0.1:9100 127.0.0.1:9187\n" in machine.read(CONF)


@in_each_shell
def test_two_stacks_share_user_drop_in_and_key_file_and_the_last_one_takes_them_away(machine: Sandbox) -> None:
    both = {"node": exporter(), "postgres": exporter(port=9187, job="postgres")}
    prod = parts("prod", hosts={"web1": {"exporters": both}})[NAME]
    before = machine.state("etc")
    assert machine.apply(KEY).code == 0
    assert machine.apply(prod).code == 0
    assert [line.split()[-1] for line in machine.read(KEYS).splitlines()] == [
        "metrics-tunnel-test-mon1-1",
        "metrics-tunnel-prod-mon1-1",
    ]
    assert "PermitOpen 127.0.0.1:9100 127.0.0.1:9187\n" in machine.read(CONF)
    assert len(machine.calls("useradd")) == 1
    assert machine.look(KEY, "web1").drift == []
    assert machine.remove(prod).code == 0
    assert machine.read(KEYS) == LINE
    assert machine.read(CONF) == DROPIN
    assert "metrics-tunnel:" in machine.read("etc/passwd")
    assert machine.remove(KEY).code == 0
    assert machine.state("etc") == before


def test_a_line_of_somebody_else_in_the_key_file_is_kept(machine: Sandbox) -> None:
    machine.write(KEYS, FOREIGN)
    assert machine.apply(KEY).code == 0
    assert machine.read(KEYS) == FOREIGN + LINE
    assert machine.apply(KEY).code == 0
    assert machine.read(KEYS) == FOREIGN + LINE
    assert machine.remove(KEY).code == 0
    assert machine.read(KEYS) == FOREIGN


def test_a_rotation_adds_the_new_line_beside_the_old_and_the_old_one_goes_by_itself(machine: Sandbox) -> None:
    new = parts(servers={"mon1": {"rotation": 2}})[NAME]
    assert machine.apply(KEY).code == 0
    assert machine.apply(new).code == 0
    assert len(machine.read(KEYS).splitlines()) == 2
    assert machine.remove(KEY).code == 0
    assert machine.read(KEYS) == f"{OPTIONS} {public_key('metrics-tunnel-test-mon1-2')}\n"
    assert machine.look(new, "web1", done=deployed(servers={"mon1": {"rotation": 2}})).drift == []


@pytest.mark.parametrize("journal", ["", ACCEPTED])
def test_only_the_sessions_of_the_key_that_goes_are_ended(journal: str, machine: Sandbox) -> None:
    """A session is that of the key which its parent's journal names; one without a word there is ended too."""
    prod = parts("prod")[NAME]
    assert machine.apply(KEY).code == 0
    assert machine.apply(prod).code == 0
    number = machine.read("etc/passwd").splitlines()[-1].split(":")[2]
    for pid, owner in ((501, number), (502, "1000")):
        machine.write(f"proc/{pid}/uid", f"{owner}\n")
        machine.write(f"proc/{pid}/status", "Name:\tsshd\nPPid:\t500\n")
    machine.write("fake/journal", ACCEPTED.format(fingerprint(public_key("metrics-tunnel-test-mon1-1"))))
    assert machine.remove(prod).code == 0
    assert not machine.calls("kill")
    assert machine.apply(prod).code == 0
    machine.write(
        "fake/journal", journal.format(fingerprint(public_key("metrics-tunnel-prod-mon1-1"))) if journal else ""
    )
    assert machine.remove(prod).code == 0
    assert machine.calls("kill") == ["kill 501"]


def test_a_session_that_sshd_was_just_letting_in_is_ended_too(machine: Sandbox) -> None:
    prod = parts("prod")[NAME]
    assert machine.apply(KEY).code == 0
    assert machine.apply(prod).code == 0
    machine.late_process(501, int(machine.read("etc/passwd").splitlines()[-1].split(":")[2]))
    machine.write("fake/journal", ACCEPTED.format(fingerprint(public_key("metrics-tunnel-prod-mon1-1"))))
    assert machine.remove(prod).code == 0
    assert machine.calls("kill") == ["kill 501"]


def test_the_user_goes_with_the_last_line_and_its_processes_before_it(machine: Sandbox) -> None:
    assert machine.apply(KEY).code == 0
    number = machine.read("etc/passwd").splitlines()[-1].split(":")[2]
    machine.write("proc/501/uid", f"{number}\n")
    machine.write("proc/502/uid", "1000\n")
    # A container's user of the same number.
    machine.write("proc/503/uid", f"{number}\n")
    machine.write("proc/503/status", "PPid:\t500\nNSpid:\t503\t1\n")
    machine.write("proc/501/status", "PPid:\t500\nNSpid:\t501\n")
    assert machine.remove(KEY).code == 0
    assert machine.calls("kill") == ["kill 501"]
    assert "metrics-tunnel" not in machine.read("etc/passwd")


def test_a_user_that_cannot_be_deleted_fails_the_removal_and_running_again_ends_it(machine: Sandbox) -> None:
    assert machine.apply(KEY).code == 0
    machine.write("fake/userdel-fails", "")
    done = machine.remove(KEY)
    assert done.code == 3
    assert "cannot delete user metrics-tunnel; see: loginctl" in done.err
    (machine / "fake/userdel-fails").unlink()
    assert machine.remove(KEY).code == 0
    assert "metrics-tunnel" not in machine.read("etc/passwd")


@pytest.mark.parametrize(
    ("path", "text", "says"),
    [
        ("etc/passwd", "metrics-tunnel:x:1001:1001:Bob's own:/home/b:/bin/sh\n", "is there and not ours; rename it"),
        (CONF, "Match User bob\n", f"/{CONF} is not ours; move it away"),
        (
            "etc/ssh/sshd_config.d/99.conf",
            "Broken\n",
            "sshd's configuration is invalid, mend it: Bad configuration option",
        ),
        ("etc/ssh/sshd_config", "DisableForwarding yes\n", "sshd has 'disableforwarding yes'; take that out"),
        ("etc/ssh/sshd_config", "PubkeyAuthentication no\n", "sshd has 'pubkeyauthentication no'; take that out"),
    ],
)
def test_what_is_not_ours_or_stands_in_the_way_is_refused_untouched_and_told_by_the_first_look(
    path: str, text: str, says: str, machine: Sandbox
) -> None:
    machine.write(path, text)
    before = machine.state(times=True)
    done = machine.apply(KEY)
    assert done.code == 3
    assert says in done.err
    assert machine.state(times=True) == before
    found = machine.look(KEY, "web1")
    assert len(found.refusals) == 1
    assert says in found.refusals[0]


def test_a_drop_in_that_sshd_refuses_is_taken_back_with_line_and_user(machine: Sandbox) -> None:
    machine.write("fake/sshd-refuses-ours", "")
    before = machine.state("etc")
    done = machine.apply(KEY)
    assert done.code == 3
    assert "sshd's configuration is invalid, mend it: no such option; its old state is restored" in done.err
    assert machine.state("etc") == before


@pytest.mark.parametrize(
    ("path", "text", "remedy"),
    [
        (
            "etc/ssh/sshd_config.d/05-corp.conf",
            "Match User *\nMaxSessions 10\nMatch all\n",
            "overridden by /etc/ssh/sshd_config.d/05-corp.conf, which comes first; remove its Match block",
        ),
        (
            "etc/ssh/sshd_config",
            "X11Forwarding yes\n",
            "add to the top of /etc/ssh/sshd_config: Include /etc/ssh/sshd_config.d/*.conf",
        ),
    ],
)
def test_a_drop_in_that_sshd_would_not_obey_is_taken_back_and_the_culprit_named(
    path: str, text: str, remedy: str, machine: Sandbox
) -> None:
    machine.write(path, text)
    before = machine.state("etc")
    done = machine.apply(KEY)
    assert done.code == 3
    assert "MaxSessions 0," in done.err
    assert remedy in done.err
    assert machine.state("etc") == before


LINE_DRIFT = [
    (KEYS, "restrict,", "", "is missing, changed or not alone"),
    (KEYS, "\n", f"\nssh-ed25519 {blob(LINE)} again\n", "is missing, changed or not alone"),
    (KEYS, LINE.split()[1], "gone", "is missing, changed or not alone"),
]
OTHER_DRIFT = [
    (CONF, "MaxSessions 0", "MaxSessions 9", "10-metrics-tunnel.conf is missing or was edited"),
    (
        "etc/passwd",
        "/usr/sbin/nologin",
        "/bin/bash",
        "user metrics-tunnel has another shell or home: /nonexistent:/bin/bash",
    ),
    ("etc/shadow", "metrics-tunnel:*", "metrics-tunnel:$6$x", "user metrics-tunnel has a password or is locked"),
    ("etc/group", "adm:x:4:ann", "adm:x:4:ann,metrics-tunnel", "user metrics-tunnel is in the groups adm"),
]


@pytest.mark.parametrize("hands", [*([one] for one in LINE_DRIFT), OTHER_DRIFT], ids=[*"abc", "others"])
def test_drift_is_told_in_words_and_heals(hands: list[tuple[str, str, str, str]], machine: Sandbox) -> None:
    assert machine.apply(KEY).code == 0
    whole = machine.state("etc")
    for path, old, new, _ in hands:
        machine.edit(path, old, new)
    found = machine.look(KEY, "web1")
    assert found.generation == "0a1b2c3d"
    for *_, says in hands:
        assert [text for text in found.drift if says in text], found.drift
    done = machine.apply(KEY, "22222222")
    assert (done.code, done.err) == (0, "")
    assert machine.look(KEY, "web1").drift == []
    assert machine.state("etc") == whole


def test_a_drop_in_that_sshd_no_longer_reads_is_drift_and_applying_names_the_remedy(machine: Sandbox) -> None:
    assert machine.apply(KEY).code == 0
    machine.edit("etc/ssh/sshd_config", "Include", "#Include")
    drift = machine.look(KEY, "web1").drift
    assert len(drift) == 1
    assert drift[0].startswith("sshd does not obey /etc/ssh/sshd_config.d/10-metrics-tunnel.conf in: ")
    done = machine.apply(KEY, "22222222")
    assert done.code == 3
    assert "add to the top of /etc/ssh/sshd_config: Include" in done.err


def test_a_deleted_user_and_a_deleted_key_file_are_drift_and_heal(machine: Sandbox) -> None:
    assert machine.apply(KEY).code == 0
    (machine / KEYS).unlink()
    (machine / CONF).unlink()
    for file in ("passwd", "shadow", "group"):
        lines = (machine / "etc" / file).read_text().splitlines(keepends=True)
        machine.write(f"etc/{file}", "".join(line for line in lines if not line.startswith("metrics-tunnel")))
    drift = machine.look(KEY, "web1").drift
    assert [text for text in drift if "user metrics-tunnel is missing" in text]
    assert [text for text in drift if "10-metrics-tunnel.conf is missing" in text]
    assert machine.apply(KEY).code == 0
    assert machine.look(KEY, "web1").drift == []


def test_a_key_file_that_others_may_write_is_drift(machine: Sandbox) -> None:
    assert machine.apply(KEY).code == 0
    (machine / KEYS).chmod(0o666)
    assert [text for text in machine.look(KEY, "web1").drift if "mode and owner 666 root instead of 644 root" in text]
    assert machine.apply(KEY).code == 0
    assert (machine / KEYS).stat().st_mode & 0o777 == 0o644


def test_another_key_under_the_same_name_replaces_the_line(machine: Sandbox) -> None:
    """As where somebody deleted the key on the server and it was made anew."""
    assert machine.apply(KEY).code == 0
    new = public_key("another").rsplit(" ", 1)[0]
    stdin = KEY.stdin.replace(public_key("metrics-tunnel-test-mon1-1"), f"{new} metrics-tunnel-test-mon1-1")
    assert machine.run(stdin, "apply", KEY.owner, "22222222").code == 0
    assert machine.read(KEYS) == f"{OPTIONS} {new} metrics-tunnel-test-mon1-1\n"
    assert machine.look(KEY, "web1").drift == []


def test_a_line_of_somebody_else_that_is_left_alone_keeps_sshds_limits_valid(machine: Sandbox) -> None:
    machine.write(KEYS, FOREIGN)
    assert machine.apply(KEY).code == 0
    assert machine.remove(KEY).code == 0
    assert machine.read(KEYS) == FOREIGN
    assert "\nPermitOpen none\n" in machine.read(CONF)


@pytest.mark.parametrize(
    ("rule", "culprit"),
    [
        ("AllowUsers root ann", "allowusers"),
        ("AllowUsers root metrics-*@10.0.0.*", ""),
        ("AllowGroups adm", "allowgroups"),
        ("AllowGroups adm metrics-tunnel", ""),
        ("DenyUsers metrics-?unnel", "denyusers"),
        ("DenyUsers ann", ""),
    ],
)
@in_each_shell
def test_lists_of_sshd_that_keep_the_tunnel_user_out_are_told_before_anything_changes(
    rule: str, culprit: str, machine: Sandbox
) -> None:
    machine.write("etc/ssh/sshd_config.d/50-company.conf", f"{rule}\n")
    before = machine.state()
    foreseen = machine.look(KEY, "web1").refusals
    done = machine.apply(KEY)
    if not culprit:
        assert (done.code, foreseen) == (0, [])
        return
    assert foreseen == [f"sshd keeps user metrics-tunnel out by {culprit}; mend that"]
    assert foreseen[0] in done.err
    assert machine.state() == before
    (machine / "etc/ssh/sshd_config.d/50-company.conf").unlink()
    assert machine.apply(KEY).code == 0
    machine.write("etc/ssh/sshd_config.d/50-company.conf", f"{rule}\n")
    assert machine.look(KEY, "web1").drift == [f"sshd keeps user metrics-tunnel out by {culprit}"]


def test_a_port_that_nobody_listens_on_is_refused_before_a_key_or_tunnel_changes(machine: Sandbox) -> None:
    """So that a wrong port in the settings of a host that is scraped does not blind it."""
    assert machine.apply(KEY).code == 0
    before = machine.state(times=True)
    wrong = parts(hosts={"web1": {"exporters": {"node": exporter(port=9101)}}})[NAME]
    done = machine.apply(wrong, "22222222")
    assert done.code == 3
    assert "nothing listens on port 9101; start the exporter, or give its port" in done.err
    assert machine.state(times=True) == before
    machine.write("fake/listeners", "")
    assert machine.apply(KEY, "22222222").code == 0, "an exporter that is down where the line is already is health"


@in_each_shell
def test_an_exporter_that_has_stopped_hinders_neither_a_new_key_nor_the_healing_of_its_line(machine: Sandbox) -> None:
    assert machine.apply(KEY).code == 0
    whole = machine.state("etc")
    machine.write("fake/listeners", "")
    machine.write(KEYS, machine.read(KEYS).replace('permitopen="127.0.0.1:9100",', ""))
    assert machine.apply(KEY, "22222222").code == 0
    assert machine.state("etc") == whole
    rotated = parts(servers={"mon1": {"rotation": 2}})[NAME]
    done = machine.apply(rotated, "33333333")
    assert (done.code, done.err) == (0, "")
    assert machine.remove(KEY).code == 0
    assert "metrics-tunnel-test-mon1-2" in machine.read(KEYS)


@pytest.mark.parametrize("text", ["", "Match User bob\n"])
def test_a_drop_in_of_ours_that_a_hand_replaced_heals(text: str, machine: Sandbox) -> None:
    assert machine.apply(KEY).code == 0
    machine.write(CONF, text)
    assert machine.look(KEY, "web1").drift
    done = machine.apply(KEY, "22222222")
    assert (done.code, done.err) == (0, "")
    assert machine.read(CONF) == DROPIN


def test_a_comment_that_a_hand_left_in_the_key_file_keeps_nothing_there(machine: Sandbox) -> None:
    before = machine.state("etc")
    assert machine.apply(KEY).code == 0
    machine.write(KEYS, "# added by ops\n\n" + (machine / KEYS).read_text())
    assert machine.look(KEY, "web1").drift == []
    assert machine.remove(KEY).code == 0
    assert machine.state("etc") == before


def test_an_sshd_that_got_its_socket_from_systemd_is_restarted_for_it_cannot_open_it_again(machine: Sandbox) -> None:
    for unit in ("ssh.service", "ssh.socket"):
        machine.write(f"fake/running/{unit}", "")
    machine.write("etc/systemd/system/ssh.service", "[Service]\n")
    assert machine.apply(KEY).code == 0
    assert "systemctl restart ssh" in machine.calls()
    assert not machine.calls("reload ssh")
