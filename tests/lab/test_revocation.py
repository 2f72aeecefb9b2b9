"""A key that is taken away is never let in again, and its sessions end; those of other keys go on."""

import pytest

from lab.campaign.attacks import DEDICATED, LOGIN
from lab.campaign.revocation import SECONDS, Rush, TakenAway, life, make
from lab.hosts import Lab
from lab.project import Project

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def taken_away(lab: Lab, project: Project) -> tuple[list[TakenAway], Rush]:
    return life(make(lab, {"bookworm": [LOGIN], "trixie": [DEDICATED]}), project, print)


def test_a_thiefs_sessions_end_soon_after_their_key_is_gone(taken_away: tuple[list[TakenAway], Rush]) -> None:
    for seen in taken_away[0]:
        assert seen.sessions == seen.ended == 2, seen
        assert seen.late < SECONDS, seen
        assert seen.late_after_pulumi < SECONDS, seen


def test_a_key_that_is_gone_is_never_let_in(taken_away: tuple[list[TakenAway], Rush]) -> None:
    for seen in taken_away[0]:
        assert seen.tries >= 10
        assert seen.let_in == 0, seen


def test_a_session_that_began_while_its_key_went_does_not_last(taken_away: tuple[list[TakenAway], Rush]) -> None:
    assert taken_away[1].let_in, "nobody was let in, which proves nothing"
    assert taken_away[1].alive == 0


def test_other_keys_sessions_go_on(taken_away: tuple[list[TakenAway], Rush]) -> None:
    for seen in taken_away[0]:
        assert seen.others_alive == seen.others > 0, seen
