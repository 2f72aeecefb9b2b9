"""Reaching a machine by SSH: dial limits, timeouts and one jump host."""

from __future__ import annotations

import asyncio
import functools
import os
import socket
from typing import TYPE_CHECKING, Any, TypeVar

import asyncssh

from lab.provider.handshake import Connection, DialError, RejectedError, handshake
from lab.provider.login import Login, agent_answers, login
from lab.provider.work import CommandError, Stop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lab.provider.engine import Journal

FIRST_DELAY, GROWTH, LONGEST_DELAY = 0.1, 1.5, 5.0
UNLIMITED = -1
# As Go does: a machine that says nothing more is given up after 15 + 9 * 15 seconds.
KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 9}
Result = TypeVar("Result")


async def dial(settings: dict[str, Any], journal: Journal, stop: Stop) -> Connection:
    """Connect and log in, through the jump host where `proxy` names one; raises `CommandError`."""
    target = login(settings)
    await agent_answers(target)
    if not settings.get("proxy"):
        return await _retried("Dial", target.limit, lambda: _direct(target), journal, stop)
    try:
        jump = login(settings["proxy"])
        await agent_answers(jump)
        bastion = await _retried("Dial proxy", jump.limit, lambda: _direct(jump), journal, stop)
        return await _beyond(bastion, target, journal, stop)
    except CommandError as error:
        error.args = (f"proxy: {error}",)
        raise


async def _beyond(bastion: Connection, target: Login, journal: Journal, stop: Stop) -> Connection:
    """Log in through the jump host. As officially, a login that failed leaves a dead tunnel, so no retry helps it."""

    async def opened() -> Connection | DialError:
        try:
            return await handshake(target, functools.partial(bastion.connect_ssh, target.host, target.port))
        except RejectedError:
            raise
        except DialError as error:
            return error

    tunnelled = await _retried("Dial from proxy", target.limit, opened, journal, stop)

    async def logged_in() -> Connection:
        nonlocal tunnelled
        if isinstance(tunnelled, DialError):
            failure, tunnelled = tunnelled, DialError("ssh: handshake failed: EOF")
            raise failure
        return tunnelled

    return await _retried("Dial", target.limit, logged_in, journal, stop)


async def _retried(
    what: str, limit: int, attempt: Callable[[], Awaitable[Result]], journal: Journal, stop: Stop
) -> Result:
    """Try, and try again `limit` times (without end for -1), with growing pauses; every failure counts alike."""
    tries, delay = 0, FIRST_DELAY
    while True:
        try:
            return await attempt()
        except DialError as error:
            if limit > UNLIMITED and tries >= limit:
                raise CommandError(f"after {tries} failed attempts: {error}") from error
        tries += 1
        await journal.status(f"{what} {tries}/{'inf' if limit == UNLIMITED else limit} failed: retrying")
        await stop.sleep(delay)
        delay = min(delay * GROWTH, LONGEST_DELAY)


async def _direct(target: Login) -> Connection:
    """Connect straight to the machine. The timeout bounds the TCP connect alone, not what follows it."""
    connected = await _tcp(target)
    return await handshake(target, functools.partial(asyncssh.connect, target.host, target.port, sock=connected))


async def _tcp(target: Login) -> socket.socket:
    """Connect to the first of the machine's addresses that answers."""
    loop = asyncio.get_running_loop()
    failure = DialError(f"dial tcp: lookup {target.host}: no such host")
    try:
        addresses = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise failure from error
    for family, kind, protocol, _, address in addresses:
        name = str(address[0])
        endpoint = f"[{name}]:{target.port}" if ":" in name else f"{name}:{target.port}"
        one = socket.socket(family, kind, protocol)
        one.setblocking(False)
        _keep_alive(one)
        try:
            await asyncio.wait_for(loop.sock_connect(one, address), target.timeout)
        except TimeoutError:
            failure = DialError(f"dial tcp {endpoint}: i/o timeout")
        except OSError as error:
            failure = DialError(f"dial tcp {endpoint}: connect: {os.strerror(error.errno or 0).lower()}")
        else:
            return one
        one.close()
    raise failure


def _keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):  # Linux has them all
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
