"""Running a command on this machine."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.provider.texts import failed
from lab.provider.work import CommandError, Job, Output, StoppedError

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from lab.provider.engine import Journal

SHELL = ["/bin/sh", "-c"]
ENDINGS = {signal.SIGKILL: "killed", signal.SIGTERM: "terminated", signal.SIGHUP: "hangup", signal.SIGINT: "interrupt"}


async def run(job: Job, properties: dict[str, Any], journal: Journal) -> Output:
    """Run the job by its interpreter and wait until its output ends; raises `CommandError` unless it exits with 0."""
    output = Output()
    process = await _start(job, properties)
    stopping = asyncio.create_task(_end(process, job))
    try:
        await asyncio.gather(
            _feed(process, job.stdin),
            _collect(process.stdout, output, error=False),
            _collect(process.stderr, output, error=True),
        )
        status = await process.wait()
    finally:
        stopping.cancel()
    await journal.output(output)
    if status:
        raise CommandError(failed(_ending(status), job.command, output.both.decode(errors="replace")))
    return output


async def _start(job: Job, properties: dict[str, Any]) -> Process:
    if job.stop.over:
        raise StoppedError(job.stop.late, failed("", job.command, ""))
    arguments = [*(properties.get("interpreter") or SHELL), job.command]
    folder = properties.get("dir")
    problem = _missing(arguments[0], folder)
    if not problem:
        try:
            return await asyncio.create_subprocess_exec(
                *arguments,
                cwd=folder,
                env={**os.environ, **job.environment, **job.previous},
                stdin=asyncio.subprocess.PIPE if job.stdin else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            problem = f"fork/exec {arguments[0]}: {_reason(error)}"
    raise CommandError(failed(problem, job.command, ""))


def _missing(program: str, folder: str | None) -> str:
    if "/" not in program and shutil.which(program) is None:
        return f'exec: "{program}": executable file not found in $PATH'
    if folder is not None and not Path(folder).is_dir():
        return f"chdir {folder}: no such file or directory"
    return ""


async def _feed(process: Process, data: bytes) -> None:
    if process.stdin is None:
        return
    try:
        process.stdin.write(data)
        await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        return  # a command need not read its input
    finally:
        process.stdin.close()


async def _collect(stream: asyncio.StreamReader | None, output: Output, *, error: bool) -> None:
    while stream is not None and (data := await stream.read(65536)):
        output.take(data, error)


async def _end(process: Process, job: Job) -> None:
    """Kill the process, and it alone, when the work is stopped: its children may keep its output open."""
    await job.stop.wait()
    process.kill()


def _ending(status: int) -> str:
    if status > 0:
        return f"exit status {status}"
    number = signal.Signals(-status)
    return f"signal: {ENDINGS.get(number) or (signal.strsignal(number) or str(-status)).lower()}"


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
