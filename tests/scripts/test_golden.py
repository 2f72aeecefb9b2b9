"""What each part sends and what stands on its machine then, whole, for one fixed fleet: `tests/golden` is to be read.

`sent/<resource>.txt` has a part's commands and values; `machines/<machine>` has the files that the parts of one machine
have written there, with `files.txt` for their modes. Whoever changes any of it on purpose writes all anew, by
`make golden`, and reads the difference as what users will get.
"""

import os
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from components.payload import CODE_BEGINS
from tests.mocked import Deployment, deploy, exporter, fleet
from tests.scripts.sandbox import Sandbox, parts

GOLDEN = Path(__file__).parents[1] / "golden"
SERVERS: dict[str, dict[str, Any]] = {"mon1": {"scrape_interval": "15s", "egress": ["10.0.0.10", "fd00::10"]}}
HOSTS: dict[str, dict[str, Any]] = {
    "web1": {"labels": {"env": "prod", "place": "rack é"}},
    "app1": {
        "login": "ann",
        "exporters": {"node": exporter(1), "mail": exporter(2, 19154, job="mail", path="/m", manage=False)},
    },
}
OWN_KEYS = "# mine\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7mjxwKQrMwGd3Fq4SVXn5uHFsGCA1HPdKmSeAbmN0q ann\n"
FOLDERS = ("etc", "home", "var")
KEY = "/etc/metrics-tunnel/keys/metrics-tunnel-test-mon1-1"
MACHINES: dict[str, dict[str, str]] = {
    "mon1": {},
    "mon1-with-systemd-247": {"fake/systemd": "247"},
    "web1": {},
    "web1-with-OpenSSH-8.4": {"fake/openssh": "8.4"},
    "app1": {},
}
"""By machine, and what else than usual it has: what is written depends on the releases of systemd and OpenSSH."""


@cache
def deployment() -> Deployment:
    return deploy(fleet(SERVERS, HOSTS))


def sent(name: str) -> str:
    """Return the commands and the values of a part; its code stands in components/scripts."""
    inputs = deployment().resources[name].inputs
    generation = deployment().generation(name)
    values = inputs["stdin"].partition(CODE_BEGINS)[0]
    commands = (f"{verb}: {inputs[verb]}\n".replace(generation, "GENERATION") for verb in ("create", "delete"))
    return f"{''.join(commands)}\n{values}"


def written(machine: Sandbox, name: str) -> dict[str, bytes]:
    """Return what the parts of a machine have written there, by path, with `files.txt`: mode and path of each file."""
    where = name.partition("-with-")[0]
    machine.add_all()
    machine.add_tunnel("127.77.0.2:19100", "metrics-tunnel-app1.service")
    start = "fake/on-start/metrics-tunnel-app1.service"
    machine.write(start, machine.read(start) + 'echo "127.77.0.3:29154 4242 ssh" >>"$ROOT/fake/listeners"\n')
    machine.write("home/ann/.ssh/authorized_keys", OWN_KEYS, 0o600)
    machine.write("etc/passwd", f"root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::{machine.root}/home/ann:/bin/sh\n")
    if where == "app1":
        machine.write("proc/19154/cgroup", "0::/system.slice/mail.service\n")
        machine.write("fake/listeners", "*:9100 9100 prometheus-node-exporter\n127.0.0.1:19154 19154 mail\n")
    for path, text in MACHINES[name].items():
        machine.write(path, text)
    before = machine.state(*FOLDERS)
    for part in parts(servers=SERVERS, hosts=HOSTS).values():
        if f"\nMACHINE={where}\n" in part.stdin:
            done = machine.apply(part)
            assert (done.code, done.err) == (0, ""), part.receipt
    files = {f"/{path}": what for path, what in machine.state(*FOLDERS).items() if _written(what, before.get(path))}
    # A checksum is that of a text with this sandbox's paths in it.
    texts = {
        path: re.sub(rb"\b[0-9a-f]{64}\b", b"(checksum)", what[1].replace(bytes(machine.root), b""))
        for path, what in files.items()
        if isinstance(what[1], bytes)
    }
    # The key is another one each time.
    for path in texts.keys() & {KEY, f"{KEY}.pub"}:
        texts[path] = re.sub(rb"AAAA\S+|(?s:^-.*-$)", b"(key)", texts[path])
    listing = "".join(f"{what[0]} {path}\n" for path, what in files.items())
    return {"/files.txt": listing.encode(), **texts}


def _written(now: tuple[Any, ...], before: tuple[Any, ...] | None) -> bool:
    return now != before and not now[0].startswith("d")


def golden(folder: Path) -> dict[str, bytes]:
    return {f"/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def compare(folder: Path, files: dict[str, bytes]) -> None:
    """Compare files with those of a folder, or write them where `make golden` asks for that."""
    if os.environ.get("WRITE_GOLDEN"):
        shutil.rmtree(folder, ignore_errors=True)
        for path, text in files.items():
            file = folder / path[1:]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text)
    assert files == golden(folder)


def test_what_is_sent_is_as_it_was() -> None:
    names = [name for name, made in deployment().resources.items() if made.type.endswith(":Command")]
    compare(GOLDEN / "sent", {f"/{name}.txt": sent(name).encode() for name in names})


@pytest.mark.parametrize("name", MACHINES)
def test_what_stands_on_a_machine_is_as_it_was(name: str, machine: Sandbox) -> None:
    compare(GOLDEN / "machines" / name, written(machine, name))
