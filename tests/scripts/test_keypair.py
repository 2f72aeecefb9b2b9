"""On a server: the tunnels' key is made there, its public half is all that leaves, and what is not ours is refused."""

import subprocess
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from components.drift import Finding
from components.keypair import public_key_in
from tests.scripts.sandbox import Sandbox, in_each_shell, parts

PAIR = parts()["mon1-keypair"]
KEY = "etc/metrics-tunnel/keys/metrics-tunnel-test-mon1-1"
ANEW = "a new one is made, unless tunnelPrivateKey gives it, and each host gets it"
OWN = Ed25519PrivateKey.generate()
TEXT = OWN.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
PUBLIC = OWN.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def test_the_key_is_ed25519_for_root_alone_and_its_public_line_is_printed(machine: Sandbox) -> None:
    done = machine.apply(PAIR)
    assert done.code == 0
    assert done.out == f"metrics-tunnel {public_key_in(done.out)}\n\nmetrics-tunnel applied 0a1b2c3d\n"
    kind, blob, name = public_key_in(done.out).split()
    assert (kind, name) == ("ssh-ed25519", "metrics-tunnel-test-mon1-1")
    derived = subprocess.run(["ssh-keygen", "-y", "-f", machine / KEY], capture_output=True, text=True, check=True)
    assert derived.stdout.split()[:2] == [kind, blob]
    assert machine.read(f"{KEY}.pub") == public_key_in(done.out) + "\n"
    assert (machine / KEY).stat().st_mode & 0o777 == 0o600
    assert (machine / KEY).parent.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in (machine / KEY).parent.iterdir()) == [
        "metrics-tunnel-test-mon1-1",
        "metrics-tunnel-test-mon1-1.pub",
    ]


def test_nothing_of_the_private_half_is_printed_or_kept_elsewhere(machine: Sandbox) -> None:
    done = machine.apply(PAIR)
    secret = (machine / KEY).read_text().splitlines()[2]
    assert secret not in done.out + done.err
    holders = [
        path for path, what in machine.state().items() if isinstance(what[1], bytes) and secret.encode() in what[1]
    ]
    assert holders == [KEY]


def test_applied_again_the_key_stays_and_is_printed_again(machine: Sandbox) -> None:
    first = machine.apply(PAIR)
    again = machine.apply(PAIR, "22222222")
    assert public_key_in(again.out) == public_key_in(first.out)


@in_each_shell
def test_a_key_of_which_nobody_is_told_is_not_kept(machine: Sandbox) -> None:
    before = machine.state()
    assert machine.apply(PAIR, alone=True).code != 0
    assert machine.state() == before
    assert machine.apply(PAIR).code == 0


@pytest.mark.parametrize("file", [KEY, f"{KEY}.pub"])
def test_a_key_pair_whose_making_was_killed_is_made_by_the_next_run(file: str, machine: Sandbox) -> None:
    at = machine.write("fake/killed-at", str(machine / file))
    assert machine.apply(PAIR).code == -9
    assert (machine / file).exists()
    at.unlink()
    done = machine.apply(PAIR)
    assert done.code == 0, done.err
    assert machine.remove(PAIR).code == 0
    assert not list((machine / "etc").glob("metrics-tunnel"))


def test_a_rotation_makes_another_key_beside_the_old_one(machine: Sandbox) -> None:
    new = parts(servers={"mon1": {"rotation": 2}})["mon1-keypair"]
    old_line, new_line = public_key_in(machine.apply(PAIR).out), public_key_in(machine.apply(new).out)
    assert old_line.split()[1] != new_line.split()[1]
    assert machine.remove(PAIR).code == 0
    assert not (machine / KEY).exists()
    assert machine.read(KEY.removesuffix("1") + "2.pub") == new_line + "\n"


def test_a_key_that_a_tunnel_still_takes_is_not_removed(machine: Sandbox) -> None:
    """As where a host is offline while the key rotates: its unit is not switched in that run."""
    assert machine.apply(PAIR).code == 0
    unit = machine.write("etc/systemd/system/metrics-tunnel-web1.service", f"[Service]\nLoadCredential=key:/{KEY}\n")
    unit.write_text(unit.read_text().replace(":/", f":{machine.root}/"))
    before = machine.state()
    done = machine.remove(PAIR)
    assert done.code == 3
    assert f"/{KEY} is still used by metrics-tunnel-web1.service; take offline out of that host" in done.err
    assert machine.state() == before
    unit.unlink()
    assert machine.remove(PAIR).code == 0
    assert not (machine / KEY).exists()


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Welcome to mon1\n",
        "metrics-tunnel ssh-ed25519 AAAA root@mon1\n",
        "ssh-ed25519 AAAA metrics-tunnel-test-mon1-1\n",
        "metrics-tunnel ssh-ed25519 AAAA metrics-tunnel-a metrics-tunnel-b\n",
        'metrics-tunnel command="x" ssh-ed25519 AAAA metrics-tunnel-a\n',
    ],
)
def test_what_is_no_marked_line_of_ours_is_no_key(said: str) -> None:
    assert public_key_in(said) == ""
    line = "ssh-ed25519 AAAA metrics-tunnel-test-mon1-1"
    assert public_key_in(f"{said}metrics-tunnel {line}\nbye\n") == line


@in_each_shell
def test_a_private_key_of_the_users_own_is_put_there_and_never_printed(machine: Sandbox) -> None:
    given = parts(servers={"mon1": {"private_key": TEXT}})["mon1-keypair"]
    before = machine.state("etc")
    done = machine.apply(given)
    assert done.code == 0
    assert public_key_in(done.out) == f"{PUBLIC} metrics-tunnel-test-mon1-1"
    assert "PRIVATE" not in done.out + done.err
    assert (machine / KEY).stat().st_mode & 0o777 == 0o600
    assert machine.apply(given).out == done.out
    assert machine.remove(given).code == 0
    assert machine.state("etc") == before


def test_a_text_that_is_no_private_key_is_not_left_there_and_not_printed(machine: Sandbox) -> None:
    before = machine.files()
    given = parts(servers={"mon1": {"private_key": TEXT}})["mon1-keypair"]
    assert f"'{TEXT}'" in given.stdin
    # As no program can send it any more.
    done = machine.apply(replace(given, stdin=given.stdin.replace(f"'{TEXT}'", "PLANTED-SECRET")))
    assert done.code == 3
    assert "is no private key without passphrase; give another" in done.err
    assert "PLANTED" not in done.out + done.err
    assert machine.files() == before


@pytest.mark.parametrize("public", [None, "ssh-ed25519 AAAA bob\n"])
def test_a_key_that_is_there_and_not_ours_is_refused_untouched(public: str | None, machine: Sandbox) -> None:
    machine.write(KEY, "PLANTED\n", 0o600)
    if public:
        machine.write(f"{KEY}.pub", public)
    before = machine.state(times=True)
    done = machine.apply(PAIR)
    assert done.code == 3
    assert f"/{KEY} is there and not from this stack; move it away" in done.err
    assert machine.state(times=True) == before


@pytest.mark.parametrize("file", [KEY, f"{KEY}.pub"])
def test_a_key_that_others_may_read_or_that_was_edited_is_drift_and_heals(file: str, machine: Sandbox) -> None:
    line = public_key_in(machine.apply(PAIR).out)
    (machine / file).chmod(0o666)
    assert machine.look(PAIR, "mon1").drift == [
        f"/{file} has mode and owner 666 root instead of {'644' if 'pub' in file else '600'} root"
    ]
    assert public_key_in(machine.apply(PAIR, "22222222").out) == line
    assert machine.look(PAIR, "mon1").drift == []
    (machine / f"{KEY}.pub").write_text("ssh-ed25519 AAAA x\n")
    assert machine.look(PAIR, "mon1").drift == [f"/{KEY}.pub was edited"]
    assert public_key_in(machine.apply(PAIR, "33333333").out) == line
    assert machine.look(PAIR, "mon1").drift == []


def test_a_key_that_was_deleted_is_drift_and_made_anew(machine: Sandbox) -> None:
    line = public_key_in(machine.apply(PAIR).out)
    (machine / KEY).unlink()
    assert machine.look(PAIR, "mon1").drift == [
        f"/{KEY} is missing",
        f"there is no private key in /{KEY}; {ANEW}",
    ]
    assert public_key_in(machine.apply(PAIR, "22222222").out) != line
    assert machine.look(PAIR, "mon1").drift == []


def test_a_private_key_that_was_edited_is_told_with_what_becomes_of_it(machine: Sandbox) -> None:
    line = public_key_in(machine.apply(PAIR).out)
    (machine / KEY).write_text("no key\n")
    assert machine.look(PAIR, "mon1").drift == [
        f"/{KEY} was edited",
        f"where /{KEY} holds no private key any more, {ANEW}",
    ]
    assert public_key_in(machine.apply(PAIR, "22222222").out) != line


@in_each_shell
def test_a_file_of_somebody_else_in_our_folders_is_told_and_left_alone(machine: Sandbox) -> None:
    machine.add_all()
    tunnel = parts()["web1-ssh-tunnel"]
    assert machine.apply(PAIR).code == 0
    assert machine.apply(tunnel).code == 0
    assert machine.look(PAIR, "mon1") == Finding("0a1b2c3d")
    others = ["etc/metrics-tunnel/keys/backup", "etc/metrics-tunnel/known_hosts/web9"]
    for file in others:
        machine.write(file, "mine\n")
    found = machine.look(PAIR, "mon1")
    assert found.drift == []
    assert found.notices == [
        f"/{file} is not from here: no receipt names it; it is left alone, look whose it is" for file in others
    ]
    assert machine.remove(tunnel).code == 0
    assert machine.remove(PAIR).code == 0
    assert [machine.read(file) for file in others] == ["mine\n", "mine\n"]


def test_a_greeting_in_place_of_a_public_key_is_no_key(machine: Sandbox) -> None:
    before = machine.state()
    programs = {path.name: path.resolve() for path in (machine / "usr/bin").iterdir()}
    (machine / "usr/bin").unlink()
    (machine / "usr/sbin").unlink()
    (machine / "usr/bin").mkdir()
    (machine / "usr/sbin").symlink_to("bin")
    for name, program in programs.items():
        (machine / "usr/bin" / name).symlink_to(program)
    (machine / "usr/bin/ssh-keygen").unlink()
    machine.write(
        "usr/bin/ssh-keygen", '#!/bin/sh\nfor file; do :; done\n[ "$1" = -y ] || : >"$file"\necho Welcome\n', 0o755
    )
    done = machine.apply(PAIR)
    assert done.code == 3
    assert "ssh-keygen makes no key here" in done.err
    assert "metrics-tunnel " not in done.out
    assert machine.state() == before


@pytest.mark.parametrize("greeting", ["", "Hello.\n", "Have a nice day! "])
def test_the_key_is_found_behind_whatever_a_login_has_printed(greeting: str, machine: Sandbox) -> None:
    done = machine.apply(PAIR)
    assert public_key_in(greeting + done.out) == machine.read(f"{KEY}.pub").strip()
    assert public_key_in(greeting) == ""
