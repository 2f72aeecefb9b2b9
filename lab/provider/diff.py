"""Which inputs differ, property by property, in the paths and kinds that the engine shows."""

from __future__ import annotations

import re
from typing import Any, Literal

Kind = Literal["ADD", "DELETE", "UPDATE"]
REPLACING = frozenset({"triggers"})
SIMPLE = re.compile(r"^[A-Za-z_$][\w$]*$")


def differences(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Kind]:
    """Return path -> kind for every difference. Secrets are compared whole; becoming secret is a difference, too."""
    found: dict[str, Kind] = {}
    _objects("", old, new, found)
    return found


def replaces(path: str) -> bool:
    """Say whether a difference at this path replaces the resource.

    Only a path that is the whole property does. For `triggers[0]` the SDKs add `replaceOnChanges: triggers[*]`, which
    the engine applies itself.
    """
    return path in REPLACING


def top(path: str) -> str:
    """Return the top-level property that a path leads into."""
    if path.startswith('["'):
        return path[2 : path.index('"]')]
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def _objects(path: str, old: dict[str, Any], new: dict[str, Any], found: dict[str, Kind]) -> None:
    for key in old.keys() | new.keys():
        step = _step(path, key)
        if old.get(key) is None and new.get(key) is None:
            continue
        if old.get(key) is None:
            found[step] = "ADD"
        elif new.get(key) is None:
            found[step] = "DELETE"
        else:
            _values(step, old[key], new[key], found)


def _values(path: str, old: Any, new: Any, found: dict[str, Kind]) -> None:
    if isinstance(old, dict) and isinstance(new, dict):
        _objects(path, old, new, found)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            step = f"{path}[{index}]"
            if index >= len(old):
                found[step] = "ADD"
            elif index >= len(new):
                found[step] = "DELETE"
            else:
                _values(step, old[index], new[index], found)
    elif not same(old, new):
        found[path] = "UPDATE"


def same(old: Any, new: Any) -> bool:
    """Compare two values with their marks; Python's `True == 1` is no equality here."""
    return type(old) is type(new) and bool(old == new)


def _step(path: str, key: str) -> str:
    if SIMPLE.match(key):
        return f"{path}.{key}" if path else key
    return f'{path}["{key}"]'
