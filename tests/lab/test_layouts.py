"""Every layout of a server and of a host: `up` twice and `destroy` leave each machine as it was, byte for byte."""

from dataclasses import dataclass, field

import pytest

from lab import base, layouts, picture
from lab.hosts import Host, Lab
from lab.picture import Picture
from lab.project import Project, Run, machine, settings

# The user whose key file holds the tunnel's key, where it is not the dedicated one.
LOGIN = {"login-keys": base.ADMIN, "login-no-keys": base.ASKED}
SERVED = ["packaged", "packaged-args", "packaged-listen", "hand-made", "hand-made-listen", *LOGIN]


@dataclass
class Seen:
    """What was seen in one life of the stack, by host: before it, while it stood, and after it."""

    names: dict[str, str] = field(default_factory=dict)
    before: dict[str, Picture] = field(default_factory=dict)
    during: dict[str, Picture] = field(default_factory=dict)
    once: dict[str, Picture] = field(default_factory=dict)
    twice: dict[str, Picture] = field(default_factory=dict)
    after: dict[str, Picture] = field(default_factory=dict)
    scraped: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    second: Run | None = None


def _pictures(hosts: dict[str, Host]) -> dict[str, Picture]:
    return {name: picture.take(host) for name, host in hosts.items()}


@pytest.fixture(scope="module")
def seen(lab: Lab, project: Project) -> Seen:
    found = Seen()
    pairs = []
    for number, (server, exporter) in enumerate(zip(layouts.SERVERS, SERVED, strict=True)):
        found.names |= {server: f"mon{number}", exporter: f"web{number}"}
        # Each setting of login.defs on every other server: it must not show.
        groups = [layouts.no_user_groups] if number % 2 else []
        pairs.append(
            (
                lab.add(f"mon{number}", layouts.SERVERS[server], layouts.none, *groups),
                lab.add(f"web{number}", layouts.EXPORTERS[exporter]),
            )
        )
    lab.boot()
    found.before = _pictures(lab.hosts)
    hosts = {web.name: {**machine(web), "servers": [mon.name]} for mon, web in pairs}
    for layout, user in LOGIN.items():
        hosts[found.names[layout]]["login"] = user
    project.settings({**settings(lab, [mon for mon, _ in pairs], []), "hosts": hosts})
    project.up()
    found.during = _pictures(lab.hosts)
    found.once = {name: picture.times(host) for name, host in lab.hosts.items()}
    found.second = project.up()
    found.twice = {name: picture.times(host) for name, host in lab.hosts.items()}
    found.scraped = {web.name: mon.scraped(web.name) for mon, web in pairs}
    found.groups = {mon.name: mon.run("id -Gn metrics-tunnel-ssh").strip() for mon, _ in pairs}
    project.destroy()
    found.after = _pictures(lab.hosts)
    return found


@pytest.mark.parametrize("layout", SERVED)
def test_an_exporter_listens_on_loopback_alone_and_is_scraped(layout: str, seen: Seen) -> None:
    name = seen.names[layout]
    assert "listener *:9100" in seen.before[name] or "listener 0.0.0.0:9100" in seen.before[name]
    assert [one for one in seen.during[name] if one.endswith(":9100")] == ["listener 127.0.0.1:9100"]
    assert seen.scraped[name] == "1"


@pytest.mark.parametrize("layout", [*layouts.SERVERS, *SERVED])
def test_a_second_up_writes_no_file_and_restarts_no_unit(layout: str, seen: Seen) -> None:
    name = seen.names[layout]
    assert picture.difference(seen.once[name], seen.twice[name]) == []
    assert seen.second is not None
    assert "updated" not in seen.second.output.partition("Resources:")[2]


@pytest.mark.parametrize("layout", [*layouts.SERVERS, *SERVED])
def test_destroy_leaves_the_machine_as_it_was(layout: str, seen: Seen) -> None:
    name = seen.names[layout]
    assert picture.difference(seen.before[name], seen.during[name]), "the picture would show nothing"
    assert picture.difference(seen.before[name], seen.after[name]) == []


@pytest.mark.parametrize("layout", LOGIN)
def test_the_key_of_a_login_user_stands_in_that_users_file_alone(layout: str, seen: Seen) -> None:
    name, file = seen.names[layout], f"/home/{LOGIN[layout]}/.ssh/authorized_keys"
    changed = {line.split(":")[0] for line in picture.difference(seen.before[name], seen.during[name])}
    assert file in changed
    assert not [path for path in changed if path.startswith("/etc/ssh") or path == "/etc/passwd"]


@pytest.mark.parametrize("layout", layouts.SERVERS)
def test_a_servers_user_has_a_group_of_its_own_whatever_the_machines_default_is(layout: str, seen: Seen) -> None:
    assert seen.groups[seen.names[layout]] == "metrics-tunnel-ssh"
