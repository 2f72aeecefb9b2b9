"""A host key that is not written down is looked up in `~/.ssh/known_hosts`, as ssh does it."""

import os
import re
import subprocess
from pathlib import Path

import asyncssh
import pytest

from stacks.known_hosts import NoHostKeyError, host_key
from stacks.models import BastionSettings


def made(kind: str) -> str:
    key = asyncssh.generate_private_key(kind)
    return " ".join(key.export_public_key().decode().split()[:2])


ED, ED2, ECDSA, ECDSA521, RSA = map(
    made, ["ssh-ed25519", "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521", "ssh-rsa"]
)


def without_keys(value: object) -> str | None:
    """Name a parameter, alike in each process that names it: the keys are others in each."""
    return re.sub(r"AAAA\S+", "KEY", value) if isinstance(value, str) else None


@pytest.fixture
def known_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the known_hosts file of a home of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    return tmp_path / ".ssh" / "known_hosts"


def found(address: str, port: int = 22) -> str | None:
    return host_key(BastionSettings(address=address, port=port, hostKey=None, privateKeyPath=None))


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        (f"web1 {ED}", "web1", 22),
        (f"web1 {ED}", "WEB1", 22),
        (f"web1,10.0.0.1 {ED} comment", "10.0.0.1", 22),
        (f"2001:db8::1 {ED}", "2001:db8::1", 22),
        (f"*.example.org,!db1.example.org {ED}", "web1.example.org", 22),
        (f"[web1]:2222 {ED}\nweb1 {ED2}", "web1", 2222),
        (f"[2001:db8::1]:2222 {ED}", "2001:db8::1", 2222),
        (f"web1 {ED}", "web1", 2222),
        (f"web1 {RSA}\nweb1 {ECDSA521}\nweb1 {ECDSA}\nweb1 {ED}", "web1", 22),
        (f"web1 {ED}\nweb1,10.0.0.1 {ED}", "web1", 22),
        (f"@revoked web1 {ED2}\nweb1 {ED2}\nweb1 {ED}", "web1", 22),
        (f"@revoked * {ED2}\n[web1]:2222 {ED2}\n[web1]:2222 {ED}", "web1", 2222),
        (f"@cert-authority * {ED2}\nweb1 {ED}", "web1", 22),
        (f"# {ED2}\n\n  web1 {ED}\r\n", "web1", 22),
        (f"half\n|1|no|hash\n@what web1 {ED2}\nweb1 ssh-ed25519 AAAA\nweb1 {ED}\n\ufffd\0", "web1", 22),
    ],
    ids=without_keys,
)
def test_an_entry_is_found(known_hosts: Path, text: str, address: str, port: int) -> None:
    known_hosts.write_text(text)
    assert found(address, port) == ED


def test_hashed_entries_as_ssh_keygen_makes_them_are_found(known_hosts: Path) -> None:
    known_hosts.write_text(f"web1.example.org {ED}\n[10.0.0.1]:2222 {ECDSA}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(known_hosts)], check=True, capture_output=True)
    assert "web1" not in known_hosts.read_text()
    assert found("web1.example.org") == ED
    assert found("10.0.0.1", 2222) == ECDSA


def test_an_ecdsa_key_does_where_there_is_no_ed25519_key(known_hosts: Path) -> None:
    known_hosts.write_text(f"web1 {RSA}\nweb1 {ECDSA}\n")
    assert found("web1") == ECDSA


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no key of web1; give hostKey, as shown there by: cat /etc/ssh"),
        (f"web10 {ED}", "has no key of web1"),
        (f"*.web1 {ED}", "has no key of web1"),
        (f"[web1]:2222 {ED}", "has no key of web1"),
        (f"@cert-authority web1 {ED}", "has no key of web1"),
        (f"@revoked web1 {ED}\nweb1 {ED}", "has no key of web1"),
        (f"web1 {RSA}", "has no ed25519 or ecdsa key of web1, only ssh-rsa; give hostKey"),
        (f"web1 {ED}\nweb1 {ED2}", "has 2 ssh-ed25519 keys of web1; give hostKey"),
    ],
    ids=without_keys,
)
def test_without_one_key_to_pin_the_machine_is_refused(known_hosts: Path, text: str, reason: str) -> None:
    known_hosts.write_text(text)
    with pytest.raises(NoHostKeyError, match="is missing, and") as caught:
        found("web1")
    assert reason in str(caught.value)
    assert "AAAA" not in str(caught.value)


def test_a_file_that_is_missing_unreadable_or_no_text_is_no_crash(
    known_hosts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NoHostKeyError, match="has no key of web1"):
        found("web1")
    known_hosts.write_bytes(os.urandom(4096))
    with pytest.raises(NoHostKeyError, match="has no key of web1"):
        found("web1")
    known_hosts.unlink()
    known_hosts.mkdir()
    with pytest.raises(NoHostKeyError, match="has no key of web1"):
        found("web1")
    monkeypatch.setattr(Path, "expanduser", lambda _: (_ for _ in ()).throw(RuntimeError("no home")))
    with pytest.raises(NoHostKeyError, match="has no key of web1"):
        found("web1")


def test_a_key_that_is_written_down_goes_before_the_file(known_hosts: Path) -> None:
    known_hosts.write_text(f"web1 {ED}\n")
    assert host_key(BastionSettings(address="web1", hostKey=ECDSA, privateKeyPath=None)) == ECDSA
    assert host_key(BastionSettings(address="web1", hostKey=None, insecureHostKey=True, privateKeyPath=None)) is None
