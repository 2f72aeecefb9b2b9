"""The hardened unit on a server that carries one host's scrapes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from . import proof, rules
from .judge import Judge, Values
from .machine import Machine
from .part import Part

TUNNEL_USER = "metrics-tunnel"


@dataclass(frozen=True)
class Forward:
    """One exporter through the tunnel: `listen` is `address:port` on the server, `port` the exporter's on the host."""

    listen: str
    port: int
    path: str = "/metrics"


def desired(host: str, login: str, port: int, key: str, forwards: Sequence[Forward]) -> dict[str, str]:
    """Return what the unit's text, which stands whole in the script, is made of, as far as the settings say it.

    `login` and `port` are the host's, `key` is the private key's path on the server.
    """
    return {
        "HOST": host,
        "LOGIN": login,
        "SSH_PORT": str(port),
        "KEY": key,
        "FORWARDS": " ".join(f"{forward.listen}:127.0.0.1:{forward.port}" for forward in forwards),
        "LISTENS": " ".join(forward.listen + forward.path for forward in forwards),
    }


def values_of_others(host: str, address: str, public_key: str, host_key: str) -> dict[str, str]:
    """Return the values that other resources may tell: where the host is, its key, and the mark of the tunnels' key.

    Raises ValueError where the address is none.
    """
    try:
        # No check of settings has seen another resource's output.
        address = rules.address(address)
    except ValueError as error:
        raise ValueError(f"{host}: address {address!r} {error}") from None
    key_id = hashlib.sha256(public_key.encode()).hexdigest()[:16]
    return {"ADDRESS": address, "KEY_ID": key_id, "HOST_KEY": host_key}


def ssh_tunnel(
    server: Machine,
    host: Machine,
    key: str,
    public_key: pulumi.Input[str],
    forwards: Sequence[Forward],
    login: str,
    timeout: str,
    *,
    has_several_servers: bool,
) -> Part:
    """Describe the tunnel from `server` to `login` on `host`. `key` is the private key's path on the server.

    Its proof gives each scrape the `timeout` that the server's Prometheus gives it.
    """
    seconds = proof.scrape_seconds([timeout])
    from_others = pulumi.Output.all(host.connection["address"], public_key, host.connection.get("host_key", "")).apply(
        lambda others: values_of_others(host.name, *others)
    )
    values = desired(host.name, login, int(host.connection.get("port", 22)), key, forwards)
    return Part(
        name=f"{host.name}-ssh-tunnel" + (f"-{server.name}" if has_several_servers else ""),
        receipt=f"ssh-tunnel-{host.name}",
        script="ssh-tunnel",
        machine=server,
        values={**values, "SCRAPE_SECONDS": str(seconds)},
        later_values={name: from_others[name] for name in ("ADDRESS", "KEY_ID", "HOST_KEY")},
        judge=JUDGE,
        offline=host.offline,
        # Before a change, for its proof, and where that fails for what is put back.
        wait=proof.longest(seconds, 3 * len(forwards)),
    )


def _unit(values: Values) -> str:
    return f"metrics-tunnel-{values['HOST']}.service"


JUDGE = Judge(unit=_unit)
