"""Who logs in where: keys, passwords and agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.contract.resource import Resource, State, failure
from tests.contract.sshd import Machine, private

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.contract.plugin import Plugin

    Serve = Callable[..., Machine]

LOGIN = "after 0 failed attempts: ssh: handshake failed: "


def refused(*methods: str) -> str:
    """Tell of a login that failed after these methods."""
    tried = " ".join(["none", *methods])
    return f"{LOGIN}ssh: unable to authenticate, attempted methods [{tried}], no supported methods remain"


def test_a_private_key_logs_in_and_a_strange_one_does_not(
    remote: Resource, machine: Machine, stranger: asyncssh.SSHKey
) -> None:
    assert remote.create(create="echo in", connection=machine.connection())["stdout"] == "in"
    told = failure(remote.create, create="true", connection=machine.address(privateKey=private(stranger)))
    assert told == refused("publickey")


def test_the_user_is_root_unless_one_is_given(remote: Resource, machine: Machine) -> None:
    remote.create(create="true", connection=machine.connection())
    remote.create(create="true", connection=machine.connection(user="deploy"))
    assert [one for one in machine.logins if not one.startswith("SHA256:")] == ["root", "deploy"]


@pytest.mark.parametrize("form", ["openssh", "pkcs8-pem", "pkcs1-pem"])
@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
def test_private_keys_of_every_kind_and_form_log_in(remote: Resource, serve: Serve, kind: str, form: str) -> None:
    if (kind, form) == ("ssh-ed25519", "pkcs1-pem"):
        form = "pkcs8-pem"  # there is no such form of this kind
    one = asyncssh.generate_private_key(kind)
    text = one.export_private_key(form).decode()
    assert (
        remote.create(create="echo in", connection=serve(authorized=[one]).address(privateKey=text))["stdout"] == "in"
    )


def test_a_private_key_that_is_none_is_told_before_anything_is_dialled(remote: Resource, machine: Machine) -> None:
    for text in ("", "no key", private(machine.authorized[0])[:60]):
        told = failure(remote.create, create="true", connection=machine.address(privateKey=text))
        assert told == "ssh: no key found"
    assert machine.connections == []


@pytest.fixture(scope="session")
def encrypted() -> tuple[asyncssh.SSHKey, str]:
    """Make a key, and its encrypted text in the one form that needs no bcrypt."""
    one = asyncssh.generate_private_key("ssh-rsa")
    return one, one.export_private_key("pkcs1-pem", "opensesame").decode()


def test_an_encrypted_private_key_needs_its_password(
    remote: Resource, serve: Serve, encrypted: tuple[asyncssh.SSHKey, str]
) -> None:
    machine = serve(authorized=[encrypted[0]])

    def login(**password: str) -> State:
        return remote.create(create="echo in", connection=machine.address(privateKey=encrypted[1], **password))

    assert login(privateKeyPassword="opensesame")["stdout"] == "in"
    assert failure(login) == "ssh: this private key is passphrase protected"
    assert failure(login, privateKeyPassword="wrong") == "x509: decryption password incorrect"
    assert len(machine.connections) == 1


def test_a_password_for_a_key_that_needs_none_is_told(remote: Resource, machine: Machine) -> None:
    told = failure(remote.create, create="true", connection=machine.connection(privateKeyPassword="needless"))
    assert told == "ssh: key is not password protected"


def test_an_encrypted_private_key_in_pkcs_8_form_is_not_read(
    remote: Resource, serve: Serve, encrypted: tuple[asyncssh.SSHKey, str]
) -> None:
    machine = serve(authorized=[encrypted[0]])
    text = encrypted[0].export_private_key("pkcs8-pem", "opensesame").decode()
    told = failure(remote.create, create="true", connection=machine.address(privateKey=text))
    assert told == 'ssh: unsupported key type "ENCRYPTED PRIVATE KEY"'
    known = machine.address(privateKey=text, privateKeyPassword="opensesame")
    assert failure(remote.create, create="true", connection=known) == "ssh: not an encrypted key"
    assert remote.create(create="echo in", connection=machine.connection())["stdout"] == "in"


def test_a_password_logs_in_and_a_wrong_one_does_not(remote: Resource, serve: Serve) -> None:
    machine = serve(password="opensesame")
    assert remote.create(create="echo in", connection=machine.address(password="opensesame"))["stdout"] == "in"
    told = failure(remote.create, create="true", connection=machine.address(password="wrong"))
    assert told == refused("password")


def test_a_password_answers_every_question_of_a_keyboard_interactive_login(remote: Resource, serve: Serve) -> None:
    machine = serve(answer="opensesame")
    assert remote.create(create="echo in", connection=machine.address(password="opensesame"))["stdout"] == "in"
    told = failure(remote.create, create="true", connection=machine.address(password="wrong"))
    assert told == refused("keyboard-interactive")


def test_a_password_is_tried_both_ways(remote: Resource, serve: Serve) -> None:
    machine = serve(password="other", answer="opensesame")
    assert remote.create(create="echo in", connection=machine.address(password="opensesame"))["stdout"] == "in"
    assert machine.logins == ["root", "password", "keyboard-interactive"]
    told = failure(remote.create, create="true", connection=machine.address(password="wrong"))
    assert told == refused("password", "keyboard-interactive")


def test_a_private_key_comes_before_a_password(
    remote: Resource, serve: Serve, key: asyncssh.SSHKey, stranger: asyncssh.SSHKey
) -> None:
    machine = serve(authorized=[key], password="opensesame")
    both = machine.connection(password="opensesame")
    assert remote.create(create="echo in", connection=both)["stdout"] == "in"
    assert "password" not in machine.logins
    both = machine.address(privateKey=private(stranger), password="opensesame")
    assert remote.create(create="echo in", connection=both)["stdout"] == "in"
    assert machine.logins[-2:] == [stranger.get_fingerprint(), "password"]


def test_without_any_credentials_no_login_is_tried(remote: Resource, machine: Machine) -> None:
    assert failure(remote.create, create="true", connection=machine.address()) == refused()
    assert remote.create(create="echo in", connection=machine.connection())["stdout"] == "in"


def test_an_agent_s_key_logs_in(remote: Resource, machine: Machine, agent: str) -> None:
    assert remote.create(create="echo in", connection=machine.address(agentSocketPath=agent))["stdout"] == "in"


def test_the_agent_of_the_plugin_s_own_environment_is_used(plugin: Plugin, machine: Machine, agent: str) -> None:
    with plugin.with_environment(SSH_AUTH_SOCK=agent).running() as other:
        assert other.remote.create(create="echo in", connection=machine.address())["stdout"] == "in"
        told = failure(other.remote.create, create="true", connection=machine.address(agentSocketPath="/no/agent"))
    assert told == "dial unix /no/agent: connect: no such file or directory"


def test_an_empty_agent_variable_is_none(plugin: Plugin, machine: Machine) -> None:
    with plugin.with_environment(SSH_AUTH_SOCK="").running() as other:
        assert other.remote.create(create="echo in", connection=machine.connection())["stdout"] == "in"


def test_an_empty_agent_path_is_told(remote: Resource, machine: Machine) -> None:
    told = failure(remote.create, create="true", connection=machine.connection(agentSocketPath=""))
    assert told == "dial unix: missing address"


def test_a_dead_agent_fails_every_login_even_with_a_private_key(
    plugin: Plugin, machine: Machine, tmp_path: Path
) -> None:
    path = tmp_path / "agent"
    told = f"dial unix {path}: connect: no such file or directory"
    with plugin.with_environment(SSH_AUTH_SOCK=str(path)).running() as other:
        assert failure(other.remote.create, create="true", connection=machine.connection()) == told
    path.touch()
    told = f"dial unix {path}: connect: connection refused"
    assert (
        failure(plugin.remote.create, create="true", connection=machine.connection(agentSocketPath=str(path))) == told
    )
    assert machine.connections == []
    assert plugin.remote.create(create="echo in", connection=machine.connection())["stdout"] == "in"


def test_beside_a_private_key_the_agent_s_keys_are_not_tried(
    remote: Resource, machine: Machine, agent: str, stranger: asyncssh.SSHKey
) -> None:
    both = machine.address(privateKey=private(stranger), agentSocketPath=agent)
    assert failure(remote.create, create="true", connection=both) == refused("publickey")
    assert machine.logins == ["root", stranger.get_fingerprint()]
    assert remote.create(create="echo in", connection=machine.address(agentSocketPath=agent))["stdout"] == "in"


def test_a_password_comes_before_the_agent(remote: Resource, serve: Serve, key: asyncssh.SSHKey, agent: str) -> None:
    machine = serve(authorized=[key], password="opensesame")
    both = machine.address(password="opensesame", agentSocketPath=agent)
    assert remote.create(create="echo in", connection=both)["stdout"] == "in"
    assert machine.logins == ["root", "password"]
    both = machine.address(password="wrong", agentSocketPath=agent)
    assert remote.create(create="echo in", connection=both)["stdout"] == "in"
    assert machine.logins[2:4] == ["root", "password"]
    assert key.get_fingerprint() in machine.logins[4:]
