"""What an experiment of the campaign gives: figures, each beside what it should be.

An experiment is a module with `measure(folder, tell)`. It makes its own lab in `folder`, takes it away again, and calls
`tell` with a short text whenever it has got on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Tell = Callable[[str], None]


@dataclass(frozen=True)
class Figure:
    """One measured value. `wanted` says what it should be, `good` whether it is, `note` why it is not."""

    what: str
    value: str
    wanted: str
    good: bool
    note: str = ""


def count(what: str, got: int, of: int, *, wanted: int, note: str = "") -> Figure:
    """Return a figure of the kind `3 of 64`, good where `got` is `wanted`."""
    return Figure(what, f"{got} of {of}", f"{wanted} of {of}", got == wanted, note)


def at_most(what: str, value: float, limit: float, unit: str = "s", note: str = "") -> Figure:
    """Return a figure that is good where it is `limit` or less."""
    return Figure(what, f"{value:.1f} {unit}".strip(), f"at most {limit:g} {unit}".strip(), value <= limit, note)


def few(what: str, value: int, limit: int, note: str = "") -> Figure:
    """Return a figure in whole numbers that is good where it is `limit` or less."""
    return Figure(what, str(value), f"at most {limit}" if limit else "0", value <= limit, note)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` (0 to 1) of the values do not exceed; of none 0."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
