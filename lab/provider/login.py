"""Who logs in where: one connection's settings, read before anything is dialled."""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass
from typing import Any

import asyncssh

from lab.provider.work import CommandError

NO_KEY = "ssh: no key found"
UNKNOWN_FORM = "ENCRYPTED PRIVATE KEY"


@dataclass
class Login:
    """Where to connect and as whom, with everything read that can be wrong before the first packet."""

    host: str
    port: int
    user: str
    key: asyncssh.SSHKey | None
    password: str | None
    agent: str | None
    pinned: asyncssh.SSHKey | None
    limit: int
    timeout: float | None


def login(settings: dict[str, Any]) -> Login:
    """Read one connection's plain settings; raises `CommandError` for keys that cannot be read."""
    return Login(
        host=settings["host"],
        port=int(settings.get("port", 22)),
        user=settings.get("user", "root"),
        key=_private_key(settings.get("privateKey"), settings.get("privateKeyPassword")),
        password=settings.get("password"),
        agent=settings.get("agentSocketPath", os.environ.get("SSH_AUTH_SOCK") or None),
        pinned=_host_key(settings.get("hostKey")),
        limit=int(settings.get("dialErrorLimit", 10)),
        timeout=float(settings.get("perDialTimeout", 15)) or None,
    )


async def agent_answers(target: Login) -> None:
    """Make sure the agent answers, even where its keys are not needed: as officially, a dead one fails every login."""
    if target.agent is None:
        return
    if not target.agent:
        raise CommandError("dial unix: missing address")
    try:
        _, writer = await asyncio.open_unix_connection(target.agent)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise CommandError(f"dial unix {target.agent}: connect: {reason}") from error
    writer.close()


def _private_key(text: str | None, password: str | None) -> asyncssh.SSHKey | None:
    if text is None:
        return None
    if UNKNOWN_FORM in text:  # asyncssh could read it, the official plugin cannot
        unknown = f'ssh: unsupported key type "{UNKNOWN_FORM}"'
        raise CommandError(unknown if password is None else "ssh: not an encrypted key")
    try:
        key = asyncssh.import_private_key(text)
    except asyncssh.KeyImportError as error:
        if "passphrase" not in str(error).lower():
            raise CommandError(NO_KEY) from error
        return _decrypted(text, password)
    if password is not None:
        raise CommandError("ssh: key is not password protected")
    return key


def _decrypted(text: str, password: str | None) -> asyncssh.SSHKey:
    if password is None:
        raise CommandError("ssh: this private key is passphrase protected")
    try:
        return asyncssh.import_private_key(text, password)
    except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError) as error:
        if "bcrypt" in str(error):
            raise CommandError(f"{error}; run: pip install bcrypt") from error
        raise CommandError("x509: decryption password incorrect") from error


def _host_key(text: str | None) -> asyncssh.SSHKey | None:
    """Read one line of authorized_keys form; what stands before the key type, or in other lines, is passed over."""
    if text is None:
        return None
    for line in text.splitlines():
        found = re.search(r"(?:^|\s)((?:ssh|ecdsa|sk)-\S+\s+[A-Za-z0-9+/]+=*)", line)
        if found and not line.lstrip().startswith("#"):
            try:
                return asyncssh.import_public_key(found[1])
            except (asyncssh.KeyImportError, ValueError):  # ValueError: a point that is not on its curve
                continue
    raise CommandError(f"failed to parse host key: {NO_KEY}")
