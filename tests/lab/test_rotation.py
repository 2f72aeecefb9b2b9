"""A rotation under scraping each second, and one that is killed. `make campaign` does more of both."""

import pytest

from lab.campaign import rotation, tunnels
from lab.campaign.tunnels import Stack
from lab.hosts import Lab

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def stack(lab: Lab) -> Stack:
    return tunnels.applied(lab, {"web1": "bookworm"})


def test_a_rotation_costs_one_restart_and_leaves_nothing_of_the_old_key(stack: Stack) -> None:
    seen = rotation.rotate(stack, 2)
    assert seen.restarts == 1
    assert seen.lost <= 1
    assert (seen.logins, seen.sessions) == (0, 0)


def test_a_rotation_that_is_killed_is_finished_by_the_next_up(stack: Stack) -> None:
    seen = rotation.interrupt(stack, 3, 2)
    assert seen
    assert seen.lost <= 1
    assert (seen.carries, seen.finished, seen.one_key) == (True, True, True)
    assert seen.lost_later <= 1
