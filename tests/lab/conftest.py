"""Real hosts and the real engine, modules side by side: one that asserts times is marked `alone`.

Elsewhere than on Linux as root these tests are skipped; in CI they may not be.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.hosts import Lab, temporary
from lab.project import Project

# What takes longest comes first, so that no worker is left with it at the end.
LONGEST = (
    "test_drift",
    "test_crashes",
    "test_states",
    "test_sshd",
    "test_failures",
    "test_upgrade",
    "test_secrets",
    "test_changes",
    "test_connection",
    "test_proofs",
    "test_two_at_once",
    "test_exporters",
    "test_prometheus_proofs",
)

READY = sys.platform == "linux" and os.geteuid() == 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))
    if not READY and not os.environ.get("CI"):
        reason = "lab hosts need Linux and root (they are booted in namespaces of their own)"
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason))


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Give a lab for one module's tests, taken away at its end."""
    with (
        tempfile.TemporaryDirectory(prefix="metrics-tunnel-", dir="/var/tmp") as folder,
        temporary(Path(folder)) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def project(lab: Lab) -> Project:
    """Give a stack for the module's lab."""
    return Project(lab.folder / "project")
