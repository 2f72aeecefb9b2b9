"""No secret stands anywhere but encrypted in the state: not after runs that succeed, and not after those that fail."""

import pytest

from lab import picture
from lab.campaign import secrets
from lab.campaign.secrets import Search
from lab.hosts import Lab


@pytest.fixture(scope="module")
def search(lab: Lab) -> Search:
    found = Search()
    stack = secrets.build(lab, found)
    before = {name: picture.take(host) for name, host in lab.hosts.items()}
    secrets.life(stack, print)
    assert {name: picture.difference(before[name], picture.take(host)) for name, host in lab.hosts.items()} == {
        name: [] for name in lab.hosts
    }
    return found


def test_no_secret_is_found_anywhere(search: Search) -> None:
    assert len(search.hits) > 20
    assert {place: names for place, names in search.hits.items() if names} == {}


def test_the_search_would_find_one(search: Search) -> None:
    assert [place for place, seen in search.controls.items() if not seen] == []


def test_each_failure_was_told(search: Search) -> None:
    assert len(search.told) >= 8
    assert [name for name, told in search.told.items() if not told] == []
