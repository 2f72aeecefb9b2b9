"""On a host: an exporter on loopback alone, whatever its unit or environment says, and given back as it was."""

import re
import shlex
import subprocess

import pytest

from components.drift import Finding
from tests.mocked import exporter
from tests.scripts.sandbox import SHELLS, Sandbox, deployed, in_each_shell, parts

NAME = "web1-exporter-node"
NODE = parts()[NAME]
SERVICE = "prometheus-node-exporter.service"
UNIT = f"usr/lib/systemd/system/{SERVICE}"
FOREIGN = "port 9100 is a container's or socket's, no service's; bind it to 127.0.0.1 there"
DROPIN = f"etc/systemd/system/{SERVICE}.d/zz-metrics-tunnel.conf"


def command(machine: Sandbox) -> str:
    """Return the drop-in's command as systemd reads it: a backslash at the end of a line is a space."""
    found = re.findall(r"^ExecStart=(.+)$", machine.read(DROPIN).replace("\\\n", " "), re.MULTILINE)
    assert len(found) == 1
    return str(found[0])


def started(line: str, shell: str, arguments: list[str]) -> list[str]:
    """Return what a drop-in's command starts, with `arguments` where the unit had $ARGS, as systemd would start it."""
    words = shlex.split(line.lstrip("-+!").replace("$$", "\1").replace("%%", "%"))
    whole: list[str] = []
    for word in words:
        whole += arguments if word == "$ARGS" else [word.replace("\1", "$")]
    show = ["/usr/bin/env", "printf", r"%s\n"]
    whole = [part for word in whole for part in (show if word == "/usr/bin/prometheus-node-exporter" else [word])]
    assert whole[0] == "/bin/sh"
    done = subprocess.run([*shell.split(), *whole[1:]], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@in_each_shell
def test_the_exporter_listens_on_loopback_alone_and_again_everywhere_when_it_is_given_back(machine: Sandbox) -> None:
    machine.add_exporter()
    before = machine.state()
    assert machine.read("fake/listeners").startswith("*:9100 ")
    done = machine.apply(NODE)
    assert (done.code, done.err) == (0, "")
    assert machine.read("fake/listeners").startswith("127.0.0.1:9100 ")
    assert machine.read(DROPIN).startswith("# Managed by metrics-tunnel: loopback alone.")
    assert machine.remove(NODE).code == 0
    assert machine.read("fake/listeners").startswith("*:9100 ")
    assert machine.state() == before


OURS = "--web.listen-address=127.0.0.1:9100"


@pytest.mark.parametrize("shell", SHELLS)
def test_what_the_unit_starts_has_our_place_for_this_ports_and_everything_else_as_it_was(
    shell: str, machine: Sandbox
) -> None:
    machine.add_exporter()
    assert machine.apply(NODE).code == 0
    given: list[tuple[list[str], list[str]]] = [
        ([], [OURS]),
        (["--web.listen-address=:9100"], [OURS]),
        (["--web.listen-address", "0.0.0.0:9100", "--x"], [OURS, "--x"]),
        (["-web.listen-address", ":9100", "-web.listen-address=1:9100", "--web.listen-address=[::]:9100"], [OURS]),
        (
            ["--web.telemetry-path=/m", "--web.listen-address=:9100", "--a b"],
            ["--web.telemetry-path=/m", OURS, "--a b"],
        ),
        (["--collector.x=^(a|b)$", "it's", '"q"', "", "*"], ["--collector.x=^(a|b)$", "it's", '"q"', "", "*", OURS]),
        (["--web.listen-address=:9100", "--web.listen-address=1:9199"], [OURS, "--web.listen-address=1:9199"]),
        (
            ["--web.listen-address", ":9199", "--web.listen-address", ":9100", "-x"],
            ["--web.listen-address", ":9199", OURS, "-x"],
        ),
        (["--push=x:9100", "--web.listen-address"], ["--push=x:9100", "--web.listen-address", OURS]),
    ]
    for arguments, expected in given:
        assert started(command(machine), shell, arguments) == expected


@in_each_shell
@pytest.mark.parametrize(
    "text",
    [
        "# the old way\n#ExecStart=/bin/x \\\n#  --y \\\nExecStart=/usr/bin/prometheus-node-exporter --a\n",
        "   ExecStart = /usr/bin/prometheus-node-exporter --a\n",
        "ExecStart=/usr/bin/prometheus-node-exporter \\\n ; not this\n  --a\r\n",
        "ExecStart=/bin/no\nExecStart=\nExecStart=/usr/bin/prometheus-node-exporter --a\n[Install]\nExecStart=/no\n",
        "Environment=X=\\\\\nExecStart=/usr/bin/prometheus-node-exporter --a\n",
    ],
)
def test_a_unit_is_read_as_systemd_reads_it(text: str, machine: Sandbox) -> None:
    machine.add_exporter()
    machine.write(UNIT, f"[Unit]\nExecStart=/bin/no\n[Service]\n{text}")
    before = machine.state()
    done = machine.apply(NODE)
    assert (done.code, done.err) == (0, "")
    assert started(command(machine), "dash", []) == ["--a", OURS]
    assert machine.remove(NODE).code == 0
    assert machine.state() == before


@in_each_shell
def test_a_backslash_in_a_command_stays_as_it_is(machine: Sandbox) -> None:
    machine.add_exporter()
    given = r"/usr/bin/prometheus-node-exporter --include=(a|b)\\.service --n=\\n --b=\b"
    machine.write(UNIT, f"[Service]\nExecStart={given}\n")
    assert machine.apply(NODE).code == 0
    assert machine.read(DROPIN).splitlines()[-1].partition(" metrics-tunnel ")[2] == given


BY_HAND = "; bind it to 127.0.0.1:9100 by its own settings, and set manage: false for this exporter"


@in_each_shell
@pytest.mark.parametrize(
    ("text", "listeners", "says"),
    [
        ("/usr/bin/x", "*:9100 9100 x\n", f"/usr/bin/x of {SERVICE} does not know --web.listen-address"),
        ("/bin/sh -c 'exec x'", "*:9100 9100 x\n", f"unit {SERVICE} has its command behind a shell of its own (-c)"),
        ("/usr/bin/env A=1 bash -ec 'x'", "*:9100 9100 x\n", "behind a shell of its own (-c)"),
        ("/bin/a\nExecStart=/bin/b", "*:9100 9100 x\n", f"unit {SERVICE} has several commands in ExecStart"),
        ("/bin/a ; /bin/b", "*:9100 9100 x\n", f"unit {SERVICE} has several commands in ExecStart"),
        (
            "/usr/bin/x",
            "10.0.0.1:9100 8000 front\n127.0.0.1:9100 9100 node\n",
            f"port 9100 has several owners: front (front.service) on 10.0.0.1:9100, node ({SERVICE}) on 127.0.0.1:9100",
        ),
    ],
)
def test_what_would_not_take_the_flag_is_refused_untouched_with_the_remedy(
    text: str, listeners: str, says: str, machine: Sandbox
) -> None:
    machine.add_exporter()
    machine.write(UNIT, f"[Service]\nExecStart={text}\n")
    machine.write("proc/9100/exe", "ELF\n", 0o755)
    machine.write("proc/8000/cgroup", "0::/system.slice/front.service\n")
    machine.write("fake/listeners", listeners)
    before = machine.state(times=True)
    (refusal,) = machine.look(NODE, "web1").refusals
    assert says in refusal
    assert refusal.endswith(BY_HAND) or "give each a port of its own" in refusal
    done = machine.apply(NODE)
    assert done.code == 3
    assert says in done.err
    assert machine.state(times=True) == before
    assert not machine.calls("restart")


@in_each_shell
def test_what_is_bound_by_hand_is_looked_at_alone(machine: Sandbox) -> None:
    hosts = {"web1": {"exporters": {"node": exporter(manage=False)}}}
    unmanaged, done = parts(hosts=hosts)[NAME], deployed(hosts=hosts)
    assert "nothing listens on 127.0.0.1:9100; start the exporter there" in machine.apply(unmanaged).err
    machine.write("fake/listeners", "*:9100 1 docker-proxy\n")
    before = machine.state("etc", "usr/lib")
    says = "port 9100 is open on *:9100, and manage: false changes nothing; bind it to loopback (a container: docker -p"
    assert says in machine.apply(unmanaged).err
    assert [one for one in machine.look(unmanaged, "web1", done=done).refusals if says in one]
    machine.write("fake/listeners", "127.0.0.1:9100 1 docker-proxy\n")
    assert (machine.apply(unmanaged).code, machine.state("etc", "usr/lib")) == (0, before)
    assert machine.look(unmanaged, "web1", done=done) == Finding("0a1b2c3d")
    machine.write("fake/listeners", "0.0.0.0:9100 1 docker-proxy\n")
    found = machine.look(unmanaged, "web1", done=done)
    assert found.drift == [
        "exporter listens on 0.0.0.0:9100, and manage: false leaves it to you to bind it to loopback"
    ]
    assert len(found.refusals) == 1
    machine.write("fake/listeners", "")
    assert machine.look(unmanaged, "web1", done=done).notices == [
        "nothing listens on 127.0.0.1:9100, so its target is down"
    ]
    assert machine.apply(unmanaged, "22222222").code == 0
    assert machine.remove(unmanaged).code == 0
    assert machine.state("etc", "usr/lib") == before
    assert not machine.calls("restart")


def test_our_drop_in_goes_where_others_bind_the_exporter_from_now_on_unless_it_would_open(machine: Sandbox) -> None:
    unmanaged = parts(hosts={"web1": {"exporters": {"node": exporter(manage=False)}}})[NAME]
    machine.add_exporter()
    assert machine.apply(NODE).code == 0
    closed = machine.files()
    done = machine.apply(unmanaged, "22222222")
    assert done.code == 3
    assert (
        "without our drop-in the exporter listens on *:9100; bind it to 127.0.0.1:9100 by its own settings" in done.err
    )
    assert "its old state is restored" in done.err
    assert machine.files() == closed
    assert machine.read("fake/listeners").startswith("127.0.0.1:9100 ")
    start = machine.read(f"fake/on-start/{SERVICE}")
    machine.write(f"fake/on-start/{SERVICE}", start.replace("place='*'", "place=127.0.0.1"))
    assert machine.apply(unmanaged, "22222222").code == 0
    assert not (machine / DROPIN).exists()


@pytest.mark.parametrize("prefix", ["-", "+", "!", "!!", "-+"])
def test_a_prefix_of_the_units_command_stays_in_front(prefix: str, machine: Sandbox) -> None:
    machine.add_exporter()
    machine.edit(UNIT, "ExecStart=", f"ExecStart={prefix}")
    assert machine.apply(NODE).code == 0
    assert command(machine).startswith(f"{prefix}/bin/sh -c '")
    assert command(machine).endswith(" metrics-tunnel /usr/bin/prometheus-node-exporter $ARGS")


def test_a_command_over_several_lines_is_taken_whole_and_the_last_one_counts(machine: Sandbox) -> None:
    machine.add_exporter()
    machine.write(
        f"etc/systemd/system/{SERVICE}.d/10-mine.conf",
        "[Service]\nExecStart=\nExecStart=/usr/bin/prometheus-node-exporter \\\n  --one \\\n"
        "# not --now\n ; nor\n  --two\n",
    )
    before = machine.state()
    assert machine.apply(NODE).code == 0
    assert started(command(machine), "dash", []) == ["--one", "--two", "--web.listen-address=127.0.0.1:9100"]
    assert machine.remove(NODE).code == 0
    assert machine.state() == before


def test_a_unit_made_by_hand_in_etc_is_never_edited(machine: Sandbox) -> None:
    machine.add_exporter()
    (machine / UNIT).rename(machine / f"etc/systemd/system/{SERVICE}")
    before = machine.state()
    assert machine.apply(NODE).code == 0
    assert machine.read("fake/listeners").startswith("127.0.0.1:9100 ")
    changed = {path for path, what in machine.state("etc").items() if before.get(path) != what}
    assert changed == {DROPIN, DROPIN.rsplit("/", 1)[0]}
    assert machine.remove(NODE).code == 0
    assert machine.state() == before


@pytest.mark.parametrize(
    ("path", "text", "says"),
    [
        ("fake/listeners", "", "nothing listens on port 9100; start the exporter, or give its port"),
        ("fake/listeners", "*:9100 9100 docker-proxy\n", FOREIGN),
        ("fake/listeners", "*:9100 1 systemd\n", FOREIGN),
        ("proc/9100/cgroup", "0::/docker/0123456789\n", FOREIGN),
        ("proc/9100/cgroup", "0::/user.slice/session-1.scope\n", FOREIGN),
        (
            UNIT,
            "[Service]\nType=oneshot\n",
            f"unit {SERVICE} (loaded) has no ExecStart; unmask it",
        ),
        (UNIT, "[Service]\nExecStart=@/usr/bin/x y\n", "has an ExecStart with @ or : or |, which is not served"),
        (UNIT, "[Service]\nExecStart=/usr/bin/x --web.systemd-socket\n", FOREIGN),
    ],
)
def test_what_cannot_be_closed_safely_is_refused_untouched_and_told_by_the_first_look(
    path: str, text: str, says: str, machine: Sandbox
) -> None:
    machine.add_exporter()
    machine.write(path, text)
    before = machine.state(times=True)
    done = machine.apply(NODE)
    assert done.code == 3
    assert says in done.err
    assert machine.state(times=True) == before
    assert not machine.calls("restart")
    refusals = machine.look(NODE, "web1").refusals
    assert len(refusals) == 1
    assert says in refusals[0]


def test_a_unit_that_is_named_and_not_there_is_refused(machine: Sandbox) -> None:
    given = parts(hosts={"web1": {"exporters": {"node": exporter(unit="gone.service")}}})[NAME]
    done = machine.apply(given)
    assert done.code == 3
    assert "unit gone.service (not-found) has no ExecStart; unmask it, or give the exporter's unit" in done.err
    machine.add_exporter()
    done = machine.apply(given)
    assert done.code == 3
    assert "port 9100 is prometheus-node-exporter.service's; give that unit" in done.err
    assert not machine.calls("restart")


def test_a_drop_in_that_a_hand_changed_beyond_recognition_heals_and_is_taken_away(machine: Sandbox) -> None:
    machine.add_exporter()
    before = machine.state("etc")
    for text in ("", "[Service]\nExecStart=\nExecStart=/usr/bin/x --web.listen-address=127.0.0.1:9101\n"):
        assert machine.apply(NODE).code == 0
        whole = machine.state("etc")
        machine.write(DROPIN, text)
        assert [one for one in machine.look(NODE, "web1").drift if "was edited" in one]
        assert machine.apply(NODE, "22222222").code == 0
        assert machine.state("etc") == whole
        machine.write(DROPIN, text)
        assert machine.remove(NODE).code == 0
        assert machine.state("etc") == before


@in_each_shell
@pytest.mark.parametrize("fault", ["start-fails", "silent"])
def test_an_exporter_that_does_not_come_back_on_loopback_is_given_back_as_it_was(fault: str, machine: Sandbox) -> None:
    machine.add_exporter()
    before = machine.state()
    machine.write(f"fake/{fault}", "")
    done = machine.apply(NODE)
    assert done.code == 3
    assert f"see: journalctl -u {SERVICE}; its old state is restored" in done.err
    assert machine.state() == before
    assert machine.read("fake/listeners").startswith("*:9100 ")
    # Another stack that closes the same port waits until it is decided.
    assert (machine / "fake/slept-in-lock").exists() == (fault == "silent")
    (machine / f"fake/{fault}").unlink()
    assert machine.apply(NODE).code == 0


def test_a_folder_of_its_drop_in_that_others_may_write_to_is_told_and_refused(machine: Sandbox) -> None:
    machine.add_exporter()
    assert machine.apply(NODE).code == 0
    folder = machine / f"etc/systemd/system/{SERVICE}.d"
    folder.chmod(0o777)
    says = f"others than root may write to /etc/systemd/system/{SERVICE}.d (mode and owner 777 root); mend that: chown"
    assert any(says in line for line in machine.look(NODE, "web1").drift)
    done = machine.apply(NODE, "22222222")
    assert (done.code, says in done.err) == (3, True)
    folder.chmod(0o755)
    assert machine.look(NODE, "web1").drift == []


@in_each_shell
def test_what_two_stacks_have_closed_is_put_back_where_a_change_of_one_fails(machine: Sandbox) -> None:
    machine.add_exporter()
    other = parts("other")["web1-exporter-node"]
    assert machine.apply(NODE).code == 0
    assert machine.apply(other).code == 0
    machine.edit(f"usr/lib/systemd/system/{SERVICE}", "$ARGS", "--broken $ARGS")
    start = machine.read(f"fake/on-start/{SERVICE}")
    machine.write(f"fake/on-start/{SERVICE}", f'! grep -q -e --broken "$own.d"/*.conf || exit 0\n{start}')
    before, listens = machine.state("etc"), machine.read("fake/listeners")
    done = machine.apply(other, "22222222")
    assert done.code == 3
    assert "its old state is restored" in done.err
    assert machine.state("etc") == before
    assert machine.read("fake/listeners") == listens


@in_each_shell
@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("*** production ***\nup 1\n", "answers with what is no HTTP"),
        ("HTTP/1.1 200 OK\r\n\r\n", "answers without one sample"),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\nup 1\n", "answers with status 503"),
        ("HTTP/1.1 401 No\r\n\r\n", "answers with status 401; one that wants a password or TLS is not served"),
        ("", "closes the connection without an answer"),
    ],
)
def test_what_comes_back_without_metrics_is_given_back_and_named(answer: str, says: str, machine: Sandbox) -> None:
    machine.add_exporter()
    before = machine.state()
    machine.write("fake/answer", answer)
    done = machine.apply(NODE)
    assert done.code == 3
    assert f"exporter did not come back on 127.0.0.1:9100, which {says}; see: journalctl -u {SERVICE}" in done.err
    assert machine.state() == before
    assert machine.read("fake/listeners").startswith("*:9100 ")


def test_an_exporter_that_still_listens_elsewhere_is_given_back_as_it_was(machine: Sandbox) -> None:
    machine.add_exporter()
    before = machine.state()
    machine.write(f"fake/on-start/{SERVICE}", 'echo "*:9100 9100 x" >"$ROOT/fake/listeners"\n')
    done = machine.apply(NODE)
    assert done.code == 3
    assert "exporter still listens on *:9100; see what overrides" in done.err
    assert machine.state() == before


@pytest.mark.parametrize(
    ("hand", "says"),
    [
        ("open", "exporter listens on *:9100"),
        ("stop", f"exporter {SERVICE} is stopped"),
        ("edit", f"/{DROPIN} was edited"),
        ("delete", f"/{DROPIN} is missing"),
        ("package", f"the command of {SERVICE} was changed"),
        ("environment", "environment asks for another listener"),
    ],
)
def test_drift_is_told_in_words_and_heals(hand: str, says: str, machine: Sandbox) -> None:
    machine.add_exporter()
    assert machine.apply(NODE).code == 0
    match hand:
        case "open":
            machine.write("fake/listeners", "*:9100 9100 x\n")
        case "stop":
            (machine / f"fake/running/{SERVICE}").unlink()
            machine.write("fake/listeners", "")
        case "edit":
            machine.edit(DROPIN, "127.0.0.1", "0.0.0.0")  # noqa: S104 - the drift
        case "delete":
            (machine / DROPIN).unlink()
        case "package":
            machine.edit(UNIT, "$ARGS", "--new $ARGS")
        case "environment":
            machine.edit("etc/default/prometheus-node-exporter", '""', '"--web.listen-address=0.0.0.0:9100"')
    found = machine.look(NODE, "web1")
    assert found.generation == "0a1b2c3d"
    assert [text for text in found.drift if says in text], found.drift
    done = machine.apply(NODE, "22222222")
    assert done.code == 0, done.err
    assert machine.look(NODE, "web1").drift == []
    assert machine.read("fake/listeners").startswith("127.0.0.1:9100 ")


def test_a_stopped_exporter_is_given_back_stopped(machine: Sandbox) -> None:
    machine.add_exporter()
    assert machine.apply(NODE).code == 0
    (machine / f"fake/running/{SERVICE}").unlink()
    machine.write("fake/listeners", "")
    assert machine.remove(NODE).code == 0
    assert not (machine / f"fake/running/{SERVICE}").exists()
    assert not (machine / DROPIN).parent.exists()


def test_an_exporter_whose_drop_in_an_interrupted_run_took_away_is_given_back_by_the_next_one(machine: Sandbox) -> None:
    machine.add_exporter()
    assert machine.apply(NODE).code == 0
    (machine / DROPIN).unlink()
    assert "127.0.0.1:9100" in machine.read("fake/listeners")
    assert machine.remove(NODE).code == 0
    assert "*:9100" in machine.read("fake/listeners")


def test_what_a_run_left_that_was_killed_before_its_drop_in_stood_is_taken_away(machine: Sandbox) -> None:
    machine.add_exporter()
    before = machine.state()
    assert machine.apply(NODE).code == 0
    text = machine.read(DROPIN)
    assert machine.remove(NODE).code == 0
    machine.write(f"{DROPIN}.mt-new", text)
    assert machine.remove(NODE).code == 0
    assert machine.state() == before


@in_each_shell
def test_a_unit_with_a_backslash_in_its_name_is_served_without_a_trace(machine: Sandbox) -> None:
    machine.add_exporter("node\\x2dexporter")
    before = machine.state()
    for generation in ("11111111", "22222222"):
        done = machine.apply(NODE, generation)
        assert (done.code, done.err) == (0, "")
        assert not [path for path in machine.state() if ".mt-" in path]
    machine.write(DROPIN.replace("prometheus-node-", "node\\x2d") + ".mt-old", "of a killed run")
    assert machine.remove(NODE).code == 0
    assert machine.state() == before


@in_each_shell
def test_a_look_reads_what_apply_has_kept_of_a_unit_with_a_backslash_in_its_name(machine: Sandbox) -> None:
    unit = "node\\x2dexporter.service"
    machine.add_exporter(unit.removesuffix(".service"))
    assert machine.apply(NODE).code == 0
    assert machine.look(NODE, "web1") == Finding("0a1b2c3d")
    (machine / f"fake/running/{unit}").unlink()
    machine.edit(f"usr/lib/systemd/system/{unit}", "$ARGS", "--new $ARGS")
    machine.edit("etc/default/node\\x2dexporter", '""', '"--web.listen-address=0.0.0.0:9100"')
    asked = r"/etc/default/node\x2dexporter:--web.listen-address=0.0.0.0:9100"
    assert [text.replace(str(machine.root), "") for text in machine.look(NODE, "web1").drift] == [
        f"exporter {unit} is stopped",
        f"the command of {unit} was changed",
        f"environment asks for another listener ({asked}); it is overruled",
    ]


@pytest.mark.parametrize("text", ["of today", "of 0.1.0"])
def test_a_lost_receipt_is_known_by_the_drop_in_that_closes_the_port(text: str, machine: Sandbox) -> None:
    machine.add_exporter()
    assert machine.apply(NODE).code == 0
    if text == "of 0.1.0":
        machine.write(
            DROPIN, f"[Service]\nExecStart=\nExecStart=/bin/sh -c 'exec \"$$@\" {OURS}' metrics-tunnel /bin/x\n"
        )
    (machine / "var/lib/metrics-tunnel/exporter-9100").rename(machine / "lost")
    says = "its receipt /var/lib/metrics-tunnel/exporter-9100 is missing; it is applied again"
    assert machine.look(NODE, "web1") == Finding(None, [says])
    machine.write(DROPIN, machine.read(DROPIN).replace("9100", "9101"))
    assert machine.look(NODE, "web1").drift == []


def test_a_look_asks_systemd_of_all_units_at_once_and_who_listens_once(machine: Sandbox) -> None:
    hosts = {"web1": {"exporters": {"node": exporter(), "app": exporter(port=9200, job="app")}}}
    machine.add_exporter("app-exporter", 9200)
    machine.add_exporter()
    machine.write("fake/listeners", "*:9100 9100 x\n*:9200 9200 y\n")
    for name in (NAME, "web1-exporter-app"):
        assert machine.apply(parts(hosts=hosts)[name]).code == 0
    (machine / "fake/calls").unlink()
    assert machine.look(NODE, "web1", done=deployed(hosts=hosts)).drift == []
    assert len(machine.calls("-p UnitFileState")) == 1
    assert len(machine.calls("systemctl cat")) == 2


def test_an_exporter_that_is_gone_does_not_stand_in_the_way(machine: Sandbox) -> None:
    machine.add_exporter()
    assert machine.apply(NODE).code == 0
    (machine / "usr/lib/systemd/system/prometheus-node-exporter.service").unlink()
    done = machine.remove(NODE)
    assert (done.code, done.err) == (0, "")
    assert not (machine / DROPIN).exists()


def test_two_exporters_of_one_host_are_closed_each_for_itself(machine: Sandbox) -> None:
    hosts = {"web1": {"exporters": {"node": exporter(), "app": exporter(port=9200, job="app")}}}
    both = parts(hosts=hosts)
    machine.add_exporter("app-exporter", 9200)
    machine.add_exporter()
    machine.write("fake/listeners", "*:9100 9100 x\n*:9200 9200 y\n")
    before = machine.state()
    for name in (NAME, "web1-exporter-app"):
        done = machine.apply(both[name])
        assert (done.code, done.err) == (0, "")
    assert sorted(machine.read("fake/listeners").split()[::3]) == ["127.0.0.1:9100", "127.0.0.1:9200"]
    assert machine.look(both["web1-exporter-app"], "web1", done=deployed(hosts=hosts)).drift == []
    for name in ("web1-exporter-app", NAME):
        assert machine.remove(both[name]).code == 0
    assert machine.state() == before
