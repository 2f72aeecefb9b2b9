"""One server's key on one host, in the authorized_keys of a login user who is there already."""

from collections.abc import Sequence

import pulumi

from .authorized_key import line
from .keypair import identity
from .machine import Machine
from .part import Part


def login_key(
    host: Machine,
    login: str,
    server: str,
    rotation: int,
    public_key: pulumi.Input[str],
    ports: Sequence[int],
    egress: Sequence[str],
) -> Part:
    """Describe the key line of one server's rotation. sshd's limits for the tunnel user do not hold for `login`."""
    name = identity(pulumi.get_stack(), server, rotation)
    text = pulumi.Output.from_input(public_key).apply(lambda key: line(key, ports, egress))
    return Part(
        name=f"{host.name}-authorized-key-{server}",
        receipt=f"login-key-{login}-{name}",
        script="login-key",
        machine=host,
        values={"LOGIN": login, "ID": name},
        late={"LINE": text},
        version=f"{rotation} {login}",
    )
