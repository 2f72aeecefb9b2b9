"""Debian 11, 12 and 13, each as server and as host of each other: one stack over all of them."""

from dataclasses import dataclass, field

import pytest

from lab import base, layouts, picture
from lab.hosts import Lab
from lab.picture import Picture
from lab.project import Project, Run, settings

UNIT = "/etc/systemd/system/metrics-tunnel-{}.service"


@dataclass
class Seen:
    """One life of the stack: pictures before and after it, and what was seen while it stood."""

    before: dict[str, Picture]
    scraped: dict[tuple[str, str], str] = field(default_factory=dict)
    verified: dict[str, str] = field(default_factory=dict)
    rated: dict[str, str] = field(default_factory=dict)
    second: Run | None = None
    code: int = -1
    after: dict[str, Picture] = field(default_factory=dict)


@pytest.fixture(scope="module")
def seen(lab: Lab, project: Project) -> Seen:
    servers, hosts = [], []
    for release, number in base.RELEASES.items():
        more = [layouts.busybox_shell] if number == max(base.RELEASES.values()) else []
        servers.append(lab.add(f"mon{number}", layouts.SERVERS["comments"], layouts.none, release=release))
        hosts.append(lab.add(f"web{number}", layouts.EXPORTERS["packaged"], *more, release=release))
    lab.boot()
    for host in hosts:
        assert not host.run("command -v curl python3 wget", check=False), "there would be an easier way"
    found = Seen({name: picture.take(host) for name, host in lab.hosts.items()})
    project.settings(settings(lab, servers, hosts))
    project.up()
    found.scraped = {(mon.name, web.name): mon.scraped(web.name) for mon in servers for web in hosts}
    for mon in servers:
        unit = UNIT.format(hosts[0].name)
        found.verified[mon.name] = mon.run(f"systemd-analyze verify {unit} 2>&1")
        # 247 rates what runs, not files.
        rate = "systemd-analyze security --no-pager metrics-tunnel-web11.service | tail -n 1"
        found.rated[mon.name] = mon.run(rate).split(":")[1].split()[0]
    found.second = project.up()
    found.code = project.plan().code
    project.destroy()
    found.after = {name: picture.take(host) for name, host in lab.hosts.items()}
    return found


RELEASES = list(base.RELEASES.values())


@pytest.mark.parametrize("host", RELEASES)
@pytest.mark.parametrize("server", RELEASES)
def test_a_server_scrapes_a_host_of_any_release(server: int, host: int, seen: Seen) -> None:
    assert seen.scraped[f"mon{server}", f"web{host}"] == "1"


@pytest.mark.parametrize("server", RELEASES)
def test_the_tunnels_unit_is_valid_and_tight(server: int, seen: Seen) -> None:
    assert seen.verified[f"mon{server}"] == ""
    assert float(seen.rated[f"mon{server}"]) <= 1.1


def test_a_second_up_changes_nothing(seen: Seen) -> None:
    assert seen.second is not None
    assert "updated" not in seen.second.output.partition("Resources:")[2]
    assert seen.code == 0


@pytest.mark.parametrize("name", [f"{kind}{number}" for kind in ("mon", "web") for number in RELEASES])
def test_destroy_leaves_the_machine_as_it_was(name: str, seen: Seen) -> None:
    assert picture.difference(seen.before[name], seen.after[name]) == []
