"""The tunnels' keypair of one server: made there, its private half never leaves it."""

import re

import asyncssh
import pulumi

from .machine import Machine
from .part import Part

KEY_TYPE = "ssh-ed25519"
"""Of a key that is made here."""
_TOLD = re.compile(r"metrics-tunnel ((?:ssh|ecdsa)-\S+ [A-Za-z0-9+/]+={0,2} metrics-tunnel-\S+)$", re.MULTILINE)


def identity(stack: str, server: str, rotation: int) -> str:
    """Return the key's name: its file's name and the comment of its key lines."""
    return f"metrics-tunnel-{stack}-{server}-{rotation}"


def desired(stack: str, server: str, rotation: int) -> dict[str, str]:
    """Return where the key lies and how it is called."""
    name = identity(stack, server, rotation)
    return {"KEY": f"/etc/metrics-tunnel/keys/{name}", "COMMENT": name}


def keypair(machine: Machine, rotation: int, private_key: pulumi.Input[str] | None) -> Part:
    """Describe the keypair; its resource's `stdout` holds the public key line, which `told` finds."""
    return Part(
        name=f"{machine.name}-keypair",
        receipt=f"keypair-{identity(pulumi.get_stack(), machine.name, rotation)}",
        script="keypair",
        machine=machine,
        values=desired(pulumi.get_stack(), machine.name, rotation),
        late={"PRIVATE_KEY": "" if private_key is None else pulumi.Output.secret(private_key)},
        version=str(rotation),
    )


def told(said: str) -> str:
    """Return the public key line in a keypair's output, or nothing where none was made.

    Whatever else stands in the output, such as a shell's greeting, must not get near an authorized_keys file.
    """
    found = _TOLD.findall(said)
    return str(found[-1]) if found else ""


def fingerprint(public_key: str) -> str:
    """Return `SHA256:<base64>` of a public key line."""
    return str(asyncssh.import_public_key(public_key).get_fingerprint())
