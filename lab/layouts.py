"""The machines that users have, as changes to a host's tree before it boots."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from lab import base

if TYPE_CHECKING:
    from collections.abc import Callable

    Layout = Callable[[Path], None]

_SYSTEM = Path("etc/systemd/system")
_WANTS = _SYSTEM / "multi-user.target.wants"
_PACKAGED = "prometheus-node-exporter.service"
_DEFAULTS = Path("etc/default/prometheus-node-exporter")
_BINARY = Path("usr/bin/prometheus-node-exporter")

HAND_MADE = """\
[Unit]
Description=Node exporter, by hand
After=network.target

[Service]
User=nobody
ExecStart=/usr/local/bin/node_exporter{arguments}
Restart=on-failure

[Install]
WantedBy=multi-user.target
"""
_LISTENING = (
    " \\\n  --collector.disable-defaults --collector.loadavg \\\n  --web.listen-address=:9100 \\\n  --log.level=warn"
)
_SOCKET = "[Socket]\nListenStream=9100\nAccept=yes\n[Install]\nWantedBy=sockets.target\n"
_SOCKET_SERVICE = "[Service]\nExecStart=/bin/true\nStandardInput=socket\n"

PROMETHEUS_YML = """\
# The company's Prometheus. Ask ops before you edit.
global:
  scrape_interval: 15s      # the default is 1m
  external_labels: {monitor: 'lab'}

scrape_configs:
  # itself
  - job_name: prometheus
    static_configs:
      - targets: ['localhost:9090']   # its own port

  - job_name: node
    static_configs:
      - targets: ['localhost:9100']
# the end
"""


# These two look beyond their namespace: most of the tenth of a second that a scrape of a lab host costs is theirs.
LESS = "--no-collector.netclass --no-collector.systemd"


def collect_less(tree: Path) -> None:
    """Let the packaged exporter leave out what costs most, so that more hosts fit on this machine."""
    _arguments(LESS)(tree)


def _arguments(text: str) -> Layout:
    return lambda tree: _write(tree / _DEFAULTS, f'# Set by ops.\nARGS="{text}"\n')


def _hand_made(arguments: str) -> Layout:
    def layout(tree: Path) -> None:
        none(tree)
        shutil.copy(tree / _BINARY, tree / "usr/local/bin/node_exporter")
        _unit(tree, "node_exporter.service", HAND_MADE.format(arguments=arguments))

    return layout


def _no_final_newline(tree: Path) -> None:
    keys = tree / "home" / base.ADMIN / ".ssh/authorized_keys"
    keys.write_text(keys.read_text().rstrip("\n"))


def _no_keys(tree: Path) -> None:
    shutil.rmtree(tree / "home" / base.ASKED / ".ssh")


def _docker_like(tree: Path) -> None:
    """Listen as Docker does for a container: a process that is called docker-proxy."""
    none(tree)
    shutil.copy(tree / _BINARY, tree / "usr/local/bin/docker-proxy")
    _unit(tree, "docker.service", HAND_MADE.format(arguments="").replace("node_exporter", "docker-proxy"))


def _socket_activated(tree: Path) -> None:
    none(tree)
    _write(tree / _SYSTEM / "node@.service", _SOCKET_SERVICE)
    _write(tree / _SYSTEM / "node.socket", _SOCKET)
    wants = tree / _SYSTEM / "sockets.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "node.socket").symlink_to("/etc/systemd/system/node.socket")


def none(tree: Path) -> None:
    """Run no exporter."""
    (tree / _WANTS / _PACKAGED).unlink()


def no_user_groups(tree: Path) -> None:
    """Put new users into the group `users`, as /etc/login.defs can say."""
    file = tree / "etc/login.defs"
    text = file.read_text()
    file.write_text(text.replace("USERGROUPS_ENAB yes", "USERGROUPS_ENAB no"))


def busybox_shell(tree: Path) -> None:
    """Give it busybox as `/bin/sh`."""
    (tree / "bin/sh").unlink()
    (tree / "bin/sh").symlink_to("busybox")


EXPORTERS: dict[str, Layout] = {
    "packaged": collect_less,
    "packaged-args": _arguments("--collector.disable-defaults --collector.cpu --collector.uname"),
    "packaged-listen": _arguments("--web.listen-address=0.0.0.0:9100 --collector.uname"),
    "hand-made": _hand_made(f" {LESS}"),
    "hand-made-listen": _hand_made(_LISTENING),
    "login-keys": _no_final_newline,
    "login-no-keys": _no_keys,
    "docker-like": _docker_like,
    "socket-activated": _socket_activated,
    "none": none,
}


def _server(configuration: str | bytes | None) -> Layout:
    def layout(tree: Path) -> None:
        (tree / _WANTS / "prometheus.service").symlink_to("/lib/systemd/system/prometheus.service")
        if configuration is not None:
            data = configuration if isinstance(configuration, bytes) else configuration.encode()
            (tree / "etc/prometheus/prometheus.yml").write_bytes(data)

    return layout


def _symlinked(tree: Path) -> None:
    _server(PROMETHEUS_YML)(tree)
    link, real = tree / "etc/prometheus/prometheus.yml", tree / "srv/prometheus/main.yml"
    real.parent.mkdir()
    link.rename(real)
    link.symlink_to("../../srv/prometheus/main.yml")


SERVERS: dict[str, Layout] = {
    "default": _server(None),
    "comments": _server(PROMETHEUS_YML),
    "crlf": _server(PROMETHEUS_YML.replace("\n", "\r\n")),
    "no-final-newline": _server(PROMETHEUS_YML.removesuffix("# the end\n").rstrip("\n")),
    "symlinked": _symlinked,
    "indent-0": _server(PROMETHEUS_YML.replace("\n  - ", "\n- ").replace("\n    ", "\n  ").replace("    - t", "  - t")),
    "no-jobs": _server("global:\n  scrape_interval: 15s\n"),
}


def _unit(tree: Path, name: str, text: str) -> None:
    _write(tree / _SYSTEM / name, text)
    (tree / _WANTS / name).symlink_to(f"/etc/systemd/system/{name}")


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o644)
