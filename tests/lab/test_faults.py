"""A tunnel that is hurt carries again by itself. `make campaign` hurts it in every way and more often."""

import pytest

from lab.campaign import faults, tunnels
from lab.campaign.figures import percentile
from lab.campaign.tunnels import Tunnel
from lab.hosts import Lab

pytestmark = pytest.mark.alone

QUICK = [faults.KILLED, faults.SESSION_KILLED, faults.RESTARTED, faults.DROPPED, faults.PORT_TAKEN]


@pytest.fixture(scope="module")
def tunnel(lab: Lab) -> Tunnel:
    return tunnels.applied(lab, {"web1": "bookworm"}).tunnels[0]


@pytest.mark.parametrize("fault", QUICK, ids=lambda fault: fault.name)
def test_a_tunnel_recovers_unaided(fault: faults.Fault, tunnel: Tunnel) -> None:
    seen = faults.inject(fault, [tunnel])
    assert seen.recovery is not None
    assert seen.recovery <= fault.limit
    assert fault.lost is None or percentile(seen.lost, 0.5) <= fault.lost
    assert sum(seen.lost) > 0 or not fault.felt, "the fault did nothing"
    assert seen.sessions <= 2
