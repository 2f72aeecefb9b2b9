"""A machine that runs Prometheus: its tunnels' keypair and watchdog, and the stub job."""

import pulumi

from .args import PrometheusServerArgs
from .keypair import desired as keypair_desired
from .keypair import fingerprint, keypair, told
from .machine import Machine
from .part import make
from .scrape_job import SAMPLES, scrape_job
from .tunnel_watchdog import tunnel_watchdog


class PrometheusServer(pulumi.ComponentResource):
    """Makes keypair, watchdog and stub job. It installs no Prometheus and changes nothing else of its configuration."""

    public_key: pulumi.Output[str]
    """The tunnels' public key line."""
    fingerprint: pulumi.Output[str]
    """Its fingerprint as `ssh-keygen -l` and sshd's log show it: `SHA256:<base64>`."""

    def __init__(self, name: str, args: PrometheusServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("metrics-tunnel:index:PrometheusServer", name, None, opts)
        self.machine = Machine(
            name, args["connection"], detect_drift=args.get("detect_drift", True), offline=args.get("offline", False)
        )
        self.rotation = int(args.get("rotation", 1))
        self.egress = args.get("egress", [])
        self.where = {name.upper(): str(args.get(key, "")) for name, key in _WHERE.items()}
        self.key = keypair_desired(pulumi.get_stack(), name, self.rotation)["KEY"]
        pair = make(keypair(self.machine, self.rotation, args.get("private_key")), self, [])
        self.watchdog = make(tunnel_watchdog(self.machine), self, [])
        self.interval = args.get("scrape_interval", "5s")
        samples = int(args.get("sample_limit", SAMPLES))
        job = scrape_job(self.machine, self.interval, args.get("scrape_timeout", "5s"), samples, self.where)
        self.job = make(job, self, [])
        # The public half of a user's own private key is no secret.
        self.public_key = pulumi.Output.unsecret(pair.stdout).apply(self._made)
        self.fingerprint = self.public_key.apply(fingerprint)
        self.register_outputs({"public_key": self.public_key, "fingerprint": self.fingerprint})

    def _made(self, said: str) -> str:
        if key := told(said):
            return key
        raise pulumi.RunError(f"{self.machine.name}: is offline and has no key yet; take offline out for the first up")


_WHERE = {"config": "config_file", "service": "service", "url": "url"}
