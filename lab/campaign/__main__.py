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
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from lab import tools
from lab.campaign.figures import Figure
from lab.campaign.report import Outcome, report, versions
from lab.progress import tell
from lab.project import ROOT

REPORT = ROOT / "docs/reliability.md"
# By module, in the order of the report: title, and about how many minutes it takes on two cores.
EXPERIMENTS = {
    "attacks": ("Attacks with a stolen key", 2),
    "revocation": ("A key taken away", 2),
    "hostile_target": ("A hostile target", 6),
    "values": ("Hostile values", 4),
    "secrets": ("Planted secrets", 3),
    "faults": ("Faults while it runs", 14),
    "rotation": ("Rotation while scraped", 11),
    "crashes": ("Scripts ended at every step", 12),
    "interruptions": ("The engine killed after every step", 4),
}


def main() -> None:
    """Run what is missing or named, and write the report."""
    named = sys.argv[1:]
    if unknown := set(named) - set(EXPERIMENTS):
        raise SystemExit(
            f"lab.campaign: no experiment {', '.join(sorted(unknown))}; there are {', '.join(EXPERIMENTS)}"
        )
    kept = tools.default_cache() / "campaign"
    kept.mkdir(parents=True, exist_ok=True)
    outcomes = {}
    for number, (name, (title, minutes)) in enumerate(EXPERIMENTS.items(), 1):
        file = kept / f"{name}-{_code(name)}.json"
        if name in named or not (named or file.exists()):
            print(f"[{number} of {len(EXPERIMENTS)}] {title}: about {minutes} min", flush=True)
            file.write_text(json.dumps(asdict(_run(name))))
        if file.exists():
            read = json.loads(file.read_text())
            outcomes[name] = Outcome(**read | {"figures": [Figure(**one) for one in read["figures"]]})
    titles = {name: title for name, (title, _) in EXPERIMENTS.items()}
    REPORT.write_text(report(titles, outcomes))
    short = [one for outcome in outcomes.values() for one in outcome.figures if not one.good]
    missing = [name for name in EXPERIMENTS if name not in outcomes]
    print(f"{REPORT.relative_to(ROOT)}: {len(short)} figures fall short, {len(missing)} experiments not run")
    for one in short:
        print(f"    {one.what}: {one.value}, wanted {one.wanted}")


def _run(name: str) -> Outcome:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="metrics-tunnel-", dir="/var/tmp") as folder:
        measure = import_module(f"lab.campaign.{name}").measure
        figures = measure(Path(folder) / "lab", lambda text: tell(f"    {text}", time.monotonic() - started))
    seconds = time.monotonic() - started
    tell("    ", seconds, "done")
    return Outcome(figures, seconds, time.strftime("%Y-%m-%d %H:%M", time.gmtime()), versions())


def _code(name: str) -> str:
    """Return a digest of the product and of an experiment, for which what was measured stays true."""
    digest = hashlib.sha256((ROOT / f"lab/campaign/{name}.py").read_bytes())
    for folder in ("components", "stacks"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".sh"}:
                digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    main()
