"""What an error of a setting says, and how a secret is set. What it says of a value is the components' own wording."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from components.values import example, too_few, too_many
from components.wording import WIDTH, mistaken, path, shown, unknown

from .models import keys_at, spot_at

SECRETS = ("sshPrivateKey", "sshPrivateKeyPassphrase", "sshPassword", "sudoPassword", "tunnelPrivateKey")
_SHORTEST = 4  # of a secret; what is shorter may be a part of any word
_ALIASES = {"password": "sshPassword", "privatekey": "sshPrivateKey", "passphrase": "sshPrivateKeyPassphrase"}
# By pydantic's kinds of errors: what a value should have been.
_DUE: dict[str, type] = {
    "string_type": str,
    "int_type": int,
    "int_from_float": int,
    "bool_type": bool,
    "dict_type": dict,
    "model_type": dict,
    "list_type": list,
}


def line(error: Mapping[str, Any]) -> str:
    """Return one of pydantic's errors as one line."""
    steps = tuple(error["loc"][:-1] if error["loc"][-1:] == ("[key]",) else error["loc"])
    kind, value = error["type"], error["input"]
    says: dict[str, Callable[[], str]] = {
        "value_error": lambda: f"{shown(value)} {error['ctx']['error']}",
        "missing": lambda: "is missing; add it",
        "extra_forbidden": lambda: _unknown(steps),
        "too_short": lambda: too_few(spot_at(steps).key, needed=spot_at(steps).needed),
        "too_long": lambda: too_many(spot_at(steps).key),
    }
    say = says.get(kind, lambda: _mistaken(kind, value, steps))
    return f"{path(steps)}: {say()}"


def _mistaken(kind: str, value: object, steps: tuple[Any, ...]) -> str:
    spot, due = spot_at(steps), _DUE[kind]
    how = f"such as {{{keys_at(steps)[0]}: ...}}" if kind == "model_type" else example(spot.key, due)
    return mistaken(value, due, spot.rule, how, needed=spot.needed)


def without(secrets: Sequence[str], lines: Sequence[str]) -> list[str]:
    """Return lines with none of the stack's known secrets in them."""
    cleaned = list(lines)
    for secret in sorted((text for text in secrets if len(text) >= _SHORTEST), key=len, reverse=True):
        for form in {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], repr(secret + "'\"")[1:-4]}:
            # Of a long one `shown` has cut off the end.
            cut = [f"{form[:end]}..." for end in range(min(len(form) - 1, WIDTH), _SHORTEST - 1, -1)]
            for part in (form, *cut):
                cleaned = [text.replace(part, "[secret]") for text in cleaned]
    return cleaned


def _unknown(steps: tuple[Any, ...]) -> str:
    secrets = {key: f"set it as a secret of the whole stack: {how_to_set(key)}" for key in SECRETS}
    known = keys_at(steps[:-1])
    meant = _ALIASES.get(re.sub(r"[^a-z]", "", str(steps[-1]).lower()), str(steps[-1]))
    return unknown(meant, known, secrets)


def how_to_set(secret: str) -> str:
    """Return the command that sets a secret, without its value on the command line."""
    if secret in ("sshPrivateKey", "tunnelPrivateKey"):
        return f"pulumi config set --secret metrics-tunnel:{secret} < FILE"
    return f"pulumi config set --secret metrics-tunnel:{secret}"
