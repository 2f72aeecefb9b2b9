"""No value that a program gives a component does harm: it is refused with its path, and nothing of it is planned."""

import asyncio
import re
from typing import Any, is_typeddict
from unittest.mock import patch

import pulumi
import pytest
from pulumi.runtime import settings

from components import MonitoredHost, PrometheusServer
from components.args import BastionArgs, ConnectionArgs, ExporterArgs, MonitoredHostArgs, PrometheusServerArgs
from components.edge import Edge, _bare
from components.values import ENTRIES, NAMES, RULES
from tests.mocked import deploy
from tests.unit.arguments import LATE, Call, accepted, calls, place, put, sound
from tests.unit.hostile import GOOD
from tests.unit.test_hostile_values import _PLANTED, _pieces

_KINDS: Any = {"PrometheusServer": PrometheusServerArgs, "MonitoredHost": MonitoredHostArgs}


def lines(error: pulumi.RunError, component: str) -> list[str]:
    """Return the errors of a refused component: one short line each, with no secret in it."""
    head, *found = str(error).split("\n")
    assert re.fullmatch(rf"{len(found)} errors? in {component} .*; nothing of it was planned:", head), head
    for line in found:
        assert line.startswith("  ")
        assert line.isprintable(), line
        assert len(line) < 400, line
        assert not _PLANTED & _pieces(line), line
    return [line[2:] for line in found]


def make(call: Call, server: PrometheusServer) -> None:
    if call.component == "PrometheusServer":
        PrometheusServer(call.name, call.args)
    else:
        MonitoredHost(call.name, call.args, servers=[server])


def test_every_listed_value_is_refused_with_its_path_and_nothing_is_planned() -> None:
    tried = []

    def program() -> None:
        server = PrometheusServer("mon1", sound())  # type: ignore[arg-type]
        for call in calls():
            if accepted(call.path, call.value):
                continue
            tried.append(call)
            try:
                make(call, server)
            except pulumi.RunError as error:
                told = lines(error, call.component)
                bare = call.path.partition("[")[0] or "args"
                named = (f"{bare}: ", f"{bare}.", f"{bare}[", f"{bare.partition('.')[0]}[")
                assert told
                assert all(one.startswith(named) for one in told), (call, told)
            else:
                raise AssertionError(call)

    done = deploy(program)
    assert len(tried) > 1500
    sound_alone = deploy(lambda: PrometheusServer("mon1", sound()))  # type: ignore[arg-type]
    assert set(done.resources) == set(sound_alone.resources)


def test_every_listed_value_is_refused_as_an_output_too() -> None:
    tried = []

    async def program() -> None:
        for call in calls():
            if call.path.rpartition(".")[2] not in LATE:
                continue
            args, late = call.args, pulumi.Output.from_input
            steps = call.path.partition("[")[0].split(".")
            here = args
            for step in steps[:-1]:
                here = here[step]
            value = here[steps[-1]]
            here[steps[-1]] = [late(one) for one in value] if "[" in call.path else late(value)
            edge = Edge(call.component, "web1")
            found = edge.take(_KINDS[call.component], args)
            edge.refuse()
            for step in steps:
                found = found[step]
            tried.append(call)
            try:
                await (found[0] if "[" in call.path else found).future()
            except pulumi.RunError as error:
                text = str(error)
                assert text.startswith(f"{call.component} web1: {call.path}: "), text
                assert text.isprintable(), text
                assert not _PLANTED & _pieces(text), text
            else:
                raise AssertionError(call)

    with patch.object(pulumi, "get_stack", lambda: "test"), patch.object(pulumi, "get_project", lambda: "project"):
        asyncio.run(program())
    settings.SETTINGS.outputs.clear()
    assert len(tried) > 400


def test_every_value_that_there_may_be_has_a_rule_and_hostile_values() -> None:
    tried = {call.path for call in calls()}
    for kind in (PrometheusServerArgs, MonitoredHostArgs, ConnectionArgs, BastionArgs, ExporterArgs):
        for key, annotation in kind.__annotations__.items():
            plain = _bare(annotation)
            if plain is not bool and not is_typeddict(plain):
                assert RULES.get(key) or ENTRIES.get(key) or NAMES.get(key), key
            if key != "agent_socket_path":
                assert any(key in path.replace("[", ".[").split(".") for path in tried), key


@pytest.mark.parametrize(("setting", "values"), [(setting, values) for setting, _, values in GOOD])
def test_a_good_value_is_taken_as_it_was_written(setting: str, values: list[Any]) -> None:
    found = place(setting)
    assert found
    component, path = found
    with patch.object(pulumi, "get_stack", lambda: "test"), patch.object(pulumi, "get_project", lambda: "project"):
        for value in values:
            edge = Edge(component, "web1")
            taken = edge.take(_KINDS[component], put(sound(), path, value))
            edge.refuse()
            for step in path.split("."):
                taken = taken[step]
            assert taken == value
