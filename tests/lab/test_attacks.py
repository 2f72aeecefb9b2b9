"""A stolen tunnel key reaches the exporter and nothing else."""

import pytest

from lab import base
from lab.campaign.attack_list import FIRST
from lab.campaign.attacks import CONTROL, DEDICATED, LOGIN, LOGIN_LETS, PLAIN, AttackOutcome, Range, attack, make
from lab.hosts import Lab


@pytest.fixture(scope="module")
def made(lab: Lab) -> Range:
    return make(lab, [base.RELEASE])


def test_nothing_gets_through_by_the_dedicated_user_however_loose_sshd_is_for_others(made: Range) -> None:
    outcomes = attack(made, DEDICATED, [*made.hosts, made.loose])
    assert outcomes == [AttackOutcome([], legitimate=True)] * 2


def test_by_a_login_user_gets_through_what_the_readme_tells(made: Range) -> None:
    made.apply(login=LOGIN)
    outcome = attack(made, LOGIN, made.hosts)[0]
    assert set(outcome.through) == LOGIN_LETS.keys()
    assert outcome.legitimate


def test_by_a_plain_key_most_gets_through_so_that_the_attacks_show_something(made: Range) -> None:
    assert len(FIRST.keys() & attack(made, PLAIN, made.hosts)[0].through) >= CONTROL
