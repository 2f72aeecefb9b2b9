"""The unit on a server that ends a tunnel's ssh which hangs: nothing else sees a client that is stopped.

ssh wakes at least every 5 seconds (ServerAliveInterval, ConnectTimeout), and every 10 while it logs in. Looks are 7
seconds apart. One that was on no processor between two of them hangs where it is stopped or waits for a disk; of others
a third look tells. The unit's user is the tunnels': it can end them and nothing else. As that user's number may be that
of a container's user as well, a tunnel is known by its unit.
"""

from .facts import Facts, Receipt
from .judge import Judge, Values
from .machine import Machine
from .part import Part

UNIT = """\
# Managed by metrics-tunnel
[Unit]
Description=Ends SSH tunnels that hang
[Service]
Type=exec
Restart=always
RestartSec=5
TimeoutStopSec=5
PrivateNetwork=yes
User=metrics-tunnel-ssh
ExecStart=/bin/sh -c 'while :; do \
n=$$(for p in $$(find /proc -maxdepth 1 -user metrics-tunnel-ssh); do \
grep -qsx ssh $$p/comm && grep -qs /metrics-tunnel- $$p/cgroup && echo $${p##*/} $$(grep -s ctxt $$p/status); done); \
echo "$$n" | grep . | grep -Fx "$$o" | while read -r p r; do \
case $$q in *"$$p $$r"*) ;; *) grep -qs "^State:.[DTt]" /proc/$$p/status || continue;; esac; \
echo "ssh $$p hangs and is ended"; kill -9 $$p; done; \
q=$$o; o=$$n; sleep 7; done'"""


def tunnel_watchdog(server: Machine) -> Part:
    """Describe the watchdog of a server's tunnels, with the user that they run as."""
    return Part(
        name=f"{server.name}-tunnel-watchdog",
        receipt="tunnel-watchdog",
        script="tunnel-watchdog",
        machine=server,
        values={"UNIT_FILE": UNIT},
        later_values={},
        judge=JUDGE,
    )


_RUNS_AS = "metrics-tunnel-ssh"


def _drift(_values: Values, _receipt: Receipt, facts: Facts) -> list[str]:
    found = []
    groups = facts.users.get(_RUNS_AS)
    if groups is None:
        found.append(f"user {_RUNS_AS} is missing; it is made anew, and all tunnels start again as it")
    elif groups != [_RUNS_AS]:
        found.append(f"user {_RUNS_AS} is in the groups {' '.join(groups)} instead of its own alone; it is put there")
    return found


JUDGE = Judge(unit=lambda _values: "metrics-tunnels-watchdog.service", drift=_drift)
