"""Scripts ended at every step, on real hosts: each file stays old or new, and running again ends where it should.

So does removing at once what was killed while it was applied, for the first time or over what is there.

A step is a simple command of the script itself; bash's DEBUG trap counts them and before one ends the script by SIGKILL
(a crash) or SIGTERM (what `timeout` and a shutdown send), or what reads the script's words, as a lost connection does.
The commands and what they read are those that a real `pulumi up` has put into its state.
"""

from __future__ import annotations

import itertools
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lab import base, layouts, picture
from lab.campaign.figures import Figure, count
from lab.hosts import Host, Lab, LabError, temporary
from lab.project import Project, machine, settings

if TYPE_CHECKING:
    from pathlib import Path

    from lab.campaign.figures import Tell
    from lab.picture import Picture

WAYS = {"SIGKILL": "kill -KILL $$", "SIGTERM": "kill -TERM $$", "a lost connection": "kill -KILL $(cat /run/reader)"}
REMOVED = "SIGKILL, then removed"
STRIDES = {"SIGKILL": 1, "SIGTERM": 5, "a lost connection": 5, REMOVED: 4}
"""At every so-many-th step. After SIGTERM a script takes back what it did, which takes longer."""
# Side by side, for each is on machines of its own; within one, what needs others comes first and is away afterwards.
ROUNDS = (
    ("web1-exporter-node", "web1-authorized-key-mon1"),
    ("web2-authorized-key-mon2", "mon2-scrape-job", "mon2-keypair"),  # that line is in a login user's own file
    ("web3-scrape-config", "web3-ssh-tunnel", "mon3-tunnel-watchdog"),
)
# What else needs a part, and has to be away as well.
_NEED = {"mon2-scrape-job": ("web2-scrape-config", "web2-ssh-tunnel")}
_SETTLE_SECONDS = 5
_BEHIND = 1_000_000
_TEMPORARY = re.compile(r"\.mt-(new|old)(\.pub)?$")
# Another key is made each time, and a receipt holds its checksum.
_ANY_CONTENT = re.compile(r"^(/etc/metrics-tunnel/keys|/var/lib/metrics-tunnel)/")
_COUNTER = """\
set -T
trap '[ $BASHPID != $$ ] || {{ echo "${{BASH_COMMAND%%[![:print:]]*}}" >>/run/steps
[ $((++_step)) != {step} ] || {way}; }}' DEBUG
"""


_READER = "sh -c 'echo $$ >/run/reader; exec cat'"


@dataclass(frozen=True)
class Command:
    """One resource's commands as the engine keeps them, on the machine that they are for."""

    name: str
    host: Host
    create: str
    delete: str
    stdin: str

    def run(self, verb: str, step: int = 0, way: str = "SIGKILL") -> str:
        """Run it, ended before a step where that is not 0, and return what it says."""
        text = self.create if verb == "apply" else self.delete
        if not step:
            return self.host.run(f"{text} 2>&1", text=self.stdin)
        text = text.replace(" sh -c ", " bash --posix -c ", 1)
        first, rest = self.stdin.split("\n", 1)
        counted = f"{first}\n{_COUNTER.format(step=step, way=WAYS[way])}{rest}"
        return self.host.run(f"rm -f /run/steps; {text} 2>&1 | {_READER}", check=False, text=counted)

    def steps(self) -> list[str]:
        """Return the commands that the last counted run came to."""
        return self.host.run("cat /run/steps", check=False).splitlines()

    def picture(self) -> Picture:
        """Return what its machine is like, less what differs from one time to the next."""
        seen = picture.take(self.host)
        return {name: what.split()[0] if _ANY_CONTENT.match(name) else what for name, what in seen.items()}


@dataclass
class Tally:
    """What a part has been through: how often it was ended, and what was not as it should be."""

    ended: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def judge(self, command: Command, verb: str, step: int, found: list[str]) -> None:
        """Note faults by where they came from."""
        self.faults += [f"{command.name} {verb}, step {step}: {line}" for line in found]


def commands(project: Project, lab: Lab) -> dict[str, Command]:
    """Return what the engine recorded, by resource."""
    export = project.pulumi("stack", "export", "--show-secrets", "--stack", project.stack).output
    state, _ = json.JSONDecoder().raw_decode(export, export.index("{"))
    addresses = {host.address: host for host in lab.hosts.values()}
    found = {}
    for one in state["deployment"]["resources"]:
        if one["type"] == "command:remote:Command":
            given = {name: _plain(value) for name, value in one["inputs"].items()}
            name = one["urn"].rpartition("::")[2]
            host = addresses[given["connection"]["host"]]
            found[name] = Command(name, host, given["create"], given["delete"], given["stdin"])
    return found


def _plain(value: Any) -> Any:
    return json.loads(value["plaintext"]) if isinstance(value, dict) and "plaintext" in value else value


def end_everywhere(command: Command, way: str, stride: int = 1) -> Tally:
    """End a part's apply and remove before every `stride`-th step. It is away before and after."""
    tally = Tally()
    ends = {}
    counted = {}
    for verb in ("remove", "apply"):
        # Before no step: it is counted and ends by itself.
        command.run(verb, _BEHIND)
        counted[verb] = len(command.steps())
        ends[verb] = command.picture()
    tally.steps = {verb: counted[verb] for verb in ("apply", "remove")}
    command.run("remove")
    try:
        for step in range(1, max(tally.steps.values()) + 1, stride):
            for verb, other in (("apply", "remove"), ("remove", "apply")):
                if step <= tally.steps[verb]:
                    command.run(verb, step, way)
                    tally.ended += 1
                    tally.judge(command, verb, step, _mixed(command.picture(), ends[other], ends[verb], way))
                command.run(verb)
                tally.judge(command, f"{verb} again", step, _settled(command, ends[verb]))
    except LabError as error:
        tally.judge(command, "again", step, [str(error)[-200:]])
    return tally


def end_and_remove(command: Command, stride: int = 1) -> Tally:
    """Kill a part's apply before every `stride`-th step, then remove it. It is away before and after."""
    tally = Tally()
    try:
        command.run("remove")
        away = command.picture()
        for start in ("apply", "apply again"):
            for step in itertools.count(1, stride):
                if start == "apply again":
                    command.run("apply")
                command.run("apply", step)
                ended = len(command.steps()) == step
                command.run("remove")
                tally.judge(command, f"{start}, then remove", step, _settled(command, away))
                if not ended:
                    break
                tally.ended += 1
                tally.steps[start] = step
    except LabError as error:
        tally.judge(command, "then remove", tally.ended, [str(error)[-200:]])
    return tally


def _mixed(now: Picture, old: Picture, new: Picture, way: str) -> list[str]:
    """Return the files that are neither old nor new. One that is killed cannot take its temporary copies away."""
    return [
        f"{name} is neither as before nor as after"
        for name in {*now, *old, *new}
        if name.startswith("/")
        and now.get(name) not in (old.get(name), new.get(name))
        and not name.startswith("/var/lib/metrics-tunnel/")
        and not (way == "SIGKILL" and _TEMPORARY.search(name))
    ]


def _settled(command: Command, wanted: Picture) -> list[str]:
    """Return what is not as wanted, after a moment in which a service that was restarted opens its port."""
    until = time.monotonic() + _SETTLE_SECONDS
    while (found := picture.difference(wanted, command.picture())) and time.monotonic() < until:
        time.sleep(0.2)
    return found


def stack(lab: Lab) -> Project:
    """Apply a real stack: a host with each kind of key line, each scraped by a server of its own."""
    servers = [lab.add(name, layouts.SERVERS["comments"], layouts.none) for name in ("mon1", "mon2", "mon3")]
    hosts = [lab.add(name) for name in ("web1", "web2", "web3")]
    lab.boot()
    project = Project(lab.folder / "project")
    given = {
        host.name: {**machine(host), "servers": [server.name]} for host, server in zip(hosts, servers, strict=True)
    }
    given["web2"]["login"] = base.ADMIN
    project.settings({**settings(lab, servers, []), "hosts": given})
    project.up()
    return project


def campaign(known: dict[str, Command], strides: dict[str, int], tell: Tell) -> dict[str, dict[str, Tally]]:
    """End every part in each way, at every so-many-th step; return the tallies by way and resource."""
    found: dict[str, dict[str, Tally]] = {way: {} for way in strides}

    def one_after_the_other(names: tuple[str, ...]) -> None:
        for name in names:
            for other in _NEED.get(name, ()):
                known[other].run("remove")
            for way, stride in strides.items():
                one = known[name]
                tally = end_and_remove(one, stride) if way == REMOVED else end_everywhere(one, way, stride)
                found[way][name] = tally
                tell(f"{name}: ended {tally.ended} times by {way}")

    with ThreadPoolExecutor() as pool:
        list(pool.map(one_after_the_other, ROUNDS))
    return found


def measure(folder: Path, tell: Tell) -> list[Figure]:
    """End every part's apply and remove at every step."""
    with temporary(folder) as lab:
        found = campaign(commands(stack(lab), lab), STRIDES, tell)
    return [_figure(way, tallies) for way, tallies in found.items()]


def _figure(way: str, tallies: dict[str, Tally]) -> Figure:
    faults = [fault for tally in tallies.values() for fault in tally.faults]
    steps = ", ".join(f"{name} {' and '.join(map(str, tally.steps.values()))}" for name, tally in tallies.items())
    every = "every" if STRIDES[way] == 1 else f"every {STRIDES[way]}th"
    wrong = "what is left" if way == REMOVED else "files neither old nor new, and no way on"
    what = f"scripts ended by {way}, at {every} step: {wrong}"
    kinds = "a first apply and another" if way == REMOVED else "apply and remove"
    note = "; ".join(faults[:5]) or f"steps of {kinds}: {steps}"
    return count(what, len(faults), sum(tally.ended for tally in tallies.values()), wanted=0, note=note)
