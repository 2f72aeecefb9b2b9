"""Where values enter: each is checked by its rule before anything is planned, an output of another resource later.

Such an output is checked before it is sent anywhere. The shape is that of the arguments in `args.py`, the rules are
those of `values.py`. What comes out has the rules' plain form. All errors of one component are raised at once; no
error shows a secret.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NotRequired, Required, get_args, get_origin, is_typeddict

import pulumi

from . import rules
from .args import PrometheusServerArgs
from .values import ENTRIES, LEAST, MOST, NAMES, RULES, SECRETS, example, too_few, too_many
from .wording import is_output, mistaken, path, shown, unknown

Rule = Callable[[Any], Any]
_FAULT = object()
_TEXT_OR_OUTPUT: Any = PrometheusServerArgs.__annotations__["private_key"]


class Edge:
    """What one component takes.

    `own` has, by path, a rule that is not the usual one of the key; `elsewhere`, by key, what to say of one that
    belongs beside the arguments.
    """

    def __init__(
        self,
        component: str,
        name: Any,
        own: Mapping[tuple[str, ...], Rule] | None = None,
        elsewhere: Mapping[str, str] | None = None,
    ) -> None:
        self._component = f"{component} {name if _plain(name) else shown(name)}"
        self._own = own or {}
        self._elsewhere = elsewhere or {}
        self.errors: list[str] = []
        self._value(str, name, ("name",), rules.name)
        for what, value in (("stack", pulumi.get_stack()), ("project", pulumi.get_project())):
            self._value(str, value, (what,), rules.stack)

    def take(self, kind: type, arguments: Any, *steps: str) -> Any:
        """Return arguments of a `TypedDict` in their plain form; what is None counts as left out."""
        if not isinstance(arguments, Mapping):
            first = next(key for key in kind.__annotations__ if key in kind.__required_keys__)  # type: ignore[attr-defined]
            self._say(steps or ("args",), mistaken(arguments, dict, None, f"such as {{{first}: ...}}", needed=True))
            return {}
        taken = {}
        for key, value in arguments.items():
            annotation = kind.__annotations__.get(key) if isinstance(key, str) else None
            place = (*steps, key)
            if annotation is None:
                self._say(place, unknown(key, kind.__annotations__, {} if steps else self._elsewhere))
            elif value is not None:
                taken[key] = self._value(_bare(annotation), value, place, self._own.get(place) or RULES.get(key))
        for key in sorted(kind.__required_keys__ - taken.keys()):  # type: ignore[attr-defined]
            self._say((*steps, key), "is missing; add it")
        return taken

    def refuse(self, more: Iterable[str] = ()) -> None:
        """Raise pulumi.RunError with all errors, where there are any."""
        self.errors += more
        if self.errors:
            count = "1 error" if len(self.errors) == 1 else f"{len(self.errors)} errors"
            lines = "\n  ".join(self.errors)
            raise pulumi.RunError(f"{count} in {self._component}; nothing of it was planned:\n  {lines}")

    def check(self, output: pulumi.Output[Any], rule: Rule, place: str, *, secret: bool) -> pulumi.Output[Any]:
        """Return an output that fails the run where what it turns out to be breaks a rule."""

        def checked(value: Any) -> Any:
            try:
                return rule(value)
            except ValueError as error:
                what = "" if secret else f"{shown(value)} "
                reason = f"{self._component}: {place}: {what}{error}"
            raise pulumi.RunError(reason)

        return output.apply(checked)

    def _say(self, steps: Sequence[Any], text: str) -> None:
        self.errors.append(f"{path(steps)}: {text}")

    def _value(self, annotation: Any, value: Any, steps: tuple[Any, ...], rule: Rule | None) -> Any:
        if is_typeddict(annotation):
            return self.take(annotation, value, *steps)
        origin = get_origin(annotation)
        if origin is dict:
            return self._map(annotation, value, steps, rule)
        if origin is list:
            return self._list(annotation, value, steps)
        may_be_output = annotation == _TEXT_OR_OUTPUT
        if may_be_output and is_output(value):
            usual = RULES.get(steps[-1]) or ENTRIES[steps[-2]]
            # What is `local` has to be known at once.
            chosen = usual if rule is rules.server_address else rule or usual
            secret = steps[-1] in SECRETS
            checked = self.check(pulumi.Output.from_input(value), _for_text(chosen), path(steps), secret=secret)
            return pulumi.Output.secret(checked) if secret else checked
        return self._single(str if may_be_output else annotation, value, steps, rule)

    def _single(self, due: type, value: Any, steps: Sequence[Any], rule: Rule | None) -> Any:
        # Numbers of other languages arrive as floats, and a boolean is a number to Python.
        if due is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        secret = steps[-1] in SECRETS
        if not isinstance(value, due) or (due is int and isinstance(value, bool)):
            text = mistaken(value, due, rule, example(steps[-1], due), needed=True)
            self._say(steps, "is not text; give one" if secret else text)
            return _FAULT
        try:
            return rule(value) if rule else value
        except ValueError as error:
            self._say(steps, f"{error}" if secret else f"{shown(value)} {error}")
            return _FAULT

    def _map(self, annotation: Any, value: Any, steps: tuple[Any, ...], rule: Rule | None) -> Any:
        key = steps[-1]
        if not isinstance(value, Mapping):
            self._say(steps, mistaken(value, dict, None, example(key, dict), needed=False))
            return _FAULT
        before = len(self.errors)
        entries = {}
        for name, entry in value.items():
            self._single(str, name, (*steps, name), NAMES[key])
            entries[name] = self._value(get_args(annotation)[1], entry, (*steps, name), ENTRIES.get(key))
        self._count(entries, steps)
        if rule and len(self.errors) == before:
            return self._single(dict, entries, steps, rule)
        return entries

    def _list(self, annotation: Any, value: Any, steps: tuple[Any, ...]) -> Any:
        if not isinstance(value, list | tuple):
            self._say(steps, mistaken(value, list, None, example(steps[-1], list), needed=False))
            return _FAULT
        rule = ENTRIES[steps[-1]]
        return [self._value(get_args(annotation)[0], entry, (*steps, index), rule) for index, entry in enumerate(value)]

    def _count(self, entries: Mapping[Any, Any], steps: Sequence[Any]) -> None:
        if len(entries) < LEAST.get(steps[-1], 0):
            self._say(steps, too_few(steps[-1], needed=False))
        if len(entries) > MOST.get(steps[-1], len(entries)):
            self._say(steps, too_many(steps[-1]))


def _for_text(rule: Rule) -> Rule:
    """Return a rule of texts that refuses all else too."""

    def ruled(value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError("is not text; give one")  # noqa: TRY004 - as every rule
        return rule(value)

    return ruled


def _plain(name: Any) -> bool:
    try:
        return bool(rules.name(name))
    except (TypeError, ValueError):
        return False


def _bare(annotation: Any) -> Any:
    """Return an annotation without what says whether its key is required."""
    return get_args(annotation)[0] if get_origin(annotation) in (Required, NotRequired) else annotation
