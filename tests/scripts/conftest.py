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


@pytest.fixture
def machine(request: pytest.FixtureRequest, tmp_path: Path, programs: Path) -> Sandbox:
    """Return a bare machine, in each shell where the test asks for it, else in one by the test's name."""
    one = SHELLS[zlib.crc32(request.node.name.encode()) % len(SHELLS)]
    return Sandbox(tmp_path / "m", programs, getattr(request, "param", one))
