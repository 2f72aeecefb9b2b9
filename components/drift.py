"""Drift: what a machine says of its parts, and the generation that makes the engine plan a repair."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

from .state import Recorded, without_project

_MARK = "metrics-tunnel"
_WORDS = 4  # of a line: mark, part, kind, text


@dataclass
class Finding:
    """What one part's machine reports. `generation` is None where no receipt of this resource is there.

    `drift` is what applying again repairs, `refusals` what it would refuse, `notices` what is told and left alone.
    """

    generation: str | None = None
    drift: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def read_lines(output: str) -> Iterator[tuple[str, str, str]]:
    """Yield part, kind and text of each line by which a machine tells something of a part.

    Lines that are not ours, such as a shell's greeting, are passed over. Raises ValueError where the end is missing:
    what came may be half.
    """
    ended = False
    for line in output.splitlines():
        # A text may quote a line of somebody's file, with tabs in it.
        match line.split("\t", _WORDS - 1):
            case [mark, "end"] if mark == _MARK:
                ended = True
            case [mark, part, kind, text] if mark == _MARK and part != "fact":
                yield part, kind, text
            case _:
                pass
    if not ended:
        raise ValueError("the answer was cut short")


def generation(finding: Finding | None, sent: str | None = None) -> str:
    """Return the recorded generation where the part is in sync, else a new one.

    `sent` is the generation that the state has of the part, empty where it has none, None where that is not known:
    what another state's run has applied is applied again, so that each of the two sees what the other did.
    """
    if finding is None or finding.generation is None or finding.drift or sent not in (None, finding.generation):
        return secrets.token_hex(4)
    return finding.generation


def warnings(finding: Finding) -> list[str]:
    """Return what a preview says of a part."""
    return [*finding.notices, *finding.drift, *(f"`pulumi up` would refuse: {text}" for text in finding.refusals)]


def unexplained(finding: Finding, owner: str, known: Recorded | None) -> list[str]:
    """Return why a part without drift is planned, or nothing. `known` is what the state has of it, None for nothing."""
    if finding.drift or known is None:
        return []
    if finding.generation is None:
        same = without_project(known.owner) == without_project(owner)
        return ["nothing of it is left on the machine; it is applied again"] if same else []
    if finding.generation != known.generation:
        why = (
            "it was applied by a run that this state does not know of: one that was killed, or another checkout's "
            "stack of this name, which this one undoes; then rename one of the two (pulumi stack rename)"
        )
        return [why]
    return []


def unknown_to_state(holder: str) -> str:
    """Return what is said of a machine with parts of this stack that its state does not know."""
    project, _, stack = holder.partition(":")
    return (
        f"the stack {stack} of the project {project} was applied here before, and this state does not know of it. "
        "Where the state was lost, `pulumi up` takes over all that is here. Where another checkout has a stack of this "
        "name, the two undo each other: rename one of them (pulumi stack rename) before `pulumi up`"
    )
