"""`make bench`: what the stack costs beside a bare program with as many resources, both measured in one run."""

from __future__ import annotations

import json
import re
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lab import layouts
from lab.hosts import Host, Lab, temporary
from lab.project import Project, machine, settings

if TYPE_CHECKING:
    from collections.abc import Callable

TIMES = 3
LIMITS = {"connections a machine": "   at most 1"}
BARE = """
import json
import pulumi
from pulumi_command import remote
given = json.loads(open("bare.json").read())
for number, address in enumerate(given["addresses"]):
    connection = remote.ConnectionArgs(host=address, host_key=given["keys"][address], private_key=given["private"])
    remote.Command(f"bare-{number}", create="true", update="true", delete="true", connection=connection)
"""


def measure(lab: Lab, server: Host, hosts: list[Host]) -> dict[str, float]:
    """Return seconds and bytes for our stack and for a bare one, on the same machines."""
    count = len(hosts)
    ours = Project(lab.folder / f"ours{count}")
    ours.settings(settings(lab, [server], hosts))
    bare = _bare(lab, server, hosts)
    row: dict[str, float] = {"bare up": bare.up().seconds}
    first = ours.up()
    row["up"] = first.seconds
    row["of it waiting for scrapes"] = max(
        map(float, re.findall(r"scrape-config created \((\d+\.?\d*)s\)", first.output))
    )
    row["bare preview"] = _median(lambda: bare.preview(codes=(0,)).seconds)
    logins = [len(_logins(one)) for one in (server, *hosts)]
    row["preview"] = _median(lambda: ours.preview(codes=(0,)).seconds)
    row["connections a machine"] = max(
        (len(_logins(one)) - seen) / TIMES for one, seen in zip((server, *hosts), logins, strict=True)
    )
    hosts[0].run("systemctl stop prometheus-node-exporter node_exporter 2>/dev/null", check=False)
    row["heal"] = ours.up().seconds
    row["state KB a host"] = _state(ours, {one.name for one in hosts}) / count / 1000
    row["destroy"] = ours.destroy().seconds
    bare.destroy()
    return row


def main() -> None:
    """Measure for one host and for two, and print a table."""
    with (
        tempfile.TemporaryDirectory(prefix="metrics-tunnel-", dir="/var/tmp") as folder,
        temporary(Path(folder)) as lab,
    ):
        server = lab.add("mon1", layouts.SERVERS["comments"])
        hosts = [lab.add(name, layouts.EXPORTERS[kind]) for name, kind in (("web1", "packaged"), ("db1", "hand-made"))]
        lab.boot()
        rows = [measure(lab, server, hosts[:1]), measure(lab, server, hosts)]
    print(f"{'':36}{'1 host':>10}{'2 hosts':>10}")
    for name in rows[0]:
        print(f"{name:36}" + "".join(f"{row[name]:10.1f}" for row in rows) + LIMITS.get(name, ""))
    print("first up / bare (without the wait)  " + "".join(f"{_up_ratio(row):10.2f}" for row in rows) + "   at most 3")
    ratios = [row["preview"] / row["bare preview"] for row in rows]
    print("no-op preview / bare                " + "".join(f"{one:10.2f}" for one in ratios) + "   at most 1.5")


def _up_ratio(row: dict[str, float]) -> float:
    return (row["up"] - row["of it waiting for scrapes"]) / row["bare up"]


def _median(seconds: Callable[[], float]) -> float:
    return statistics.median(seconds() for _ in range(TIMES))


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
