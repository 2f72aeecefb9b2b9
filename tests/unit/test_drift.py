"""What a machine says of its parts, and one connection for all who ask in the same moment."""

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncssh
import pytest

from components.drift import Finding, generation, parse, warnings
from components.look import Observer, Question
from components.machine import Answer, Machine

END = "metrics-tunnel\tend\n"


class Fake(Machine):
    """A machine that answers from a list, in turn."""

    def __init__(self, name: str, *answers: str | Exception) -> None:
        super().__init__(name, {"address": "10.0.0.1", "insecure_host_key": True})
        self.answers = list(answers)
        self.scripts: list[str] = []

    async def ask(self, script: str, plain: Mapping[str, Any]) -> Answer:
        """Answer."""
        assert plain == {"address": "10.0.0.1"}
        self.scripts.append(script)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Answer(answer, sudo_asks=False)


def question(part: str) -> Question:
    return Question(part, "scrape-config", f"s.{part}.1", {"MACHINE": "m", "PART": part, "STACK": "s"})


async def all_of(observer: Observer, machine: Machine, *parts: str) -> list[Finding | None]:
    asked = [observer.find(machine, {"address": "10.0.0.1"}, question(part)) for part in parts]
    return list(await asyncio.gather(*asked))


def test_parts_that_ask_in_one_moment_share_one_connection_and_get_each_its_own() -> None:
    machine = Fake("m", f"metrics-tunnel\ta\tgeneration\t1\nmetrics-tunnel\tb\tdrift\tgone\n{END}")
    found = asyncio.run(all_of(Observer(), machine, "a", "b", "c"))
    assert found == [Finding("1"), Finding(None, ["gone"]), Finding()]
    assert len(machine.scripts) == 1
    assert [part for part in "abc" if f"PART={part}\n" in machine.scripts[0]] == ["a", "b", "c"]


def test_a_part_waits_for_the_others_that_are_expected() -> None:
    machine = Fake("m", END, END)

    async def late(observer: Observer, seconds: float, part: str) -> None:
        await asyncio.sleep(seconds)
        await observer.find(machine, {"address": "10.0.0.1"}, question(part))

    async def run(expected: int) -> None:
        observer = Observer()
        for _ in range(expected):
            observer.expect(machine)
        await asyncio.gather(late(observer, 0, "a"), late(observer, 0.2, "b"))

    asyncio.run(run(2))
    assert len(machine.scripts) == 1
    assert "PART=b\n" in machine.scripts[0]


def test_two_machines_are_asked_at_the_same_time() -> None:
    both = asyncio.Event()

    class Waiting(Fake):
        async def ask(self, script: str, plain: Mapping[str, Any]) -> Answer:
            """Answer once the other one is asked too."""
            others.append(self.name)
            if len(others) == 2:
                both.set()
            await asyncio.wait_for(both.wait(), 2)
            return await super().ask(script, plain)

    others: list[str] = []
    machines = [Waiting("m", END), Waiting("n", END)]

    async def run() -> None:
        observer = Observer()
        await asyncio.gather(*(all_of(observer, machine, "a") for machine in machines))

    asyncio.run(run())
    assert sorted(others) == ["m", "n"]


def test_a_part_that_asks_later_is_asked_for_again_by_itself() -> None:
    machine = Fake("m", END, f"metrics-tunnel\tb\tgeneration\t2\n{END}")

    async def run() -> list[list[Finding | None]]:
        observer = Observer()
        return [await all_of(observer, machine, "a"), await all_of(observer, machine, "b")]

    assert asyncio.run(run()) == [[Finding()], [Finding("2")]]
    assert ["PART=a\n" in script for script in machine.scripts] == [True, False]


@pytest.mark.parametrize("error", [OSError("refused"), TimeoutError(), "metrics-tunnel\ta\tgeneration\t1\n"])
def test_all_parts_of_a_machine_that_cannot_be_asked_find_nothing(
    error: Exception | str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asyncio.run(all_of(Observer(), Fake("m", error), "a", "b")) == [None, None]
    said = capsys.readouterr().err
    assert said.count("m: cannot look at it") == 1
    assert any(why in said for why in ("(refused)", "(no answer in time)", "(the answer was cut short)"))


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError("no route"), "check address, port and firewall"),
        (
            OSError("exit 1: This account is currently not available."),
            "check with ssh what the user's login shell does",
        ),
        (OSError('exit 142: Please login as the user "debian" rather than the user "root".'), "give that user as this"),
        (OSError("exit 1: sudo: a password is required"), "set sudoPassword, or allow the user NOPASSWD"),
        (
            OSError("exit 1: sudo: sorry, you must have a tty to run sudo"),
            "add to sudoers there: Defaults:root !requiretty, or set offline",
        ),
        (asyncssh.PermissionDenied("no"), "check user and key"),
        (asyncssh.HostKeyNotVerifiable("no"), "compare the key with /etc/ssh/ssh_host_ed25519_key.pub"),
    ],
)
def test_a_machine_that_cannot_be_asked_has_a_remedy(
    error: Exception, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(all_of(Observer(), Fake("m", error), "a"))
    assert f"; {remedy}" in capsys.readouterr().err


def test_an_error_of_our_own_is_not_taken_for_an_unreachable_machine() -> None:
    with pytest.raises(KeyError):
        asyncio.run(all_of(Observer(), Fake("m", KeyError("ours")), "a"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (END, {}),
        (f"motd\n\n{END}logout\n", {}),
        (f"metrics-tunnel\ta\tgeneration\tx\r\n{END}", {"a": Finding("x")}),
        (f"metrics-tunnel\ta\tdrift\tone\nmetrics-tunnel\ta\tdrift\ttwo\n{END}", {"a": Finding(None, ["one", "two"])}),
        (f"metrics-tunnel\ta\trefuse\tno\n{END}", {"a": Finding(None, [], ["no"])}),
        (f"metrics-tunnel\ta\tdrift\tx\ty\n{END}", {"a": Finding(None, ["x\ty"])}),
        (f"metrics-tunnel\ta\tdrift\n{END}", {}),
        (f"other\ta\tdrift\tx\n{END}", {}),
    ],
)
def test_lines_of_ours_are_read_and_others_passed_over(text: str, found: dict[str, Finding]) -> None:
    assert parse(text) == found


@pytest.mark.parametrize(
    "text", ["", "metrics-tunnel\ta\tgeneration\t1\n", "metrics-tunnel\ten", "metrics-tunnel end\n"]
)
def test_an_answer_without_its_end_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cut short"):
        parse(text)


def test_only_a_recorded_generation_without_drift_is_kept() -> None:
    assert generation(Finding("abc")) == "abc"
    assert generation(Finding("abc", [], ["busy"], ["a file"])) == "abc"
    assert generation(Finding("abc"), "abc") == "abc"
    for finding, sent in (
        (None, None),
        (Finding(), None),
        (Finding("abc", ["edited"]), "abc"),
        (Finding(None, ["gone"]), None),
        (Finding("abc"), "of another state"),
        (Finding("abc"), ""),
    ):
        token = generation(finding, sent)
        assert token != "abc"
        assert len(token) == 8
        int(token, 16)


def test_a_preview_says_what_is_there_what_differs_and_what_up_would_refuse() -> None:
    finding = Finding("abc", ["edited"], ["busy"], ["a file beside ours"])
    assert warnings(finding) == ["a file beside ours", "edited", "`pulumi up` would refuse: busy"]
    assert warnings(Finding("abc")) == []
