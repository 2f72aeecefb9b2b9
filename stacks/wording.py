"""What an error says: path, value, rule and remedy. A secret that stands in a wrong place is not repeated."""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .models import keys_at

SECRETS = ("sshPrivateKey", "sshPrivateKeyPassphrase", "sshPassword", "sudoPassword", "tunnelPrivateKey")
_STEP = re.compile(r"[A-Za-z0-9_-]{1,63}")
_RUN = re.compile(r"[A-Za-z0-9+/=_-]{32,}")
_PUBLIC = re.compile(r"(?:ssh|ecdsa|sk)-\S+ AAAA")
_WIDTH = 60
_SHORTEST = 4  # of a secret; what is shorter may be a part of any word
# What a value should have been, and how to write it.
_DUE = {
    "string_type": ("text", "put it in quotes"),
    "int_type": ("a whole number", "write such as 22, without quotes"),
    "int_from_float": ("a whole number", "write such as 22"),
    "bool_type": ("true or false", "write it without quotes"),
    "dict_type": ("a map", "write name: value under it"),
    "model_type": ("a map", ""),
    "list_type": ("a list", "write such as [a, b]"),
    "too_short": ("at least one entry", "add one, or take the key out"),
    "too_long": ("a shorter list", "take some out"),
}


def line(error: Mapping[str, Any]) -> str:
    """Return one of pydantic's errors as one line."""
    steps = error["loc"][:-1] if error["loc"][-1:] == ("[key]",) else error["loc"]
    where, kind, given = path(steps), error["type"], error["input"]
    if kind == "value_error":
        return f"{where}: {shown(given)} {error['ctx']['error']}"
    if kind == "missing":
        return f"{where}: is missing; add it"
    if kind == "extra_forbidden":
        return f"{where}: {_unknown(steps)}"
    due, remedy = _DUE.get(kind) or ("something else", error["msg"])
    if kind == "model_type":
        remedy = f"write such as {{{keys_at(tuple(steps))[0]}: ...}}"
    if given is None:
        remedy = "give a value, or take the key out"
    what = "a text" if isinstance(given, str) and due in ("a map", "a list") else shown(given)
    return f"{where}: {what} is not {due}; {remedy}"


def path(steps: Sequence[Any]) -> str:
    """Return a place in Pulumi's own notation for paths, such as `hosts.web1.labels["a.b"]`."""
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if _STEP.fullmatch(step) and not _secret(step) else f"[{shown(step, double=True)}]"
    return text.removeprefix(".")


def shown(value: object, *, double: bool = False) -> str:
    """Return a value as an error may show it: short, in one line, and not at all where it may be a secret."""
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, list):
        return "a list"
    if not isinstance(value, str):
        return "nothing" if value is None else json.dumps(value)[:_WIDTH]
    if _secret(value):
        return "a value that is not shown, for it may be a secret,"
    text = json.dumps(value) if double else repr(value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 4]}...{text[-1]}"


def _secret(value: str) -> bool:
    """Say whether a text may be a key or token, wherever it stands."""
    runs = [one for one in _RUN.findall(value) if {str.isupper, str.islower, str.isdigit} == _kinds(one)]
    return "-----" in value or "PRIVATE" in value or (bool(runs) and not _PUBLIC.match(value))


def _kinds(value: str) -> set[object]:
    return {kind for kind in (str.isupper, str.islower, str.isdigit) if any(map(kind, value))}


def without(secrets: Sequence[str], lines: Sequence[str]) -> list[str]:
    """Return lines with none of the stack's known secrets in them."""
    cleaned = list(lines)
    for secret in sorted((one for one in secrets if len(one) >= _SHORTEST), key=len, reverse=True):
        for form in {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], repr(secret + "'\"")[1:-4]}:
            # Of a long one `shown` has cut off the end.
            cut = [f"{form[:end]}..." for end in range(min(len(form) - 1, _WIDTH), _SHORTEST - 1, -1)]
            for part in (form, *cut):
                cleaned = [one.replace(part, "[secret]") for one in cleaned]
    return cleaned


def _unknown(steps: Sequence[Any]) -> str:
    key, known = str(steps[-1]), keys_at(tuple(steps[:-1]))
    plain = {re.sub(r"[^a-z]", "", one.lower()): one for one in [*SECRETS, *known]}
    wanted = re.sub(r"[^a-z]", "", key.lower())
    aliases = {"password": "sshPassword", "privatekey": "sshPrivateKey", "passphrase": "sshPrivateKeyPassphrase"}
    near = aliases.get(wanted) or next((plain[one] for one in difflib.get_close_matches(wanted, plain, 1, 0.7)), None)
    if near in SECRETS:
        return f"is not a setting here; set it as a secret of the whole stack: {how_to_set(near)}"
    if near:
        return f"is not a setting; did you mean {near}?"
    return f"is not a setting; known here are {', '.join(known)}"


def how_to_set(secret: str) -> str:
    """Return the command that sets a secret, without its value on the command line."""
    if secret in ("sshPrivateKey", "tunnelPrivateKey"):
        return f"pulumi config set --secret metrics-tunnel:{secret} < FILE"
    return f"pulumi config set --secret metrics-tunnel:{secret}"
