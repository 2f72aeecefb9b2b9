"""A machine that runs Prometheus: its tunnels' keypair and watchdog, and the stub job."""

from typing import Any

import pulumi

from . import between, rules
from .args import PrometheusServerArgs
from .connection import settle
from .edge import Edge
from .keypair import KEY_TYPE, fingerprint, keypair, public_key_in
from .keypair import desired as keypair_desired
from .look import nothing_ran
from .machine import Machine
from .part import make
from .scrape_job import SAMPLES, scrape_job
from .tunnel_watchdog import tunnel_watchdog

_RULES = {("connection", "address"): rules.server_address, ("private_key",): rules.tunnel_key}
_PROMETHEUS = {"config": "config_file", "service": "service", "url": "url"}


class PrometheusServer(pulumi.ComponentResource):
    """Makes keypair, watchdog and stub job. It installs no Prometheus and changes nothing else of its configuration.

    Raises pulumi.RunError with every error of its name and arguments at once, before anything is planned.
    """

    public_key: pulumi.Output[str]
    """The tunnels' public key line."""
    fingerprint: pulumi.Output[str]
    """Its fingerprint as `ssh-keygen -l` and sshd's log show it: `SHA256:<base64>`."""

    def __init__(self, name: str, args: PrometheusServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        taken = _taken(name, args)
        super().__init__("metrics-tunnel:index:PrometheusServer", name, None, opts)
        self.machine = Machine(
            name, taken["connection"], detect_drift=taken.get("detect_drift", True), offline=taken.get("offline", False)
        )
        self.rotation: int = taken.get("rotation", 1)
        self.egress = taken.get("egress", [])
        self.key = keypair_desired(pulumi.get_stack(), name, self.rotation)["KEY"]
        self.interval: str = taken["scrape_interval"]
        self.timeout: str = taken["scrape_timeout"]
        self._claims: dict[tuple[str, str], str] = {}
        self.key_type = "" if "private_key" in taken else KEY_TYPE
        pair = make(keypair(self.machine, self.rotation, taken.get("private_key")), self, [])
        self.watchdog = make(tunnel_watchdog(self.machine), self, [])
        prometheus = {name.upper(): str(taken.get(key, "")) for name, key in _PROMETHEUS.items()}
        samples = taken.get("sample_limit", SAMPLES)
        self.job = make(scrape_job(self.machine, self.interval, self.timeout, samples, prometheus), self, [])
        # The public half of a user's own private key is no secret.
        self.public_key = pulumi.Output.unsecret(pair.command.stdout).apply(self._made)
        self.fingerprint = self.public_key.apply(fingerprint)
        self.register_outputs({"public_key": self.public_key, "fingerprint": self.fingerprint})

    def claim(self, kind: str, value: str, host: str) -> str:
        """Return the host that has a value of this kind: this one, unless another one has it already."""
        return self._claims.setdefault((kind, value), host)

    def _made(self, said: str) -> str:
        if key := public_key_in(said):
            return key
        why = nothing_ran(self.machine)
        if self.machine.offline:
            why = "is offline and has no key yet; take offline out for the first up"
        raise pulumi.RunError(f"{self.machine.name}: {why}")


def _taken(name: str, args: PrometheusServerArgs) -> dict[str, Any]:
    """Return the arguments in their plain form. Raises pulumi.RunError with every error at once."""
    edge = Edge("PrometheusServer", name, _RULES)
    taken: dict[str, Any] = edge.take(PrometheusServerArgs, args)
    edge.refuse()
    written = "scrape_interval" in taken
    interval = taken.setdefault("scrape_interval", "5s")
    timeout = taken.setdefault("scrape_timeout", rules.default_timeout(interval))
    edge.refuse(
        [
            *settle(edge, taken["connection"], host=False),
            *between.timeout("scrape_timeout", timeout, interval, "scrape_interval", written=written),
        ]
    )
    return taken
