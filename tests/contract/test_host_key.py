"""What a pinned host key lets pass, and how a wrong one is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.contract.resource import Resource, failure
from tests.contract.sshd import Machine, public

if TYPE_CHECKING:
    from collections.abc import Callable

    Serve = Callable[..., Machine]

LOGIN = "after 0 failed attempts: ssh: handshake failed: "
MISMATCH = LOGIN + "ssh: host key mismatch"


def test_without_a_pinned_host_key_any_is_accepted(remote: Resource, machine: Machine) -> None:
    assert remote.create(create="echo in", connection=machine.connection())["stdout"] == "in"


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"])
def test_a_pinned_host_key_lets_that_machine_pass_and_no_other(
    remote: Resource, serve: Serve, key: asyncssh.SSHKey, kind: str
) -> None:
    right, wrong = asyncssh.generate_private_key(kind), asyncssh.generate_private_key(kind)
    machine = serve(host_keys=[right], authorized=[key])
    assert remote.create(create="echo in", connection=machine.connection(hostKey=public(right)))["stdout"] == "in"
    machine.logins.clear()
    told = failure(remote.create, create="true", connection=machine.connection(hostKey=public(wrong)))
    assert told == MISMATCH
    assert machine.logins == [], "a wrong machine learns no user and no key"


def test_a_pin_is_for_one_kind_of_host_key(remote: Resource, serve: Serve, key: asyncssh.SSHKey) -> None:
    first, second = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    machine = serve(host_keys=[first, second], authorized=[key])
    for one in (first, second):
        assert remote.create(create="echo in", connection=machine.connection(hostKey=public(one)))["stdout"] == "in"
    machine = serve(host_keys=[first], authorized=[key])
    told = failure(remote.create, create="true", connection=machine.connection(hostKey=public(second)))
    offers = "we offered: [ecdsa-sha2-nistp256], peer offered: [ssh-ed25519]"
    assert told == f"{LOGIN}ssh: no common algorithm for host key; {offers}"
    assert machine.logins == []


def test_an_rsa_pin_asks_for_sha_1_which_sshd_offers_no_more(
    remote: Resource, serve: Serve, key: asyncssh.SSHKey
) -> None:
    rsa = asyncssh.generate_private_key("ssh-rsa")
    pin = {"hostKey": public(rsa)}
    assert remote.create(create="echo in", connection=serve(host_keys=[rsa], authorized=[key]).connection(**pin))
    rsa.sig_algorithms = (b"rsa-sha2-512", b"rsa-sha2-256")  # as sshd offers since 8.8
    machine = serve(host_keys=[rsa], authorized=[key])
    told = failure(remote.create, create="true", connection=machine.connection(**pin))
    offers = "we offered: [ssh-rsa], peer offered: [rsa-sha2-512 rsa-sha2-256]"
    assert told == f"{LOGIN}ssh: no common algorithm for host key; {offers}"
    assert remote.create(create="echo in", connection=machine.connection())["stdout"] == "in"


@pytest.mark.parametrize("around", ["{} root@web1", "  {}", "# a comment\n\n{}", "no-pty {}", "{}\n", "{}\nrubbish"])
def test_a_pin_is_one_line_as_in_authorized_keys(
    remote: Resource, machine: Machine, host_key: asyncssh.SSHKey, stranger: asyncssh.SSHKey, around: str
) -> None:
    pin = machine.connection(hostKey=around.format(public(host_key)))
    assert remote.create(create="echo in", connection=pin)["stdout"] == "in"
    pin = machine.connection(hostKey=around.format(public(stranger)))
    assert failure(remote.create, create="true", connection=pin) == MISMATCH


@pytest.mark.parametrize("text", ["", "no key", "ssh-ed25519", "ssh-ed25519 AAAA", "# {}", "SHA256:abc"])
def test_a_pin_that_is_no_key_is_told_before_anything_is_dialled(
    remote: Resource, machine: Machine, host_key: asyncssh.SSHKey, text: str
) -> None:
    pin = machine.connection(hostKey=text.format(public(host_key)))
    # The official plugin adds what its parser made of the line.
    assert failure(remote.create, create="true", connection=pin).startswith(
        "failed to parse host key: ssh: no key found"
    )
    assert machine.connections == []


def test_a_known_hosts_line_is_passed_over_to_its_key(
    remote: Resource, machine: Machine, host_key: asyncssh.SSHKey, stranger: asyncssh.SSHKey
) -> None:
    pin = machine.connection(hostKey=f"127.0.0.1 {public(host_key)}")
    assert remote.create(create="echo in", connection=pin)["stdout"] == "in"
    pin = machine.connection(hostKey=f"127.0.0.1 {public(stranger)}")
    assert failure(remote.create, create="true", connection=pin) == MISMATCH
