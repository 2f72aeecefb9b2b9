"""Running a command on another machine, over an SSH connection of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh import connection as asyncssh_connection
from asyncssh.channel import SSHClientChannel

from lab.provider import texts
from lab.provider.dial import dial
from lab.provider.work import STDERR_VARIABLE, STDOUT_VARIABLE, CommandError, Job, Output

if TYPE_CHECKING:
    from lab.provider.engine import Journal

OPTIONAL = frozenset({STDOUT_VARIABLE, STDERR_VARIABLE})
LENGTH = 4  # of the length that stands before each text in an SSH packet
VANISHED = "wait: remote command exited without exit status or exit signal"
REFUSED = (
    "Unable to set '{0}'. The machine's sshd accepts only variables that its AcceptEnv names; put it there, "
    "or write it before the command: {0}=value command"
)


class _RefusedError(CommandError):
    """The server refused a variable that the user wants set."""

    def __init__(self, name: str) -> None:
        super().__init__(f'could not set environment variable "{name}": ssh: setenv failed')
        self.name = name


class _Channel(SSHClientChannel[bytes]):
    """A channel that awaits the server's answer to each variable, and can run the empty command.

    asyncssh sends variables without asking for an answer, so a refused one would go unnoticed; and it takes an empty
    command for a wish to have a login shell.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._variables: list[tuple[bytes, ...]] = []
        self.refused: list[str] = []

    def _send_request(self, request: bytes, *arguments: bytes, want_reply: bool = False) -> None:
        if request == b"env" and not want_reply:
            self._variables.append(arguments)
            return
        super()._send_request(request, *arguments, want_reply=want_reply)

    async def _make_request(self, request: bytes, *arguments: bytes) -> bool | None:
        if request == b"shell":
            request, arguments = b"exec", (bytes(LENGTH),)
        if request == b"exec":
            await self._set_variables()
        return await super()._make_request(request, *arguments)

    async def _set_variables(self) -> None:
        for name, value in self._variables:
            if await super()._make_request(b"env", name, value):
                continue
            variable = name[LENGTH:].decode()
            if variable not in OPTIONAL:
                raise _RefusedError(variable)
            self.refused.append(variable)


# asyncssh offers no way to bring a channel class; this process runs nothing else.
asyncssh_connection.SSHClientChannel = _Channel  # type: ignore[assignment,attr-defined]


class _Session(asyncssh.SSHClientSession[bytes]):
    """Gathers what a command prints and how it ends."""

    def __init__(self) -> None:
        self.output = Output()
        self.ending: str | None = VANISHED

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self.output.take(data, error=datatype is not None)

    def exit_status_received(self, status: int) -> None:
        self.ending = texts.exited(status) if status else None

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:  # noqa: ARG002
        self.ending = texts.exited(128 + texts.SIGNALS.get(signal, 0), signal, msg)


async def run(job: Job, properties: dict[str, Any], journal: Journal) -> Output:
    """Run the job where `connection` leads; raises `CommandError` unless it exits with 0.

    As officially, the connection stays open until this process ends.
    A command that runs can be neither timed out nor interrupted: only the way to it can.
    """
    connection = await dial(properties["connection"], journal, job.stop)
    session = _Session()
    variables: dict[Any, Any] = {**job.environment, **job.previous}
    try:
        channel, _ = await connection.create_session(lambda: session, job.command, encoding=None, env=variables)
    except _RefusedError as error:
        await journal.error(REFUSED.format(error.name))
        raise
    except asyncssh.ChannelOpenError as error:
        raise CommandError(texts.failed(f"ssh: command {job.command} failed", job.command, "")) from error
    except (asyncssh.Error, OSError) as error:
        raise CommandError(texts.failed("EOF", job.command, "")) from error
    for name in getattr(channel, "refused", ()):
        await journal.warning(REFUSED.format(name))
    if job.stdin:
        channel.write(job.stdin)
    channel.write_eof()
    await channel.wait_closed()
    await journal.output(session.output)
    if session.ending:
        output = session.output.both.decode(errors="replace")
        raise CommandError(texts.failed(session.ending, job.command, output))
    return session.output
