"""The hardened unit on a server that carries one host's scrapes."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from . import proof, rules
from .judge import Judge, Values
from .machine import Machine
from .part import Part

TUNNEL_USER = "metrics-tunnel"
_UNIT = """\
# Managed by metrics-tunnel, stack {stack}; key {key_id}
[Unit]
Description=SSH tunnel to {host}
Wants=network-online.target
After=network-online.target nss-lookup.target
StartLimitIntervalSec=0
[Service]
Type=exec
Restart=always
RestartSec=5
User=metrics-tunnel-ssh
UMask=0077
ExecStart=/usr/bin/ssh -NTF none -oIdentitiesOnly=yes -oIdentityFile=${{CREDENTIALS_DIRECTORY}}/key \
-oUserKnownHostsFile=${{CREDENTIALS_DIRECTORY}}/known_hosts -oGlobalKnownHostsFile=/dev/null \
-oStrictHostKeyChecking=yes -oHostKeyAlias={host} -oUpdateHostKeys=no -oBatchMode=yes -oExitOnForwardFailure=yes \
-oConnectTimeout=5 -oServerAliveInterval=5 -oServerAliveCountMax=2 -p {port} {forwards} -- {login}@{address}
LoadCredential=key:{key}"""


@dataclass(frozen=True)
class Forward:
    """One exporter through the tunnel: `listen` is `address:port` on the server, `port` the exporter's on the host."""

    listen: str
    port: int
    path: str = "/metrics"


def desired(
    stack: str,
    host: str,
    address: str,
    port: int,
    key: Mapping[str, str],
    host_key: str,
    forwards: Sequence[Forward],
    login: str = TUNNEL_USER,
) -> dict[str, str]:
    """Return the unit, to which the script adds that key and its sandbox, and the pinned host key.

    `key` says `path` on the server and `public` line.
    """
    try:
        # It may be another resource's output, which no check of settings has seen.
        address = rules.address(address)
    except ValueError as error:
        raise ValueError(f"{host}: address {address!r} {error}") from None
    unit = _UNIT.format(
        stack=stack,
        key_id=hashlib.sha256(key["public"].encode()).hexdigest()[:16],
        host=host,
        address=address,
        port=port,
        key=key["path"],
        login=login,
        forwards=" ".join(f"-L {forward.listen}:127.0.0.1:{forward.port}" for forward in forwards),
    )
    return {"UNIT_FILE": unit, "HOST_KEY": host_key}


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
    stack = pulumi.get_stack()
    seconds = proof.scrape_seconds([timeout])
    wanted = pulumi.Output.all(host.connection["address"], public_key, host.connection.get("host_key", "")).apply(
        lambda v: desired(
            stack,
            host.name,
            v[0],
            int(host.connection.get("port", 22)),
            {"path": key, "public": v[1]},
            v[2],
            forwards,
            login,
        )
    )
    values = {
        "HOST": host.name,
        "LISTENS": " ".join(forward.listen + forward.path for forward in forwards),
        "SCRAPE_SECONDS": str(seconds),
    }
    return Part(
        name=f"{host.name}-ssh-tunnel" + (f"-{server.name}" if has_several_servers else ""),
        receipt=f"ssh-tunnel-{host.name}",
        script="ssh-tunnel",
        machine=server,
        values=values,
        later_values={name: wanted[name] for name in ("UNIT_FILE", "HOST_KEY")},
        judge=JUDGE,
        offline=host.offline,
        # Before a change, for its proof, and where that fails for what is put back.
        wait=proof.longest(seconds, 3 * len(forwards)),
    )


def _unit(values: Values) -> str:
    return f"metrics-tunnel-{values['HOST']}.service"


JUDGE = Judge(unit=_unit)
