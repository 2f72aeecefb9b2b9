"""Runs a program of components under Pulumi's mocks and keeps what it would have asked of the engine.

No machine is contacted: `Machine.session` is answered from here.
"""

import asyncio
import base64
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import pulumi
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pulumi.runtime import mocks, rpc, settings
from pulumi.runtime.proto import engine_pb2
from pulumi.runtime.stack import run_pulumi_func

from components import MonitoredHost, PrometheusServer, look
from components.look import Question
from components.machine import Machine, Session


def private_key(seed: int) -> str:
    """Return a private key, the same one for a number: what holds its second line holds the key."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed] * 32))
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


ADMIN_KEY, TUNNEL_KEY, JUMP_KEY = map(private_key, (11, 12, 13))
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7mjxwKQrMwGd3Fq4SVXn5uHFsGCA1HPdKmSeAbmN0q"

UNKNOWN = object()
"""An input that is not known before something else is made."""

Answer = str | Exception
Answers = Mapping[str, Answer | Callable[[str], Answer]]
"""By machine: what its observation prints, or what goes wrong, or a function of the observation's text."""


@dataclass(frozen=True)
class Resource:
    """One resource as the engine would get it. `inputs` are camelCase; options are not among them."""

    urn: str
    type: str
    name: str
    parent: str
    depends_on: frozenset[str]
    """Names of resources."""
    data_from: Mapping[str, frozenset[str]]
    """By input: the names of the resources whose outputs are in it."""
    secret: frozenset[str]
    """Inputs that are secret as a whole."""
    inputs: Mapping[str, Any]
    ignore_changes: Sequence[str]
    retain_on_delete: bool


@dataclass
class Deployment:
    """What one run of a program did."""

    resources: dict[str, Resource] = field(default_factory=dict)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    """Name of the resource (empty: none) and text."""
    notes: list[tuple[str, str]] = field(default_factory=list)
    """The same of what is no warning."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Machine and observation, a pair for each connection."""
    rehearsed: list[tuple[str, str]] = field(default_factory=list)
    """Machine and rehearsal, where there was one."""
    questions: dict[str, Sequence[Question]] = field(default_factory=dict)
    """By machine, what was asked about."""
    plain: list[dict[str, Any]] = field(default_factory=list)
    """The connections, without outputs, that were asked over."""

    def said(self, name: str) -> list[str]:
        """Return the warnings on one resource."""
        return [text for where, text in self.warnings if where == name]

    def generation(self, name: str) -> str:
        """Return the generation that a resource's command carries."""
        found: str = self.resources[name].inputs["create"].split()[-1]
        return found.rstrip("'")

    def owner(self, name: str) -> str:
        """Return the owner that a resource's command carries."""
        found: str = self.resources[name].inputs["create"].split()[-2]
        return found


def public_key(name: str) -> str:
    """Return the public key line that the keypair of this name prints here."""
    wire = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + hashlib.sha256(name.encode()).digest()
    return f"ssh-ed25519 {base64.b64encode(wire).decode()} {name}"


def generation(part: str, token: str) -> str:
    """Return a line that stands for the facts of a part which was applied and is as it was then."""
    return f"metrics-tunnel\t{part}\tgeneration\t{token}\n"


def refusal(part: str, text: str) -> str:
    """Return the line by which a rehearsal tells what `up` would refuse."""
    return f"metrics-tunnel\t{part}\trefuse\t{text}\n"


END = "metrics-tunnel\tend\n"


def deploy(
    program: Callable[[], Any],
    answers: Answers | None = None,
    *,
    stack: str = "test",
    preview: bool = False,
    project: str = "metrics-tunnel",
    state: Mapping[str, str] | None = None,
    no_password: Sequence[str] = (),
    silent: Sequence[str] = (),
    sent: Mapping[str, str] | None = None,
    untargeted: Sequence[str] = (),
    done: Deployment | None = None,
) -> Deployment:
    """Run `program` once, as `pulumi preview` or `pulumi up` would, and return what came of it.

    A machine without an answer has nothing applied yet. `state` has what the stack's state knows: the command of each
    resource. Without one the engine does not say. `no_password` are the machines whose sudo asks for none, `silent` the
    resources whose command ended with success and ran nothing of ours. `sent` are standard inputs that it knows.
    `untargeted` are resources that stay as a release before has sent them. `done` has what came of a run that fails.
    """
    done = done or Deployment()

    @contextlib.asynccontextmanager
    async def session(machine: Machine, plain: Mapping[str, Any]) -> AsyncIterator[Session]:
        await asyncio.sleep(0)
        done.plain.append(dict(plain))

        async def run(_command: str, script: str) -> str:
            # With its newline, a password for sudo may go before it.
            script = script[script.index("# metrics-tunnel\n") :]
            rehearsal = "\nrehearse_part " in script
            (done.rehearsed if rehearsal else done.asked).append((machine.name, script))
            answer = (answers or {}).get(machine.name, END)
            said = answer if isinstance(answer, str | Exception) else answer(script)
            if isinstance(said, Exception):
                raise said
            return _answered(said, done.questions[machine.name], rehearsal=rehearsal)

        asks = machine.may_ask and machine.name not in no_password
        yield Session(machine, run, "a password\n" if asks else "", sudo_asks=asks)

    async def look_at(session: Session, questions: Sequence[Question], **more: bool) -> Any:
        done.questions[session.machine.name] = [*questions]
        return await original(session, questions, **more)

    original = look.look

    async def run() -> None:
        simulated = _Mocks(state, silent, sent or {}, untargeted)
        mocks.set_mocks(simulated, project, stack, preview, monitor=_Monitor(done, simulated))
        settings.SETTINGS.engine = _Engine(done)
        await run_pulumi_func(program)
        # A warning waits for its resource's URN in a task of its own.
        while left := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(left)

    settings.SETTINGS.rpc_manager.clear()
    settings.SETTINGS.outputs.clear()
    with patch.object(Machine, "session", session), patch.object(look, "look", look_at):
        asyncio.run(run())
    return done


def _answered(said: str, questions: Sequence[Question], *, rehearsal: bool) -> str:
    """Return an answer with the facts that its lines stand for; what would be refused is told by a rehearsal alone."""
    asked = {question.part: question for question in questions}
    lines = []
    for line in said.splitlines(keepends=True):
        match line.rstrip("\n").split("\t", 3):
            case [_, part, "generation", token]:
                lines += [] if rehearsal or part not in asked else _facts(asked[part], token)
            case [_, part, "owner", owner]:
                lines += [] if rehearsal else _owner(part, owner, "0")
            case [_, _, kind, _] if (kind == "refuse") != rehearsal:
                pass
            case _:
                lines.append(line)
    return "".join(lines)


def _facts(question: Question, token: str) -> list[str]:
    """Return the facts of a part that is in sync."""
    lines = _owner(question.part, question.owner, token)
    if unit := question.judge.unit(question.values):
        lines += [fact("unit", text) for text in (f"Id={unit}", "UnitFileState=enabled", "ActiveState=active")]
        lines.append(fact("user", "metrics-tunnel-ssh metrics-tunnel-ssh"))
    if question.script == "keypair":
        checksum = f"{hashlib.sha256(b'a key').hexdigest()}  {question.values['KEY']}"
        lines += [fact("receipt", f"{question.part}/manifest\t{checksum}"), fact("checksum", checksum)]
    if question.script == "exporter":
        lines += _closed(question)
    if question.script == "scrape-job":
        block = f"# BEGIN {question.values['JOB']}"
        lines += [fact("receipt", f"{question.part}/block\t{block}"), fact("block", f"{question.part}\t{block}")]
    if question.script in ("authorized-key", "login-key"):
        key = f"restrict ssh-ed25519 {question.part} {question.values['ID']}"
        lines.append(fact("receipt", f"{question.part}/line\t{key}"))
        lines.append(fact("text", f"/etc/ssh/authorized_keys.d/metrics-tunnel\t{key}"))
        lines.append(fact("mode", "644 root /etc/ssh/sshd_config.d/10-metrics-tunnel.conf"))
    return lines


def _closed(question: Question) -> list[str]:
    """Return the facts of an exporter on loopback, by a drop-in of ours or without one."""
    lines = [fact("listener", f"127.0.0.1:{question.values['PORT']}")]
    if question.values["MANAGE"] == "yes":
        unit = f"{question.part}.service"
        held = {"unit": unit, "command": "/bin/x"}
        lines += [fact("receipt", f"{question.part}/{name}\t{text}") for name, text in held.items()]
        lines += [fact("unit", text) for text in (f"Id={unit}", "LoadState=loaded", "ActiveState=active")]
        lines.append(fact("command", f"{unit}\t/bin/x"))
    return lines


def _owner(part: str, owner: str, token: str) -> list[str]:
    text = f"{part}/owners/{owner.rpartition('.')[0]}\t{owner} {token}"
    return [fact("receipt", text), fact("later", text)]


def fact(kind: str, text: str) -> str:
    """Return the line by which an observation tells a fact."""
    return f"metrics-tunnel\tfact\t{kind}\t{text}\n"


def fleet(
    servers: Mapping[str, Mapping[str, Any]] | None = None,
    hosts: Mapping[str, Mapping[str, Any]] | None = None,
    servers_of: Mapping[str, Iterable[str]] | None = None,
) -> Callable[[], None]:
    """Return a program of servers and hosts. What is given goes over plain arguments, `connection` key by key."""

    def program() -> None:
        given = {"mon1": {}} if servers is None else servers
        made = {
            name: PrometheusServer(name, _args(f"10.0.0.1{number}", args))  # type: ignore[arg-type]
            for number, (name, args) in enumerate(given.items())
        }
        for number, (name, args) in enumerate(({"web1": {}} if hosts is None else hosts).items()):
            whole = {"exporters": {"node": exporter(number)}} | _args(f"10.0.0.2{number}", args)
            chosen = (servers_of or {}).get(name, made)
            MonitoredHost(name, whole, servers=[made[server] for server in chosen])  # type: ignore[arg-type]

    return program


def exporter(number: int = 0, port: int = 9100, **more: Any) -> dict[str, Any]:
    """Return an exporter's arguments, on a loopback address by number."""
    return {"port": port, "job": "node", "listen": f"127.77.0.{number + 1}:{port + 10000}", **more}


def _args(address: str, more: Mapping[str, Any]) -> dict[str, Any]:
    connection = {"address": address, "host_key": HOST_KEY, "private_key": ADMIN_KEY}
    connection |= more.get("connection", {})
    return {**more, "connection": {key: value for key, value in connection.items() if value is not None}}


class _Mocks(mocks.Mocks):
    def __init__(
        self,
        state: Mapping[str, str] | None,
        silent: Sequence[str],
        sent: Mapping[str, str],
        untargeted: Sequence[str],
    ) -> None:
        self.untargeted = untargeted
        self.state = state
        self.silent = silent
        self.sent = sent

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        stdin = _bare(args.inputs.get("stdin"))
        key = re.search(r"^PART=keypair-(\S+)$", str(stdin), re.MULTILINE)
        told = f"metrics-tunnel {public_key(key[1])}\n" if key else ""
        printed = "Hello.\n" if args.name in self.silent else f"Hello.\n{told}\nmetrics-tunnel applied 0a1b2c3d\n"
        if args.name in self.untargeted:
            return f"{args.name}-id", {**args.inputs, "stdin": "of before", "stdout": told, "stderr": ""}
        # What a command will print is not known before its input is.
        return f"{args.name}-id", {**args.inputs, "stdout": rpc.UNKNOWN if stdin is UNKNOWN else printed, "stderr": ""}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        assert args.token == "pulumi:pulumi:readStackResourceOutputs"
        if self.state is None:
            return {}, [("stackName", "the engine does not say")]
        kind = "urn:pulumi:test::metrics-tunnel::command:remote:Command::"
        outputs = {name: {"create": text, "stdin": self.sent.get(name)} for name, text in self.state.items()}
        return {"outputs": {f"{kind}{name}": {"outputs": given} for name, given in outputs.items()}}, []


@contextlib.contextmanager
def own_loop() -> Iterator[None]:
    """Give this thread a loop: Pulumi's mocks would make one for each thread and leave it open."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()


class _Monitor(mocks.MockMonitor):
    def __init__(self, done: Deployment, simulated: _Mocks) -> None:
        super().__init__(simulated)
        self.done = done

    def Invoke(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        with own_loop():
            return super().Invoke(request)  # type: ignore[no-untyped-call]

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        with own_loop():
            answer = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type != "pulumi:pulumi:Stack":
            assert request.name not in self.done.resources, f"two resources are called {request.name}"
            fields = request.object.fields
            inputs: Mapping[str, Any] = rpc.deserialize_properties(request.object, keep_unknowns=False)
            self.done.resources[request.name] = Resource(
                answer.urn,
                request.type,
                request.name,
                _name(request.parent),
                frozenset(map(_name, request.dependencies)),
                {key: frozenset(map(_name, found.urns)) for key, found in request.propertyDependencies.items()},
                frozenset(key for key in fields if _is_secret(fields[key])),
                {key: _bare(value) for key, value in inputs.items()},
                list(request.ignoreChanges),
                bool(request.retainOnDelete),
            )
        return answer


def _name(urn: str) -> str:
    return urn.rsplit("::", 1)[-1]


def _is_secret(value: Any) -> bool:
    fields = value.struct_value.fields
    return rpc._special_sig_key in fields and fields[rpc._special_sig_key].string_value == rpc._special_secret_sig


def _bare(value: Any) -> Any:
    if rpc.is_rpc_secret(value):
        return _bare(rpc.unwrap_rpc_secret(value))
    if isinstance(value, pulumi.output.Unknown):
        return UNKNOWN
    if isinstance(value, dict):
        return {key: _bare(one) for key, one in value.items()}
    return value


class _Engine:
    def __init__(self, done: Deployment) -> None:
        self.done = done

    def Log(self, request: Any) -> None:  # noqa: N802 - the protocol's name
        kept = self.done.warnings if request.severity >= engine_pb2.WARNING else self.done.notes
        if request.severity >= engine_pb2.INFO:
            kept.append((_name(request.urn), request.message))
