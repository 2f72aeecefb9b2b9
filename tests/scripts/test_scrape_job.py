"""The marked block goes into prometheus.yml and out again, every other byte kept; it runs, or nothing changed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from components.drift import Finding
from components.payload import code, started
from tests.mocked import deploy, fleet
from tests.scripts.prometheus_texts import ASKED, REFUSED
from tests.scripts.sandbox import AWKS, PROMETHEUS, Sandbox, deployed, in_each_shell, parts

CONFIG = "etc/prometheus/prometheus.yml"
JOB = parts()["mon1-scrape-job"]
CONFIGS = {
    "plain": PROMETHEUS,
    "comments": b"# top\nscrape_configs: # here\n\n  # first\n  - job_name: a\n# end\n",
    "crlf": b"global: {}\r\nscrape_configs:\r\n  - job_name: a\r\n",
    "no final newline": b"scrape_configs:\n  - job_name: a",
    "list not indented": b"scrape_configs:\n- job_name: a\nalerting: {}\n",
    "list indented by four": b"scrape_configs:\n    - job_name: a\n    - job_name: b\n",
    "list not at the end": b"scrape_configs:\n  - job_name: a\nrule_files:\n  - /rules\n\n\n",
    "empty list at the end": b"global: {}\nscrape_configs:",
    "no list": b"global: {}\n",
    "no list, no final newline": b"global: {}",
    "not utf-8": b"# caf\xe9\nscrape_configs:\n  - job_name: a\n",
    "trailing spaces": b"scrape_configs:   \n  - job_name: a   \n\n",
    "a stray end": b"# END metrics-tunnel-test\nglobal: {}\n",
    "empty": b"",
}
MARKS = "the marks of metrics-tunnel-test are damaged; delete its block"
WHOLE = """\
# Mine.
global:
  scrape_interval: 15s

scrape_configs:
  # BEGIN metrics-tunnel-test
  - job_name: metrics-tunnel-test
    scrape_interval: 5s
    scrape_timeout: 5s
    honor_labels: false
    honor_timestamps: false
    follow_redirects: false
    fallback_scrape_protocol: PrometheusText0.0.4
    sample_limit: 15000
    body_size_limit: 32MB
    label_limit: 64
    label_value_length_limit: 4096
    file_sd_configs:
      - files: [/etc/metrics-tunnel/targets/test/*.json]
        refresh_interval: 10s
  # END metrics-tunnel-test
  - job_name: node   # local
    static_configs:
      - targets: ['localhost:9100']
"""


@in_each_shell
def test_the_whole_file_with_the_block_in_it(machine: Sandbox) -> None:
    machine.add_prometheus()
    assert machine.apply(JOB).code == 0
    assert machine.read(CONFIG) == WHOLE


@pytest.mark.parametrize("name", CONFIGS)
def test_the_block_goes_in_and_out_byte_for_byte(name: str, machine: Sandbox) -> None:
    machine.add_prometheus(CONFIGS[name])
    (machine / CONFIG).chmod(0o640)
    before = machine.state("etc")
    done = machine.apply(JOB)
    assert (done.code, done.err) == (0, "")
    text = (machine / CONFIG).read_bytes()
    assert text.count(b"- job_name: metrics-tunnel-test\n") == 1
    assert text.count(b"scrape_configs:") == 1
    assert not set(CONFIGS[name].splitlines()) - set(text.splitlines())
    assert (machine / CONFIG).stat().st_mode & 0o777 == 0o640
    assert machine.remove(JOB).code == 0
    assert machine.state("etc") == before


@pytest.mark.parametrize(
    ("name", "indent"), [("list not indented", b""), ("list indented by four", b"    "), ("plain", b"  ")]
)
def test_items_stand_at_the_indent_of_the_list_that_is_there(name: str, indent: bytes, machine: Sandbox) -> None:
    machine.add_prometheus(CONFIGS[name])
    assert machine.apply(JOB).code == 0
    assert b"\n" + indent + b"- job_name: metrics-tunnel-test\n" in (machine / CONFIG).read_bytes()


def test_a_linked_configuration_is_changed_where_it_lies_and_stays_linked(machine: Sandbox) -> None:
    machine.add_prometheus()
    (machine / CONFIG).unlink()
    machine.write("srv/git/prometheus.yml", PROMETHEUS)
    (machine / CONFIG).symlink_to(machine / "srv/git/prometheus.yml")
    before = machine.state("etc", "srv")
    assert machine.apply(JOB).code == 0
    assert (machine / CONFIG).is_symlink()
    assert machine.read("srv/git/prometheus.yml") == WHOLE
    assert machine.remove(JOB).code == 0
    assert machine.state("etc", "srv") == before


@in_each_shell
@pytest.mark.parametrize("name", ["prometheus - prod/a.yml", "prometheus*/a.yml", "a\\b.yml"])
def test_a_configuration_whose_path_a_shell_would_take_apart_is_refused_untouched(name: str, machine: Sandbox) -> None:
    machine.add_prometheus()
    machine.write(f"srv/{name}", PROMETHEUS)
    machine.write("srv/prometheus/wal", "samples")
    machine.write("fake/config", f"{machine.root}/srv/{name}")
    before = machine.state()
    done = machine.apply(JOB)
    assert (done.code, "move it to a path without blanks" in done.err) == (3, True)
    assert machine.state() == before


@in_each_shell
def test_two_stacks_have_a_block_each_and_either_may_go_first(machine: Sandbox) -> None:
    other = parts("prod")["mon1-scrape-job"]
    machine.add_prometheus()
    before = machine.state("etc")
    for part in (JOB, other):
        assert machine.apply(part).code == 0
    text = machine.read(CONFIG)
    assert "# BEGIN metrics-tunnel-test\n" in text
    assert "# BEGIN metrics-tunnel-prod\n" in text
    assert machine.remove(JOB).code == 0
    assert "metrics-tunnel-prod" in machine.read(CONFIG)
    assert "metrics-tunnel-test" not in machine.read(CONFIG)
    assert machine.look(other, "mon1", done=deployed("prod")).drift == []
    assert machine.remove(other).code == 0
    assert machine.state("etc") == before


def test_what_the_user_edits_meanwhile_is_kept_on_removal(machine: Sandbox) -> None:
    machine.add_prometheus()
    assert machine.apply(JOB).code == 0
    mine = "# and this\n"
    machine.write(CONFIG, (machine / CONFIG).read_text() + mine)
    assert machine.apply(JOB).code == 0
    assert machine.remove(JOB).code == 0
    assert (machine / CONFIG).read_bytes() == PROMETHEUS + mine.encode()


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (b"scrape_configs: []\n", "scrape_configs is no block list; write scrape_configs: alone on its line"),
        (
            b"scrape_configs: [{job_name: a}]\n",
            "scrape_configs is no block list; write scrape_configs: alone on its line",
        ),
        (b"# BEGIN metrics-tunnel-test\nglobal: {}\n", MARKS),
        (b"# BEGIN metrics-tunnel-test\n# END metrics-tunnel-test\n" * 2, MARKS),
        (b"Broken\n", "prometheus.yml: yaml: Broken"),
        (ASKED["question mark"], "our job would not come into its list; write scrape_configs: alone on its line"),
        *(REFUSED[name] for name in ("json", "anchored list")),
    ],
)
def test_a_configuration_that_cannot_be_edited_safely_is_refused_untouched_and_told_by_the_first_look(
    config: bytes, says: str, machine: Sandbox
) -> None:
    machine.add_prometheus(config)
    before = machine.state(times=True)
    done = machine.apply(JOB)
    assert done.code == 3
    assert says in done.err
    assert machine.state(times=True) == before
    if b"BEGIN" not in config:
        found = machine.look(JOB, "mon1")
        assert len(found.refusals) == 1
        assert says in found.refusals[0]


@in_each_shell
def test_a_promtool_that_is_older_than_prometheus_is_named_as_what_does_not_know_the_file(machine: Sandbox) -> None:
    machine.add_prometheus(b"scrape_config_files: [/more/*.yml]\n")
    machine.write("fake/unknown", "scrape_config_files\n")
    assert "is invalid, mend it: yaml: unmarshal errors" in machine.apply(JOB).err
    machine.write("fake/version", "2.53.3")
    before = machine.state(times=True)
    said = machine.apply(JOB).err
    assert "promtool 2.42.0 is not of the release of Prometheus 2.53.3 and does not know what /etc/prometheus" in said
    assert "field scrape_config_files not found" in said
    assert "put the promtool of Prometheus 2.53.3 into /usr/local/bin" in said
    found = machine.look(JOB, "mon1")
    assert len(found.refusals) == 1
    assert found.refusals[0] in said
    assert machine.state(times=True) == before


def test_a_machine_without_prometheus_or_without_promtool_is_refused(machine: Sandbox) -> None:
    before = machine.state()
    done = machine.apply(JOB)
    assert (done.code, "Prometheus does not run here; start it or give service" in done.err) == (3, True)
    done = machine.apply(parts(servers={"mon1": {"service": "prom.service"}})["mon1-scrape-job"])
    assert (done.code, "prom.service does not run here; start it, or correct service" in done.err) == (3, True)
    assert machine.state() == before


def test_two_running_prometheus_are_refused_until_one_is_named(machine: Sandbox) -> None:
    machine.add_prometheus()
    machine.write("proc/778/comm", "prometheus\n")
    done = machine.apply(JOB)
    assert (done.code, "two Prometheus run here; give service" in done.err) == (3, True)
    named = parts(servers={"mon1": {"service": "prometheus.service", "config_file": "/" + CONFIG}})
    assert machine.apply(named["mon1-scrape-job"]).code == 0


def test_a_prometheus_in_a_container_is_refused(machine: Sandbox) -> None:
    machine.add_prometheus()
    machine.write("proc/777/cgroup", "0::/docker/0123456789abcdef\n")
    done = machine.apply(JOB)
    assert (done.code, "is no systemd service" in done.err) == (3, True)


@pytest.mark.parametrize("folder", ["", "{}/"])
def test_the_configuration_is_the_one_that_the_running_prometheus_names(folder: str, machine: Sandbox) -> None:
    """A name without a folder is below the folder that Prometheus runs in."""
    machine.add_prometheus()
    machine.write("srv/mine.yml", PROMETHEUS)
    machine.write("fake/config", f"{folder.format(machine.root)}srv/mine.yml")
    machine.apply(JOB)
    assert [line for line in machine.calls("promtool check config") if line.endswith("mine.yml")]


@in_each_shell
def test_a_job_that_prometheus_does_not_load_is_taken_out_again(machine: Sandbox) -> None:
    machine.add_prometheus()
    before = machine.files()
    machine.write("fake/reload-fails", "")
    done = machine.apply(JOB)
    assert done.code == 3
    assert "Prometheus did not load /etc/prometheus/prometheus.yml; see: journalctl -u prometheus.service" in done.err
    assert machine.files() == before
    (machine / "fake/reload-fails").unlink()
    assert machine.apply(JOB).code == 0


def test_a_job_that_was_there_keeps_its_folder_where_another_is_not_loaded(machine: Sandbox) -> None:
    """Prometheus watches that folder."""
    machine.add_prometheus()
    assert machine.apply(JOB).code == 0
    before = machine.state("etc")
    machine.write("fake/reload-fails", "")
    os.utime(machine / "fake/loaded", (1, 1))
    slower = parts(servers={"mon1": {"scrape_interval": "30s"}})["mon1-scrape-job"]
    assert machine.apply(slower, "22222222").code == 3
    assert machine.state("etc") == before


def test_a_job_that_promtool_refuses_never_reaches_the_configuration(machine: Sandbox) -> None:
    machine.add_prometheus(PROMETHEUS + b"  - job_name: metrics-tunnel-test\n")
    before = machine.files()
    done = machine.apply(JOB)
    assert done.code == 3
    assert "the job metrics-tunnel-test has lost its marks; delete that job" in done.err
    assert machine.files() == before


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("sample_limit: 15000", "sample_limit: 0", "was edited"),
        ("metrics-tunnel test\n", "metrics-tunnel gone\n", "is missing from /etc/prometheus/prometheus.yml"),
    ],
)
def test_an_edited_or_missing_block_is_drift_and_applying_again_heals_it(
    old: str, new: str, says: str, machine: Sandbox
) -> None:
    machine.add_prometheus()
    assert machine.apply(JOB).code == 0
    text = (machine / CONFIG).read_text()
    machine.write(CONFIG, text.replace(old, new) if "gone" not in new else PROMETHEUS)
    found = machine.look(JOB, "mon1")
    assert found.generation == "0a1b2c3d"
    assert [text for text in found.drift if says in text], found.drift
    assert machine.apply(JOB, "22222222").code == 0
    assert machine.read(CONFIG) == WHOLE
    assert machine.look(JOB, "mon1").drift == []


def test_a_limit_that_would_blind_a_target_is_refused(machine: Sandbox) -> None:
    machine.add_prometheus()
    assert machine.apply(JOB).code == 0
    # Asked for nothing where the limit stays or rises.
    brings = ",".join(
        f'{{"metric":{{"instance":"{name}","job":"node"}},"value":[1.5,"{samples}"]}}'
        for name, samples in (("web1", 20311), ("db1", 16000))
    )
    brings = f'{{"data":{{"result":[{brings}]}}}}'
    machine.write("fake/samples", brings)
    assert machine.apply(JOB).code == 0
    machine.write(CONFIG, WHOLE.replace("sample_limit: 15000", "sample_limit: 50000"))
    before = machine.files()
    done = machine.apply(JOB, "22222222")
    assert done.code == 3
    assert "web1 brings 20311,db1 brings 16000 samples, more than 15000; raise scrape.sampleLimit" in done.err
    assert machine.files() == before
    machine.write("fake/samples", '{"data":{"result":[]}}')
    shutil.rmtree(machine / "etc/metrics-tunnel/targets")
    assert machine.apply(JOB, "22222222").code == 0
    assert machine.read(CONFIG) == WHOLE


def test_drift_that_applying_would_refuse_is_told_with_it(machine: Sandbox) -> None:
    machine.add_prometheus()
    assert machine.apply(JOB).code == 0
    machine.write(CONFIG, WHOLE.replace("metrics-tunnel-test\n  - job", "metrics-tunnel-\n  - job"))
    found = machine.look(JOB, "mon1")
    assert found.drift == ["the marks around the job in /etc/prometheus/prometheus.yml are damaged"]
    assert len(found.refusals) == 1
    assert "has lost its marks; delete that job" in found.refusals[0]
    machine.write(CONFIG, PROMETHEUS)
    found = machine.look(JOB, "mon1")
    assert (len(found.drift), found.refusals) == (1, [])


def test_a_prometheus_that_runs_without_the_job_is_drift(machine: Sandbox) -> None:
    machine.add_prometheus()
    assert machine.apply(JOB).code == 0
    machine.write("fake/loaded", PROMETHEUS)
    assert machine.look(JOB, "mon1").drift == ["Prometheus runs without the job metrics-tunnel-test as it was loaded"]
    assert machine.apply(JOB, "22222222").code == 0
    assert machine.look(JOB, "mon1").drift == []


def test_an_edit_elsewhere_in_the_file_is_no_drift(machine: Sandbox) -> None:
    machine.add_prometheus()
    assert machine.apply(JOB).code == 0
    machine.write(CONFIG, "# more\n" + (machine / CONFIG).read_text())
    assert machine.look(JOB, "mon1").drift == []


def test_another_interval_replaces_the_block_in_its_place(machine: Sandbox) -> None:
    machine.add_prometheus()
    assert machine.apply(JOB).code == 0
    slower = parts(servers={"mon1": {"scrape_interval": "30s"}})["mon1-scrape-job"]
    assert machine.apply(slower, "22222222").code == 0
    changed = WHOLE.replace("scrape_interval: 5s", "scrape_interval: 30s")
    # A time-out that is left out is the interval, 10 s at most.
    assert machine.read(CONFIG) == changed.replace("scrape_timeout: 5s", "scrape_timeout: 10s")
    assert (machine / "fake/loaded").read_bytes() == (machine / CONFIG).read_bytes()


def test_a_configuration_broken_since_is_not_reloaded_on_removal(machine: Sandbox) -> None:
    machine.add_prometheus()
    assert machine.apply(JOB).code == 0
    machine.write(CONFIG, (machine / CONFIG).read_text() + "Broken\n")
    before = machine.files()
    done = machine.remove(JOB)
    assert done.code == 3
    assert "promtool refuses" in done.err
    assert machine.files() == before


def test_a_copy_that_breaks_off_is_never_put_back(machine: Sandbox) -> None:
    machine.add_prometheus()
    before = machine.files()
    copy = machine / "usr/bin/cp"
    copy.rename(machine / "usr/bin/cp.away")
    machine.write(
        "usr/bin/cp",
        '#!/bin/sh\nfor t; do :; done\ncase $t in *.mt-old) echo half >"$t"; exit 1 ;; esac\nexec "$REAL/cp" "$@"\n',
        0o755,
    )
    try:
        done = machine.apply(JOB)
    finally:
        # Other machines have the same programs.
        (machine / "usr/bin/cp.away").rename(copy)
    assert done.code
    assert "see: df -h" in done.err
    assert machine.files() == before
    assert machine.apply(JOB).code == 0


@pytest.mark.parametrize("gone", ["Prometheus", "Prometheus and its configuration"])
def test_a_job_is_taken_out_where_nobody_is_there_to_tell(gone: str, machine: Sandbox) -> None:
    machine.add_prometheus()
    before = machine.files()
    assert machine.apply(JOB).code == 0
    shutil.rmtree(machine / "proc/777")
    if gone != "Prometheus":
        (machine / CONFIG).unlink()
        del before[CONFIG]
    assert machine.remove(JOB).code == 0
    after = machine.files()
    assert {path: after.get(path) for path in before if not path.startswith(("proc/", "fake/"))} == {
        path: what for path, what in before.items() if not path.startswith(("proc/", "fake/"))
    }
    assert not (machine / "var/lib/metrics-tunnel").exists()


@pytest.mark.parametrize("mark", ["BEGIN", "END"])
def test_without_one_of_its_marks_nothing_of_the_file_is_touched(mark: str, machine: Sandbox) -> None:
    machine.add_prometheus()
    assert machine.apply(JOB).code == 0
    lines = (machine / CONFIG).read_text().splitlines(keepends=True)
    machine.write(CONFIG, "".join(line for line in lines if f"# {mark} " not in line))
    before = machine.files()
    for done in (machine.apply(JOB, "22222222"), machine.remove(JOB)):
        assert done.code == 3
        assert re.search(r"the marks of metrics-tunnel-test are damaged; delete|has lost its marks; delete", done.err)
        assert machine.files() == before


def test_two_stacks_and_a_hand_share_a_list_that_began_in_the_first_ones_block(machine: Sandbox) -> None:
    plain = b"global:\n  scrape_interval: 15s\n"
    mine = "- job_name: mine\n"
    machine.add_prometheus(plain)
    prod = parts("prod")["mon1-scrape-job"]
    assert machine.apply(JOB).code == 0
    assert machine.apply(prod).code == 0
    machine.write(CONFIG, (machine / CONFIG).read_text() + mine)
    assert machine.look(JOB, "mon1").drift == []
    assert machine.remove(JOB).code == 0
    text = machine.read(CONFIG)
    assert text.startswith(plain.decode() + "# BEGIN metrics-tunnel-prod\nscrape_configs:\n")
    assert text.endswith("# END metrics-tunnel-prod\n" + mine)
    assert machine.look(prod, "mon1", done=deployed("prod")).drift == [], "it only got the key of the list"
    assert machine.remove(prod).code == 0
    assert machine.read(CONFIG) == plain.decode() + "scrape_configs:\n" + mine


def test_a_block_that_is_gone_is_told_while_prometheus_is_stopped(machine: Sandbox) -> None:
    machine.add_prometheus()
    assert machine.apply(JOB).code == 0
    shutil.rmtree(machine / "proc/777")
    (machine / "fake/loaded").unlink()
    assert machine.look(JOB, "mon1").drift == []
    machine.write(CONFIG, PROMETHEUS)
    assert machine.look(JOB, "mon1").drift == ["the job's block is missing from /etc/prometheus/prometheus.yml"]


@pytest.mark.parametrize(
    ("flags", "url"),
    [
        ("", "http://127.0.0.1:9090"),
        ("--web.listen-address=:9090", "http://127.0.0.1:9090"),
        ("--web.listen-address=0.0.0.0:9090", "http://127.0.0.1:9090"),
        ("--web.listen-address 10.0.0.5:9090", "http://10.0.0.5:9090"),
        ("--web.external-url=https://mon.example.org/", "http://127.0.0.1:9090"),
        ("--web.external-url=https://mon.example.org/prom/", "http://127.0.0.1:9090/prom"),
        ("--web.external-url=/prom", "http://127.0.0.1:9090/prom"),
        ("--web.external-url=https://mon.example.org/prom --web.route-prefix=/", "http://127.0.0.1:9090"),
        ("--web.route-prefix=/a/b", "http://127.0.0.1:9090/a/b"),
    ],
)
@in_each_shell
def test_prometheus_is_found_where_its_own_flags_put_it(flags: str, url: str, machine: Sandbox) -> None:
    machine.add_prometheus()
    command = "\0".join(["/usr/bin/prometheus", *flags.split()]) + "\0"
    machine.write("proc/777/cmdline", command)
    assert machine.apply(JOB).code == 0
    assert machine.read("var/lib/metrics-tunnel/scrape-job-test/url") == f"{url}\n"
    assert machine.look(JOB, "mon1").drift == []


@in_each_shell
def test_an_old_prometheus_is_not_told_what_it_does_not_know(machine: Sandbox) -> None:
    machine.add_prometheus()
    unknown = (
        "follow_redirects",
        "fallback_scrape_protocol",
        "body_size_limit",
        "label_limit",
        "label_value_length_limit",
    )
    machine.write("fake/unknown", "\n".join(unknown))
    assert machine.apply(JOB).code == 0
    known = [line for line in WHOLE.splitlines() if not line.strip().startswith(unknown)]
    assert len(known) == len(WHOLE.splitlines()) - len(unknown)
    assert machine.read(CONFIG).splitlines() == known
    assert machine.look(JOB, "mon1") == Finding("0a1b2c3d")
    assert machine.remove(JOB).code == 0
    assert machine.read(CONFIG) == PROMETHEUS.decode()


@pytest.mark.parametrize("then", ["apply", "remove", "remove, with Prometheus stopped"])
def test_a_configuration_that_has_become_a_link_since_stays_one_and_has_the_block_where_it_points(
    then: str, machine: Sandbox
) -> None:
    machine.add_prometheus()
    assert machine.apply(JOB).code == 0
    link, file = machine / CONFIG, machine / "srv/prometheus/prometheus.yml"
    file.parent.mkdir(parents=True)
    link.rename(file)
    link.symlink_to(file)
    if then == "apply":
        assert machine.apply(JOB, "22222222").code == 0
        assert machine.read("srv/prometheus/prometheus.yml") == WHOLE
        assert machine.look(JOB, "mon1").drift == []
    else:
        if "stopped" in then:
            shutil.rmtree(machine / "proc/777")
        assert machine.remove(JOB).code == 0
        assert file.read_bytes() == PROMETHEUS
    assert link.is_symlink()


@pytest.mark.parametrize(("says", "read"), [("999", ""), ("1001.5", "read")])
def test_where_prometheus_did_not_say_before_when_it_last_read_its_file_the_moment_of_our_signal_counts(
    says: str, read: str
) -> None:
    answer = f"http_get() {{ echo prometheus_config_last_reload_success_timestamp_seconds {says}; }}"
    script = f"{code('scrape-job')}\napi_url=x\n{answer}\nreloaded_before=\nstarted_at=1000\nreloaded && echo read"
    done = subprocess.run(["dash", "-s"], input=script, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == read


RUNNING = {
    "the first of two": (
        "global:\\nscrape_configs:\\n- job_name: j\\n  params:\\n    a: b\\n- job_name: other\\n  x: y\\n",
        "- job_name: j\n  params:\n    a: b\n",
    ),
    "the last one, another section behind it": (
        "scrape_configs:\\n- job_name: jj\\n- job_name: j\\n  x: y\\nalerting: {}\\n",
        "- job_name: j\n  x: y\n",
    ),
    "others alone": ("scrape_configs:\\n- job_name: jj\\n  x: j\\n- job_name: j.\\n", ""),
    "no jobs": ("global:\\n  scrape_interval: 15s\\n", ""),
}


@pytest.mark.parametrize("awk", AWKS)
@pytest.mark.parametrize("name", RUNNING)
def test_our_job_is_found_in_what_prometheus_says_of_its_configuration(name: str, awk: str, tmp_path: Path) -> None:
    given, wanted = RUNNING[name]
    (tmp_path / "awk").symlink_to(shutil.which(awk) or awk)
    done = subprocess.run(
        ["dash", "-c", f"{code('scrape-job')}\nJOB=j\njob_in_answer"],
        input=f'{{"status":"success","data":{{"yaml":"{given}"}}}}',
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "LC_ALL": "C"},
    )
    assert (done.stdout, done.stderr) == (wanted, "")


@pytest.mark.parametrize("moment", ["before our change", "while Prometheus loads"])
def test_what_somebody_else_writes_meanwhile_is_kept(moment: str, machine: Sandbox) -> None:
    machine.add_prometheus()
    early = moment == "before our change"
    machine.write("fake/reload-fails", "")
    machine.write("fake/edit-at-check" if early else "fake/edit-at-reload", "# and this\n")
    done = machine.apply(JOB)
    assert done.code == 3
    text = machine.read(CONFIG)
    assert text.endswith("# and this\n")
    if early:
        assert "prometheus.yml was changed by somebody else meanwhile; run again" in done.err
        assert text == PROMETHEUS.decode() + "# and this\n"
    else:
        assert "prometheus.yml stays as somebody else has changed it meanwhile; run again" in done.err
        assert "state is restored" not in done.err
    for path in ("fake/reload-fails", "fake/edit-at-check", "fake/edit-at-reload"):
        (machine / path).unlink(missing_ok=True)
    assert machine.apply(JOB).code == 0
    assert machine.remove(JOB).code == 0
    assert machine.read(CONFIG) == PROMETHEUS.decode() + "# and this\n"


@in_each_shell
def test_a_file_that_prometheus_does_not_read_is_refused_by_the_first_look(machine: Sandbox) -> None:
    machine.add_prometheus()
    machine.write("etc/prometheus/other.yml", PROMETHEUS)
    given = {"mon1": {"config_file": "/etc/prometheus/other.yml"}}
    other, look = parts(servers=given)["mon1-scrape-job"], deployed(servers=given)
    says = "reads /etc/prometheus/prometheus.yml, not /etc/prometheus/other.yml; correct configFile, or leave it out"
    before = machine.state("etc")
    assert says in str(machine.look(other, "mon1", done=look).refusals).replace(str(machine.root), "")
    done = machine.apply(other)
    assert (done.code, says in done.err.replace(str(machine.root), "")) == (3, True)
    assert machine.state("etc") == before
    link = machine / "etc/prometheus/other.yml"
    link.unlink()
    link.symlink_to("prometheus.yml")
    assert machine.apply(other).code == 0


@in_each_shell
def test_where_prometheus_reads_another_file_since_our_block_goes_from_the_one_before(machine: Sandbox) -> None:
    machine.add_prometheus()
    assert machine.apply(JOB).code == 0
    machine.write("etc/prometheus/new.yml", PROMETHEUS)
    machine.write("fake/config", f"{machine.root}/etc/prometheus/new.yml")
    machine.write("fake/loaded", PROMETHEUS)
    assert machine.apply(JOB, "22222222").code == 0
    assert machine.read(CONFIG) == PROMETHEUS.decode()
    assert machine.read("etc/prometheus/new.yml") == WHOLE
    assert machine.remove(JOB).code == 0
    assert machine.read("etc/prometheus/new.yml") == PROMETHEUS.decode()


@in_each_shell
def test_the_file_before_is_as_it_was_where_the_new_one_does_not_work(machine: Sandbox) -> None:
    machine.add_prometheus()
    assert machine.apply(JOB).code == 0
    machine.write("etc/prometheus/new.yml", PROMETHEUS)
    machine.write("fake/config", f"{machine.root}/etc/prometheus/new.yml")
    machine.write("fake/loaded", PROMETHEUS)
    (machine / "proc/777/fd/7").unlink()
    assert machine.apply(JOB, "22222222").code == 3
    assert machine.read(CONFIG) == WHOLE
    assert machine.read("etc/prometheus/new.yml") == PROMETHEUS.decode()


def test_a_prometheus_that_cannot_watch_its_target_files_is_told_with_the_remedy(machine: Sandbox) -> None:
    machine.add_prometheus()
    before = machine.state("etc")
    (machine / "proc/777/fd/7").unlink()
    done = machine.apply(JOB)
    assert done.code == 3
    assert "has no inotify instance left; raise fs.inotify.max_user_instances (sysctl), and restart" in done.err
    assert "its old state is restored" in done.err
    assert machine.state("etc") == before


def test_a_target_file_of_somebody_else_is_told_and_left_alone(machine: Sandbox) -> None:
    machine.add_prometheus()
    for name in ("mon1-scrape-job", "web1-scrape-config"):
        assert machine.apply(parts()[name]).code == 0
    assert machine.look(JOB, "mon1") == Finding("0a1b2c3d")
    machine.write("etc/metrics-tunnel/targets/test/mine.json", "[]")
    machine.write("etc/metrics-tunnel/targets/test/note", "")
    found = machine.look(JOB, "mon1")
    assert (found.drift, len(found.notices)) == ([], 1)
    assert found.notices[0].startswith("/etc/metrics-tunnel/targets/test/mine.json is no target file of ours")


def test_a_link_among_the_target_files_is_told(machine: Sandbox) -> None:
    machine.add_prometheus()
    assert machine.apply(JOB).code == 0
    machine.write("srv/mine.json", "[]")
    (machine / "etc/metrics-tunnel/targets/test/mine.json").symlink_to(machine / "srv/mine.json")
    found = machine.look(JOB, "mon1")
    assert (found.drift, len(found.notices)) == ([], 1)
    assert "targets/test/mine.json is no target file of ours" in found.notices[0]


def test_a_look_asks_a_prometheus_once_for_the_jobs_of_all_stacks(machine: Sandbox) -> None:
    prod = parts("prod")["mon1-scrape-job"]
    machine.add_prometheus()
    for part in (JOB, prod):
        assert machine.apply(part).code == 0
    (machine / "fake/calls").unlink()
    for part, done in ((JOB, deployed()), (prod, deployed("prod"))):
        assert machine.look(part, "mon1", done=done) == Finding("0a1b2c3d")
    # Once a look.
    assert machine.calls("http ") == ["http http://127.0.0.1:9090/api/v1/status/config"] * 2
    machine.write("fake/loaded", (machine / "fake/loaded").read_text().replace("metrics-tunnel-test", "another"))
    assert machine.look(prod, "mon1", done=deployed("prod")).drift == []
    assert machine.look(JOB, "mon1").drift == ["Prometheus runs without the job metrics-tunnel-test as it was loaded"]


@in_each_shell
@pytest.mark.parametrize("given", [{}, {"service": "prometheus.service"}, {"config_file": "/" + CONFIG}])
def test_a_lost_receipt_is_known_by_the_block_in_the_file_of_the_prometheus_that_its_values_name(
    given: dict[str, str], machine: Sandbox
) -> None:
    servers = {"mon1": given}
    job, done = parts(servers=servers)["mon1-scrape-job"], deployed(servers=servers)
    machine.add_prometheus()
    assert machine.apply(job).code == 0
    (machine / "var/lib/metrics-tunnel/scrape-job-test").rename(machine / "lost")
    lost = Finding(None, ["its receipt /var/lib/metrics-tunnel/scrape-job-test is missing; it is applied again"])
    assert machine.look(job, "mon1", done=done) == lost
    machine.write("proc/778/comm", "prometheus\n")
    found = machine.look(job, "mon1", done=done)
    if "service" in given:
        assert found == lost
    else:
        # Nobody can tell which of two it is.
        assert (found.drift, found.refusals) == ([], ["two Prometheus run here; give service"])
    machine.write(CONFIG, PROMETHEUS)
    assert machine.look(job, "mon1", done=done).drift == []


@in_each_shell
def test_a_change_that_was_killed_before_prometheus_has_read_it_is_loaded_by_the_next_run(machine: Sandbox) -> None:
    machine.add_prometheus()
    assert machine.apply(JOB).code == 0
    changed = parts(servers={"mon1": {"sample_limit": 50000}})["mon1-scrape-job"]
    machine.write("fake/killed-at", str(machine / CONFIG))
    assert machine.apply(changed, "22222222").code == -9
    (machine / "fake/killed-at").unlink()
    assert "sample_limit: 50000" in machine.read(CONFIG)
    assert "sample_limit: 50000" not in machine.read("fake/loaded")
    assert machine.apply(changed, "33333333").code == 0
    assert "sample_limit: 50000" in machine.read("fake/loaded")
    signals = machine.calls("kill")
    assert machine.apply(changed, "44444444").code == 0
    assert machine.calls("kill") == signals, "what runs as it stands is not loaded again"


def test_a_limit_that_would_blind_a_target_is_told_where_nothing_drifted(machine: Sandbox) -> None:
    machine.add_prometheus()
    many = {"mon1": {"sample_limit": 50000}}
    assert machine.apply(parts(servers=many)["mon1-scrape-job"]).code == 0
    machine.write(
        "fake/samples", '{"data":{"result":[{"metric":{"instance":"web1","job":"node"},"value":[1.5,"20311"]}]}}'
    )
    found = machine.look(JOB, "mon1")
    assert (found.drift, found.refusals) == ([], []), "these settings are not those that were applied"
    given = deployed(servers=many)
    sent = {name: str(given.resources[name].inputs["stdin"]) for name in parts()}
    applied = {name: started(180, "apply", given.owner(name), "0a1b2c3d") for name in parts()}
    found = machine.look(JOB, "mon1", done=deploy(fleet(), state=applied, sent=sent))
    assert found.drift == []
    assert found.refusals == ["web1 brings 20311 samples, more than 15000; raise scrape.sampleLimit"]
