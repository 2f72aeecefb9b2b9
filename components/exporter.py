"""An exporter that listens on loopback alone. The last part of a host: until here nothing was cut."""

from . import proof
from .machine import Machine
from .part import Part


def desired(port: int, path: str, unit: str, seconds: int, *, manage: bool) -> dict[str, str]:
    """Return the exporter's place, who keeps it there, and the seconds that one scrape of it may take."""
    return {
        "PORT": str(port),
        "METRICS": path,
        "SERVICE": unit,
        "MANAGE": "yes" if manage else "no",
        "SCRAPE_SECONDS": str(seconds),
    }


def exporter(host: Machine, name: str, port: int, path: str, unit: str, seconds: int, *, manage: bool) -> Part:
    """Describe one exporter; `unit` is empty where it is found by its listener.

    Where we do not `manage` it, nothing is changed: it has to be on loopback already.
    """
    return Part(
        name=f"{host.name}-exporter-{name}",
        receipt=f"exporter-{port}",
        script="exporter",
        machine=host,
        values=desired(port, path, unit, seconds, manage=manage),
        later_values={},
        version=str(port),
        # What answered before, and the new proof; where that fails, the old place again.
        wait=proof.longest(seconds, 3),
    )
