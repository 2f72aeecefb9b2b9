"""What an error says: path, value, rule and remedy. A secret that stands in a wrong place is not repeated."""

import difflib
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import pulumi

_STEP = re.compile(r"[A-Za-z0-9_-]{1,63}")
_RUN = re.compile(r"[A-Za-z0-9+/=_-]{32,}")
_PUBLIC = re.compile(r"(?:ssh|ecdsa|sk)-\S+ AAAA")
WIDTH = 60
_KINDS: list[tuple[Any, str]] = [
    (Mapping, "a map"),
    ((list, tuple, set), "a list"),
    ((pulumi.Output, Awaitable), "an output of another resource"),
    (type(None), "nothing"),
]
_DUE: dict[type, str] = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    dict: "a map",
    list: "a list",
}


def path(steps: Sequence[Any]) -> str:
    """Return a place in Pulumi's own notation for paths, such as `hosts.web1.labels["a.b"]`."""
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        elif isinstance(step, str) and _STEP.fullmatch(step) and not _secret(step):
            text += f".{step}"
        else:
            text += f"[{shown(step, double=True)}]"
    return text.removeprefix(".")


def shown(value: object, *, double: bool = False) -> str:
    """Return a value as an error may show it: short, in one line, and not at all where it may be a secret."""
    if isinstance(value, str):
        return _text(value, double=double)
    for kinds, what in _KINDS:
        if isinstance(value, kinds):
            return what
    if isinstance(value, int | float):
        return _number(value)
    return f"an object of type {type(value).__name__}"


def _text(value: str, *, double: bool) -> str:
    if _secret(value):
        return "a value that is not shown, for it may be a secret,"
    text = json.dumps(value) if double else repr(value)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 4]}...{text[-1]}"


def _number(value: float) -> str:
    try:
        return json.dumps(value)[:WIDTH]
    except ValueError:  # Python writes no number of thousands of digits
        return "a number of thousands of digits"


def is_output(value: object) -> bool:
    """Say whether a value is an output of another resource, which may be known only later."""
    return isinstance(value, pulumi.Output | Awaitable)


def _secret(value: str) -> bool:
    """Say whether a text may be a key or token, wherever it stands."""
    runs = [run for run in _RUN.findall(value) if {str.isupper, str.islower, str.isdigit} == _letters(run)]
    return "-----" in value or "PRIVATE" in value or (bool(runs) and not _PUBLIC.match(value))


def _letters(value: str) -> set[object]:
    return {kind for kind in (str.isupper, str.islower, str.isdigit) if any(map(kind, value))}


def mistaken(value: object, due: type, rule: Callable[[Any], Any] | None, example: str, *, needed: bool) -> str:
    """Return what is said of a value of the wrong type, and how to write it.

    What the remedy makes of the value has to be right by the value's own `rule`: no error leads to the next one.
    """
    if value is None:
        return f"nothing is not {_DUE[due]}; give a value" + ("" if needed else ", or take the key out")
    if is_output(value):
        return f"{shown(value)} is not {_DUE[due]} that is known at once; give a plain value"
    meant = _meant(value, due)
    if meant is None:
        what = "a text" if isinstance(value, str) and due in (dict, list) else shown(value)
        return f"{what} is not {_DUE[due]}; write {example}"
    try:
        if rule:
            rule(meant)
    except ValueError as error:
        return f"{shown(value)} {error}"
    if due is str:
        return f"{shown(value)} is not text; put it in quotes"
    return f"{shown(value)} is not {_DUE[due]}; write {json.dumps(meant)}"


def _meant(value: object, due: type) -> Any:
    """Return what was meant by a value that is merely written in another type; None where nobody can tell."""
    if due is str and isinstance(value, int | float):
        return _number(value)
    if due is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if due is int and isinstance(value, str) and re.fullmatch("[0-9]{1,10}", value):
        return int(value)
    if due is bool and value in ("true", "false"):
        return value == "true"
    return None


def unknown(key: object, known: Iterable[str], elsewhere: Mapping[str, str] | None = None) -> str:
    """Return what is said of a key that is not known, with the nearest one that is.

    `elsewhere` has, by key, what to say of one that belongs in another place.
    """
    names = list(known)
    near = nearest(str(key), [*(elsewhere or {}), *names])
    if near in (elsewhere or {}):
        return f"is not known here; {(elsewhere or {})[near]}"
    if near:
        return f"is not known here; did you mean {near}?"
    return f"is not known here; use one of {', '.join(names)}"


def nearest(key: str, known: Iterable[str]) -> str:
    """Return the known key that was meant, or nothing. Small and capital letters, - and _ are one."""
    plain = {re.sub(r"[^a-z]", "", name.lower()): name for name in known}
    close = difflib.get_close_matches(re.sub(r"[^a-z]", "", key.lower()), plain, 1, 0.7)
    return plain[close[0]] if close else ""
