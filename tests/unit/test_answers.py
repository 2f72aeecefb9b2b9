"""What real machines of each Debian release have answered is judged as it was when they answered."""

from collections.abc import Sequence
from functools import cache

import pytest

from components.facts import read
from components.look import Question
from tests.unit.answers_of_machines import FOLDER, RELEASES, findings, questions

KEYS, DROPIN = "/etc/ssh/authorized_keys.d/metrics-tunnel", "/etc/ssh/sshd_config.d/10-metrics-tunnel.conf"
TARGETS, STORE = "/etc/metrics-tunnel/targets/lab", "/var/lib/metrics-tunnel"
NOT_OURS = (
    "is no target file of ours, and Prometheus scrapes what it names; it is left alone, delete it if nobody needs it"
)
STRANGE_KEY = (
    "/etc/metrics-tunnel/keys/strange is not from here: no receipt names it; it is left alone, look whose it is"
)
STRANGE_LINE = (
    f"{KEYS} has a line that is not ours, of 'me': it is left alone, and keeps file, user and drop-in there; "
    "take it out if nobody needs it"
)
OVERRIDE = "/etc/systemd/system/metrics-tunnel-web13.service.d/own.conf"
ON_HOST = [
    f"{DROPIN} has mode and owner 666 root instead of 644 root",
    "user metrics-tunnel is in the groups adm",
    f"{DROPIN} says 'PermitTTY yes' instead of 'PermitTTY no'",
]


@cache
def asked() -> dict[str, Sequence[Question]]:
    return questions({f"{kind}{release}": f"10.0.0.{release}" for kind in ("mon", "web") for release in RELEASES})


def said(machine: str, answer: str) -> dict[str, list[str]]:
    return findings(asked()[machine], read((FOLDER / f"{answer}.txt").read_text()))


@pytest.mark.parametrize("machine", [f"{kind}{release}" for kind in ("mon", "web") for release in RELEASES])
def test_right_after_up_nothing_is_said(machine: str) -> None:
    recorded = read((FOLDER / f"{machine}.txt").read_text()).receipts
    assert len(recorded) == (9 if machine.startswith("mon") else 4)
    # A part that has come since is asked about too, and is not there.
    assert recorded.keys() <= {question.part for question in asked()[machine]}
    assert said(machine, machine) == {}


@pytest.mark.parametrize("release", RELEASES)
def test_what_hands_did_on_a_server_is_said(release: str) -> None:
    assert said(f"mon{release}", f"mon{release}-after-hands") == {
        f"keypair-metrics-tunnel-lab-mon{release}-1": [
            "/etc/metrics-tunnel/keys has mode and owner 755 root instead of 700 root",
            f"notice: {STRANGE_KEY}",
        ],
        "tunnel-watchdog": [
            "user metrics-tunnel-ssh is in the groups metrics-tunnel-ssh adm instead of its own alone; it is put there"
        ],
        "scrape-job-lab": [
            "the job's block in /etc/prometheus/prometheus.yml was edited",
            f"notice: {TARGETS}/strange.json {NOT_OURS}",
            f"notice: {TARGETS}/web11.json {NOT_OURS}",
        ],
        "ssh-tunnel-web11": [
            "/etc/metrics-tunnel/known_hosts/web11 was edited",
            "metrics-tunnel-web11.service is stopped; it is started again",
        ],
        "scrape-config-web11": [f"its receipt {STORE}/scrape-config-web11 is missing; it is applied again"],
        "ssh-tunnel-web12": [f"its receipt {STORE}/ssh-tunnel-web12 is damaged; it is applied again"],
        "scrape-config-web12": [f"{TARGETS}/web12.json has mode and owner 666 root instead of 644 root"],
        "ssh-tunnel-web13": [f"metrics-tunnel-web13.service is overridden by {OVERRIDE}; that goes, with its folder"],
        "scrape-config-web13": [f"{TARGETS}/web13.json is missing"],
    }


@pytest.mark.parametrize("release", RELEASES)
def test_what_hands_did_on_a_host_is_said(release: str) -> None:
    part = "authorized-key-metrics-tunnel-lab"
    assert said(f"web{release}", f"web{release}-after-hands") == {
        f"{part}-mon11-1": [
            f"the line of the key in {KEYS} was changed",
            *ON_HOST,
            f"notice: {STRANGE_LINE}",
        ],
        f"{part}-mon12-1": [f"the line of the key in {KEYS} is missing", *ON_HOST],
        f"{part}-mon13-1": [f"its receipt {STORE}/{part}-mon13-1 is missing; it is applied again"],
        "exporter-9100": ["exporter prometheus-node-exporter.service is stopped"],
    }
