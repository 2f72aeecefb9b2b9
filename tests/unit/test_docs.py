"""What the documents name is there."""

import re
import subprocess
from pathlib import Path

from components.payload import CODE_BEGINS, LAST_LINE, SENT, code, payload

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_table_of_faults_names_is_there() -> None:
    rows = (ROOT / "docs/faults.md").read_text().split("|---|---|---|\n")[1].splitlines()
    assert len(rows) == 32
    for row in rows:
        named = re.findall(r"`((?:tests|lab)/[\w/]+\.py)(?:::(\w+))?`", row)
        assert named, row
        for path, test in named:
            assert f"def {test}" in (ROOT / path).read_text(), (path, test)


def test_every_link_between_documents_leads_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), (page.name, link)


def test_what_is_sent_is_read_as_the_decision_says() -> None:
    found = re.search(r"^ +(sed -n .*\$p')$", (ROOT / "docs/decisions/2-what-is-sent.md").read_text(), re.MULTILINE)
    assert found
    text = payload("exporter", {"PART": "x"})
    read = subprocess.run(["sh", "-c", found[1]], input=text, text=True, capture_output=True, check=True).stdout
    assert read == f"{CODE_BEGINS}{code('exporter', SENT)}{LAST_LINE}"
