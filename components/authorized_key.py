"""One server's key on one host: it may reach the exporters' ports and nothing else."""

import contextlib
import ipaddress
from collections.abc import Sequence

import pulumi

from .judge import Judge
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


def addresses(sources: Sequence[str]) -> str:
    """Return the addresses among names, addresses and networks, for sshd to be asked about.

    Of a network it is the first host: a whole one cannot be asked about. A name tells no address.
    """
    found = []
    for source in sources:
        with contextlib.suppress(ValueError):
            network = ipaddress.ip_network(source)
            found.append(str(network[min(1, network.num_addresses - 1)]))
    return " ".join(found)


def authorized_key(
    host: Machine,
    server: Machine,
    rotation: int,
    public_key: pulumi.Input[str],
    ports: Sequence[int],
    egress: Sequence[pulumi.Input[str]],
    key_type: str = "",
) -> Part:
    """Describe the key line of one server's rotation, with the tunnel user and sshd's drop-in that lines share.

    `key_type` is that of a key which is not made yet; empty where nobody knows it before.
    """
    name = identity(pulumi.get_stack(), server.name, rotation)
    text = pulumi.Output.all(public_key, *egress).apply(lambda known: line(known[0], ports, known[1:]))
    known, late = _places(host, server, egress)
    return Part(
        name=f"{host.name}-authorized-key-{server.name}",
        receipt=f"authorized-key-{name}",
        script="authorized-key",
        machine=host,
        values={"ID": name, "KEY_TYPE": key_type, "SSH_PORT": str(int(host.connection.get("port", 22))), **known},
        later_values={"LINE": text, **late},
        judge=JUDGE,
        version=str(rotation),
    )


def _places(
    host: Machine, server: Machine, egress: Sequence[pulumi.Input[str]]
) -> tuple[dict[str, str], dict[str, pulumi.Output[str]]]:
    """Return from where and to where the key logs in: what is known, and what other resources will tell."""
    known, late = {}, {}
    for name, sources in {
        "FROM": list(egress) or [server.connection["address"]],
        "HERE": [host.connection["address"]],
    }.items():
        plain = [source for source in sources if isinstance(source, str)]
        if len(plain) == len(sources):
            known[name] = addresses(plain)
        else:
            late[name] = pulumi.Output.all(*sources).apply(addresses)
    return known, late


JUDGE = Judge(("/etc/ssh/authorized_keys.d/metrics-tunnel", "/etc/ssh/sshd_config.d/10-metrics-tunnel.conf"))
