"""What keeps the tunnels' key out of a host beside the files of sshd: PAM, TCP wrappers, options its command line."""

import pytest

from tests.scripts.sandbox import Sandbox, in_each_shell, parts

KEY = parts()["web1-authorized-key-mon1"]
USER = "metrics-tunnel:x:998:998:Prometheus tunnels:/nonexistent:/usr/sbin/nologin"
ACCESS = "account required pam_access.so\n@include common-account\n"
NOLOGIN = "account    required     pam_nologin.so\n@include common-account\n"


def asks_pam(machine: Sandbox, answer: str) -> None:
    file = machine / "etc/ssh/sshd_config"
    file.write_text(file.read_text().partition("UsePAM")[0] + f"UsePAM {answer}\n")


@pytest.fixture(autouse=True)
def sshd_with_pam(machine: Sandbox) -> None:
    """Let an exporter and a sshd that asks PAM run."""
    machine.write("fake/listeners", "*:9100 1 node\n")
    asks_pam(machine, "yes")
    machine.write("etc/pam.d/common-account", "account required pam_permit.so\n")
    machine.write("fake/running/ssh.service", "")
    machine.write("fake/pid/ssh.service", "22\n")
    machine.write("proc/22/cmdline", "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups\0")


def refused(machine: Sandbox) -> str:
    """Return what the look and apply refuse alike, nothing where they do not; nothing is touched then."""
    before = machine.state()
    told = machine.look(KEY, "web1").refusals
    done = machine.apply(KEY)
    if not told:
        assert (done.code, done.err) == (0, "")
        return ""
    assert done.code == 3
    assert told[0] in done.err
    assert machine.state() == before
    return told[0]


@pytest.mark.parametrize(
    ("rules", "line"),
    [
        ("+ : root deploy : ALL\n- : ALL : ALL\n", "- : ALL : ALL"),
        ("# ours\n\n-:ALL EXCEPT root (admins):ALL\n", "-:ALL EXCEPT root (admins):ALL"),
        ("- : ALL : ALL EXCEPT LOCAL\n", "- : ALL : ALL EXCEPT LOCAL"),
        ("+ : ALL : 10.0.0.1 10.1.\n- : ALL : ALL EXCEPT 10.0.0.1\n", "- : ALL : ALL EXCEPT 10.0.0.1"),
    ],
)
def test_a_rule_of_pam_access_that_keeps_the_user_out_is_told_with_the_line_that_helps(
    rules: str, line: str, machine: Sandbox
) -> None:
    machine.write("etc/pam.d/sshd", ACCESS)
    machine.write("etc/security/access.conf", rules)
    remedy = "+ : metrics-tunnel : ALL"
    told = f"PAM keeps user metrics-tunnel out by '{line}' of /etc/security/access.conf; add before that line: {remedy}"
    assert refused(machine) == told
    machine.write("etc/security/access.conf", f"{remedy}\n{rules}")
    assert refused(machine) == ""


@pytest.mark.parametrize(
    "rules",
    [
        "",
        "- : root : ALL\n",
        "+ : ALL : 10.0.0.\n- : ALL : ALL\n",
        "+ : (metrics-tunnel) : 10.0.0.0/8\n- : ALL : ALL\n",
        "- : ALL EXCEPT root metrics-tunnel : ALL\n",
        "- : ALL : ALL EXCEPT mon1.example.org\n",
        "- : ALL : 192.168.0.1\n",
    ],
)
def test_rules_that_let_the_user_in_or_may_do_so_refuse_nothing(rules: str, machine: Sandbox) -> None:
    machine.write("etc/pam.d/sshd", ACCESS)
    machine.write("etc/security/access.conf", rules)
    assert refused(machine) == ""


def test_rules_count_only_where_sshd_asks_pam_and_pam_asks_for_them(machine: Sandbox) -> None:
    machine.write("etc/security/access.conf", "- : ALL : ALL\n")
    machine.write("etc/nologin", "closed\n")
    machine.write("etc/pam.d/sshd", f"auth required pam_access.so\n# {ACCESS}")
    assert refused(machine) == ""
    machine.write("etc/pam.d/sshd", ACCESS + NOLOGIN)
    asks_pam(machine, "no")
    assert machine.look(KEY, "web1").drift == []
    asks_pam(machine, "yes")
    found = machine.look(KEY, "web1").drift
    assert [line.partition(" ")[0] for line in found] == ["/etc/nologin", "PAM"]


def test_an_access_file_of_its_own_and_an_included_stack_are_read(machine: Sandbox) -> None:
    machine.write("etc/pam.d/sshd", "account include system-auth\n")
    machine.write("etc/pam.d/system-auth", "account required pam_access.so accessfile=/etc/security/ssh.conf\n")
    machine.edit("etc/pam.d/system-auth", "/etc/security", f"{machine.root}/etc/security")
    machine.write("etc/security/ssh.conf", "- : ALL : ALL\n")
    assert "out by '- : ALL : ALL' of /etc/security/ssh.conf; add" in refused(machine).replace(str(machine.root), "")


def test_a_nologin_file_is_told(machine: Sandbox) -> None:
    machine.write("etc/pam.d/sshd", NOLOGIN)
    machine.write("etc/nologin", "closed for maintenance\n")
    assert refused(machine) == "/etc/nologin lets nobody in but root; take it away"
    (machine / "etc/nologin").unlink()
    machine.write("run/nologin", "booting\n")
    assert refused(machine).startswith(
        "/run/nologin lets nobody in but root while the machine boots or is to shut down;"
    )
    (machine / "run/nologin").unlink()
    assert refused(machine) == ""


@in_each_shell
def test_tcp_wrappers_that_keep_the_server_out_are_told_where_sshd_knows_them(machine: Sandbox) -> None:
    machine.write("etc/hosts.deny", "# all\nALL: ALL\n")
    machine.write("etc/hosts.allow", "vsftpd: 10.\nsshd: 10.0.0.1\n")
    machine.write("fake/libraries", "libwrap.so.0 => /lib/libwrap.so.0\n")
    told = refused(machine)
    assert told.startswith(
        "TCP wrappers keep the server out by 'ALL: ALL' of /etc/hosts.deny; add to /etc/hosts.allow: "
    )
    machine.write("etc/hosts.allow", "sshd: 10.0.0.0/255.0.0.0 \\\n 192.168.\n")
    assert refused(machine) == ""


def test_where_sshd_does_not_know_tcp_wrappers_their_files_say_nothing(machine: Sandbox) -> None:
    machine.write("etc/hosts.deny", "ALL: ALL\n")
    assert refused(machine) == ""


@in_each_shell
def test_the_command_line_of_sshd_counts_before_its_files(machine: Sandbox) -> None:
    machine.write(
        "proc/22/cmdline", "sshd: /usr/sbin/sshd -D -o AllowUsers root deploy -oX11Forwarding no [listener] 0\0"
    )
    assert "keeps user metrics-tunnel out" in refused(machine)
    machine.write("proc/22/cmdline", "sshd: /usr/sbin/sshd -D -o AllowUsers=root metrics-tunnel [listener] 0\0")
    assert refused(machine) == ""


def test_a_sshd_with_a_file_of_its_own_is_refused(machine: Sandbox) -> None:
    machine.write("proc/22/cmdline", "sshd: /usr/sbin/sshd -D -f /etc/ssh/site.conf [listener] 0 of 10-100 startups\0")
    assert "sshd runs with a file of its own (-f, as in /etc/default/ssh)" in refused(machine)
    machine.write("proc/22/cmdline", f"/usr/sbin/sshd\0-D\0-f\0{machine.root}/etc/ssh/sshd_config\0")
    assert refused(machine) == ""


@in_each_shell
def test_a_user_whose_password_ages_is_drift_and_healed(machine: Sandbox) -> None:
    """As where a hardening role runs `chage` over all users: a password that has expired ends logins by key too."""
    assert refused(machine) == ""
    whole = machine.read("etc/shadow")
    for aged in ("metrics-tunnel:*:19000::60::::", "metrics-tunnel:*:19000::::30::", "metrics-tunnel:*:19000:::::1:"):
        machine.write("etc/shadow", whole.replace("metrics-tunnel:*:19000::::::", aged))
        told = "user metrics-tunnel expires, or its password does: chage -l metrics-tunnel"
        assert machine.look(KEY, "web1").drift == [told]
        assert machine.apply(KEY).code == 0
        assert machine.read("etc/shadow") == whole
        assert machine.look(KEY, "web1").drift == []
