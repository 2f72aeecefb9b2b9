"""Each drift as a hand on the machine makes it, and what `pulumi preview` has to say of it."""

from dataclasses import dataclass

KEYS = "/etc/ssh/authorized_keys.d/metrics-tunnel"
DROPIN = "/etc/ssh/sshd_config.d/10-metrics-tunnel.conf"
UNIT = "metrics-tunnel-web1.service"
PROMETHEUS = "/etc/prometheus/prometheus.yml"
TARGETS = "/etc/metrics-tunnel/targets/lab/web1.json"
_RELOAD_SSH = "systemctl reload ssh"
_RELOAD = "systemctl daemon-reload"
_WITHOUT_BLOCK = f"sed -i '/BEGIN metrics-tunnel/,/END metrics-tunnel/d' {PROMETHEUS}; pkill -HUP -x prometheus"
_FORGOTTEN = (
    "for i in $(seq 50); do promtool query instant http://127.0.0.1:9090 'up{instance=\"web1\"}' | grep -q . || break; "
    "sleep 0.2; done"
)


@dataclass(frozen=True)
class Drift:
    """`command` is run on `machine`; `finding` is what the warning says; only `resource` may be planned as changed."""

    name: str
    machine: str
    command: str
    resource: str
    finding: str


def _key(name: str, command: str, finding: str) -> Drift:
    return Drift(name, "web1", command, "web1-authorized-key-mon1", finding)


def _exporter(name: str, command: str, finding: str) -> Drift:
    return Drift(name, "web1", command, "web1-exporter-node", finding)


def _tunnel(name: str, command: str, finding: str) -> Drift:
    return Drift(name, "mon1", command, "web1-ssh-tunnel", finding)


def _keypair(name: str, command: str, finding: str) -> Drift:
    return Drift(name, "mon1", command, "mon1-keypair", finding)


def _job(name: str, command: str, finding: str) -> Drift:
    return Drift(name, "mon1", command, "mon1-scrape-job", finding)


def _target(name: str, command: str, finding: str) -> Drift:
    return Drift(name, "mon1", command, "web1-scrape-config", finding)


# Those of one round are made, told and healed together. In one are only those of a part that do not hide each other:
# a line that is missing is not loose, a unit that is masked is not edited, and of a lost receipt that alone is told.
ROUNDS = [
    [
        _key("key-options-loosened", f"sed -i s/restrict,// {KEYS}", "line of the key .* changed"),
        _key(
            "sshd-dropin-edited",
            f"sed -i 's/MaxSessions 0/MaxSessions 10/' {DROPIN}; {_RELOAD_SSH}",
            f"{DROPIN} says 'MaxSessions 10' instead of 'MaxSessions 0'",
        ),
        _key("folder-of-the-key-file-open-to-all", f"chmod 777 {KEYS.rpartition('/')[0]}", "mode and owner 777 root"),
        _key("tunnel-user-given-a-shell", "usermod -s /bin/bash metrics-tunnel", "shell .*/bin/bash"),
        _exporter(
            "exporter-dropin-removed",
            f"rm /etc/systemd/system/*.d/zz-metrics-tunnel.conf; {_RELOAD}; systemctl restart prometheus-node-exporter",
            "listens on .*9100",
        ),
        _tunnel(
            "unit-edited",
            f"sed -i s/RestartSec=5/RestartSec=50/ /etc/systemd/system/{UNIT}; {_RELOAD}",
            f"{UNIT} was edited",
        ),
        _tunnel("unit-disabled", f"systemctl -q disable {UNIT}", f"{UNIT} is not enabled"),
        _tunnel(
            "pinned-host-key-edited", "echo x >>/etc/metrics-tunnel/known_hosts/web1", "known_hosts/web1 was edited"
        ),
        Drift(
            "watchdog-stopped",
            "mon1",
            "systemctl stop metrics-tunnels-watchdog",
            "mon1-tunnel-watchdog",
            "metrics-tunnels-watchdog.service is stopped",
        ),
        _job("job-block-removed", _WITHOUT_BLOCK, "block is missing"),
        _target("target-file-edited", f"sed -i s/19100/19101/ {TARGETS}", "web1.json was edited"),
    ],
    [
        _key(
            "loose-line-with-our-key-in-front", f"sed -i \"1i $(grep -o 'ssh-ed25519.*' {KEYS})\" {KEYS}", "not alone"
        ),
        _exporter(
            "exporter-on-all-addresses-through-etc-default",
            "echo 'ARGS=\"--web.listen-address=0.0.0.0:9100\"' >/etc/default/prometheus-node-exporter; "
            "systemctl restart prometheus-node-exporter",
            "0.0.0.0:9100",
        ),
        _exporter("exporter-stopped", "systemctl stop prometheus-node-exporter", "stopped"),
        _tunnel("unit-stopped", f"systemctl stop {UNIT}", f"{UNIT} is stopped"),
        _tunnel(
            "dropin-over-our-unit",
            f"mkdir /etc/systemd/system/{UNIT}.d; "
            f"printf '[Service]\\nRestartSec=99\\n' >/etc/systemd/system/{UNIT}.d/x.conf; {_RELOAD}",
            "overridden by .*x.conf",
        ),
        _job("job-block-edited", f"sed -i s/sample_limit:.*/sample_limit:\\ 7/ {PROMETHEUS}", "block .* edited"),
        _target("target-file-removed", f"rm {TARGETS}", "web1.json is missing"),
    ],
    [
        _key("key-line-removed", f": >{KEYS}", "line of the key .* missing"),
        _key("tunnel-user-deleted", "userdel -f metrics-tunnel", "user metrics-tunnel is missing"),
        _exporter("receipt-deleted", "rm -r /var/lib/metrics-tunnel/exporter-9100", "receipt .* missing"),
        _tunnel(
            "unit-masked",
            f"systemctl stop {UNIT}; rm /etc/systemd/system/{UNIT}; systemctl -q mask {UNIT}",
            f"{UNIT} is (masked|missing)",
        ),
        _job(
            "job-correct-but-not-loaded",
            f"cp {PROMETHEUS} /root/old; {_WITHOUT_BLOCK}; {_FORGOTTEN}; sleep 1; cp /root/old {PROMETHEUS}; "
            "rm /root/old",
            "runs without the job",
        ),
    ],
]
# The key that will come of a keypair goes into the input of others: a plan has those as well.
OF_ALL = [
    [
        _keypair("private-key-readable-by-all", "chmod 644 /etc/metrics-tunnel/keys/*-1", "mode.*644"),
        _keypair(
            "folder-of-the-private-keys-open-to-all",
            "chmod 777 /etc/metrics-tunnel/keys",
            "mode and owner 777 root instead of 700 root",
        ),
    ],
    [_keypair("private-key-deleted", "rm /etc/metrics-tunnel/keys/*-1", "is missing")],
]
