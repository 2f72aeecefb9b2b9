"""An exporter that listens on loopback alone. The last part of a host: until here nothing was cut."""

import re
from collections.abc import Iterator

from . import proof
from .facts import Facts, Receipt
from .judge import Judge, Values
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
        judge=JUDGE,
        version=str(port),
        # What answered before, and the new proof; where that fails, the old place again.
        wait=proof.longest(seconds, 3),
    )


_ON_LOOPBACK = re.compile(r"127\.|\[::1\]|\[::ffff:127\.")


def _present(values: Values, facts: Facts) -> bool:
    """Say whether a drop-in of ours closes the port, by its text, or by what the receipt says of the unit."""
    unit = facts.receipts.get(values["PART"], Receipt()).files.get("unit", "")
    return values["PORT"] in facts.closed_ports or f"/etc/systemd/system/{unit}.d/zz-metrics-tunnel.conf" in facts.modes


def _drift(values: Values, receipt: Receipt, facts: Facts) -> list[str]:
    still_open = " ".join(place for place in _places(values, facts) if not _ON_LOOPBACK.match(place))
    listens = f"exporter listens on {still_open}"
    if values["MANAGE"] == "no":
        return [f"{listens}, and manage: false leaves it to you to bind it to loopback"] if still_open else []
    unit = receipt.files.get("unit", "")
    if not unit:
        # As it was applied with manage: false.
        return []
    return [*_state(unit, facts), *([listens] if still_open else []), *_started_with(unit, receipt, facts)]


def _places(values: Values, facts: Facts) -> list[str]:
    """Return where something listens on the exporter's port."""
    return sorted(place for place in facts.listeners if place.rpartition(":")[2] == values["PORT"])


def _state(unit: str, facts: Facts) -> Iterator[str]:
    shown = facts.units.get(unit, {})
    if shown.get("LoadState") == "not-found":
        yield f"{unit} is gone"
    if shown.get("ActiveState") in ("inactive", "failed", "deactivating"):
        yield f"exporter {unit} is stopped"


def _started_with(unit: str, receipt: Receipt, facts: Facts) -> Iterator[str]:
    if facts.commands.get(unit, "") != receipt.files.get("command", ""):
        yield f"the command of {unit} was changed"
    asked = facts.listeners_asked.get(unit, "")
    if asked and asked != receipt.files.get("asked", ""):
        yield f"environment asks for another listener ({', '.join(asked.splitlines())}); it is overruled"


def _notices(values: Values, facts: Facts) -> list[str]:
    if values["MANAGE"] == "no" and not _places(values, facts):
        return [f"nothing listens on 127.0.0.1:{values['PORT']}, so its target is down"]
    return []


JUDGE = Judge(present=_present, drift=_drift, notices=_notices)
