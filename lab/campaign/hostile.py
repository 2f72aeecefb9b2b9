"""What a hostile host answers with, in place of its exporter or its sshd; also a recorder of who asks for what.

    python -m lab.campaign.hostile BEHAVIOUR LOG ADDRESS:PORT...

Serves until it is ended. `LOG` gets a line for each request: the port that was asked, who asked, and for what.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gzip
import itertools
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BELOW, ABOVE = 14_000, 20_000
"""Samples in a body that is just let in, and in one that is not."""
BIG = 100_000_000
BANNER = 8_000_000
CODES = (301, 302, 307, 308)
_CHUNK = b"# " + b"x" * 65_533 + b"\n"
# Prometheus takes no sample of ten minutes ahead, nor one of an hour ago.
SOON, AGO = 540, 1800


def _samples(count: int) -> bytes:
    return b"".join(b'many{n="%d"} 1\n' % number for number in range(count))


def _times() -> bytes:
    """Return samples at times of the target's own choosing, one of them saying that it is up in time to come."""
    now = time.time()
    old, soon = (int((now + seconds) * 1000) for seconds in (-AGO, SOON))
    return f"fine 1\npast 1 {old}\nfuture 1 {soon}\nup 1 {soon}\n".encode()


@functools.cache
def _big(name: str) -> bytes:
    return f"{name} 1\n".encode() + _CHUNK * (BIG // len(_CHUNK))


@functools.cache
def _bomb() -> bytes:
    return gzip.compress(_big("bomb"))


BODIES: dict[str, Callable[[], bytes]] = {
    "fine": lambda: b"fine 1\n",
    "below": lambda: _samples(BELOW),
    "above": lambda: _samples(ABOVE),
    "big": lambda: _big("big"),
    "bomb": _bomb,
    "spoof": lambda: b'spoof{instance="good",job="evil",exported_instance="x"} 1\nup{instance="good",job="node"} 0\n',
    "name": lambda: b'fine{__name__="other"} 1\n',
    "labels": lambda: b"labels{" + b",".join(b'l%d="x"' % number for number in range(200)) + b"} 1\n",
    "value": lambda: b'value{l="' + b"x" * 1_000_000 + b'"} 1\n',
    "garbage": lambda: b"fine 1\n" + os.urandom(100_000),
    "not-utf-8": lambda: b'fine{l="\xff\xfe"} 1\n',
    "times": _times,
}


class Server:
    """Answers every connection by one behaviour. `redirect=PLACE,...` leads to each place by each code, by turns."""

    def __init__(self, behaviour: str, log: Path) -> None:
        self.behaviour, _, places = behaviour.partition("=")
        self.log = log
        self._places = places.split(",")
        self._turns: dict[str, itertools.cycle[tuple[str, int]]] = {}

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection, until the other side has had enough."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await (self._ssh if self.behaviour.startswith("ssh-") else self._http)(reader, writer)
        writer.close()

    def _note(self, writer: asyncio.StreamWriter, what: str) -> None:
        port, asker = writer.get_extra_info("sockname")[1], writer.get_extra_info("peername")[0]
        with self.log.open("a") as file:
            file.write(f"{port} {asker} {what}\n")

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        agent = request.partition("User-Agent: ")[2].split()[0]
        self._note(writer, f"{agent} {request.split()[1]}")
        port = writer.get_extra_info("sockname")[1]
        match self.behaviour:
            case "redirect":
                # Each asker is led everywhere; a fetch elsewhere tells by whose redirect it came.
                turns = self._turns.setdefault(
                    f"{port} {agent}", itertools.cycle(itertools.product(self._places, CODES))
                )
                place, code = next(turns)
                writer.write(
                    f"HTTP/1.1 {code} Moved\r\nLocation: {place}?by={port}\r\nContent-Length: 0\r\n\r\n".encode()
                )
            case "slow":
                await _drip(writer, b"#", 1)
            case "endless":
                await _drip(writer, _CHUNK, 0)
            case _:
                body = BODIES[self.behaviour]()
                packed = "Content-Encoding: gzip\r\n" if self.behaviour == "bomb" else ""
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{packed}\r\n".encode() + body)
        await writer.drain()

    async def _ssh(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._note(writer, self.behaviour)
        match self.behaviour:
            case "ssh-banner":
                writer.write(b"x" * BANNER)
            case "ssh-lines":
                writer.write(b"welcome\r\n" * (BANNER // 9))
            case "ssh-silent":
                await reader.read()
        await writer.drain()


async def _drip(writer: asyncio.StreamWriter, piece: bytes, pause: float) -> None:
    """Answer without end."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(pause)


async def _serve(behaviour: str, log: Path, places: list[str]) -> None:
    server = Server(behaviour, log)
    for place in places:
        address, _, port = place.rpartition(":")
        await asyncio.start_server(server.answer, address, int(port), reuse_address=True)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
