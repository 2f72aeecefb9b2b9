"""How the campaign reads Prometheus' samples, on samples made by hand."""

from lab.campaign.faults import gained
from lab.campaign.scrapes import Sample, back, lost, missing
from lab.campaign.tunnels import Client


def samples(marks: str, start: float = 100) -> list[Sample]:
    """Return one sample a second: `1` is up, `0` is down, and at a blank none was made."""
    return [Sample(start + second, mark == "1") for second, mark in enumerate(marks) if mark != " "]


def test_a_target_is_back_with_the_first_of_three_good_samples_after_the_end() -> None:
    assert back(samples("1100111"), 102.5) == 104
    assert back(samples("110011"), 102.5) is None
    assert back(samples("1101011100"), 102.5) is None, "it went down again"


def test_good_samples_from_before_the_end_prove_nothing() -> None:
    assert back(samples("111"), 100.5) is None
    assert back(samples("1111"), 100.5) == 101


def test_scrapes_lost_at_a_longer_interval_are_counted_for_each_second_to_begin_at() -> None:
    assert lost(samples("1000001")) == [5]
    assert lost(samples("1000001"), 5) == [1, 1, 1, 1, 1]
    assert lost(samples("10000001"), 5) == [1, 2, 1, 1, 1]
    assert lost([], 5) == [0, 0, 0, 0, 0]


def test_a_scrape_that_was_not_made_is_missing() -> None:
    assert missing(samples("1111")) == 0
    assert missing(samples("11  1 0")) == 3


def test_what_a_process_gained_is_of_its_own_life() -> None:
    looks = [Client(1, 6, 800), Client(1, 9, 900), Client(2, 40, 9000), Client(1, 7, 820), Client(2, 39, 8000)]
    assert gained(looks) == (1, 20)
