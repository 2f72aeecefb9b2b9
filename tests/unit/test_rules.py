"""What may stand in each setting; what may not is tried in test_hostile_values."""

import subprocess
from typing import Any

import pytest

from components import rules
from components.payload import assignments
from stacks.credentials import Credentials
from stacks.settings import arguments, check
from tests.unit.hostile import GOOD, KEY, stack

LOGIN = Credentials({None: {}})


@pytest.mark.parametrize(
    ("path", "place", "value"), [(path, place, value) for path, place, values in GOOD for value in values]
)
def test_a_good_value_reaches_a_shell_as_it_was_written(path: str, place: str, value: Any) -> None:
    whole, errors = check(stack(path, value))
    assert not errors
    assert whole is not None
    found: Any = vars(arguments(whole, LOGIN))
    for step in place.split():
        found = found[step]
    assert found == value
    script = assignments({"X": str(found)}) + 'printf %s "$X"'
    done = subprocess.run(["sh", "-s"], input=script.encode(), capture_output=True, check=True)
    assert done.stdout == str(value).encode()


def test_there_are_enough_good_values_to_trust_the_bad_ones() -> None:
    assert sum(len(values) for _, _, values in GOOD) >= 60


@pytest.mark.parametrize("value", ["10.0.0.10", "10.0.0.0/24", "2001:db8::/32", "::1"])
def test_an_address_or_network_is_kept_for_the_key_line(value: str) -> None:
    assert rules.network(value) == value


@pytest.mark.parametrize(
    ("written", "plain"),
    [("2001:DB8:0::1", "2001:db8::1"), ("::FFFF:10.0.0.1", "::ffff:a00:1"), ("10.0.0.1", "10.0.0.1")],
)
def test_an_ip_address_is_brought_to_its_plain_form(written: str, plain: str) -> None:
    assert rules.address(written) in (plain, written.lower())


def test_a_host_keys_comment_and_an_urls_last_slash_are_dropped() -> None:
    assert rules.host_key(f" {KEY}  root@web1\n") == KEY
    assert rules.url("http://127.0.0.1:9090/") == "http://127.0.0.1:9090"


@pytest.mark.parametrize("name", ["http://localhost", "http://[::1]", "http://mon1.example.org"])
def test_an_url_gets_the_port_that_the_scripts_need(name: str) -> None:
    assert rules.url(name) == f"{name}:80"
    assert rules.url(f"{name}/a/b") == f"{name}:80/a/b"


def test_a_server_may_be_local_and_a_host_may_not() -> None:
    assert rules.server_address("local") == "local"
    assert rules.server_address("10.0.0.1") == "10.0.0.1"
    with pytest.raises(ValueError, match="for a server alone"):
        rules.address("local")


def test_default_listens_are_stable_and_loopback() -> None:
    assert rules.default_listen("web1", 9100) == "127.101.154.128:19100"
    assert all(rules.listen(rules.default_listen(f"h{n}", 9100)) for n in range(200))
    assert len({rules.default_listen(f"h{n}", 9100) for n in range(200)}) == 200


@pytest.mark.parametrize("value", ["a\nb", "a\r", "\0", "a\u2028", "x" * 1025])
def test_a_password_of_more_than_a_line_is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(ValueError, match="holds a line break") as caught:
        rules.password(value)
    assert value not in str(caught.value)


@pytest.mark.parametrize("value", ["x", "päss wörd", "'\"$(id)`\\", "123"])
def test_a_password_of_one_line_is_kept(value: str) -> None:
    assert rules.password(value) == value
