"""`make bench`: what the stack costs beside a bare program with as many resources, all measured in one run.

`make bench HOSTS="1 20 100"` says how many hosts there are, `BEFORE=PROGRAM.tar.xz` which earlier program is measured
beside this one, such as those of tests/lab/released.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lab import layouts
from lab.hosts import Host, Lab, temporary
from lab.project import Project, lay_released, machine, settings

if TYPE_CHECKING:
    from collections.abc import Callable

TIMES = 3
MANY_HOSTS = 30
"""From here on a scrape each two seconds of each host would be most of what this machine does."""
LIMITS = {
    "connections a machine": "at most 1",
    "first up / bare (without the wait)": "at most 3",
    "no-op preview / bare": "at most 1.5",
    "no-op preview / without detectDrift": "at most 1.5",
}
_NAME_WIDTH, _COLUMN_WIDTH = 38, 14
BARE = """
import json
import pulumi
from pulumi_command import remote
given = json.loads(open("bare.json").read())
for number, address in enumerate(given["addresses"]):
    connection = remote.ConnectionArgs(host=address, host_key=given["keys"][address], private_key=given["private"])
    remote.Command(f"bare-{number}", create="true", update="true", delete="true", connection=connection)
"""


def measure(ours: Project, bare: Project, lab: Lab, server: Host, hosts: list[Host]) -> dict[str, float]:
    """Return seconds, kilobytes and ratios of a program, and of a bare one on the same machines."""
    wanted = settings(lab, [server], hosts, **({"scrape": {"interval": "15s"}} if len(hosts) > MANY_HOSTS else {}))
    ours.settings(wanted)
    row: dict[str, float] = {"bare up": bare.up().seconds}
    busy, engine = _busy(), _of_children()
    first = ours.up()
    row["up"] = first.seconds
    row["CPU of it, all machines'"] = _busy() - busy
    row["of that Pulumi's"] = _of_children() - engine
    waits = re.findall(r"scrape-config created \((\d+\.?\d*)s\)", first.output)
    row["of it waiting for scrapes"] = max(map(float, waits))
    row["bare preview"] = _median(lambda: bare.preview(codes=(0,)).seconds)
    logins = [len(_logins(one)) for one in (server, *hosts)]
    row["preview"] = _median(lambda: ours.preview(codes=(0,)).seconds)
    row["connections a machine"] = max(
        (len(_logins(one)) - seen) / TIMES for one, seen in zip((server, *hosts), logins, strict=True)
    )
    ours.settings({**wanted, "detectDrift": False})
    row["preview without detectDrift"] = _median(lambda: ours.preview(codes=(0,)).seconds)
    ours.settings(wanted)
    hosts[0].run("systemctl stop prometheus-node-exporter node_exporter 2>/dev/null", check=False)
    row["heal of one"] = ours.up().seconds
    row["state KB a host"] = _state(ours, {one.name for one in hosts}) / len(hosts) / 1000
    row["destroy"] = ours.destroy().seconds
    bare.destroy()
    row["first up / bare (without the wait)"] = (row["up"] - row["of it waiting for scrapes"]) / row["bare up"]
    row["no-op preview / bare"] = row["preview"] / row["bare preview"]
    row["no-op preview / without detectDrift"] = row["preview"] / row["preview without detectDrift"]
    row["heal of one / preview"] = row["heal of one"] / row["preview"]
    return row


def main() -> None:
    """Measure for each number of hosts, and print a table."""
    options = argparse.ArgumentParser(prog="make bench", description=__doc__)
    options.add_argument("hosts", nargs="*", type=int, default=[1, 2], help="how many hosts")
    options.add_argument("--before", type=Path, help="the program of an earlier release, as a tar file")
    given = options.parse_args()
    columns: dict[str, dict[str, float]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="metrics-tunnel-", dir="/var/tmp") as folder,
        temporary(Path(folder)) as lab,
    ):
        server = lab.add("mon1", layouts.SERVERS["comments"])
        kinds = ("packaged", "hand-made")
        hosts = [lab.add(f"web{n + 1}", layouts.EXPORTERS[kinds[n % 2]]) for n in range(max(given.hosts))]
        lab.boot()
        for count in given.hosts:
            bare = _bare(lab, server, hosts[:count])
            if given.before:
                before = Project(lab.folder / f"before{count}")
                lay_released(before.folder, given.before)
                columns[f"{count}, before"] = _measured(before, bare, lab, server, hosts[:count])
            columns[f"{count}"] = _measured(Project(lab.folder / f"ours{count}"), bare, lab, server, hosts[:count])
    _print_table(columns)


def _measured(ours: Project, bare: Project, lab: Lab, server: Host, hosts: list[Host]) -> dict[str, float]:
    print(f"measuring {ours.folder.name} ...", flush=True)
    return measure(ours, bare, lab, server, hosts)


def _print_table(columns: dict[str, dict[str, float]]) -> None:
    """Print a row for each figure, and a column for each program and number of hosts."""
    print("seconds, and ratios of them".ljust(_NAME_WIDTH) + "".join(name.rjust(_COLUMN_WIDTH) for name in columns))
    for figure in next(iter(columns.values())):
        row = "".join(f"{column[figure]:{_COLUMN_WIDTH}.{2 if '/' in figure else 1}f}" for column in columns.values())
        print(f"{figure:{_NAME_WIDTH}}{row}   {LIMITS.get(figure, '')}".rstrip())


def _median(seconds: Callable[[], float]) -> float:
    return statistics.median(seconds() for _ in range(TIMES))


def _busy() -> float:
    """Return the seconds that this machine's processors have worked, those of all lab hosts among them."""
    fields = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    idle = fields[3] + fields[4]
    return (sum(fields[:8]) - idle) / os.sysconf("SC_CLK_TCK")


def _of_children() -> float:
    """Return the seconds of processor that programs took which were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _logins(host: Host) -> list[str]:
    return host.run("journalctl -q -o cat -u ssh | grep '^Accepted publickey for root'", check=False).splitlines()


def _state(project: Project, hosts: set[str]) -> int:
    """Return the bytes that the state keeps for the hosts' resources."""
    resources = json.loads(project.state())["checkpoint"]["latest"]["resources"]
    return sum(len(json.dumps(one)) for one in resources if one["urn"].rpartition("::")[2].split("-")[0] in hosts)


def _bare(lab: Lab, server: Host, hosts: list[Host]) -> Project:
    project = Project(lab.folder / f"bare{len(hosts)}")
    (project.folder / "__main__.py").write_text(BARE)
    addresses = [server.address] * (3 + 2 * len(hosts)) + [host.address for host in hosts for _ in range(2)]
    keys = {host.address: machine(host)["hostKey"] for host in (server, *hosts)}
    text = json.dumps({"addresses": addresses, "keys": keys, "private": lab.key.read_text()})
    (project.folder / "bare.json").write_text(text)
    project.settings({"prometheus": {}})
    return project


if __name__ == "__main__":
    main()
