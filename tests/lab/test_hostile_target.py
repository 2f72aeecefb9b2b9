"""A host that turns hostile has its scrapes refused, and nothing else: what is let in of it is harmless.

One behaviour of each kind: `make campaign` has the others, on servers of every release.
"""

import pytest

from lab.campaign.hostile_target import (
    CASES,
    EXPORTER,
    GROWTH_MB,
    PLAIN,
    QUICK,
    SSHDS,
    TUNNEL,
    Case,
    Health,
    Sshd,
    Trial,
    prepare,
)
from lab.hosts import Lab

pytestmark = pytest.mark.alone

# Like a body that unpacks to as much, like random bytes, and like a body that stalls or is too big.
_CAMPAIGN = {"big", "not-utf-8", "endless"}
SOME = [case for case in CASES if case.behaviour not in _CAMPAIGN]
# Lines are a banner of another form.
STRANGE = [sshd for sshd in SSHDS if sshd.behaviour != "ssh-lines"]


@pytest.fixture(scope="module")
def hostile(lab: Lab) -> Trial:
    return prepare(lab, ["bookworm"], print)


@pytest.fixture(scope="module")
def health(hostile: Trial) -> Health:
    return Health(hostile.servers[0])


def test_a_redirect_leads_nowhere(hostile: Trial, health: Health) -> None:
    assert health
    for fetched, sent in hostile.redirected(TUNNEL).values():
        assert (fetched, sent > 0) == (0, True)
    for fetched, sent in hostile.redirected(QUICK).values():
        assert fetched == sent, "the recorder would see nothing"


@pytest.mark.parametrize("case", SOME, ids=[case.behaviour for case in SOME])
def test_a_hostile_answer_is_refused_or_harmless(case: Case, hostile: Trial) -> None:
    assert set(hostile.met(case).values()) == {""}


def test_meanwhile_prometheus_runs_on_and_the_other_target_is_scraped(hostile: Trial, health: Health) -> None:
    assert hostile
    grown, failed, scrapes = health.suffered()
    assert (failed, scrapes > 0) == (0, True)
    assert 0 < grown < GROWTH_MB


@pytest.mark.parametrize("case", [case for case in SOME if case.control], ids=lambda case: case.behaviour)
def test_the_same_answer_harms_a_job_without_limits(case: Case, hostile: Trial) -> None:
    assert all(hostile.controlled(case).values())


def test_a_dead_target_cannot_hide_behind_samples_of_its_own_up(hostile: Trial) -> None:
    assert not any(hostile.forged(TUNNEL, "web").values())
    assert all(hostile.forged(PLAIN, "plain").values()), "the samples would hide nothing"


@pytest.mark.parametrize("sshd", STRANGE, ids=[sshd.name for sshd in STRANGE])
def test_a_strange_sshd_is_refused_until_the_known_one_is_back(sshd: Sshd, hostile: Trial) -> None:
    hostile.web.run(f"systemctl start {EXPORTER}")
    refused, back = hostile.another_sshd(sshd)
    assert refused
    assert back < 30
