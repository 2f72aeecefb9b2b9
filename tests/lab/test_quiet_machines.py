"""The same job on machines as Debian installs them, whose logins say nothing: all other lab hosts greet."""

import subprocess
from dataclasses import dataclass

import pytest

from lab import layouts, picture
from lab.greeting import HOMES
from lab.hosts import Host, Lab, wait
from lab.picture import Picture
from lab.project import DRIFT, Plan, Project, settings

UNIT = "metrics-tunnel-web1.service"
PLACES = ["the Banner", "sshrc", "~/.bashrc", "~/.profile", "/etc/profile.d", "BASH_ENV"]
# The last one takes what sshd's bash does not: that one reads .bashrc, whatever it is told to run.
_SHELLS = "bash -lc true; bash --norc -c true"


@dataclass
class Life:
    """What was seen from before the first `up` to after `destroy`."""

    said: dict[str, str]
    before: dict[str, Picture]
    quiet: Plan
    drift: Plan
    healed: Plan
    scraped: str
    after: dict[str, Picture]


def _login(host: Host, user: str) -> str:
    """Return all that logins by SSH print where their commands print nothing: the Banner, and each shell's own."""
    ssh = ["ssh", "-i", str(host.lab.key), "-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no"]
    done = subprocess.run([*ssh, f"{user}@{host.address}", _SHELLS], capture_output=True, text=True, check=True)
    return "".join(line for line in (done.stdout + done.stderr).splitlines(True) if "Permanently added" not in line)


@pytest.fixture(scope="module")
def life(lab: Lab, project: Project) -> Life:
    mon1 = lab.add("mon1", layouts.SERVERS["comments"], as_installed=True)
    web1 = lab.add("web1", as_installed=True)
    greets = lab.add("greets")
    lab.boot()
    said = {host.name: "".join(_login(host, home.split("/")[-1]) for home in HOMES) for host in (mon1, web1)}
    said |= {f"{greets.name} {home}": _login(greets, home.split("/")[-1]) for home in HOMES}
    machines = {host.name: host for host in (mon1, web1)}
    before = {name: picture.take(host) for name, host in machines.items()}
    project.settings(settings(lab, [mon1], [web1]))
    project.up()
    quiet = project.plan()
    mon1.run(f"systemctl stop {UNIT}")
    web1.run("sed -i s/restrict,// /etc/ssh/authorized_keys.d/metrics-tunnel")
    drift = project.plan()
    project.up()
    healed = project.plan()
    wait("web1 to be scraped", lambda: mon1.scraped("web1") == "1")
    scraped = mon1.scraped("web1")
    project.destroy()
    return Life(said, before, quiet, drift, healed, scraped, {n: picture.take(h) for n, h in machines.items()})


def test_these_machines_say_nothing_and_all_others_greet_in_every_way(life: Life) -> None:
    assert (life.said["mon1"], life.said["web1"]) == ("", "")
    for home in HOMES:
        said = life.said[f"greets {home}"]
        missing = [place for place in PLACES if f"production: {place} " not in said]
        assert not missing, said
        assert "a note of BASH_ENV" in said


def test_a_fleet_is_applied_and_scraped_there(life: Life) -> None:
    assert (life.quiet.code, life.quiet.warnings) == (0, [])
    assert life.scraped == "1"


def test_drift_is_told_and_healed_there(life: Life) -> None:
    assert life.drift.code == DRIFT
    assert life.drift.steps == {"web1-ssh-tunnel": "update", "web1-authorized-key-mon1": "update"}
    assert (life.healed.code, life.healed.warnings) == (0, [])


@pytest.mark.parametrize("name", ["mon1", "web1"])
def test_destroy_leaves_them_as_they_were(name: str, life: Life) -> None:
    assert picture.difference(life.before[name], life.after[name]) == []
