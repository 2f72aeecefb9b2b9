"""Debian 11, 12 and 13, each as server and as host of each other: one stack over all of them."""

import pytest

from lab import base
from lab.campaign import distributions
from lab.campaign.distributions import Life
from lab.hosts import Lab

RELEASES = list(base.RELEASES.values())


@pytest.fixture(scope="module")
def life(lab: Lab) -> Life:
    return distributions.live(lab)


@pytest.mark.parametrize("host", RELEASES)
@pytest.mark.parametrize("server", RELEASES)
def test_a_server_scrapes_a_host_of_any_release(server: int, host: int, life: Life) -> None:
    assert life.scraped[f"mon{server}", f"web{host}"]


@pytest.mark.parametrize("server", RELEASES)
def test_our_units_are_valid_and_tight(server: int, life: Life) -> None:
    units = {unit for name, unit in life.verified if name == f"mon{server}"}
    assert len(units) == 4
    for unit in units:
        assert life.verified[f"mon{server}", unit] == ""
        assert life.exposed[f"mon{server}", unit] <= distributions.TIGHT


def test_applying_again_changes_nothing_and_touches_nothing(life: Life) -> None:
    assert life.changed == []
    assert life.touched == []


@pytest.mark.parametrize("name", [f"{kind}{number}" for kind in ("mon", "web") for number in RELEASES])
def test_destroy_leaves_the_machine_as_it_was(name: str, life: Life) -> None:
    assert life.left[name] == []
