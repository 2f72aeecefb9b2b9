"""What the components take: plain dictionaries, so that every Pulumi language can write them.

The rules for these types are those of Pulumi's component host: `TypedDict`s without unions, tuples or literals;
only strings may be outputs of other resources; ports, numbers and shapes are plain. Each value is checked by the rule
of its key in `values.py` before anything is sent, and one that is an output when it is known.
"""

from typing import NotRequired, Required, TypedDict

import pulumi


class BastionArgs(TypedDict, total=False):
    """One jump host in front of a machine."""

    address: Required[pulumi.Input[str]]
    """Name, IPv4 or IPv6 address."""
    port: int
    """SSH port, 22 where it is left out."""
    user: str
    """Login user, root where it is left out."""
    host_key: pulumi.Input[str]
    """`<type> <base64>`, ed25519 or ecdsa; required unless insecure_host_key."""
    insecure_host_key: bool
    """Accept any host key. Loud opt-out."""
    private_key: pulumi.Input[str]
    """Private key text of the login user; a secret."""
    private_key_password: pulumi.Input[str]
    """Passphrase of private_key; a secret."""
    password: pulumi.Input[str]
    """Login password; a secret."""
    agent_socket_path: str
    """Socket of an SSH agent."""


class ConnectionArgs(TypedDict, total=False):
    """How Pulumi logs in to one machine. Credentials: a private key, a password or an agent."""

    address: Required[pulumi.Input[str]]
    """Name, IPv4 or IPv6 address; `local`, for a server alone, is the machine that Pulumi runs on."""
    port: int
    """SSH port, 22 where it is left out."""
    user: str
    """Login user, root where it is left out; another one needs `sudo`."""
    host_key: pulumi.Input[str]
    """`<type> <base64>`, ed25519 or ecdsa; required unless insecure_host_key or local."""
    insecure_host_key: bool
    """Accept any host key. Loud opt-out."""
    private_key: pulumi.Input[str]
    """Private key text of the login user; a secret."""
    private_key_password: pulumi.Input[str]
    """Passphrase of private_key; a secret."""
    password: pulumi.Input[str]
    """Login password; a secret."""
    agent_socket_path: str
    """Socket of an SSH agent."""
    sudo_password: pulumi.Input[str]
    """Password for `sudo` where it asks for one; a secret."""
    bastion: BastionArgs
    """A jump host in front of the machine."""


class PrometheusServerArgs(TypedDict, total=False):
    """A machine that runs Prometheus."""

    connection: Required[ConnectionArgs]
    config_file: str
    """Absolute path of prometheus.yml; found through the running service where it is left out."""
    service: str
    """Prometheus' systemd unit; found where it is left out."""
    url: str
    """Prometheus' own address, such as http://127.0.0.1:9090; found where it is left out."""
    egress: list[pulumi.Input[str]]
    """Addresses or networks its tunnels come from; they become `from=` in its key lines."""
    scrape_interval: str
    """Prometheus duration, 5s where it is left out."""
    scrape_timeout: str
    """Prometheus duration no longer than the interval; 10s, or the interval where that is shorter, where it is left
    out."""
    sample_limit: int
    """Samples that one scrape may bring, 15000 where it is left out."""
    private_key: pulumi.Input[str]
    """The tunnels' own private key text instead of one made on the server; a secret."""
    rotation: int
    """Raise it to rotate the tunnels' key; 1 where it is left out."""
    detect_drift: bool
    """False: plan from the settings alone. True where it is left out."""
    offline: bool
    """True: leave this machine alone in this run."""


class ExporterArgs(TypedDict, total=False):
    """One exporter on a host."""

    port: Required[int]
    """The port it listens on."""
    unit: str
    """Its systemd unit; found by its listener where it is left out."""
    job: str
    """Its job label; the exporter's name where it is left out."""
    path: str
    """Its metrics path, /metrics where it is left out."""
    manage: bool
    """False: its own settings have bound it to loopback, as those of a container or of a program that knows no
    `--web.listen-address`; nothing is changed there, and a wider listener is refused. True where it is left out."""
    listen: str
    """The loopback `address:port` on the servers that Prometheus scrapes; derived where it is left out."""


class MonitoredHostArgs(TypedDict, total=False):
    """A machine whose exporters are scraped. The servers are given beside it by name, as components."""

    connection: Required[ConnectionArgs]
    exporters: NotRequired[dict[str, ExporterArgs]]
    """Exporters by name; one node exporter on port 9100 where it is left out."""
    labels: dict[str, str]
    """Labels of every series of this host."""
    login: str
    """An existing login user to hold the key instead of the dedicated user without shell."""
    detect_drift: bool
    """False: plan from the settings alone. True where it is left out."""
    offline: bool
    """True: leave this machine alone in this run."""
    abandoned: bool
    """True: the machine is gone; forget its resources without contacting it."""
