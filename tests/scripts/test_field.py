"""What reports and configurations of people in the field showed, each in a machine of its own."""

import pytest

from tests.scripts.sandbox import Sandbox, in_each_shell, parts

CONFIG = "etc/prometheus/prometheus.yml"
NAMED = parts(servers={"mon1": {"service": "prometheus.service"}})["mon1-scrape-job"]
TUNNEL = parts()["web1-ssh-tunnel"]


def behind_a_shell(machine: Sandbox) -> None:
    """Let Prometheus be what its unit's main process, a shell, waits for, as where its command ends in `| tee FILE`."""
    machine.add_prometheus()
    machine.write("proc/776/comm", "bash\n")
    machine.write("proc/776/cgroup", "0::/system.slice/prometheus.service\n")
    machine.write("proc/776/cmdline", b"/bin/bash\0-c\0/usr/bin/prometheus 2>&1 | tee -a /var/log/prometheus.log\0")
    machine.write("fake/pid/prometheus.service", "776\n")
    (machine / "proc/776/cwd").symlink_to(machine.root)


@in_each_shell
def test_the_shell_that_waits_for_prometheus_gets_no_signal(machine: Sandbox) -> None:
    behind_a_shell(machine)
    before = machine.state("etc")
    assert machine.apply(NAMED).code == 0
    assert machine.look(NAMED, "mon1").drift == []
    assert machine.remove(NAMED).code == 0
    assert machine.state("etc") == before
    assert {call.split()[-1] for call in machine.calls("kill -HUP")} == {"777"}


@in_each_shell
def test_a_shell_with_a_prometheus_of_another_name_below_it_is_refused(machine: Sandbox) -> None:
    behind_a_shell(machine)
    machine.write("proc/777/comm", "prom-2.53\n")
    before = machine.state()
    done = machine.apply(NAMED)
    assert (done.code, done.err.count("\n")) == (3, 1)
    assert "the main process of prometheus.service is a shell, which our signal would end; put exec before" in done.err
    assert not machine.calls("kill")
    assert machine.state() == before


@pytest.mark.parametrize("folder", ["opt/prometheus", "srv/elsewhere"])
def test_a_promtool_that_lies_beside_prometheus_is_named_and_not_run_from_there(folder: str, machine: Sandbox) -> None:
    machine.add_prometheus()
    (machine / "usr/bin/promtool").rename(machine / "usr/bin/promtool.away")
    machine.write("opt/prometheus/promtool", "#!/bin/sh\n", 0o755)
    (machine / "proc/777/exe").unlink(missing_ok=True)
    (machine / "proc/777/exe").symlink_to(machine / folder / "prometheus")
    try:
        done = machine.apply(parts()["mon1-scrape-job"])
    finally:
        (machine / "usr/bin/promtool.away").rename(machine / "usr/bin/promtool")
    assert (done.code, "no promtool; install it here" in done.err) == (3, True)
    assert ("here: cp /opt/prometheus/promtool /usr/local/bin/" in done.err) == (folder == "opt/prometheus")


def test_a_server_without_an_ssh_client_is_refused(machine: Sandbox) -> None:
    machine.add_tunnel("127.77.0.1:19100")
    ssh = machine / "usr/bin/ssh"
    ssh.rename(machine / "usr/bin/ssh.away")
    before = machine.state()
    try:
        done = machine.apply(TUNNEL)
    finally:
        (machine / "usr/bin/ssh.away").rename(ssh)
    assert (done.code, "no /usr/bin/ssh; install the OpenSSH client here" in done.err) == (3, True)
    assert machine.state() == before


def test_flags_in_a_file_are_refused_for_ours_would_be_one_too_many(machine: Sandbox) -> None:
    """As exporters take them by `@FILE`: with two listen flags one of them is taken, or the exporter dies."""
    machine.add_exporter()
    unit = machine / "usr/lib/systemd/system/prometheus-node-exporter.service"
    unit.write_text(unit.read_text().replace("$ARGS", "@/opt/args"))
    before = machine.state()
    done = machine.apply(parts()["web1-exporter-node"])
    assert (done.code, machine.state() == before) == (3, True)
    assert "has flags in a file (@/opt/args), which ours would come on top of; bind it to 127.0.0.1:9100" in done.err


@pytest.mark.parametrize(("journal", "told"), [("", True), ("somebody logged in\n", False)])
def test_a_server_that_keeps_no_journal_is_told_where_the_reason_would_be_in_it(
    journal: str, told: bool, machine: Sandbox
) -> None:
    machine.add_tunnel("127.77.0.1:19100")
    machine.write("fake/answer", "")
    machine.write("fake/journal", journal)
    done = machine.apply(TUNNEL)
    assert done.code == 3
    assert "no scrape through 127.77.0.1:19100/metrics: it closes the connection without an answer" in done.err
    assert (", and no journal here says why; set Storage=volatile in journald.conf; see:" in done.err) == told
