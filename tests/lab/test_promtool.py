"""What the editor of prometheus.yml makes of every form, as the promtool, awk and shell of each release take it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from components.payload import code
from lab import base, layouts
from tests.scripts.prometheus_texts import ASKED, REFUSED, SERVED

if TYPE_CHECKING:
    from lab.hosts import Lab

JOB = "metrics-tunnel-a.b"
TEXTS = {**SERVED, **{name: text for name, (text, _) in REFUSED.items()}, **ASKED}
# For each file a line of its name and whether it is valid, placed whole, found by promtool, and back to the byte.
SCRIPT = f"""
export LC_ALL=C JOB={JOB}
items='- job_name: {JOB}
  scrape_interval: 5s'
{{functions}}
fail() {{{{ exit 3; }}}}
config_file=it
for file in /root/texts/*; do
  said="${{{{file##*/}}}}"
  promtool check config /dev/stdin <"$file" >/dev/null 2>&1 && said="$said valid"
  if edited_config placed "$items" <"$file" >/root/placed &&
    promtool check config /dev/stdin </root/placed >/dev/null 2>&1; then
    said="$said placed"
    edited_config removed </root/placed | cmp -s - "$file" && said="$said back"
  fi
  (refuse_misplaced "$file" "$items") && said="$said found"
  echo "$said"
done
"""


@pytest.fixture(scope="module")
def seen(lab: Lab) -> dict[str, dict[str, set[str]]]:
    """Return by release what was seen of each text."""
    found = {}
    for number, release in enumerate(base.RELEASES):
        host = lab.add(f"p{number}", layouts.none, release=release)
        folder = host.tree / "root/texts"
        folder.mkdir()
        for name, text in TEXTS.items():
            (folder / json.dumps(name).strip('"').replace(" ", "_")).write_bytes(text)
        script = SCRIPT.format(functions=code("scrape-job"))
        (host.tree / "root/try.sh").write_text(script)
    lab.boot()
    for release, host in zip(base.RELEASES, lab.hosts.values(), strict=True):
        lines = host.run("sh /root/try.sh").splitlines()
        found[release] = {words[0].replace("_", " "): set(words[1:]) for words in map(str.split, lines)}
    return found


@pytest.mark.parametrize("release", base.RELEASES)
def test_every_form_is_valid_served_and_back_to_the_byte_or_refused(
    release: str, seen: dict[str, dict[str, set[str]]]
) -> None:
    assert set(seen[release]) == set(TEXTS)
    for name in SERVED:
        assert seen[release][name] == {"valid", "placed", "back", "found"}, name
    for name in REFUSED:
        assert seen[release][name] == {"valid"}, name
    for name in ASKED:
        assert "valid" in seen[release][name], name
        assert "found" not in seen[release][name], name
