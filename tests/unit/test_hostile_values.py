"""No value of a setting does harm: it is refused with its path, before any connection, or it arrives as it was written.

Some thousand bad values are listed; more are made by Hypothesis, the same ones each time but in the campaign.
"""

import asyncio
import json
import re
import socket
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
import pulumi
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as some

from components import rules
from components.machine import Machine
from stacks.models import (
    BastionSettings,
    ExporterSettings,
    HostSettings,
    ScrapeSettings,
    ServerSettings,
    SshSettings,
    Whole,
)
from tests.unit import harmless, reading
from tests.unit.hostile import BAD, GOOD, KEY, NO_KEYS, SECRETS, VALUES, Case, cases, change, stack

_PIECE = 12


def _pieces(text: str) -> set[str]:
    return {text[start : start + _PIECE] for start in range(len(text) - _PIECE + 1)}


_PLANTED = {
    piece
    for secret in SECRETS.values()
    for line in secret.splitlines()
    if "-----" not in line
    for form in (line, repr(line)[1:-1], json.dumps(line)[1:-1])
    for piece in _pieces(form)
}


def told(error: object) -> list[str]:
    """Return the errors of a refused stack: one short line each, with no secret in it."""
    head, *lines = str(error).split("\n")
    assert re.fullmatch(f"{len(lines)} errors? in stacks/Pulumi.test.yaml; no machine was contacted:", head)
    for line in lines:
        assert line.startswith("  ")
        assert line.isprintable(), line
        assert len(line) < 400, line
        assert not _PLANTED & _pieces(line), line
    return [line[2:] for line in lines]


def test_the_stack_that_the_bad_values_are_put_into_is_sound_and_connects_to_nobody() -> None:
    with reading.connections() as made:
        harmless.check(reading.run(stack(), SECRETS), stack(), SECRETS)
    assert {note.split()[0] for note in made} == {"subprocess.Popen"}, "these are the shells of the check itself"


def test_a_connection_would_be_seen() -> None:
    async def dial(port: int) -> None:
        await asyncssh.connect("127.0.0.1", port, known_hosts=None, config=None, agent_path=None, connect_timeout=1)

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
        with reading.connections() as made, pytest.raises(OSError, match=r"refused|failed"):
            asyncio.run(dial(port))
        with reading.connections() as also, pytest.raises(OSError, match=r"refused|failed"):
            socket.create_connection(("127.0.0.1", port))
        with reading.connections() as program:
            subprocess.run(["true"], check=True)
    assert [note for note in made if note.startswith("socket.connect") and str(port) in note]
    assert [note for note in also if note.startswith("socket.connect") and str(port) in note]
    assert program


def test_the_list_is_long() -> None:
    assert len(cases()) >= 1000
    assert {path.partition("[")[0] for path in BAD} >= set(_every_setting())


def _every_setting() -> list[str]:
    """Return the path of each setting that there is, of one server, host, exporter and so on."""
    places: dict[str, Any] = {
        "": Whole,
        "prometheus.mon1.": ServerSettings,
        "hosts.web1.": HostSettings,
        "hosts.web1.exporters.node.": ExporterSettings,
        "hosts.web1.bastion.": BastionSettings,
        "ssh.": SshSettings,
        "scrape.": ScrapeSettings,
    }
    return [
        place + (field.alias or name) for place, model in places.items() for name, field in model.model_fields.items()
    ]


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.named[0])
def test_a_listed_value_is_refused_with_its_path(case: Case) -> None:
    with reading.connections() as notes, pytest.raises(pulumi.RunError) as caught:
        reading.load(case.settings, case.secrets)
    assert notes == []
    errors = told(caught.value)
    assert errors
    assert all(one.startswith(case.named) for one in errors), errors


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("path", sorted({path for path in BAD if "." in path and "labels" not in path}))
def test_a_secret_in_a_wrong_place_is_not_repeated(path: str, name: str) -> None:
    for planted in (SECRETS[name], f"the secret {SECRETS[name]}", {"password": SECRETS[name]}, [SECRETS[name]]):
        for settings in (stack(path, planted), stack(path.rpartition(".")[0], planted, key=SECRETS[name])):
            with pytest.raises(pulumi.RunError) as caught:
                reading.load(settings, SECRETS)
            assert told(caught.value)


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("path", NO_KEYS)
def test_a_secret_as_a_name_is_not_repeated(path: str, name: str) -> None:
    for planted in (SECRETS[name], f"the secret {SECRETS[name]}"):
        with pytest.raises(pulumi.RunError) as caught:
            reading.load(stack(path, VALUES[path], key=planted), SECRETS)
        assert told(caught.value)


_TEXT = some.text(
    some.sampled_from(
        "-;`$()\n\r\0\t%{}'\"\\ /.:@=,#&|<>*?[]!~^ab1_\u0435\u0663\uff11\u200b\u202e\u0301\u00e9\u6f22\U0001f600"
    )
    | some.characters(),
    max_size=40,
)
_LABEL = some.text(some.characters(exclude_categories=["C", "Z"]) | some.sampled_from(" '\"\\$`%{}"), min_size=1)
_LABELS = some.dictionaries(some.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,9}", fullmatch=True), _LABEL, max_size=3)
_ANYTHING = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | _TEXT,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)
_SEEDS = {path: values for path, _, values in GOOD}
_PATHS = sorted({*BAD, *_SEEDS})


@some.composite
def _mutated(draw: some.DrawFn, seed: str) -> str:
    """Return a good value in which something stands that was not there."""
    start = draw(some.integers(0, len(seed)))
    end = draw(some.integers(start, min(len(seed), start + 2)))
    return seed[:start] + draw(_TEXT | some.text("aB1-._/:", max_size=3)) + seed[end:]


@some.composite
def _changed(draw: some.DrawFn) -> tuple[list[str], dict[str, Any]]:
    """Return a stack with some value at some path, hostile labels beside it now and then, and what was changed."""
    labels = draw(some.none() | _LABELS)
    whole, paths = (stack(), []) if labels is None else (stack("hosts.web1.labels", labels), ["hosts.web1.labels"])
    if draw(some.integers(0, 9)) == 0:
        path = draw(some.sampled_from(sorted(NO_KEYS)))
        return [*paths, path], change(whole, path, VALUES[path], draw(_TEXT))
    path = draw(some.sampled_from(_PATHS))
    seeds = some.sampled_from(_SEEDS.get(path, ["web1"]))
    mutants = seeds.flatmap(lambda seed: _mutated(seed) if isinstance(seed, str) else some.integers(-9, 70000))
    texts = [_TEXT, seeds, mutants, mutants]
    # Pulumi itself reads a text at the top as what it may mean.
    value = draw(
        some.one_of([_ANYTHING, *texts]) if "." in path else _ANYTHING.filter(lambda one: not isinstance(one, str))
    )
    return [*paths, path], change(whole, path, [value] if path.endswith("]") else value)


_ended: Counter[str] = Counter()


@given(_changed())
def test_any_value_is_refused_with_its_path_or_arrives_as_it_was_written(
    made: tuple[list[str], dict[str, Any]],
) -> None:
    paths, settings = made
    try:
        with reading.connections() as notes:
            done = reading.run(settings, SECRETS)
    except pulumi.RunError as error:
        _ended["refused"] += 1
        named = tuple(end for path in paths for one in (path, *_RELATED.get(path, [])) for end in _ends(one))
        errors = told(error)
        assert errors
        assert all(one.startswith(named) for one in errors), errors
    else:
        _ended["accepted"] += 1
        harmless.check(done, settings, SECRETS)
    assert notes == []


def _ends(path: str) -> list[str]:
    bare = path.partition("[")[0]
    return [f"{bare}: ", f"{bare}.", f"{bare}["]


# Where one of two that clash was changed, the other one may be told.
_RELATED = {
    "hosts.web1.port": ["hosts.web1.exporters.node.port"],
    "prometheus.mon1.address": ["prometheus.mon1.hostKey"],
}


def test_the_values_that_were_made_are_of_both_kinds(record_testsuite_property: Callable[[str, object], None]) -> None:
    if not _ended:
        pytest.skip("they are counted where they are made before")
    for kind, count in _ended.items():
        record_testsuite_property(kind, count)
    assert min(_ended["accepted"], _ended["refused"]) > sum(_ended.values()) / 10


_SUDO = """#!/bin/sh
case $1 in
-S) IFS= read -r line; printf %s "$line" >password ;;
-n) shift; exec "$@" ;;
esac
"""


@pytest.fixture(scope="session")
def machines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Give, for each shell, a folder where it is `sh` and `sudo` keeps the password that it is given."""
    found = {}
    for shell in harmless.SHELLS:
        folder = found[shell] = tmp_path_factory.mktemp("machine")
        for name, text in {"sudo": _SUDO, "sh": f'#!/bin/sh\nexec {shell} "$@"\n'}.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
    return found


@profile(max_examples=profile().max_examples // 5)
@given(
    some.sampled_from(harmless.SHELLS),
    _LABEL.filter(lambda text: rules.password(text) == text),
    some.binary(max_size=40),
)
def test_a_password_for_sudo_arrives_as_it_was_written_and_what_follows_it_too(
    machines: dict[str, Path], shell: str, password: str, rest: bytes
) -> None:
    command = Machine("web1", {"address": "a", "host_key": KEY, "user": "deploy", "sudo_password": password}).command(
        "cat"
    )
    folder = machines[shell]
    done = subprocess.run(
        ["sh", "-c", command],
        input=password.encode() + b"\n" + rest,
        stdout=subprocess.PIPE,
        check=True,
        cwd=folder,
        env={"PATH": f"{folder}:/usr/bin:/bin"},
    )
    assert (folder / "password").read_bytes() == password.encode()
    assert done.stdout == rest
