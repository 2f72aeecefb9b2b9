"""Scripts killed at some of their steps; `make campaign` does it at every one."""

import pytest

from lab.campaign import crashes
from lab.campaign.crashes import ROUNDS, Tally
from lab.hosts import Lab


@pytest.fixture(scope="module")
def tallies(lab: Lab) -> dict[str, Tally]:
    known = crashes.commands(crashes.stack(lab), lab)
    return crashes.campaign(known, {"SIGKILL": 25}, lambda _text: None)["SIGKILL"]


@pytest.mark.parametrize("name", [name for names in ROUNDS for name in names])
def test_each_file_is_old_or_new_and_running_again_ends_where_it_should(name: str, tallies: dict[str, Tally]) -> None:
    assert tallies[name].ended > 1
    assert min(tallies[name].steps.values()) > 20
    assert tallies[name].faults == []
