"""A stack that an earlier release applied is taken over by this one: nothing is replaced, no scrape is lost.

`released` holds the programs of earlier releases, as a user's checkout had them; each release adds its own.
"""

import re
import time
from pathlib import Path

import pytest

from lab import layouts, picture
from lab.campaign import scrapes
from lab.hosts import Lab
from lab.picture import Picture
from lab.project import Plan, Project, lay_program, lay_released, settings

RELEASED = sorted((Path(__file__).parent / "released").glob("*.tar.xz"))
HOSTS = ("web1", "web2")
# What another text of its unit or drop-in starts again, once; of any other release, nothing.
RESTARTED = {
    "0.1.0": {
        "mon1": ["metrics-tunnels-watchdog.service"],
        "web1": ["prometheus-node-exporter.service"],
        "web2": ["node_exporter.service"],
    }
}


class Upgrade:
    """What was seen while a release's stack was taken over, and after it was destroyed."""

    def __init__(self, lab: Lab, program: Path, *, detect_drift: bool) -> None:
        server = lab.hosts["mon1"]
        self.restarted = RESTARTED.get(program.name.removesuffix(".tar.xz"), {name: [] for name in lab.hosts})
        project = Project(lab.folder / f"{program.stem}-{detect_drift}")
        lay_released(project.folder, program)
        hosts = [lab.hosts[name] for name in HOSTS]
        project.settings(settings(lab, [server], hosts, scrape={"interval": "1s"}, detectDrift=detect_drift))
        clean = {name: picture.take(host) for name, host in lab.hosts.items()}
        project.up()
        times = {name: picture.times(host) for name, host in lab.hosts.items()}
        began = time.time()
        lay_program(project.folder)
        self.plan: Plan = project.plan()
        self.said = project.up().output.partition("Resources:")[2]
        time.sleep(scrapes.STEADY)
        self.samples = {name: scrapes.since(server, name, began) for name in HOSTS}
        self.started = {name: _changed(times[name], picture.times(host)) for name, host in lab.hosts.items()}
        self.quiet = project.plan()
        project.destroy()
        self.left = {name: picture.difference(clean[name], picture.take(host)) for name, host in lab.hosts.items()}


def _changed(before: Picture, after: Picture) -> list[str]:
    return [name for name, when in after.items() if not name.startswith("/") and before.get(name) != when]


@pytest.fixture(
    scope="module",
    params=[(path, detect_drift) for path in RELEASED for detect_drift in (True, False)],
    ids=lambda given: f"{given[0].name.removesuffix('.tar.xz')}{'' if given[1] else ' without detectDrift'}",
)
def upgrade(request: pytest.FixtureRequest, lab: Lab) -> Upgrade:
    if not lab.hosts:
        # 0.1.0 loses what stands behind a greeting that has no end of line.
        lab.add("mon1", layouts.SERVERS["comments"], as_installed=True)
        lab.add("web1", layouts.EXPORTERS["packaged-args"], as_installed=True)
        lab.add("web2", layouts.EXPORTERS["hand-made-listen"], as_installed=True)
        lab.boot()
    program, detect_drift = request.param
    return Upgrade(lab, program, detect_drift=detect_drift)


def test_nothing_is_replaced_or_deleted(upgrade: Upgrade) -> None:
    assert set(upgrade.plan.steps.values()) <= {"update", "create"}
    assert upgrade.plan.steps["web1-ssh-tunnel"] == "update", "there is nothing to take over"
    assert not re.search("replac|delet", upgrade.said)


def test_no_tunnel_restarts_and_what_else_does_may_cost_a_scrape_at_one_a_second(upgrade: Upgrade) -> None:
    for name in HOSTS:
        assert len(upgrade.samples[name]) > scrapes.STEADY
        lost = [sample for sample in upgrade.samples[name] if not sample.up]
        assert len(lost) + scrapes.missing(upgrade.samples[name]) <= (2 if upgrade.restarted[name] else 0), name
    assert upgrade.started == upgrade.restarted


def test_it_is_quiet_afterwards_and_destroy_restores(upgrade: Upgrade) -> None:
    assert upgrade.quiet.code == 0
    assert upgrade.left == {"mon1": [], "web1": [], "web2": []}
