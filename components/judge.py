"""What of a part is not as it was applied: pure functions over its receipt and the facts of its machine.

What all parts have in common is here: files, the folders on the way to them, units. What is a part's own stands in its
module.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .drift import Finding
from .facts import STORE, Facts, Receipt, checksum

Values = Mapping[str, str]
"""What a part's script gets, as far as it is known before anything runs."""
_WORDS_OF_MODE = 3  # in a manifest's line: mode, owner, path
_UNITS = "/etc/systemd/system"


@dataclass(frozen=True)
class Judge:
    """How one kind of part is judged. Each function is pure; drift and notices are sentences for the user."""

    places: Sequence[str] = ()
    """Files that the part writes and no manifest names: the folders on the way to them are judged, too."""
    unit: Callable[[Values], str] = lambda _values: ""
    """Names the unit that the part keeps running; empty where it has none."""
    present: Callable[[Values, Facts], bool] = lambda _values, _facts: False
    """Says whether the part is there, where its receipt is not. Where its unit is there it is."""
    drift: Callable[[Values, Receipt, Facts], Sequence[str]] = lambda _values, _receipt, _facts: ()
    """Gives what is not as it was applied, beside files, folders and unit."""
    notices: Callable[[Values, Facts], Sequence[str]] = lambda _values, _facts: ()
    """Gives what is worth a word, and is neither drift nor touched."""
    asks: str = ""
    """A function of scripts/look that tells facts which need the part's values or its script; empty for none."""


def finding(part: str, owner: str, values: Values, judge: Judge, facts: Facts) -> Finding:
    """Return what is to be said of one part, but for what `up` would refuse."""
    receipt = facts.receipts.get(part, Receipt())
    generation = receipt.generation(owner)
    place = f"{STORE}/{part}"
    its_unit = judge.unit(values)
    if generation is not None:
        drift = [
            *folders([f"{place}/owners/x", *receipt.paths, *judge.places], facts),
            *files(receipt, facts),
            *judge.drift(values, receipt, facts),
            *(unit(its_unit, facts) if its_unit else ()),
        ]
        return Finding(generation, drift, notices=[*judge.notices(values, facts)])
    if receipt.damaged(owner):
        return Finding(None, [f"its receipt {place} is damaged; it is applied again"])
    is_there = f"{_UNITS}/{its_unit}" in facts.modes or judge.present(values, facts)
    if is_there and not receipt.has_owners:
        return Finding(None, [f"its receipt {place} is missing; it is applied again"])
    return Finding()


def folders(paths: Sequence[str], facts: Facts) -> list[str]:
    """Return what is wrong with folders on the way to these paths."""
    return [text for folder, text in facts.folders.items() if any(path.startswith(f"{folder}/") for path in paths)]


def files(receipt: Receipt, facts: Facts) -> list[str]:
    """Return how files differ from a receipt's manifest, which has for each a line of its mode and one of its text."""
    drift = []
    for line in receipt.manifest:
        applied, path = checksum(line)
        if path:
            if facts.checksums.get(path, applied) != applied:
                drift.append(f"{path} was edited")
            continue
        words = line.split(" ", _WORDS_OF_MODE - 1)
        if len(words) != _WORDS_OF_MODE:
            # As after a power cut.
            drift.append("the list of its files in its receipt is damaged; it is written anew")
            continue
        mode, owner, path = words
        if path not in facts.checksums:
            drift.append(f"{path} is missing")
        elif facts.modes.get(path) != f"{mode} {owner}":
            drift.append(f"{path} has mode and owner {facts.modes.get(path)} instead of {mode} {owner}")
    return drift


def unit(name: str, facts: Facts) -> list[str]:
    """Return what keeps a unit of ours from running as its file says."""
    shown = facts.units.get(name, {})
    drop_ins = shown.get("DropInPaths", "").split()
    own = [path for path in drop_ins if f"/{name}.d/" in path]
    # Those for all services are the machine's.
    by_prefix = [path for path in drop_ins if path not in own and "/service.d/" not in path]
    drift = []
    if by_prefix:
        drift.append(f"{name} is overridden by {' '.join(by_prefix)}")
    state = shown.get("UnitFileState", "")
    if state.startswith("masked"):
        drift.append(f"{name} is masked; it gets its file back and is started")
    elif state != "enabled":
        drift.append(f"{name} is not enabled; it is enabled again")
    if shown.get("ActiveState", "inactive") in ("inactive", "failed", "deactivating"):
        drift.append(f"{name} is stopped; it is started again")
    if own:
        drift.append(f"{name} is overridden by {' '.join(own)}; that goes, with its folder")
    return drift
