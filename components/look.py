"""The look at the machines: each is asked once a run, over one connection, for all of its parts."""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import asyncssh
import pulumi

from .drift import Finding, owners, parse
from .leftovers import leftovers
from .machine import Machine
from .payload import observation
from .state import Recorded, recorded

_PATIENCE_SECONDS = 2


@dataclass(frozen=True)
class Question:
    """One part to ask about; `values` are those known before anything ran, `changed` where they are not as applied."""

    part: str
    script: str
    owner: str
    values: Mapping[str, str]
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
        found = await together.answer
        return None if found is None else found.get(question.part, Finding())

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
        asked = [
            (question.script, question.owner, question.values, question.changed) for question in together.questions
        ]
        try:
            answer = await machine.ask(observation(asked), connection)
            found = parse(answer.text)
        except (OSError, TimeoutError, ValueError, asyncssh.Error) as error:
            pulumi.log.warn(
                f"{machine.name}: cannot look at it ({str(error) or 'no answer in time'}); its parts are planned "
                f"as changed; {_remedy(error, machine)}, or set offline: true to leave this machine alone"
            )
            return None
        self._sudo_asks[machine] = answer.sudo_asks
        if pulumi.runtime.is_dry_run():
            holder = together.questions[0].owner.rsplit(".", 2)[0]
            for text in leftovers(owners(answer.text), holder, self._declared[holder], await self.recorded()):
                self.warn_once(machine, text)
        return found


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
    found = (remedy for said, remedy in remedies.items() if said in str(error))
    return next(found, "check address, port and firewall with ssh")
