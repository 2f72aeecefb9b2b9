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

READY = sys.platform == "linux" and os.geteuid() == 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
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
