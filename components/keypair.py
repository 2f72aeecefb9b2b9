"""The tunnels' keypair of one server: made there, its private half never leaves it."""

import hashlib
import re

import asyncssh
import pulumi

from .facts import Facts, Receipt
from .judge import Judge, Values
from .machine import Machine
from .part import Part

KEY_TYPE = "ssh-ed25519"
"""Of a key that is made here."""
_PUBLIC_KEY = re.compile(r"metrics-tunnel ((?:ssh|ecdsa)-\S+ [A-Za-z0-9+/]+={0,2} metrics-tunnel-\S+)$", re.MULTILINE)


def identity(stack: str, server: str, rotation: int) -> str:
    """Return the key's name: its file's name and the comment of its key lines."""
    return f"metrics-tunnel-{stack}-{server}-{rotation}"


def desired(stack: str, server: str, rotation: int) -> dict[str, str]:
    """Return where the key lies and how it is called."""
    name = identity(stack, server, rotation)
    return {"KEY": f"/etc/metrics-tunnel/keys/{name}", "COMMENT": name}


def keypair(machine: Machine, rotation: int, private_key: pulumi.Input[str] | None) -> Part:
    """Describe the keypair; its resource's `stdout` holds the public key line, which `public_key_in` finds."""
    return Part(
        name=f"{machine.name}-keypair",
        receipt=f"keypair-{identity(pulumi.get_stack(), machine.name, rotation)}",
        script="keypair",
        machine=machine,
        values=desired(pulumi.get_stack(), machine.name, rotation),
        later_values={"PRIVATE_KEY": "" if private_key is None else pulumi.Output.secret(private_key)},
        judge=JUDGE,
        version=str(rotation),
    )


def public_key_in(output: str) -> str:
    """Return the public key line in a keypair's output, or nothing where none was made.

    Whatever else stands in the output, such as a shell's greeting, must not get near an authorized_keys file.
    """
    keys = _PUBLIC_KEY.findall(output)
    return str(keys[-1]) if keys else ""


def fingerprint(public_key: str) -> str:
    """Return `SHA256:<base64>` of a public key line."""
    return str(asyncssh.import_public_key(public_key).get_fingerprint())


_KNOWN_HOSTS = "/etc/metrics-tunnel/known_hosts"
_OF_NOTHING = hashlib.sha256(b"").hexdigest()


def _present(values: Values, facts: Facts) -> bool:
    return values["KEY"] in facts.modes


def _drift(values: Values, receipt: Receipt, facts: Facts) -> list[str]:
    key = values["KEY"]
    new = "a new one is made, unless tunnelPrivateKey gives it, and each host gets it"
    checksum = facts.checksums.get(key, _OF_NOTHING)
    if checksum == _OF_NOTHING:
        return [f"there is no private key in {key}; {new}"]
    if f"{checksum}  {key}" not in receipt.manifest:
        return [f"where {key} holds no private key any more, {new}"]
    return []


def _notices(values: Values, facts: Facts) -> list[str]:
    """Tell of files in folders that only we make, and that no receipt names."""
    named = {path for receipt in facts.receipts.values() for path in receipt.paths}
    notices = []
    for path in sorted(facts.modes):
        folder, _, name = path.rpartition("/")
        ours = path in named or ".mt-" in name
        # One that a unit of ours takes has lost its receipt.
        taken = f"/etc/systemd/system/metrics-tunnel-{name}.service" in facts.modes
        if folder in (values["KEY"].rpartition("/")[0], _KNOWN_HOSTS) and not ours and not taken:
            notices.append(f"{path} is not from here: no receipt names it; it is left alone, look whose it is")
    return notices


JUDGE = Judge(present=_present, drift=_drift, notices=_notices)
