"""The sandbox, once for each shell or in one of them."""

import shutil
import zlib
from pathlib import Path

import pytest

from tests.scripts.sandbox import SHELLS, Sandbox, tools


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    missing = [shell for shell in SHELLS if not shutil.which(shell.split()[0])]
    assert not missing, f"install {', '.join(missing)}: scripts are tried in every shell that hosts have"
    return tools(tmp_path_factory.mktemp("tools"))


@pytest.fixture(params=SHELLS, ids=["dash", "bash", "busybox"])
def machine(request: pytest.FixtureRequest, tmp_path: Path, programs: Path) -> Sandbox:
    """Return a bare machine, once for each shell."""
    return Sandbox(tmp_path / "m", programs, request.param)


@pytest.fixture
def one_machine(request: pytest.FixtureRequest, tmp_path: Path, programs: Path) -> Sandbox:
    """Return a bare machine with one of the shells, spread over the tests by their names."""
    return Sandbox(tmp_path / "m", programs, SHELLS[zlib.crc32(request.node.name.encode()) % len(SHELLS)])
