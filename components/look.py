"""The look at the machines: each is asked once a run, over one connection, what is there, and that is judged here."""

import asyncio
import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import asyncssh
import pulumi

from .drift import Finding, complete, refused
from .facts import Facts, read
from .judge import Judge, finding
from .leftovers import leftovers
from .machine import Machine, Session
from .payload import Asked, observation, rehearsal
from .state import Recorded, recorded

_PATIENCE_SECONDS = 2
_SLOW_SECONDS = 20
_LOOKS = 3
"""How often a machine is looked at where another run applies meanwhile what is asked about."""


@dataclass(frozen=True)
class Question:
    """One part to ask about; `values` are those known before anything ran, `changed` where they are not as applied."""

    part: str
    script: str
    owner: str
    values: Mapping[str, str]
    judge: Judge
    changed: bool = False


class _Round:
    """The questions that one connection to a machine answers."""

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self.full = asyncio.Event()
        self.answer: asyncio.Future[dict[str, Finding] | None]


class Observer:
    """Asks each machine once for all its parts; one that asks much later than the others is asked for by itself."""

    def __init__(self) -> None:
        self._expected: Counter[Machine] = Counter()
        self._rounds: dict[Machine, _Round] = {}
        self._declared: dict[str, dict[str, str]] = defaultdict(dict)
        self._state: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Future[Any]] = WeakKeyDictionary()
        self._sudo_asks: dict[Machine, bool] = {}
        self._told: set[tuple[Machine, str]] = set()

    def declare(self, holder: str, resource: str, receipt: str) -> None:
        """Note a part of the stack `<project>:<stack>`, asked about or not: its receipt is no leftover."""
        self._declared[holder][resource] = receipt

    def expect(self, machine: Machine) -> None:
        """Let the machine's other parts wait for one more: it will ask as soon as the connection is known."""
        self._expected[machine] += 1

    async def find(self, machine: Machine, connection: Mapping[str, Any], question: Question) -> Finding | None:
        """Return what is found of one part; None where the machine cannot be asked (a warning says why)."""
        together = self._rounds.get(machine)
        if together is None:
            together = self._rounds[machine] = _Round()
            together.answer = asyncio.ensure_future(self._ask(machine, connection, together))
        together.questions.append(question)
        if len(together.questions) >= self._expected[machine]:
            together.full.set()
        findings = await together.answer
        return None if findings is None else findings.get(question.part, Finding())

    async def recorded(self) -> Mapping[str, Recorded] | None:
        """Return what the state knew as the run began: no part is planned before this is known."""
        loop = asyncio.get_running_loop()
        if loop not in self._state:
            self._state[loop] = asyncio.ensure_future(recorded())
        known: Mapping[str, Recorded] | None = await self._state[loop]
        return known

    def sudo_asks(self, machine: Machine) -> bool:
        """Return whether sudo asks for a password there; where nobody could look, it may."""
        return self._sudo_asks.get(machine, True)

    def warn_once(self, machine: Machine, text: str) -> None:
        """Warn of a whole machine, not again for each of its parts."""
        if (machine, text) not in self._told:
            self._told.add((machine, text))
            pulumi.log.warn(f"{machine.name}: {text}")

    async def _ask(
        self, machine: Machine, connection: Mapping[str, Any], together: _Round
    ) -> dict[str, Finding] | None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(together.full.wait(), _PATIENCE_SECONDS)
        del self._rounds[machine]
        began = time.monotonic()
        try:
            async with machine.session(connection) as session:
                # In an update each part's own apply refuses, and that an instant later.
                facts, findings = await look(session, together.questions, rehearses=pulumi.runtime.is_dry_run())
        except (OSError, TimeoutError, ValueError, asyncssh.Error) as error:
            pulumi.log.warn(
                f"{machine.name}: cannot look at it ({str(error) or 'no answer in time'}); its parts are planned "
                f"as changed; {_remedy(error, machine)}, or set offline: true to leave this machine alone"
            )
            return None
        self._sudo_asks[machine] = session.sudo_asks
        seconds = time.monotonic() - began
        if seconds > _SLOW_SECONDS:
            self.warn_once(
                machine, f"it answers slowly: to look at it took {seconds:.0f} s; see what keeps it busy: uptime, top"
            )
        if pulumi.runtime.is_dry_run():
            holder = together.questions[0].owner.rsplit(".", 2)[0]
            owners = [(part, owner) for part, receipt in facts.receipts.items() for owner in receipt.owners()]
            for text in leftovers(owners, holder, self._declared[holder], await self.recorded()):
                self.warn_once(machine, text)
        return findings


async def look(
    session: Session, questions: Sequence[Question], *, rehearses: bool = True
) -> tuple[Facts, dict[str, Finding]]:
    """Return a machine's facts, and by part what is found.

    What `up` would apply is rehearsed over the same connection, where that is asked for. Raises ValueError where an
    answer was cut short.
    """
    for _ in range(_LOOKS):
        facts, findings = await _judged(session, questions)
        if not facts.applied_meanwhile & {question.part for question in questions}:
            break
    to_apply = [
        question
        for question in questions
        if question.changed or findings[question.part].drift or findings[question.part].generation is None
    ]
    if to_apply and rehearses:
        answer = complete(await session.ask(rehearsal([_part(question) for question in to_apply])))
        for part, text in refused(answer):
            # What stands in the way may be what has drifted.
            if text not in "\n".join(findings[part].drift):
                findings[part].refusals.append(text)
    return facts, findings


async def _judged(session: Session, questions: Sequence[Question]) -> tuple[Facts, dict[str, Finding]]:
    facts = read(complete(await session.ask(observation(asked(questions)))))
    return facts, {
        question.part: finding(question.part, question.owner, question.values, question.judge, facts)
        for question in questions
    }


def asked(questions: Sequence[Question]) -> list[Asked]:
    """Return the parts with facts that only they lead to, as `observation` takes them."""
    return [(*_part(question), question.judge.asks) for question in questions if question.judge.asks]


def _part(question: Question) -> tuple[str, str, Mapping[str, str]]:
    return question.script, question.owner, question.values


_NOBODY_TYPES = "let startup files return where nobody types: [ -t 0 ] || return"


def nothing_ran(machine: Machine) -> str:
    """Return what is said of a command that ended with success and did nothing."""
    text = (
        f"the login ended with success and ran nothing, for a startup file exits there; {_NOBODY_TYPES}, and run "
        "`pulumi up` again"
    )
    return text if machine.detect_drift else f"{text}, once without detectDrift: false"


def _remedy(error: Exception, machine: Machine) -> str:
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return "compare the key with /etc/ssh/ssh_host_ed25519_key.pub there, and change hostKey if it is right"
    if isinstance(error, asyncssh.PermissionDenied):
        return "check user and key with ssh"
    remedies = {
        # The root of a cloud's image.
        "login as the user": "give that user as this machine's user, or as ssh.user",
        # No password helps there, and Pulumi's command has no terminal.
        "must have a tty": f"add to sudoers there: Defaults:{machine.connection.get('user', 'root')} !requiretty",
        "standard input lost": f"a startup file of that login, such as ~/.bashrc, has read it: {_NOBODY_TYPES}",
        "another shell in place of our command": _NOBODY_TYPES,
        "sudo:": "set sudoPassword, or allow the user NOPASSWD",
        "the answer was cut short": f"check it with ssh; where that works a startup file exits: {_NOBODY_TYPES}",
        "exit ": "check with ssh what the user's login shell does",
    }
    fitting = (remedy for said, remedy in remedies.items() if said in str(error))
    return next(fitting, "check address, port and firewall with ssh")
