"""One server's key on one host: it may reach the exporters' ports and nothing else."""

from collections.abc import Sequence

import pulumi

from .keypair import identity
from .machine import Machine
from .part import Part


def line(public_key: str, ports: Sequence[int], egress: Sequence[str]) -> str:
    """Return the authorized_keys line: forwarding to the ports of 127.0.0.1, no command, no listener."""
    options = ["restrict", "port-forwarding", *(f'permitopen="127.0.0.1:{port}"' for port in ports)]
    options += ['permitlisten="localhost:1"', 'command="/bin/false"']
    if egress:
        options.append(f'from="{",".join(egress)}"')
    return f"{','.join(options)} {public_key}"


def authorized_key(
    host: Machine,
    server: str,
    rotation: int,
    public_key: pulumi.Input[str],
    ports: Sequence[int],
    egress: Sequence[pulumi.Input[str]],
) -> Part:
    """Describe the key line of one server's rotation, with the tunnel user and sshd's drop-in that lines share."""
    name = identity(pulumi.get_stack(), server, rotation)
    text = pulumi.Output.all(public_key, *egress).apply(lambda known: line(known[0], ports, known[1:]))
    return Part(
        name=f"{host.name}-authorized-key-{server}",
        receipt=f"authorized-key-{name}",
        script="authorized-key",
        machine=host,
        values={"ID": name},
        late={"LINE": text},
        version=str(rotation),
    )
