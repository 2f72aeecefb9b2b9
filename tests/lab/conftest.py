"""Real hosts and the real engine. Elsewhere than on Linux as root these tests are skipped; in CI they may not be."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.hosts import Host, Lab, temporary
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
    """A lab for one module's tests, taken away at its end."""
    with (
        tempfile.TemporaryDirectory(prefix="metrics-tunnel-", dir="/var/tmp") as folder,
        temporary(Path(folder)) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def project(lab: Lab) -> Project:
    """A stack for the module's lab."""
    return Project(lab.folder / "project")


@pytest.fixture(scope="module")
def until() -> Callable[[Callable[[], bool]], bool]:
    """Wait for something that a machine does by itself, 20 seconds at most."""
    import time

    def wait(true: Callable[[], bool]) -> bool:
        for _ in range(100):
            if true():
                return True
            time.sleep(0.2)
        return False

    return wait


def scraped(server: Host, instance: str) -> str:
    """Return the value of `up` for one instance on a server, empty where there is none."""
    query = f"promtool query instant http://127.0.0.1:9090 'up{{instance=\"{instance}\"}}'"
    line = server.run(query).strip()
    return line.split("=>")[1].split()[0] if line else ""
