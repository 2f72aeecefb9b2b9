"""Scripts killed, told to end, or left by their connection at some of their steps; `make campaign` does it at more."""

import pytest

from lab.campaign import crashes
from lab.campaign.crashes import REMOVED, ROUNDS, WAYS, Tally
from lab.hosts import Lab

# Each part is ended at the beginning, in the middle and towards its end, each way at other steps.
STRIDES = {"SIGKILL": 67, "SIGTERM": 101, "a lost connection": 113, REMOVED: 97}


@pytest.fixture(scope="module")
def tallies(lab: Lab) -> dict[str, dict[str, Tally]]:
    known = crashes.commands(crashes.stack(lab), lab)
    return crashes.campaign(known, STRIDES, lambda _text: None)


@pytest.mark.parametrize("name", [name for names in ROUNDS for name in names])
@pytest.mark.parametrize("way", WAYS)
def test_each_file_is_old_or_new_and_running_again_ends_where_it_should(
    way: str, name: str, tallies: dict[str, dict[str, Tally]]
) -> None:
    tally = tallies[way][name]
    assert tally.ended > 1
    assert min(tally.steps.values()) > 20
    assert tally.faults == []


@pytest.mark.parametrize("name", [name for names in ROUNDS for name in names])
def test_what_was_killed_while_it_was_applied_is_removed_without_a_trace(
    name: str, tallies: dict[str, dict[str, Tally]]
) -> None:
    tally = tallies[REMOVED][name]
    assert tally.steps.keys() == {"apply", "apply again"}
    assert tally.faults == []
