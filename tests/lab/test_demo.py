"""The demo shows what it says it shows."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from lab import demo
from lab.hosts import Lab
from lab.project import ROOT


def _run(verb: str, folder: Path) -> str:
    command = [sys.executable, "-m", "lab.demo", verb, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_demo_shows_closed_ports_a_healed_drift_and_hosts_as_before() -> None:
    with tempfile.TemporaryDirectory(prefix="metrics-tunnel-", dir="/var/tmp") as made:
        folder = Path(made) / "demo"
        try:
            shown = _run("up", folder)
            environment = re.search(r"the stack +\. (\S+); (pulumi preview .*)", shown)
            assert environment, shown
            again = subprocess.run(
                ["sh", "-c", f". {environment[1]}; {environment[2]} --expect-no-changes"],
                capture_output=True,
                check=False,
            )
            assert again.returncode == 0, again.stdout
            compared = _run("down", folder)
            assert not folder.exists()
        finally:
            if folder.exists():
                Lab(folder).remove()
    for host in demo.EXPORTERS:
        assert re.search(rf"^ +{host} .* 1 +[1-9]\d+ +open before, closed now$", shown, re.MULTILINE), shown
    assert "port 9100 from the network: open\n" in shown
    assert "exit code 7" in shown
    assert "web1 exporter-9100: exporter listens on" in shown
    assert re.search(r"heals it in .* port 9100 from the network: closed\n.* exit code 0 ", shown), shown
    assert compared.count(": identical") == 1 + len(demo.EXPORTERS), compared
