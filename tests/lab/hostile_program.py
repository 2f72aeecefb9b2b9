"""A program that gives components hostile values, run by the real engine in the place of ours.

Every call that is refused is counted; what is made beside them is planned, on machines that nobody looks at.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pulumi

from components import MonitoredHost, PrometheusServer


async def later(value: str) -> str:
    """Return a value when all that does not wait for it is planned."""
    await asyncio.sleep(2)
    return value


def host(where: str, **more: Any) -> Any:
    """Return arguments of a host that are right but for what is given."""
    connection = {**given["sound"]["connection"], "address": where, "user": "deploy", **more}
    return given["sound"] | {"connection": connection}


given: Any = json.loads(Path("values.json").read_text())
counts = {"refused": 0, "made": 0}
server = PrometheusServer("mon1", given["sound"])
for component, name, args in given["calls"]:
    try:
        if component == "PrometheusServer":
            PrometheusServer(name, args)
        else:
            MonitoredHost(name, args, servers=[server])
        counts["made"] += 1
    except pulumi.RunError as error:
        counts["refused"] += "nothing of it was planned" in str(error)
for index, (path, value) in enumerate(given["outputs"]):
    output: Any = pulumi.Output.from_input(later(value))
    MonitoredHost(f"late{index}", host(f"127.0.1.{index + 1}", **{path: output}), servers=[server])
for index, labels in enumerate(given["labels"]):
    MonitoredHost(f"good{index}", host(f"127.0.2.{index + 1}") | {"labels": labels}, servers=[server])
Path("counts.json").write_text(json.dumps(counts))
