"""The unit on a server that ends a tunnel's ssh which hangs, and the user of all tunnels; the script says how."""

from .facts import Facts, Receipt
from .judge import Judge, Values
from .machine import Machine
from .part import Part


def tunnel_watchdog(server: Machine) -> Part:
    """Describe the watchdog of a server's tunnels, with the user that they run as."""
    return Part(
        name=f"{server.name}-tunnel-watchdog",
        receipt="tunnel-watchdog",
        script="tunnel-watchdog",
        machine=server,
        values={},
        later_values={},
        judge=JUDGE,
    )


_RUNS_AS = "metrics-tunnel-ssh"


def _drift(_values: Values, _receipt: Receipt, facts: Facts) -> list[str]:
    drift = []
    groups = facts.users.get(_RUNS_AS)
    if groups is None:
        drift.append(f"user {_RUNS_AS} is missing; it is made anew, and all tunnels start again as it")
    elif groups != [_RUNS_AS]:
        drift.append(f"user {_RUNS_AS} is in the groups {' '.join(groups)} instead of its own alone; it is put there")
    return drift


JUDGE = Judge(unit=lambda _values: "metrics-tunnels-watchdog.service", drift=_drift)
