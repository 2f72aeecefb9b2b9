"""`make demo` and `make demo-down`: two commands that show the whole job on real hosts, with measured values."""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
from pathlib import Path

from lab import layouts, picture
from lab.hosts import Host, Lab, LabError, wait
from lab.project import DRIFT, Project, PulumiError, settings
from lab.tools import ToolsError

FOLDER = Path("/var/tmp/metrics-tunnel-demo")  # noqa: S108 (root's alone: the lab makes it with mode 700)
SERVER = "mon1"
EXPORTERS = {"web1": "packaged", "db1": "hand-made-listen"}
_NEW = "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no"
OPENED = "/etc/default/prometheus-node-exporter"


def up(folder: Path = FOLDER) -> None:
    """Make the lab, apply the stack, and show scrapes, closed ports, a drift and its repair."""
    if (folder / "lab.json").exists():
        raise LabError(f"a demo is there already ({folder}); take it away with: make demo-down")
    print("This demo boots three Debian hosts here (systemd-nspawn) and runs the real Pulumi on them.")
    lab = Lab(folder)
    server = lab.add(SERVER, layouts.SERVERS["comments"])
    hosts = [lab.add(name, layouts.EXPORTERS[layout]) for name, layout in EXPORTERS.items()]
    _step(1, f"boots a Prometheus server ({SERVER}) and two hosts ({', '.join(EXPORTERS)})")
    lab.boot()
    before = {host.name: picture.take(host) for host in lab.hosts.values()}
    (folder / "before.json").write_text(json.dumps(before))
    reached = {host.name: _reach(server, host) for host in hosts}
    project = Project(folder / "project", "demo")
    project.settings(settings(lab, [server], hosts))
    _step(2, f"runs `pulumi up` (command plugin: {project.plugin})")
    first = project.up()
    for host in hosts:
        wait(f"{host.name} to be scraped", lambda host=host: server.scraped(host.name) == "1")  # type: ignore[misc]
    print(f"    applied in {first.seconds:.1f} s")
    _step(3, "looks at what is there now")
    _scrapes(project, server, hosts, reached)
    _step(4, "opens web1's exporter to everyone, as a hand might")
    _drift(project, server, lab.hosts["web1"])
    _farewell(server, project)


def down(folder: Path = FOLDER) -> None:
    """Destroy the stack, compare each host with before the first `up`, and remove the lab."""
    if not (folder / "lab.json").exists():
        raise LabError(f"there is no demo in {folder}; make one with: make demo")
    lab, project = Lab(folder), Project(folder / "project", "demo")
    _step(1, "runs `pulumi destroy`")
    print(f"    destroyed in {project.destroy().seconds:.1f} s")
    _step(2, "compares each host with before the first `up`")
    before = json.loads((folder / "before.json").read_text())
    different = False
    for host in lab.hosts.values():
        lines = picture.difference(before[host.name], picture.take(host))
        compared = f"{len(before[host.name])} files, units and listeners compared"
        print(f"    {host.name:6} {compared}: {f'{len(lines)} differ' if lines else 'identical'}")
        print("".join(f"        {line}\n" for line in lines), end="")
        different = different or bool(lines)
    _step(3, "removes the lab")
    lab.remove()
    if different:
        raise LabError("some things are not as they were; see above")


def _step(number: int, what: str) -> None:
    print(f"\n[{number}] {time.strftime('%H:%M:%S')} {what}", flush=True)


def _reach(server: Host, host: Host) -> str:
    return "open" if server.get(9100, address=host.address) else "closed"


def _scrapes(project: Project, server: Host, hosts: list[Host], reached: dict[str, str]) -> None:
    listens = project.outputs()["listens"]
    print(
        f"    {'host':6} {'exporter':18} {'Prometheus scrapes':24} {'up':3} {'lines':>6}   port 9100 from the network"
    )
    for host in hosts:
        listen = listens[host.name]["node"]
        where, port = listen.rsplit(":", 1)
        lines = server.get(int(port), address=where).count("\n")
        closed = f"{reached[host.name]} before, {_reach(server, host)} now"
        value = server.scraped(host.name)
        print(f"    {host.name:6} {EXPORTERS[host.name]:18} {listen:24} {value:3} {lines:6}   {closed}")


def _drift(project: Project, server: Host, host: Host) -> None:
    host.run(f"cp -p {OPENED} /root/kept; echo 'ARGS=\"--web.listen-address=0.0.0.0:9100\"' >{OPENED}")
    host.run("rm /etc/systemd/system/*.d/zz-metrics-tunnel.conf && systemctl daemon-reload")
    host.run("systemctl restart prometheus-node-exporter")
    wait("the exporter to listen everywhere", lambda: _reach(server, host) == "open")
    print(f"    port 9100 from the network: {_reach(server, host)}")
    found = project.preview(codes=(DRIFT,))
    print(f"    `pulumi preview --expect-no-changes`: exit code {found.code} after {found.seconds:.1f} s")
    for line in sorted(set(re.findall(r"warning: (.*)", found.output))):
        print(f"        {line}")
    healed = project.up()
    quiet = project.preview()
    print(f"    `pulumi up` heals it in {healed.seconds:.1f} s; port 9100 from the network: {_reach(server, host)}")
    print(f"    `pulumi preview` again: exit code {quiet.code} after {quiet.seconds:.1f} s")
    host.run(f"mv /root/kept {OPENED}")


def _environment(project: Project) -> Path:
    """Write what a shell needs to run Pulumi on the demo's stack, and return the file."""
    names = sorted(name for name in project.environment if name.startswith("PULUMI_") or name == "PATH")
    lines = [f"export {name}={shlex.quote(project.environment[name])}\n" for name in names]
    file = project.folder.parent / "env"
    file.write_text("".join([*lines, "unset SSH_AUTH_SOCK\n", f"cd {shlex.quote(str(project.folder))}\n"]))
    return file


def _farewell(server: Host, project: Project) -> None:
    print(f"""
Look at it:
    Prometheus   http://{server.address}:9090/classic/targets   in a browser on this machine; from elsewhere:
                 ssh -L 9090:{server.address}:9090 <this machine>   and then http://localhost:9090/classic/targets
    a host       ssh -i {server.lab.key} {_NEW} root@{server.lab.hosts["web1"].address}
                 and there, say, systemctl stop prometheus-node-exporter, to see what the next preview says
    the stack    . {_environment(project)}; pulumi preview --stack {project.stack}
                 its settings are in {project.file}
Take it all away, and compare each host with before:
    make demo-down""")


def main() -> None:
    """Run what the first argument names, in the folder that the second one names."""
    match sys.argv[1:]:
        case ["up" | "down" as what, *folder] if len(folder) <= 1:
            pass
        case _:
            raise SystemExit("usage: python -m lab.demo up|down [FOLDER]")
    try:
        {"up": up, "down": down}[what](*map(Path, folder))
    except (LabError, ToolsError, PulumiError) as error:
        raise SystemExit(f"lab.demo: {error}") from error


if __name__ == "__main__":
    main()
