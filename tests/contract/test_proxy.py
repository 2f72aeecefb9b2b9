"""How a machine is reached through a jump host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.contract.resource import Resource, failure
from tests.contract.sshd import HOST, Machine, public

if TYPE_CHECKING:
    from collections.abc import Callable

    import asyncssh

    from tests.contract.plugin import Message

    Serve = Callable[..., Machine]

CUT = "ssh: handshake failed: EOF"


def test_a_proxy_is_gone_through_with_credentials_of_its_own(
    remote: Resource, serve: Serve, key: asyncssh.SSHKey, messages: list[Message]
) -> None:
    proxy, target = serve(password="opensesame", forwards=True), serve(authorized=[key])
    inputs = {"user": "hop", "password": "opensesame"}
    made = remote.create(create="echo in", connection=target.connection(proxy=proxy.address(**inputs)), logging="none")
    assert made["stdout"] == "in"
    assert proxy.forwarded == [(HOST, target.port)]
    assert proxy.logins == ["hop", "password"]
    assert (proxy.commands, target.commands) == ([], ["echo in"])
    assert messages == []


def test_a_proxy_s_host_key_is_pinned_by_itself(
    remote: Resource, serve: Serve, key: asyncssh.SSHKey, stranger: asyncssh.SSHKey
) -> None:
    proxy, target = serve(authorized=[key], forwards=True), serve(authorized=[key], host_keys=[stranger])
    right, wrong = public(proxy.host_keys[0]), public(stranger)
    mismatch = "proxy: after 0 failed attempts: ssh: handshake failed: ssh: host key mismatch"

    def through(first: str, second: str) -> dict[str, object]:
        return target.connection(hostKey=second, proxy=proxy.connection(hostKey=first))

    assert remote.create(create="echo in", connection=through(right, public(stranger)))["stdout"] == "in"
    assert failure(remote.create, create="true", connection=through(wrong, public(stranger))) == mismatch
    assert failure(remote.create, create="true", connection=through(right, right)) == mismatch


def test_a_proxy_that_does_not_let_in_is_told(remote: Resource, serve: Serve, key: asyncssh.SSHKey) -> None:
    proxy, target = serve(password="opensesame", forwards=True), serve(authorized=[key])
    connection = target.connection(proxy=proxy.address(password="wrong"))
    reason = "unable to authenticate, attempted methods [none password], no supported methods remain"
    told = failure(remote.create, create="true", connection=connection)
    assert told == f"proxy: after 0 failed attempts: ssh: handshake failed: ssh: {reason}"
    connection = target.connection(proxy=proxy.address(privateKey="no key"))
    assert failure(remote.create, create="true", connection=connection) == "proxy: ssh: no key found"
    assert target.connections == []


def test_a_proxy_that_does_not_forward_is_told(
    remote: Resource, serve: Serve, key: asyncssh.SSHKey, messages: list[Message]
) -> None:
    proxy, target = serve(authorized=[key]), serve(authorized=[key])
    connection = target.connection(proxy=proxy.connection(), dialErrorLimit=1)
    told = failure(remote.create, create="true", connection=connection)
    assert told == "proxy: after 1 failed attempts: ssh: rejected: administratively prohibited (not here)"
    assert [one.text for one in messages] == ["Dial from proxy 1/1 failed: retrying"]
    assert len(proxy.forwarded) == 2


def test_a_target_that_refuses_the_proxy_is_told(
    remote: Resource, serve: Serve, key: asyncssh.SSHKey, closed: int
) -> None:
    proxy = serve(authorized=[key], forwards=True)
    connection = proxy.connection(port=closed, proxy=proxy.connection())
    told = failure(remote.create, create="true", connection=connection)
    assert told.startswith("proxy: after 0 failed attempts: ssh: rejected: connect failed (")


def test_each_of_the_two_has_a_limit_of_its_own(
    remote: Resource, serve: Serve, key: asyncssh.SSHKey, messages: list[Message]
) -> None:
    proxy, target = serve(authorized=[key], forwards=True, drops=2), serve(authorized=[key])
    connection = target.connection(proxy=proxy.connection(dialErrorLimit=2))
    assert remote.create(create="echo in", connection=connection, logging="none")["stdout"] == "in"
    assert [one.text for one in messages] == ["Dial proxy 1/2 failed: retrying", "Dial proxy 2/2 failed: retrying"]
    proxy = serve(authorized=[key], forwards=True, drops=1)
    connection = target.connection(dialErrorLimit=2, proxy=proxy.connection(dialErrorLimit=0))
    assert failure(remote.create, create="true", connection=connection) == f"proxy: after 0 failed attempts: {CUT}"


def test_a_login_beyond_the_proxy_that_failed_once_is_lost(
    remote: Resource, serve: Serve, key: asyncssh.SSHKey, messages: list[Message]
) -> None:
    proxy, target = serve(authorized=[key], forwards=True), serve(authorized=[key], drops=1)
    connection = target.connection(proxy=proxy.connection(), dialErrorLimit=2)
    told = failure(remote.create, create="true", connection=connection)
    assert told == f"proxy: after 2 failed attempts: {CUT}"
    assert [one.text for one in messages] == ["Dial 1/2 failed: retrying", "Dial 2/2 failed: retrying"]
    assert len(target.connections) == 1
    assert remote.create(create="echo in", connection=connection)["stdout"] == "in"


def test_an_agent_serves_both_machines(remote: Resource, serve: Serve, key: asyncssh.SSHKey, agent: str) -> None:
    proxy, target = serve(authorized=[key], forwards=True), serve(authorized=[key])
    connection = target.address(agentSocketPath=agent, proxy=proxy.address(agentSocketPath=agent))
    assert remote.create(create="echo in", connection=connection)["stdout"] == "in"
    connection = target.connection(proxy=proxy.connection(agentSocketPath="/no/agent"))
    told = failure(remote.create, create="true", connection=connection)
    assert told == "proxy: dial unix /no/agent: connect: no such file or directory"
