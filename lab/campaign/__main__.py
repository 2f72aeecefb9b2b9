"""`make campaign`: run every experiment that was not run with this code yet, and write docs/reliability.md.

    python -m lab.campaign [EXPERIMENT ...]

What was measured is kept in the cache until the code changes, so a campaign that was interrupted goes on where it
stopped. Named experiments are run anew.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from lab import tools
from lab.campaign.figures import Figure
from lab.campaign.report import Outcome, report, versions
from lab.progress import tell
from lab.project import ROOT

REPORT = ROOT / "docs/reliability.md"
# By module, in the order of the report.
EXPERIMENTS = {
    "distributions": "Debian 11, 12 and 13 together",
    "attacks": "Attacks with a stolen key",
    "revocation": "A key taken away",
    "hostile_target": "A hostile target",
    "values": "Hostile values",
    "secrets": "Planted secrets",
    "faults": "Faults while it runs",
    "rotation": "Rotation while scraped",
    "crashes": "Scripts ended at every step",
    "interruptions": "The engine killed after every step",
}
# These take no times, so that two of them may run side by side; the slowest begins first.
UNTIMED = ("crashes", "interruptions", "values", "secrets", "attacks", "distributions")
TIMED = tuple(name for name in EXPERIMENTS if name not in UNTIMED)


def main() -> None:
    """Run what is missing or named, and write the report."""
    named = sys.argv[1:]
    if unknown := set(named) - set(EXPERIMENTS):
        known = ", ".join(EXPERIMENTS)
        raise SystemExit(f"lab.campaign: no experiment {', '.join(sorted(unknown))}; there are {known}")
    due = [name for name in EXPERIMENTS if name in named or not (named or _kept(name).exists())]
    print(f"{len(due)} of {len(EXPERIMENTS)} experiments to run: {', '.join(due) or 'none'}", flush=True)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(_run, [name for name in UNTIMED if name in due]))
    for name in TIMED:
        if name in due:
            _run(name)
    outcomes = {name: _read(name) for name in EXPERIMENTS if _kept(name).exists()}
    REPORT.write_text(report(EXPERIMENTS, outcomes))
    short = [one for outcome in outcomes.values() for one in outcome.figures if not one.good]
    missing = len(EXPERIMENTS) - len(outcomes)
    print(f"{REPORT.relative_to(ROOT)}: {len(short)} figures fall short, {missing} experiments are not measured")
    for one in short:
        print(f"    {one.what}: {one.value}, wanted {one.wanted}")
    sys.exit(1 if missing and not named else 0)


def _run(name: str) -> None:
    """Run one experiment and keep what it gave. One that breaks is told, and the others go on."""
    started = time.monotonic()

    def progress(text: str, ending: str = "") -> None:
        tell(f"{name}: {text}", time.monotonic() - started, ending)

    progress(EXPERIMENTS[name])
    try:
        with tempfile.TemporaryDirectory(prefix="metrics-tunnel-", dir="/var/tmp") as folder:
            figures = import_module(f"lab.campaign.{name}").measure(Path(folder) / "lab", progress)
    except Exception:  # noqa: BLE001 - whatever it is, an hour of others is not lost for it
        traceback.print_exc()
        progress("broke", "failed")
        return
    seconds = time.monotonic() - started
    outcome = Outcome(figures, seconds, time.strftime("%Y-%m-%d %H:%M", time.gmtime()), versions())
    _kept(name).parent.mkdir(parents=True, exist_ok=True)
    _kept(name).write_text(json.dumps(asdict(outcome)))
    progress("measured", "done")


def _kept(name: str) -> Path:
    """Return the file that keeps what an experiment gave."""
    return tools.default_cache() / "campaign" / f"{name}-{_code(name)}.json"


def _read(name: str) -> Outcome:
    read = json.loads(_kept(name).read_text())
    return Outcome(**read | {"figures": [Figure(**one) for one in read["figures"]]})


def _code(name: str) -> str:
    """Return a digest of the product and of an experiment, for which what was measured stays true."""
    digest = hashlib.sha256((ROOT / f"lab/campaign/{name}.py").read_bytes())
    for folder in ("components", "stacks"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".sh", ".awk"}:
                digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    main()
