"""The host key of a machine, from its settings or from the user's `~/.ssh/known_hosts`, looked up as ssh does it.

Takes hashed names, patterns, `[host]:port` and `@revoked` into account. A `@cert-authority` is passed over: no single
key can be pinned of it.
"""

from functools import lru_cache
from pathlib import Path

import asyncssh

from .models import BastionSettings

_PREFERRED = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")
_FILE = "~/.ssh/known_hosts"
_SHOW = "give hostKey, as shown there by: cat /etc/ssh/ssh_host_ed25519_key.pub"


class NoHostKeyError(ValueError):
    """There is no host key to pin; the text says why and what to do."""


def host_key(machine: BastionSettings) -> str | None:
    """Return `<type> <base64>`, or None where any key is accepted. Raises NoHostKeyError where there is none to pin."""
    if machine.host_key or machine.insecure_host_key or machine.local:
        return machine.host_key
    known_keys = _lookup(_text(), machine.address.lower(), machine.port)
    for kind in _PREFERRED:
        keys = [key for key in known_keys if key.split()[0] == kind]
        if len(keys) > 1:
            raise NoHostKeyError(f"is missing, and {_FILE} has {len(keys)} {kind} keys of {machine.address}; {_SHOW}")
        if keys:
            return keys[0]
    if known_keys:
        kinds = ", ".join(sorted({key.split()[0] for key in known_keys}))
        raise NoHostKeyError(
            f"is missing, and {_FILE} has no ed25519 or ecdsa key of {machine.address}, only {kinds}; {_SHOW}"
        )
    raise NoHostKeyError(f"is missing, and {_FILE} has no key of {machine.address}; {_SHOW}")


def _text() -> str:
    try:
        return Path(_FILE).expanduser().read_text(errors="replace")
    except (OSError, RuntimeError):
        return ""


def _lookup(text: str, address: str, port: int) -> list[str]:
    """Return a machine's keys as `<type> <base64>`, without those that are revoked for it."""
    known = _parsed(text)
    # As ssh: `[host]:port` where the port is another one, and without any such entry the plain name.
    names = [address] if port == 22 else [f"[{address}]:{port}", address]  # noqa: PLR2004 - SSH's own port
    matches = [known.match(name, "", None) for name in names]
    revoked = {_plain(key) for match in matches for key in match[2]}
    return sorted(next(({*map(_plain, match[0])} for match in matches if match[0]), set()) - revoked)


@lru_cache(maxsize=1)
def _parsed(text: str) -> asyncssh.SSHKnownHosts:
    """Return the entries of a file; lines that are none are passed over, as ssh does."""
    known = asyncssh.import_known_hosts("")
    for line in text.splitlines():
        try:
            known.load(line)
        except ValueError:
            continue
    return known


def _plain(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key().decode().split()[:2])
