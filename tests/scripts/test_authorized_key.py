"""On a host: the tunnel user, its restricted key line and sshd's limits. Other users' lines are never touched."""

import pytest

from components.payload import started
from tests.mocked import deploy, exporter, fleet, public_key
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
DisableForwarding no
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
Banner none
ClientAliveInterval 15
ClientAliveCountMax 3
ChannelTimeout *=0
UnusedConnectionTimeout none
Match all
"""


@pytest.fixture(autouse=True)
def exporters(machine: Sandbox) -> None:
    """Let something listen on the ports that key lines open."""
    machine.write("fake/listeners", "*:9100 1 node\n*:9187 2 postgres\n")


@pytest.mark.parametrize("blank", [" ", "\t"])
def test_a_limit_that_a_hand_has_loosened_is_told_whatever_blanks_it_wrote(blank: str, machine: Sandbox) -> None:
    assert machine.apply(KEY).code == 0
    machine.edit(CONF, "MaxSessions 0", f"MaxSessions{blank}10")
    drift = machine.look(KEY, "web1").drift
    assert drift == [f"/{CONF} says 'MaxSessions{blank}10' instead of 'MaxSessions 0'"]


def test_a_change_that_leaves_sshd_alone_is_not_refused_for_what_a_reload_would_cost(machine: Sandbox) -> None:
    assert machine.apply(KEY).code == 0
    given, names = deployed(), [NAME]
    sent = {name: str(given.resources[name].inputs["stdin"]) for name in names}
    state = {name: started(180, "apply", given.owner(name), "0a1b2c3d") for name in names}
    # Of the second port its files say nothing any more.
    machine.write("fake/sshd-listens", "0.0.0.0:22\n0.0.0.0:2222\n")
    servers = {"mon1": {"egress": ["203.0.113.9"]}}
    found = machine.look(KEY, "web1", done=deploy(fleet(servers), state=state, sent=sent))
    assert (found.drift, found.refusals) == ([], [])
    assert machine.apply(parts(servers=servers)[NAME], "22222222").code == 0
    # Where the drop-in has to be written again, sshd reads its files anew.
    (machine / CONF).unlink()
    refusals = machine.look(KEY, "web1", done=deploy(fleet(servers), state=state, sent=sent)).refusals
    assert [text for text in refusals if "of which its settings say nothing any more" in text]


@in_each_shell
def test_line_drop_in_and_user_are_these(machine: Sandbox) -> None:
    done = machine.apply(KEY)
    assert (done.code, done.err) == (0, "")
    assert machine.read(KEYS) == LINE
    assert machine.read(CONF) == DROPIN
    assert (machine / KEYS).stat().st_mode & 0o777 == 0o644
    assert (machine / "etc/ssh/authorized_keys.d").stat().st_mode & 0o777 == 0o755
    fields = machine.read("etc/passwd").splitlines()[-1].split(":")
    assert ":".join(fields) == USER.format(fields[2], fields[3])
    assert machine.read("etc/shadow").splitlines()[-1].startswith("metrics-tunnel:*:")
    assert machine.calls("reload") == ["systemctl reload ssh.service"]
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


@pytest.mark.parametrize(
    ("path", "old", "new", "ended"),
    [
        (CONF, "PermitOpen 127.0.0.1:9100 127.0.0.1:9187", "PermitOpen any", ["501", "502"]),
        (CONF, "PermitOpen 127.0.0.1:9100 127.0.0.1:9187", "PermitOpen none", ["501", "502"]),
        ("etc/shadow", "metrics-tunnel:*:", "metrics-tunnel:x:", ["501", "502"]),
        (KEYS, 'permitopen="127.0.0.1:9100",', "", ["501"]),
        (KEYS, "restrict", "# restrict", ["501"]),
        (CONF, "DisableForwarding no\n", "", ["501", "502"]),
        # What an earlier release did not write: its receipt does not say what that was.
        ("var/lib/metrics-tunnel/authorized-key-metrics-tunnel-test-mon1-1/limits", None, "DisableForwarding no\n", []),
        (CONF, "Managed", "Managed", []),
    ],
)
def test_sessions_that_began_while_a_hand_had_changed_what_they_may_do_are_ended(
    path: str, old: str | None, new: str, ended: list[str], machine: Sandbox
) -> None:
    other = parts("prod", hosts={"web1": {"exporters": {"postgres": exporter(port=9187)}}})[NAME]
    for key in (KEY, other):
        assert machine.apply(key).code == 0
    number = machine.read("etc/passwd").splitlines()[-1].split(":")[2]
    for pid, stack in ((501, "test"), (502, "prod")):
        machine.write(f"proc/{pid}/uid", f"{number}\n")
        machine.write(f"proc/{pid}/status", f"Name:\tsshd\nPPid:\t{pid - 100}\n")
        accepted = ACCEPTED.format(fingerprint(public_key(f"metrics-tunnel-{stack}-mon1-1")))
        machine.write(f"fake/journal-of/{pid - 100}", accepted)
    if old is None:
        (machine / path).unlink()
        machine.edit(CONF, new, "")
    else:
        machine.edit(path, old, new)
    assert machine.apply(KEY, "22222222").code == 0
    assert machine.calls("kill") == [f"kill {pid}" for pid in ended]


def test_what_a_killed_run_did_not_have_sshd_read_is_drift_and_the_sessions_of_that_time_are_ended(
    machine: Sandbox,
) -> None:
    assert machine.apply(KEY).code == 0
    number = machine.read("etc/passwd").splitlines()[-1].split(":")[2]
    machine.write("proc/501/uid", f"{number}\n")
    machine.write("proc/501/status", "Name:\tsshd\nPPid:\t500\n")
    machine.write("var/lib/metrics-tunnel/sshd-has-to-read", "")
    reloads = len(machine.calls("reload"))
    assert machine.look(KEY, "web1").drift == [
        f"sshd has not read /{CONF} yet, as where a run was killed; it is told to"
    ]
    assert machine.apply(KEY, "22222222").code == 0
    assert len(machine.calls("reload")) == reloads + 1
    assert machine.calls("kill") == ["kill 501"]
    assert machine.look(KEY, "web1").drift == []


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
        (
            "etc/ssh/sshd_config.d/99.conf",
            "PubkeyAuthentication no\n",
            "sshd has 'PubkeyAuthentication no'; take that out",
        ),
        (
            "etc/group",
            "metrics-tunnel:x:1001:bob\n",
            "group metrics-tunnel is there and not ours; rename it, or delete it",
        ),
        (
            "etc/ssh/sshd_config.d/99.conf",
            "PubkeyAcceptedAlgorithms rsa-sha2-512,ecdsa-sha2-nistp256\n",
            "sshd takes no ssh-ed25519 keys; add ssh-ed25519 to PubkeyAcceptedAlgorithms there, or set tunnelPrivate",
        ),
        (
            "etc/ssh/sshd_config",
            "X11Forwarding yes\n",
            "10-metrics-tunnel.conf; add to the top of /etc/ssh/sshd_config: Include /etc/ssh/sshd_config.d/*.conf",
        ),
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


LINE_DRIFT = [
    (KEYS, "restrict,", "", f"the line of the key in /{KEYS} was changed"),
    (KEYS, "permitopen=", 'permitopen="127.0.0.1:22",permitopen=', f"the line of the key in /{KEYS} was changed"),
    (KEYS, LINE, "", f"the line of the key in /{KEYS} is missing"),
    (KEYS, LINE, LINE + LINE, f"the line of the key in /{KEYS} stands there 2 times"),
    (KEYS, "\n", f"\nssh-ed25519 {blob(LINE)} again\n", f"the key is not alone in /{KEYS}"),
    (KEYS, LINE.split()[1], "gone", f"the line of the key in /{KEYS} was changed"),
    (
        CONF,
        "PermitOpen 127.0.0.1:9100",
        "PermitOpen any",
        f"/{CONF} says 'PermitOpen any' instead of 'PermitOpen 127.0.0.1:9100'",
    ),
    (CONF, "MaxSessions 0\n", "", f"/{CONF} does not say 'MaxSessions 0'"),
    (
        CONF,
        "MaxSessions 0\n",
        "MaxSessions 0\n  GSSAPIAuthentication yes\n",
        f"/{CONF} says 'GSSAPIAuthentication yes', which is not ours",
    ),
]
OTHER_DRIFT = [
    (CONF, "MaxSessions 0", "MaxSessions 9", "10-metrics-tunnel.conf says 'MaxSessions 9' instead of 'MaxSessions 0'"),
    (
        "etc/passwd",
        "/usr/sbin/nologin",
        "/bin/bash",
        "user metrics-tunnel has another shell or home: /nonexistent:/bin/bash",
    ),
    ("etc/shadow", "metrics-tunnel:*", "metrics-tunnel:$6$x", "user metrics-tunnel has a password or is locked"),
    ("etc/group", "adm:x:4:ann", "adm:x:4:ann,metrics-tunnel", "user metrics-tunnel is in the groups adm"),
]


@pytest.mark.parametrize("hands", [*([one] for one in LINE_DRIFT), OTHER_DRIFT], ids=[*"abcdefghi", "others"])
def test_drift_is_told_in_words_and_heals(hands: list[tuple[str, str, str, str]], machine: Sandbox) -> None:
    assert machine.apply(KEY).code == 0
    whole = machine.state("etc")
    for path, old, new, _ in hands:
        machine.edit(path, old, new)
    found = machine.look(KEY, "web1")
    assert found.generation == "0a1b2c3d"
    assert len(found.drift) == len(hands), found.drift
    for *_, says in hands:
        assert [text for text in found.drift if says in text], found.drift
    done = machine.apply(KEY, "22222222")
    assert (done.code, done.err) == (0, "")
    assert machine.look(KEY, "web1").drift == []
    assert machine.state("etc") == whole


def test_a_drop_in_that_sshd_no_longer_reads_is_drift_and_applying_names_the_remedy(machine: Sandbox) -> None:
    assert machine.apply(KEY).code == 0
    machine.edit("etc/ssh/sshd_config", "Include", "#Include")
    found = machine.look(KEY, "web1")
    assert len(found.drift) == 1
    assert found.drift[0].startswith("sshd does not obey /etc/ssh/sshd_config.d/10-metrics-tunnel.conf in: ")
    assert "add to the top of /etc/ssh/sshd_config: Include" in found.refusals[0]
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
    assert [text for text in drift if f"the line of the key in /{KEYS} is missing" in text]
    assert machine.apply(KEY).code == 0
    assert machine.look(KEY, "web1").drift == []


@pytest.mark.parametrize("file", [KEYS, CONF])
def test_a_file_of_sshds_that_others_may_write_is_drift(file: str, machine: Sandbox) -> None:
    assert machine.apply(KEY).code == 0
    (machine / file).chmod(0o666)
    assert [text for text in machine.look(KEY, "web1").drift if "mode and owner 666 root instead of 644 root" in text]
    assert machine.apply(KEY).code == 0
    assert (machine / file).stat().st_mode & 0o777 == 0o644
    assert machine.look(KEY, "web1").drift == []


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


COMPANY = "/etc/ssh/sshd_config.d/50-company.conf"


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("AllowUsers root ann", f"by AllowUsers; add the line 'AllowUsers metrics-tunnel' to {COMPANY}"),
        ("AllowUsers root metrics-*@10.0.0.*", ""),
        ("AllowGroups adm", f"by AllowGroups; add the line 'AllowGroups metrics-tunnel' to {COMPANY}"),
        ("AllowGroups adm metrics-tunnel", ""),
        ("DenyUsers metrics-?unnel", f"by DenyUsers; take what means it out of DenyUsers in {COMPANY}"),
        ("DenyUsers metrics-tunnel@10.0.0.*", f"by DenyUsers; take what means it out of DenyUsers in {COMPANY}"),
        ("DenyUsers metrics-tunnel@192.168.*", ""),
        ("DenyUsers ann", ""),
    ],
)
def test_lists_of_sshd_that_keep_the_tunnel_user_out_are_told_before_anything_changes(
    rule: str, says: str, machine: Sandbox
) -> None:
    machine.write(COMPANY[1:], f"{rule}\n")
    before = machine.state()
    foreseen = machine.look(KEY, "web1").refusals
    done = machine.apply(KEY)
    if not says:
        assert (done.code, foreseen) == (0, [])
        return
    assert foreseen == [f"sshd keeps user metrics-tunnel out {says}"]
    assert foreseen[0] in done.err
    assert machine.state() == before
    (machine / COMPANY[1:]).unlink()
    assert machine.apply(KEY).code == 0
    machine.write(COMPANY[1:], f"{rule}\n")
    assert machine.look(KEY, "web1").drift == [f"sshd keeps user metrics-tunnel out {says}"]
    assert machine.look(KEY, "web1").refusals == []


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
    machine.write("fake/running/ssh.socket", "")
    assert machine.apply(KEY).code == 0
    assert "systemctl restart ssh.service" in machine.calls()
    assert not machine.calls("reload ssh")


# What stands before ours, and what sshd then does not obey.
OVERRULED = [
    ("Match User *\n  MaxSessions 10\n", "", "MaxSessions 0", "'MaxSessions 10' in its block 'Match User *'"),
    (
        "Match Address 10.0.0.10\nPermitTTY yes\nMatch all\n",
        " for logins from 10.0.0.10",
        "PermitTTY no",
        "'PermitTTY yes' in its block 'Match Address 10.0.0.10'",
    ),
    ("Match LocalAddress 10.0.0.20\nPermitTTY yes\n", "", "PermitTTY no", "'PermitTTY yes' in its block 'Match Local"),
    ("Match LocalPort 22\nPermitTTY yes\n", "", "PermitTTY no", "'PermitTTY yes' in its block 'Match LocalPort 22'"),
    ("Match Group metrics-*\nPermitTTY yes\n", "", "PermitTTY no", "'PermitTTY yes' in its block 'Match Group"),
    (
        "Match Host 10.0.0.*\nDisableForwarding yes\n",
        " for logins from 10.0.0.10",
        "DisableForwarding no",
        "'DisableForwarding yes' in its block 'Match Host 10.0.0.*'",
    ),
]


@pytest.mark.parametrize(
    ("text", "who", "lines", "says"), OVERRULED, ids=["user", "address", "to", "port", "group", "host"]
)
def test_a_match_block_that_comes_first_is_named_before_anything_changes_and_as_drift(
    text: str, who: str, lines: str, says: str, machine: Sandbox
) -> None:
    earlier, later = "etc/ssh/sshd_config.d/05-corp.conf", "etc/ssh/sshd_config.d/50-corp.conf"
    machine.write(earlier, text)
    told = f"sshd does not obey /{CONF}{who} in: {lines}; /{earlier} comes first, with {says}"
    before = machine.state(times=True)
    assert [refusal.startswith(told) for refusal in machine.look(KEY, "web1").refusals] == [True]
    done = machine.apply(KEY)
    assert done.code == 3
    assert told in done.err
    assert machine.state(times=True) == before
    (machine / earlier).rename(machine / later)
    assert machine.look(KEY, "web1").refusals == []
    assert machine.apply(KEY).code == 0
    (machine / later).rename(machine / earlier)
    assert [drift.startswith(told) for drift in machine.look(KEY, "web1").drift] == [True]


@pytest.mark.parametrize("egress", [["192.168.7.0/24"], ["10.0.0.10", "2001:db8::5"]])
def test_sshd_is_asked_for_the_addresses_of_egress(egress: list[str], machine: Sandbox) -> None:
    given = {"mon1": {"egress": egress}}
    key, done = parts(servers=given)[NAME], deployed(servers=given)
    machine.write("etc/ssh/sshd_config.d/05-corp.conf", "Match Address 192.168.7.0/24,2001:db8::5\nPermitTTY yes\n")
    (told,) = machine.look(key, "web1", done=done).refusals
    assert f"for logins from {'2001:db8::5' if len(egress) > 1 else '192.168.7.1'} in: PermitTTY no; " in told


def test_where_the_servers_address_is_a_name_its_sessions_tell_it(machine: Sandbox) -> None:
    given = {"mon1": {"connection": {"address": "mon1.example"}}}
    key, done = parts(servers=given)[NAME], deployed(servers=given)
    assert machine.apply(key).code == 0
    machine.write("etc/ssh/sshd_config.d/05-corp.conf", "Match Address 10.0.0.77\nPermitTTY yes\n")
    assert machine.look(key, "web1", done=done).drift == []
    machine.write("proc/501/uid", machine.read("etc/passwd").splitlines()[-1].split(":")[2])
    machine.write(
        "fake/established",
        '0 0 [::ffff:10.0.0.20]:22 [::ffff:10.0.0.77]:5022 users:(("sshd",pid=501,fd=4),("sshd",pid=500,fd=4))\n',
    )
    assert "for logins from 10.0.0.77 in: PermitTTY no; " in machine.look(key, "web1", done=done).drift[0]


@pytest.mark.parametrize("usergroups", ["yes", "no"])
@in_each_shell
def test_the_user_has_a_group_of_its_own_that_goes_with_it(usergroups: str, machine: Sandbox) -> None:
    machine.write("fake/usergroups", usergroups)
    machine.write("etc/group", "root:x:0:\nann:x:1000:\nadm:x:4:ann\nusers:x:100:\n")
    before = machine.state()
    assert machine.apply(KEY).code == 0
    assert "\nmetrics-tunnel:x:" in machine.read("etc/group")
    assert machine.look(KEY, "web1").drift == []
    assert machine.remove(KEY).code == 0
    assert machine.state() == before
    machine.write("fake/sshd-refuses-ours", "")
    assert machine.apply(KEY).code == 3
    assert machine.state() == before


def test_a_user_whom_an_earlier_release_put_into_a_common_group_gets_its_own(machine: Sandbox) -> None:
    machine.write("etc/group", "root:x:0:\nusers:x:100:\n")
    assert machine.apply(KEY).code == 0
    machine.write("fake/usergroups", "no")
    machine.write("etc/group", "root:x:0:\nusers:x:100:\n")
    passwd = (machine / "etc/passwd").read_text().splitlines()
    fields = passwd[-1].split(":")
    fields[3] = "100"
    (machine / "etc/passwd").write_text("\n".join([*passwd[:-1], ":".join(fields)]) + "\n")
    assert machine.look(KEY, "web1").drift == ["user metrics-tunnel has group users instead of one of its own"]
    assert machine.apply(KEY, "22222222").code == 0
    assert machine.look(KEY, "web1").drift == []


def test_what_hinders_the_forward_is_lifted_for_our_user_and_what_an_old_sshd_does_not_know_is_left_out(
    machine: Sandbox,
) -> None:
    machine.write("etc/ssh/sshd_config.d/00-company.conf", "DisableForwarding yes\nBanner /etc/issue.net\n")
    machine.write("fake/openssh", "8.4")
    assert machine.look(KEY, "web1").refusals == []
    assert machine.apply(KEY).code == 0
    assert "\nDisableForwarding no\n" in machine.read(CONF)
    assert "Timeout" not in machine.read(CONF)
    # The machine was brought to a newer release meanwhile.
    (machine / "fake/openssh").unlink()
    assert machine.look(KEY, "web1").drift == [
        f"/{CONF} does not say 'ChannelTimeout *=0', 'UnusedConnectionTimeout none'"
    ]


def test_folders_of_sshds_that_are_missing_are_made_and_go_again_and_those_that_are_there_stay(
    machine: Sandbox,
) -> None:
    (machine / "etc/ssh/sshd_config.d").rmdir()
    before = machine.state()
    assert machine.apply(KEY).code == 0
    assert machine.look(KEY, "web1").drift == []
    assert machine.remove(KEY).code == 0
    assert machine.state() == before
    for folder in ("sshd_config.d", "authorized_keys.d"):
        (machine / "etc/ssh" / folder).mkdir()
    before = machine.state()
    assert machine.apply(KEY).code == 0
    assert machine.apply(KEY, "22222222").code == 0
    assert machine.remove(KEY).code == 0
    assert machine.state() == before


def test_an_include_in_a_file_that_is_included_counts(machine: Sandbox) -> None:
    machine.write("etc/ssh/all.conf", f"Include {machine.root}/etc/ssh/sshd_config.d/*.conf\n")
    machine.write("etc/ssh/sshd_config", f"Include {machine.root}/etc/ssh/all.conf\n")
    assert machine.look(KEY, "web1").refusals == []
    assert machine.apply(KEY).code == 0


def test_a_key_of_a_type_that_sshd_takes_is_no_matter(machine: Sandbox) -> None:
    machine.write("etc/ssh/sshd_config.d/99.conf", "PubkeyAcceptedAlgorithms rsa-sha2-512\n")
    rsa = KEY.stdin.replace(public_key("metrics-tunnel-test-mon1-1"), "ssh-rsa AAAAB3 metrics-tunnel-test-mon1-1")
    assert machine.run(rsa, "apply", KEY.owner, "22222222").code == 0
    assert "sshd takes no ssh-ed25519 keys" in machine.apply(KEY).err


def test_a_line_of_somebody_else_in_our_file_is_told_once_and_other_users_files_are_not(machine: Sandbox) -> None:
    both: dict[str, dict[str, str]] = {"mon1": {}, "mon2": {}}
    done = deployed(servers=both)
    for name in (NAME, "web1-authorized-key-mon2"):
        assert machine.apply(parts(servers=both)[name]).code == 0
    machine.write("etc/ssh/authorized_keys.d/ann", FOREIGN)
    found = machine.look_around("web1", done=done).values()
    assert [notice for finding in found for notice in finding.notices] == []
    machine.write(KEYS, "# ours\n" + (machine / KEYS).read_text() + FOREIGN)
    found = machine.look_around("web1", done=done).values()
    (notice,) = [notice for finding in found for notice in finding.notices]
    assert notice.startswith(f"/{KEYS} has a line that is not ours, of 'else's': it is left alone")
    assert not [drift for finding in found for drift in finding.drift]


def test_sshd_is_reloaded_only_where_its_settings_change(machine: Sandbox) -> None:
    assert machine.apply(KEY).code == 0
    (machine / "fake/calls").unlink()
    (machine / KEYS).write_text("")
    assert machine.apply(KEY, "22222222").code == 0
    assert machine.apply(parts("prod")[NAME]).code == 0
    assert machine.remove(parts("prod")[NAME]).code == 0
    assert not machine.calls("reload ssh")
    machine.edit(CONF, "MaxSessions 0", "MaxSessions 1")
    assert machine.apply(KEY, "33333333").code == 0
    assert machine.calls("reload ssh") == ["systemctl reload ssh.service"]


def test_a_run_that_was_killed_before_sshd_has_read_the_drop_in_leaves_that_to_the_next(machine: Sandbox) -> None:
    before = machine.state()
    machine.write("fake/killed-at", str(machine / CONF))
    assert machine.apply(KEY).code == -9
    assert not machine.calls("reload ssh")
    (machine / "fake/killed-at").unlink()
    assert machine.apply(KEY).code == 0
    assert machine.calls("reload ssh") == ["systemctl reload ssh.service"]
    assert machine.remove(KEY).code == 0
    assert machine.state() == before


def test_what_a_killed_run_has_left_unread_stays_for_sshd_to_read_where_the_next_run_fails_early(
    machine: Sandbox,
) -> None:
    users = {name: machine.read(f"etc/{name}") for name in ("passwd", "group", "shadow")}
    machine.write("fake/killed-at", str(machine / CONF))
    assert machine.apply(KEY).code == -9
    (machine / "fake/killed-at").unlink()
    for name, text in users.items():
        machine.write(f"etc/{name}", text)
    machine.write("fake/useradd-fails", "")
    assert machine.apply(KEY).code
    assert not machine.calls("reload ssh")
    (machine / "fake/useradd-fails").unlink()
    assert machine.apply(KEY).code == 0
    assert machine.calls("reload ssh") == ["systemctl reload ssh.service"]


def test_a_reload_of_which_nothing_comes_fails_and_is_undone(machine: Sandbox) -> None:
    before = machine.state()
    machine.write("fake/sshd-deaf", "")
    done = machine.apply(KEY)
    assert done.code == 3
    assert "sshd did not read its settings anew; see: journalctl -u ssh.service" in done.err
    assert machine.state() == before


def test_a_listener_that_a_reload_loses_is_told_and_the_files_are_put_back(machine: Sandbox) -> None:
    before = machine.state()
    machine.write("etc/ssh/sshd_config.d/05-port.conf", "Port 22\nPort 2222\n")
    machine.write("fake/sshd-listens", "0.0.0.0:22\n[::]:22\n0.0.0.0:2222\n[::]:2222\n")
    machine.write("fake/sshd-listens-then", "0.0.0.0:22\n[::]:22\n")
    done = machine.apply(KEY)
    assert done.code == 3
    assert "sshd was reloaded and no longer listens on 0.0.0.0:2222 [::]:2222; if that is your way in" in done.err
    (machine / "etc/ssh/sshd_config.d/05-port.conf").unlink()
    assert machine.state() == before


def test_a_reload_that_would_close_a_port_is_refused_before_anything_changes(machine: Sandbox) -> None:
    machine.write("fake/sshd-listens", "0.0.0.0:22\n[::]:22\n[fe80::1]%eth0:22\n0.0.0.0:2222\n")
    machine.write("etc/ssh/sshd_config.d/05-port.conf", "Port 22\n")
    before = machine.state(times=True)
    says = "sshd listens on [fe80::1]:22 0.0.0.0:2222, of which its settings say nothing any more"
    assert [text.startswith(says) for text in machine.look(KEY, "web1").refusals] == [True]
    assert says in machine.apply(KEY).err
    assert machine.state(times=True) == before
    assert not machine.calls("reload ssh")
    # A port of its command line stands in no file.
    machine.write("proc/22/cmdline", b"sshd: /usr/sbin/sshd -D -p 22 -p 2222 [listener]\0")
    assert machine.apply(KEY).code == 0


def test_what_a_killed_run_has_left_unread_and_a_removal_close_no_port_either(machine: Sandbox) -> None:
    untouched = machine.state()
    assert machine.apply(KEY).code == 0
    machine.write("var/lib/metrics-tunnel/sshd-has-to-read", "")
    machine.write("fake/sshd-listens", "0.0.0.0:22\n0.0.0.0:2222\n")
    machine.write("etc/ssh/sshd_config.d/05-port.conf", "Port 22\n")
    before, reloads = machine.state(times=True), len(machine.calls("reload ssh"))
    says = "sshd listens on 0.0.0.0:2222, of which its settings say nothing any more"
    for done in (machine.apply(KEY), machine.remove(KEY)):
        assert done.code == 3
        assert says in done.err
        assert machine.state(times=True) == before
    assert len(machine.calls("reload ssh")) == reloads
    machine.write("fake/sshd-listens", "0.0.0.0:22\n")
    assert machine.remove(KEY).code == 0
    (machine / "etc/ssh/sshd_config.d/05-port.conf").unlink()
    assert machine.state() == untouched


def test_an_sshd_that_nobody_could_reload_is_refused(machine: Sandbox) -> None:
    (machine / "fake/running/ssh.service").unlink()
    says = "no ssh.service or sshd.service runs here, so sshd would not read"
    assert [text.startswith(says) for text in machine.look(KEY, "web1").refusals] == [True]
    assert says in machine.apply(KEY).err
    machine.write("fake/running/ssh.socket", "")
    assert machine.apply(KEY).code == 0


def test_a_session_that_was_stopped_is_killed(machine: Sandbox) -> None:
    assert machine.apply(KEY).code == 0
    machine.write("proc/501/uid", machine.read("etc/passwd").splitlines()[-1].split(":")[2])
    machine.write("proc/501/status", "Name:\tsshd\nPPid:\t500\n")
    machine.write("fake/stopped", "501")
    assert machine.remove(KEY).code == 0
    assert machine.calls("kill")[-1] == "kill -KILL 501"
