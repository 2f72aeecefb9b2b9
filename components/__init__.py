"""Close Prometheus exporters to the network and scrape them through hardened SSH tunnels."""

from .args import BastionArgs, ConnectionArgs, ExporterArgs, MonitoredHostArgs, PrometheusServerArgs
from .monitored_host import MonitoredHost
from .prometheus_server import PrometheusServer

__all__ = [
    "BastionArgs",
    "ConnectionArgs",
    "ExporterArgs",
    "MonitoredHost",
    "MonitoredHostArgs",
    "PrometheusServer",
    "PrometheusServerArgs",
]
