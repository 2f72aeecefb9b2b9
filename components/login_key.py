"""One server's key on one host, in the authorized_keys of a login user who is there already."""

from dataclasses import replace

from .judge import Judge
from .part import Part


def login_key(login: str, key: Part) -> Part:
    """Describe the line of an authorized `key` in `login`'s own file, where the tunnel user's limits do not hold."""
    name = key.values["ID"]
    return replace(
        key,
        receipt=f"login-key-{login}-{name}",
        script="login-key",
        values={"LOGIN": login, **key.values},
        judge=Judge(),
        version=f"{key.version} {login}",
    )
