"""A stack of this project for a lab, run with the real engine as a user runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lab import tools

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.hosts import Host, Lab

ROOT = Path(__file__).parents[1]
PULUMI = ("env", "--default-signal=INT", "pulumi")
"""How Pulumi is started. It ends its language host by SIGINT, and what a shell has put into the background ignores
that, as does all that it starts: Pulumi would wait five seconds at each command."""
DRIFT = 7
"""Exit code of `preview --expect-no-changes` where something would change."""


@dataclass(frozen=True)
class Run:
    """What one command of Pulumi ended with."""

    code: int
    output: str
    seconds: float


@dataclass(frozen=True)
class Plan:
    """What a preview would do: the operation by resource, where it is not left as it is, and the warnings."""

    code: int
    steps: dict[str, str]
    warnings: list[str]
    seconds: float


class PulumiError(Exception):
    """Pulumi ended as it should not have; the text is its output."""


class Project:
    """One stack in a folder of its own. `settings` are the keys of the namespace `metrics-tunnel`."""

    def __init__(self, folder: Path, stack: str = "lab") -> None:
        self.folder, self.stack = folder, stack
        found = tools.ensure()
        self.home = folder / "home"
        self.plugin = tools.command_plugin(found, self.home)
        self.environment = tools.environment(found, self.home, folder / "backend")
        self.file = folder / "stacks" / f"Pulumi.{stack}.yaml"
        if not self.file.exists():
            lay_program(folder)
            (folder / ".venv").symlink_to(ROOT / ".venv")
            self.pulumi("stack", "init", stack)

    def settings(self, values: Mapping[str, Any]) -> None:
        """Write the stack's settings; secrets, given by `secret`, stay."""
        old = yaml.safe_load(self.file.read_text()) or {}
        kept = {
            name: value
            for name, value in old.get("config", {}).items()
            if isinstance(value, dict) and "secure" in value
        }
        config = kept | {f"metrics-tunnel:{name}": value for name, value in values.items()}
        # Through JSON, so that no value is written as an alias of another.
        self.file.write_text(yaml.safe_dump(json.loads(json.dumps({**old, "config": config}))))

    def secret(self, name: str, value: str) -> None:
        """Set a secret of the stack."""
        self.pulumi("config", "set", "--secret", f"metrics-tunnel:{name}", "--stack", self.stack, text=value)

    def pulumi(
        self, *arguments: str, codes: tuple[int, ...] = (0,), text: str = "", more: Mapping[str, str] | None = None
    ) -> Run:
        """Run Pulumi. Raises `PulumiError` where it ends with another code than `codes`."""
        started = time.monotonic()
        command = [*PULUMI, *arguments, "--non-interactive", "--color=never", "--logtostderr=false"]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **(more or {})},
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        run = Run(done.returncode, done.stdout, time.monotonic() - started)
        if run.code not in codes:
            raise PulumiError(f"{' '.join(command)} ended with {run.code} after {run.seconds:.1f} s:\n{run.output}")
        return run

    def up(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> Run:
        """Apply the settings, without a preview before."""
        return self.pulumi("up", "--yes", "--skip-preview", "--stack", self.stack, *arguments, codes=codes)

    def preview(self, *arguments: str, codes: tuple[int, ...] = (0, DRIFT)) -> Run:
        """Plan; the code is `DRIFT` where something would change."""
        return self.pulumi("preview", "--expect-no-changes", "--diff", "--stack", self.stack, *arguments, codes=codes)

    def plan(self) -> Plan:
        """Preview, as data."""
        run = self.pulumi("preview", "--expect-no-changes", "--json", "--stack", self.stack, codes=(0, DRIFT))
        found, _ = json.JSONDecoder().raw_decode(run.output, run.output.index("{"))
        steps = {step["urn"].rpartition("::")[2]: step["op"] for step in found["steps"] if step["op"] != "same"}
        warnings = [one["message"].strip() for one in found.get("diagnostics") or [] if one["severity"] == "warning"]
        return Plan(run.code, steps, [text.removeprefix("warning: ") for text in warnings], run.seconds)

    def destroy(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> Run:
        """Take everything away."""
        return self.pulumi("destroy", "--yes", "--skip-preview", "--stack", self.stack, *arguments, codes=codes)

    def outputs(self) -> Any:
        """Return the stack's outputs."""
        return json.loads(self.pulumi("stack", "output", "--json", "--stack", self.stack).output)

    def state(self) -> bytes:
        """Return the file that the backend keeps of the stack."""
        return next((self.folder / "backend/.pulumi/stacks").rglob(f"{self.stack}.json")).read_bytes()


def settings(lab: Lab, servers: list[Host], hosts: list[Host], **more: Any) -> dict[str, Any]:
    """Return the plainest settings for hosts of a lab."""
    return {
        "prometheus": {one.name: machine(one) for one in servers},
        "hosts": {one.name: machine(one) for one in hosts},
        "ssh": {"user": "root", "privateKeyPath": str(lab.key)},
        "scrape": {"interval": "2s"},  # a busy machine needs more than a second for all collectors
        **more,
    }


def machine(host: Host) -> dict[str, Any]:
    """Return one machine's settings."""
    return {"address": host.address, "hostKey": host.host_key}


def lay_program(folder: Path) -> None:
    """Lay the program beside the stack's file, as in a user's checkout, over another version where one is there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("components", "stacks"):
        ignored = shutil.ignore_patterns("__pycache__", "Pulumi.*.yaml")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored, dirs_exist_ok=True)


def lay_released(folder: Path, program: Path) -> None:
    """Lay the program of an earlier release in the place of this one, from a tar file as in tests/lab/released."""
    shutil.rmtree(folder / "components")
    with tarfile.open(program) as packed:
        # As an argument, the Python of Debian 12 does not know it.
        packed.extraction_filter = staticmethod(getattr(tarfile, "data_filter", lambda member, _path: member))
        packed.extractall(folder)  # noqa: S202 - an archive of our own
