"""One server's key on one host, in the authorized_keys of a login user who is there already."""

from dataclasses import replace

from .authorized_key import has_line, line_drift
from .facts import Facts, Receipt
from .judge import Judge, Values
from .part import Part


def login_key(login: str, key: Part) -> Part:
    """Describe the line of an authorized `key` in `login`'s own file, where the tunnel user's limits do not hold."""
    name = key.values["ID"]
    return replace(
        key,
        receipt=f"login-key-{login}-{name}",
        script="login-key",
        values={"LOGIN": login, **key.values},
        judge=JUDGE,
        version=f"{key.version} {login}",
    )


def _present(values: Values, facts: Facts) -> bool:
    return has_line(values["ID"], facts.key_lines.get(values["PART"], []))


def _drift(values: Values, receipt: Receipt, facts: Facts) -> list[str]:
    part = values["PART"]
    drift = [*facts.said.get(part, [])]
    if part in facts.key_files:
        recorded = receipt.files.get("line", "")
        drift += line_drift(recorded, values["ID"], facts.key_lines.get(part, []), facts.key_files[part])
    return drift


JUDGE = Judge(present=_present, drift=_drift, asks="login_key")
