"""The sandbox holds: what it would not rewrite it refuses to run."""

from pathlib import Path

import pytest

from tests.scripts.sandbox import Sandbox, in_each_shell, parts, refuse_outside


@pytest.mark.parametrize("path", ["/etc/passwd", "x=/var/lib", "$X/usr/bin/id", "}/home", "/dev/sda", "(/run"])
def test_a_script_that_names_a_path_of_this_machine_is_not_run(path: str, tmp_path: Path) -> None:
    good = f"PATH={tmp_path}/usr/bin\n"
    refuse_outside(f"{good}cat {tmp_path}/etc/passwd >/dev/null", tmp_path)
    with pytest.raises(AssertionError, match="outside"):
        refuse_outside(f"{good}cat {path}", tmp_path)


@pytest.mark.parametrize("line", ["", "PATH=/usr/bin", "export PATH=$PATH"])
def test_a_script_that_looks_for_programs_elsewhere_is_not_run(line: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="PATH"):
        refuse_outside(line, tmp_path)


@in_each_shell
def test_no_process_of_this_machine_is_signalled(machine: Sandbox) -> None:
    machine.add_prometheus()
    done = machine.run("PATH=/usr/bin\nkill -HUP 1 && kill 99999999 && command -v systemctl\n")
    assert machine.calls() == ["kill -HUP 1", "kill 99999999"]
    assert done.out == "/usr/bin/systemctl\n"


@pytest.mark.parametrize("name", parts())
def test_every_payload_fits_into_the_sandbox(name: str, machine: Sandbox) -> None:
    assert str(machine.root) in machine.inside(parts()[name].stdin)
