"""Drift: what a machine says of its parts, asked once a run, and the generation that makes the engine plan a repair."""

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncssh
import pulumi

from .machine import Machine
from .payload import observation

_MARK = "metrics-tunnel"
_PATIENCE_SECONDS = 2


@dataclass
class Finding:
    """What one part's machine reports. `generation` is None where no receipt of this resource is there.

    `drift` is what applying again repairs, `refusals` what it would refuse, `notices` what is told and left alone.
    """

    generation: str | None = None
    drift: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Question:
    """One part to ask about; `values` are those known before anything ran."""

    part: str
    script: str
    owner: str
    values: Mapping[str, str]


def parse(output: str) -> dict[str, Finding]:
    """Read an observation's output by part; lines that are not ours, such as a shell's greeting, are passed over.

    Raises ValueError where the end is missing: what came may be half.
    """
    found: dict[str, Finding] = {}
    ended = False
    for line in output.splitlines():
        match line.split("\t"):
            case [mark, "end"] if mark == _MARK:
                ended = True
            case [mark, part, kind, text] if mark == _MARK:
                finding = found.setdefault(part, Finding())
                if kind == "generation":
                    finding.generation = text
                elif kind == "drift":
                    finding.drift.append(text)
                elif kind == "notice":
                    finding.notices.append(text)
                else:
                    finding.refusals.append(text)
            case _:
                pass
    if not ended:
        raise ValueError("the answer was cut short")
    return found


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

    async def _ask(
        self, machine: Machine, connection: Mapping[str, Any], together: _Round
    ) -> dict[str, Finding] | None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(together.full.wait(), _PATIENCE_SECONDS)
        del self._rounds[machine]
        asked = [(question.script, question.owner, question.values) for question in together.questions]
        try:
            return parse(await machine.ask(observation(asked), connection))
        except (OSError, TimeoutError, ValueError, asyncssh.Error) as error:
            pulumi.log.warn(
                f"{machine.name}: cannot look at it ({str(error) or 'no answer in time'}); its parts are planned "
                f"as changed; {_remedy(error)}, or set offline: true to leave this machine alone"
            )
            return None


def _remedy(error: Exception) -> str:
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return "compare the key with /etc/ssh/ssh_host_ed25519_key.pub there, and change hostKey if it is right"
    if isinstance(error, asyncssh.PermissionDenied):
        return "check user and key with ssh"
    if "sudo:" in str(error):
        return "set sudoPassword, or allow the user NOPASSWD"
    if str(error).startswith("exit "):
        return "check with ssh what the user's login shell does"
    return "check address, port and firewall with ssh"


def generation(finding: Finding | None, warn: Callable[[str], None]) -> str:
    """Return the recorded generation where the part is in sync, else a new one, and warn of what was found."""
    if finding is None:
        return secrets.token_hex(4)
    for text in [*finding.notices, *finding.drift]:
        warn(text)
    for text in finding.refusals:
        warn(f"`pulumi up` would refuse: {text}")
    if finding.generation is None or finding.drift:
        return secrets.token_hex(4)
    return finding.generation
