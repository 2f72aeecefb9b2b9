"""The one place that makes the stack's resources: a part of a machine is one command of the command provider."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pulumi
from pulumi_command import local, remote

from .drift import Finding, generation, unexplained, unknown_to_state, warnings
from .judge import Judge
from .look import Observer, Question, nothing_ran
from .machine import Machine
from .payload import payload, sends_other, started, was_applied
from .shown import show
from .state import Recorded

_SECONDS = 180
_EVERYTHING = ["create", "delete", "stdin", "connection", "triggers"]
_observer = Observer()


@dataclass(frozen=True)
class Part:
    """One managed thing on one machine. `values` are known from the settings, `later_values` come from other parts."""

    name: str
    """The resource's name, such as `web1-exporter-node`."""
    receipt: str
    """Its folder in /var/lib/metrics-tunnel on the machine."""
    script: str
    """Its script in components/scripts, without `.sh`."""
    machine: Machine
    values: Mapping[str, pulumi.Input[str]]
    later_values: Mapping[str, pulumi.Input[str]]
    judge: Judge = field(default_factory=Judge)
    """What of it counts as drift."""
    version: str = ""
    """What of its receipt's name may change, such as rotation or port: the resource is replaced then, so that the old
    one is taken away."""
    wait: int = 0
    """Seconds that its proof may take beyond what any part may."""
    offline: bool = False
    abandoned: bool = False
    """Its machine is gone: the resource stays as it is recorded, and is forgotten when it is no longer declared."""


@dataclass(frozen=True)
class Made:
    """A part's resource, and what is known of its command once it has ended."""

    command: Any
    """`remote.Command`, or `local.Command` on the machine that Pulumi runs on."""
    ran: pulumi.Output[None]
    """Fails where the command ended with success and applied nothing."""


def make(part: Part, parent: pulumi.Resource, after: Sequence[Made]) -> Made:
    """Make the part's resource, which is applied when those before it have been."""
    machine = part.machine
    stack = pulumi.get_stack()
    holder = f"{pulumi.get_project()}:{stack}"
    _observer.declare(holder, part.name, part.receipt)
    made: list[pulumi.Resource] = []
    known = {"MACHINE": machine.name, "PART": part.receipt, "STACK": stack, **part.values}
    triggers = [machine.connection["address"], part.version]
    owner = pulumi.Output.all(*triggers).apply(lambda resolved: f"{holder}.{part.name}.{_digest(resolved)}")
    plan = _plan(part, known, owner, made)
    run = partial(started, _SECONDS + part.wait)
    show(part.name, machine.name, part.script, owner, {**known, **part.later_values}, run)

    async def apply(plan_and_owner: Sequence[Any]) -> str:
        planned, instance = plan_and_owner
        if not pulumi.runtime.is_dry_run():
            for earlier in after:
                await earlier.ran.future()
        return machine.command(run("apply", instance, planned.generation), asks=planned.sudo_asks)

    def remove(plan_and_owner: Sequence[Any]) -> str:
        planned, instance = plan_and_owner
        return machine.command(run("remove", instance), asks=planned.sudo_asks)

    stdin = pulumi.Output.all(**known, **part.later_values).apply(lambda values: payload(part.script, values))
    arguments: dict[str, Any] = {
        # For updates too: without `update` the provider runs `create`.
        "create": pulumi.Output.all(plan, owner).apply(apply),
        "delete": pulumi.Output.all(plan, owner).apply(remove),
        "stdin": plan.apply(lambda planned: machine.stdin(stdin, asks=planned.sudo_asks)),
        "triggers": triggers,
        "add_previous_output_in_env": False,
    }
    if part.abandoned or (_left_alone(part) and machine.detect_drift):
        # Only what never ran would take these: it does nothing then, where it would reach for the machine. Without a
        # look nobody would see later that it never ran, so there it rather fails now.
        del arguments["create"], arguments["delete"]
    options = pulumi.ResourceOptions(
        parent=parent,
        depends_on=[earlier.command for earlier in after],
        ignore_changes=_ignored(part),
        retain_on_delete=part.abandoned,
    )
    command: Any
    if machine.local:
        command = local.Command(part.name, **arguments, logging=local.Logging.NONE, opts=options)
    else:
        command = remote.Command(
            part.name, **arguments, connection=machine.remote(), logging=remote.Logging.NONE, opts=options
        )
    made.append(command)
    ran: pulumi.Output[None] = pulumi.Output.from_input(None)
    if not _left_alone(part):
        ran = pulumi.Output.all(arguments["stdin"], command.stdin, command.stdout).apply(
            lambda resolved: _refuse_what_never_ran(part, *resolved)
        )
    return Made(command, ran)


def _refuse_what_never_ran(part: Part, declared: str, sent: str, said: str) -> None:
    """Fail where a command ended with success and applied nothing; what was applied in an earlier run has said so.

    What this run leaves as another release has sent it, as `--target` does, is not judged: it said nothing then.
    """
    if declared != sent or was_applied(said):
        return
    text = f"{part.machine.name} {part.receipt}: {nothing_ran(part.machine)}"
    if pulumi.runtime.is_dry_run():
        pulumi.log.warn(text)
    else:
        raise pulumi.RunError(text)


def _digest(values: Sequence[Any]) -> str:
    return hashlib.sha256("\n".join(map(str, values)).encode()).hexdigest()[:8]


def _left_alone(part: Part) -> bool:
    return part.abandoned or part.offline or part.machine.offline


def _ignored(part: Part) -> list[str]:
    if _left_alone(part):
        return _EVERYTHING
    return [] if part.machine.detect_drift else ["create"]


@dataclass(frozen=True)
class _Plan:
    """What a look has found that goes into a part's command."""

    generation: str = "0"
    sudo_asks: bool = True


def _plan(
    part: Part, known: Mapping[str, Any], owner: pulumi.Output[str], made: Sequence[pulumi.Resource]
) -> pulumi.Output[_Plan]:
    if _ignored(part):
        return pulumi.Output.from_input(_Plan())
    _observer.expect(part.machine)

    async def look(resolved: Mapping[str, Any]) -> _Plan:
        state = await _observer.recorded()
        applied = None if state is None else state.get(part.name)
        changed = applied is not None and applied.stdin != "" and sends_other(resolved["values"], applied.stdin)
        values = resolved["values"] | dict.fromkeys(part.later_values, "")
        question = Question(part.receipt, part.script, resolved["owner"], values, part.judge, changed)
        finding = await _observer.find(part.machine, resolved["connection"], question)
        sent = None
        if state is not None:
            sent = "" if applied is None else applied.generation
        if finding is not None:
            _tell(part, finding, resolved["owner"], state, made)
        return _Plan(generation(finding, sent), _observer.sudo_asks(part.machine))

    asked: pulumi.Output[Any] = pulumi.Output.all(
        values=pulumi.Output.all(**known),
        owner=owner,
        connection=pulumi.Output.from_input(dict(part.machine.connection)),
    )
    # Public, or the engine would hide the whole command for the secret connection.
    return pulumi.Output.unsecret(asked.apply(look))


def _tell(
    part: Part,
    finding: Finding,
    owner: str,
    state: Mapping[str, Recorded] | None,
    made: Sequence[pulumi.Resource],
) -> None:
    """Say why the part is planned; in an update, after its preview has warned of it, say that drift is mended."""
    resource = made[0] if made else None
    start = f"{part.machine.name} {part.receipt}: "
    if not pulumi.runtime.is_dry_run():
        for text in finding.drift:
            pulumi.log.info(f"{start}found, and mended by this run: {text}", resource)
        return
    texts = warnings(finding)
    if state is not None:
        known = state.get(part.name)
        if finding.generation and known is None:
            _observer.warn_once(part.machine, unknown_to_state(owner.rsplit(".", 2)[0]))
        texts += unexplained(finding, owner, known)
    for text in texts:
        pulumi.log.warn(f"{start}{text}", resource)
