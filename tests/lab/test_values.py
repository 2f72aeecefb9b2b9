"""The worst values that are accepted arrive on real hosts byte for byte, whatever shell the admin logs in to."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from components import authorized_key, scrape_config, ssh_tunnel
from components.scrape_config import Target
from components.ssh_tunnel import TUNNEL_USER, Forward
from lab import base, layouts, picture
from lab.hosts import Host, Lab
from lab.picture import Picture
from lab.project import Project, settings
from tests.unit.harmless import unit_text

PLANTED = "/tmp/planted"  # noqa: S108 - what a value that is run would make
STACK = "La_b.c-1"
PASSWORD = "a'b\"c\\d $(touch /tmp/planted) `touch /tmp/planted` %n;#é \\' $HOME \\"
LABELS = {
    "quotes": "a\"b'c 'd' \"e\" \\\"f\\' \\",
    "commands": "$(touch /tmp/planted) `touch /tmp/planted` ${HOME} ;&|<>",
    "option": "-oProxyCommand=touch /tmp/planted",
    "percent": "%h %% %s \\n \\x41 \\u0041",
    "yaml": "- {a: [b], 'c': *d} # e",
    "promql": '"} or up{instance="x',
    "letters": "é ü 漢 😀 \uff57 \u0435 \u0663",
    "by": "a word of PromQL",
    "long": "x" * 1024,
    "wide": "😀" * 1024,
}
PATH = "/m.e-t_r+i@cs/..a/.b"
CONFIG = "/srv/p+r@o-m_1/..p.yml"
JOB = "Linux hosts: a/b.c-d_e"
UNIT = "node.exp-1_x@9100.service"


def _shell(path: str) -> Callable[[Path], None]:
    def layout(tree: Path) -> None:
        subprocess.run(["chroot", tree, "usermod", "-s", path, base.ASKED], check=True)
        subprocess.run(["chroot", tree, "chpasswd"], input=f"{base.ASKED}:{PASSWORD}\n".encode(), check=True)

    return layout


def _path(tree: Path) -> None:
    (tree / "etc/default/prometheus-node-exporter").write_text(f'ARGS="--web.telemetry-path={PATH}"\n')


def _instance(tree: Path) -> None:
    layouts.none(tree)
    system = tree / "etc/systemd/system"
    text = layouts.HAND_MADE.format(arguments="").replace(
        "/usr/local/bin/node_exporter", "/usr/bin/prometheus-node-exporter"
    )
    (system / "node.exp-1_x@.service").write_text(text)
    (system / "multi-user.target.wants" / UNIT).symlink_to("/etc/systemd/system/node.exp-1_x@.service")


def _configuration(tree: Path) -> None:
    layouts.SERVERS["comments"](tree)
    file = tree / CONFIG.lstrip("/")
    file.parent.mkdir()
    (tree / "etc/prometheus/prometheus.yml").rename(file)
    (tree / "etc/default/prometheus").write_text(f'ARGS="--config.file={CONFIG}"\n')


@pytest.fixture(scope="module")
def before(lab: Lab) -> dict[str, Picture]:
    lab.add("mon1", _configuration, _shell("/usr/bin/fish"))
    lab.add("fish", layouts.EXPORTERS["packaged"], _path, _shell("/usr/bin/fish"))
    lab.add("bash", layouts.EXPORTERS["packaged"], _shell("/bin/bash"))
    lab.add("dash", _instance, _shell("/usr/bin/dash"))
    lab.boot()
    for host in lab.hosts.values():
        host.run(f"runuser -l {base.ASKED} -c true")  # at its first use fish makes folders of its own in the home
    return {name: picture.take(host) for name, host in lab.hosts.items()}


@pytest.fixture(scope="module")
def project(lab: Lab, before: dict[str, Picture]) -> Project:
    """Give the stack when it is applied."""
    made = Project(lab.folder / "project", STACK)
    for name in ("sshPassword", "sudoPassword"):
        made.secret(name, PASSWORD)
    server, *hosts = lab.hosts.values()
    given = settings(lab, [server], hosts, ssh={"user": base.ASKED})
    given["prometheus"]["mon1"] |= {"configFile": CONFIG, "egress": _egress(lab)}
    for one in given["hosts"].values():
        one["labels"] = LABELS
        one["hostKey"] += ' a\'b "c" $(touch /tmp/planted)'
    given["hosts"]["fish"]["exporters"] = {"node": {"port": 9100, "path": PATH, "job": JOB}}
    given["hosts"]["bash"]["listen"] = "[::1]:65535"
    given["hosts"]["dash"]["exporters"] = {"0-a": {"port": 9100, "unit": UNIT}}
    made.settings(given)
    assert before
    made.up()
    return made


def _egress(lab: Lab) -> list[str]:
    return [f"{lab.network}.0/24", "2001:DB8::/32", "::1"]


def _target(project: Project, name: str) -> Target:
    (listen,) = project.outputs()["listens"][name].values()
    return Target({"fish": JOB, "bash": "node", "dash": "0-a"}[name], listen, PATH if name == "fish" else "/metrics")


def _read(host: Host, path: str) -> bytes:
    return (host.tree / path.lstrip("/")).read_bytes()


@pytest.mark.parametrize("name", ["fish", "bash", "dash"])
def test_the_target_file_is_what_was_meant_and_prometheus_has_its_labels(lab: Lab, project: Project, name: str) -> None:
    target = _target(project, name)
    wanted = scrape_config.desired(STACK, name, LABELS, [target])["TARGETS"]
    assert _read(lab.hosts["mon1"], f"/etc/metrics-tunnel/targets/{STACK}/{name}.json") == f"{wanted}\n".encode()
    answer = json.loads(lab.hosts["mon1"].get(9090, "/api/v1/targets?state=active").partition("\n\n")[2])
    labels = [one["labels"] for one in answer["data"]["activeTargets"] if one["labels"]["instance"] == name]
    assert labels == [LABELS | {"instance": name, "job": target.job}]
    assert lab.hosts["mon1"].scraped(name) == "1"


@pytest.mark.parametrize("name", ["fish", "bash", "dash"])
def test_the_tunnel_is_what_was_meant(lab: Lab, project: Project, name: str) -> None:
    mon1, host, target = lab.hosts["mon1"], lab.hosts[name], _target(project, name)
    public = project.outputs()["publicKeys"]["mon1"]
    key = f"/etc/metrics-tunnel/keys/metrics-tunnel-{STACK}-mon1-1"
    forwards = [Forward(target.listen, 9100, target.path)]
    wanted = {
        "STACK": STACK,
        **ssh_tunnel.desired(name, TUNNEL_USER, 22, key, forwards),
        **ssh_tunnel.values_of_others(name, host.address, public, host.host_key),
    }
    unit = _read(mon1, f"/etc/systemd/system/metrics-tunnel-{name}.service").decode()
    ours, sandbox, _ = unit_text(wanted).partition("\nNoNewPrivileges=yes\n")
    assert sandbox
    assert unit.startswith(f"{ours}{sandbox}")
    assert _read(mon1, f"/etc/metrics-tunnel/known_hosts/{name}") == f"{name} {host.host_key}\n".encode()
    assert _read(mon1, f"{key}.pub") == f"{public}\n".encode()
    assert public.split(" ")[2] == f"metrics-tunnel-{STACK}-mon1-1"
    line = f"{authorized_key.line(public, [9100], _egress(lab))}\n".encode()
    assert _read(host, "/etc/ssh/authorized_keys.d/metrics-tunnel") == line
    assert _read(host, f"/var/lib/metrics-tunnel/authorized-key-metrics-tunnel-{STACK}-mon1-1/line") == line
    assert _read(mon1, f"/var/lib/metrics-tunnel/scrape-job-{STACK}/config") == f"{CONFIG}\n".encode()


@pytest.mark.parametrize("name", ["fish", "bash", "dash"])
def test_the_exporter_is_closed(lab: Lab, project: Project, name: str) -> None:
    assert project
    assert lab.hosts[name].run("ss -Hltn 'sport = :9100' | awk '{print $4}'") == "127.0.0.1:9100\n"
    unit = UNIT if name == "dash" else "prometheus-node-exporter.service"
    assert (lab.hosts[name].tree / f"etc/systemd/system/{unit}.d/zz-metrics-tunnel.conf").exists()


def test_a_look_sees_no_drift_and_destroy_restores(lab: Lab, project: Project, before: dict[str, Picture]) -> None:
    plan = project.plan()
    assert (plan.code, plan.warnings) == (0, [])
    project.destroy()
    assert {name: picture.difference(before[name], picture.take(host)) for name, host in lab.hosts.items()} == {
        name: [] for name in lab.hosts
    }


def test_nothing_that_was_planted_ran(lab: Lab, project: Project) -> None:
    assert project
    assert not Path(PLANTED).exists()
    for host in lab.hosts.values():
        seen = f"ls {PLANTED} 2>/dev/null || :"
        assert host.run(seen) == ""
        host.run(f"runuser -l {base.ASKED} -c 'touch {PLANTED}'")
        assert host.run(seen) == f"{PLANTED}\n", "it would not be seen"
