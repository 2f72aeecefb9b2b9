"""The marked block goes into prometheus.yml and out again, every other byte kept, in each shell."""

import subprocess
from pathlib import Path

import pytest

from components.payload import assignments, functions
from components.scrape_job import desired

CONFIGS = {
    "plain": b"global:\n  scrape_interval: 15s\nscrape_configs:\n  - job_name: a\n    static_configs: []\n",
    "comments": b"# top\nscrape_configs: # here\n\n  # first\n  - job_name: a\n# end\n",
    "crlf": b"global: {}\r\nscrape_configs:\r\n  - job_name: a\r\n",
    "no final newline": b"scrape_configs:\n  - job_name: a",
    "list not indented": b"scrape_configs:\n- job_name: a\nalerting: {}\n",
    "empty list at the end": b"global: {}\nscrape_configs:",
    "no list": b"global: {}\n",
    "no list, no final newline": b"global: {}",
}


def run(shell: str, config: Path, call: str) -> bytes:
    values = {"STACK": "s", "CONFIG": str(config), **desired("s", "5s", "5s")}
    names = ("without_block", "with_block", "block")
    text = assignments(values) + "\n".join(functions("scrape-job")[name] for name in names) + f"\nset -eu\n{call}\n"
    return subprocess.run([*shell.split(), "-s"], input=text.encode(), capture_output=True, check=True).stdout


@pytest.mark.parametrize("shell", ["dash", "bash --posix", "busybox sh"])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_block_goes_in_and_out_byte_for_byte(name: str, shell: str, tmp_path: Path) -> None:
    config = tmp_path / "prometheus.yml"
    config.write_bytes(CONFIGS[name])
    with_block = run(shell, config, f"with_block {config}")
    assert b"- job_name: metrics-tunnel-s\n" in with_block
    assert with_block.count(b"scrape_configs:") == 1
    config.write_bytes(with_block)
    assert b"BEGIN metrics-tunnel s" in run(shell, config, "block")
    assert run(shell, config, "without_block") == CONFIGS[name]


def test_items_stand_at_the_indent_of_the_list_that_is_there(tmp_path: Path) -> None:
    config = tmp_path / "prometheus.yml"
    config.write_bytes(CONFIGS["list not indented"])
    assert b"\n- job_name: metrics-tunnel-s\n" in run("dash", config, f"with_block {config}")
