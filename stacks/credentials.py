"""The stack's secrets, and how Pulumi logs in with them: keys, passwords, or the agent.

Every text that goes on from here is a secret output. Nothing is shown of any of them.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import is_config_secret

from components import rules
from components.wording import shown

from .models import Whole
from .wording import SECRETS, how_to_set

_DEFAULT_FILE = "~/.ssh/id_ed25519"
_AGENT_SECONDS = 5


@dataclass(frozen=True)
class Credentials:
    """What logs in where. `by_file` has, for each privateKeyPath and for None, arguments of a connection."""

    by_file: Mapping[str | None, Mapping[str, Any]]
    sudo_password: pulumi.Output[str] | None = None
    tunnel_private_key: pulumi.Output[str] | None = None


def secrets(config: pulumi.Config) -> tuple[dict[str, str], list[str]]:
    """Return the secrets that are set, as plain text, and the errors: of one that is not encrypted, or broken."""
    plain_secrets = {key: text for key in SECRETS if (text := config.get(key))}
    errors = []
    for key, text in plain_secrets.items():
        if not is_config_secret(config.full_key(key)):
            errors.append(f"{key}: stands unencrypted in the stack's file; change it, then set it: {how_to_set(key)}")
        try:
            if key.endswith("PrivateKey"):
                plain_secrets[key] = rules.private_key(text)[0]
            else:
                rules.password(text)
        except ValueError as error:
            errors.append(f"{key}: {error}; set it again: {how_to_set(key)}")
    if not errors and "tunnelPrivateKey" in plain_secrets and rules.private_key(plain_secrets["tunnelPrivateKey"])[1]:
        errors.append("tunnelPrivateKey: is encrypted, and no unit can be asked for a passphrase; give one without")
    return plain_secrets, errors


def credentials(whole: Whole, plain_secrets: Mapping[str, str]) -> tuple[Credentials, list[str]]:
    """Return how to log in to each machine, and the errors of the keys' files."""
    users: dict[str | None, str] = {}
    for path, machine in whole.logins():
        users.setdefault(machine.private_key_path, f"{path}.privateKeyPath")
    by_file: dict[str | None, Mapping[str, Any]] = {}
    errors = []
    for file, path in users.items():
        try:
            by_file[file] = (
                _of_file(path, file, plain_secrets) if file else _default(whole.ssh.private_key_path, plain_secrets)
            )
        except ValueError as error:
            errors.append(str(error))
    agent = os.environ.get("SSH_AUTH_SOCK")
    if users and agent and not _answers(agent):
        errors.append(
            f"SSH_AUTH_SOCK: no agent answers at {shown(agent)}, and the command plugin asks it even where a key is "
            "given; start one, or unset the variable"
        )
    if "sshPrivateKey" in plain_secrets and whole.ssh.private_key_path:
        errors.append("ssh.privateKeyPath: stands beside the secret sshPrivateKey; keep one of the two")
    secret = {key: pulumi.Output.secret(text) for key, text in plain_secrets.items()}
    return Credentials(by_file, secret.get("sudoPassword"), secret.get("tunnelPrivateKey")), errors


def _default(file: str | None, plain_secrets: Mapping[str, str]) -> dict[str, Any]:
    """Return the stack's own credentials: the secret key, a file, the password, the agent, the usual file."""
    if "sshPrivateKey" in plain_secrets:
        return _with_key("sshPrivateKey: the key", plain_secrets["sshPrivateKey"], plain_secrets)
    if file:
        return _of_file("ssh.privateKeyPath", file, plain_secrets)
    if "sshPassword" in plain_secrets:
        return _password(plain_secrets)
    if os.environ.get("SSH_AUTH_SOCK"):
        return {}  # Its path is another one in each session, and would be another connection: it is left to who dials.
    if not Path(_DEFAULT_FILE).expanduser().is_file():
        raise ValueError(
            f"ssh.privateKeyPath: is missing, and there is no agent and no {_DEFAULT_FILE}; give the path of a key, "
            f"start an agent, or set one of the secrets sshPrivateKey and sshPassword: {how_to_set('sshPrivateKey')}"
        )
    return _of_file("ssh.privateKeyPath", _DEFAULT_FILE, plain_secrets)


def _answers(agent: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_AGENT_SECONDS)
        return client.connect_ex(agent) == 0


def _of_file(path: str, file: str, plain_secrets: Mapping[str, str]) -> dict[str, Any]:
    try:
        expanded = Path(file).expanduser()
        text = expanded.read_text() if expanded.is_file() else None
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "there is no such home folder"
        raise ValueError(f"{path}: {shown(file)} cannot be read ({reason}); give a file that you may read") from None
    except UnicodeDecodeError:
        text = ""
    if text is None:
        raise ValueError(f"{path}: {shown(file)} is no file; give the path of a private key")
    if text.startswith(("ssh-", "ecdsa-", "sk-")):
        raise ValueError(f"{path}: {shown(file)} holds a public key; give the private one beside it")
    return _with_key(f"{path}: {shown(file)}", text, plain_secrets)


def _with_key(what: str, text: str, plain_secrets: Mapping[str, str]) -> dict[str, Any]:
    """Return a key's arguments; the passphrase goes with a key that is encrypted, the password with any."""
    try:
        key, encrypted = rules.private_key(text)
        if encrypted and "sshPrivateKeyPassphrase" not in plain_secrets:
            raise ValueError(f"is encrypted; set its passphrase: {how_to_set('sshPrivateKeyPassphrase')}")  # noqa: TRY301
        if encrypted:
            rules.opened_by(key, plain_secrets["sshPrivateKeyPassphrase"], "sshPrivateKeyPassphrase")
    except ValueError as error:
        raise ValueError(f"{what} {error}") from None
    passphrase = (
        {"private_key_password": pulumi.Output.secret(plain_secrets["sshPrivateKeyPassphrase"])} if encrypted else {}
    )
    # The state holds it twice a resource.
    short = key if encrypted else rules.shortest(key)
    return {"private_key": pulumi.Output.secret(short), **passphrase, **_password(plain_secrets)}


def _password(plain_secrets: Mapping[str, str]) -> dict[str, Any]:
    return {"password": pulumi.Output.secret(plain_secrets["sshPassword"])} if "sshPassword" in plain_secrets else {}
