"""What a machine says of its parts, and one connection for all who ask in the same moment."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import asyncssh
import pytest

from components.drift import Finding, complete, generation, refused, warnings
from components.judge import Judge
from components.look import Observer, Question
from components.machine import Machine, Session
from components.state import Recorded

END = "metrics-tunnel\tend\n"


@pytest.fixture(autouse=True)
def preview(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each look be a preview's, of a state that knows nothing."""

    async def recorded(_self: Observer) -> Mapping[str, Recorded]:
        return {}

    monkeypatch.setattr("pulumi.runtime.is_dry_run", lambda: True)
    monkeypatch.setattr(Observer, "recorded", recorded)


class Fake(Machine):
    """A machine that answers from a list, in turn: to each look, and then to its rehearsal."""

    def __init__(self, name: str, *answers: str | Exception) -> None:
        super().__init__(name, {"address": "10.0.0.1", "insecure_host_key": True})
        self.answers = list(answers)
        self.scripts: list[str] = []
        self.connections = 0

    @contextlib.asynccontextmanager
    async def session(self, plain: Mapping[str, Any]) -> AsyncIterator[Session]:
        """Answer."""
        assert plain == {"address": "10.0.0.1"}
        self.connections += 1
        yield Session(self, self.answer, "", sudo_asks=False)

    async def answer(self, _command: str, script: str) -> str:
        """Return the next answer."""
        self.scripts.append(script)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def question(part: str) -> Question:
    return Question(part, "scrape-config", f"s.{part}.1", {"MACHINE": "m", "PART": part, "STACK": "s"}, Judge())


def applied(part: str, token: str, later: str = "") -> str:
    """Return what a look tells of a part that was applied, `later` by another run than at its beginning."""
    path = f"{part}/owners/s.{part}"
    first, last = (f"metrics-tunnel\tfact\t{kind}\t{path}\ts.{part}.1 " for kind in ("receipt", "later"))
    return f"{first}{token}\n{last}{later or token}\n"


async def all_of(observer: Observer, machine: Machine, *parts: str) -> list[Finding | None]:
    asked = [observer.find(machine, {"address": "10.0.0.1"}, question(part)) for part in parts]
    return list(await asyncio.gather(*asked))


def test_parts_that_ask_in_one_moment_share_one_connection_and_get_each_its_own() -> None:
    told = f"{applied('a', '1')}metrics-tunnel\tfact\theld\tb/owners/s.b\n{END}"
    machine = Fake("m", told, f"metrics-tunnel\tc\trefuse\tbusy\n{END}")
    found = asyncio.run(all_of(Observer(), machine, "a", "b", "c"))
    damaged = ["its receipt /var/lib/metrics-tunnel/b is damaged; it is applied again"]
    assert found == [Finding("1"), Finding(None, damaged), Finding(None, [], ["busy"])]
    assert (machine.connections, len(machine.scripts)) == (1, 2)
    assert [part for part in "abc" if f"PART={part}\n" in machine.scripts[1]] == ["b", "c"]


def test_a_refusal_that_drift_tells_already_is_told_once() -> None:
    machine = Fake(
        "m", f"metrics-tunnel\tfact\theld\ta/owners/s.a\n{END}", f"metrics-tunnel\ta\trefuse\tdamaged\n{END}"
    )
    ((found),) = asyncio.run(all_of(Observer(), machine, "a"))
    assert found
    assert (len(found.drift), found.refusals) == (1, [])


def test_what_another_run_applies_meanwhile_is_looked_at_again() -> None:
    machine = Fake("m", f"{applied('a', '1', '2')}{END}", f"{applied('a', '2')}{END}")
    assert asyncio.run(all_of(Observer(), machine, "a")) == [Finding("2")]
    assert (machine.connections, len(machine.scripts)) == (1, 2)
    machine = Fake("m", *(f"{applied('a', str(number), str(number + 1))}{END}" for number in range(3)))
    assert asyncio.run(all_of(Observer(), machine, "a")) == [Finding("2")], "it does not go on for ever"
    machine = Fake("m", f"{applied('another', '1', '2')}{applied('a', '1')}{END}")
    assert asyncio.run(all_of(Observer(), machine, "a")) == [Finding("1")], "nobody asks about another part"


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
    assert machine.connections == 1
    assert "PART=b\n" in machine.scripts[1]


def test_two_machines_are_asked_at_the_same_time() -> None:
    both = asyncio.Event()

    class Waiting(Fake):
        async def answer(self, command: str, script: str) -> str:
            """Answer once the other one is asked too."""
            others.add(self.name)
            if len(others) == 2:
                both.set()
            await asyncio.wait_for(both.wait(), 2)
            return await super().answer(command, script)

    others: set[str] = set()
    machines = [Waiting("m", END, END), Waiting("n", END, END)]

    async def run() -> None:
        observer = Observer()
        await asyncio.gather(*(all_of(observer, machine, "a") for machine in machines))

    asyncio.run(run())
    assert others == {"m", "n"}


def test_a_part_that_asks_later_is_asked_for_again_by_itself() -> None:
    machine = Fake("m", END, END, f"{applied('b', '2')}{END}")

    async def run() -> list[list[Finding | None]]:
        observer = Observer()
        return [await all_of(observer, machine, "a"), await all_of(observer, machine, "b")]

    assert asyncio.run(run()) == [[Finding()], [Finding("2")]]
    assert machine.connections == 2


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
        (END, []),
        (f"motd\n\n{END}logout\n", []),
        (f"metrics-tunnel\ta\trefuse\tbusy\r\n{END}", [("a", "busy")]),
        (f"metrics-tunnel\ta\trefuse\tx\ty\n{END}", [("a", "x\ty")]),
        (f"metrics-tunnel\ta\trefuse\n{END}", []),
        (f"other\ta\trefuse\tx\n{END}", []),
        (f"metrics-tunnel\tfact\tunit\tx\n{END}", []),
    ],
)
def test_lines_of_ours_are_read_and_others_passed_over(text: str, found: list[tuple[str, str]]) -> None:
    assert [*refused(complete(text))] == found


@pytest.mark.parametrize("text", ["", "metrics-tunnel\ta\tdrift\t1\n", "metrics-tunnel\ten", "metrics-tunnel end\n"])
def test_an_answer_without_its_end_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cut short"):
        complete(text)


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


def test_a_machine_that_answers_slowly_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Slow(Fake):
        async def answer(self, command: str, script: str) -> str:
            """Answer after a while."""
            await asyncio.sleep(0.5)
            return await super().answer(command, script)

    monkeypatch.setattr("components.look._SLOW_SECONDS", 0.4)
    for kind, told_slow in ((Fake, False), (Slow, True)):
        assert asyncio.run(all_of(Observer(), kind("m", f"{applied('a', '1')}{END}"), "a")) == [Finding("1")]
        assert ("m: it answers slowly: to look at it took" in capsys.readouterr().err) == told_slow
