"""The inputs of both commands: types, required fields, defaults and secrets, and the check that applies them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lab.provider.values import UNKNOWN, Properties, Secret, plain, secret

STRING, NUMBER, INTEGER, BOOL = "string", "float64", "int", "bool"
LIST, STRINGS, TEXTS = "[]interface {}", "[]string", "map[string]string"
PYTHON_TYPES: dict[str, type | tuple[type, ...]] = {
    STRING: str,
    NUMBER: (int, float),
    INTEGER: (int, float),
    BOOL: bool,
    LIST: list,
    STRINGS: list,
    TEXTS: dict,
}
GO_NAMES = {str: "string", int: "float64", float: "float64", bool: "bool", list: "[]interface {}"}


@dataclass(frozen=True)
class Field:
    """One input: its type (a name or a nested `Shape`), and what Check does with it."""

    type: str | Shape
    required: bool = False
    default: Any = None
    secret: bool = False


@dataclass(frozen=True)
class Shape:
    """A named group of fields, as the official plugin names it in its errors."""

    name: str
    fields: dict[str, Field] = field(hash=False)

    @property
    def short(self) -> str:
        """The name without its package."""
        return self.name.partition(".")[2]


@dataclass(frozen=True)
class Failure:
    """One input that cannot be used, by property."""

    property: str
    reason: str


_LOGIN = {
    "user": Field(STRING, default="root"),
    "password": Field(STRING, secret=True),
    "host": Field(STRING, required=True),
    "port": Field(NUMBER, default=22.0),
    "privateKey": Field(STRING, secret=True),
    "privateKeyPassword": Field(STRING, secret=True),
    "agentSocketPath": Field(STRING),
    "dialErrorLimit": Field(INTEGER, default=10.0),
    "perDialTimeout": Field(INTEGER, default=15.0),
    "hostKey": Field(STRING),
}
_COMMON = {
    "triggers": Field(LIST),
    "create": Field(STRING),
    "update": Field(STRING),
    "delete": Field(STRING),
    "stdin": Field(STRING),
    "logging": Field(STRING),
    "environment": Field(TEXTS),
    "addPreviousOutputInEnv": Field(BOOL),
}
_CONNECTION = Shape("remote.Connection", {**_LOGIN, "proxy": Field(Shape("remote.ProxyConnection", _LOGIN))})
_OUTPUTS = {"stdout": Field(STRING, required=True), "stderr": Field(STRING, required=True)}

REMOTE = Shape("remote.CommandInputs", {**_COMMON, "connection": Field(_CONNECTION, required=True, secret=True)})
LOCAL = Shape(
    "local.CommandInputs",
    {
        **_COMMON,
        "interpreter": Field(STRINGS),
        "dir": Field(STRING),
        "assetPaths": Field(STRINGS),
        "archivePaths": Field(STRINGS),
    },
)
LEFT_OUT = ("assetPaths", "archivePaths")


def state_of(inputs: Shape) -> Shape:
    """Return the shape of the recorded state: the inputs and both outputs."""
    return Shape(inputs.name.replace("Inputs", "Outputs"), {**inputs.fields, **_OUTPUTS})


def check(shape: Shape, news: Properties) -> tuple[Properties, list[Failure]]:
    """Fill in defaults and mark secrets; with failures, the inputs come back as they were, secrets marked."""
    failures = problems(shape, news)
    failures += [
        Failure(name, f"{name} is not done by this stand-in for the command plugin; install the official plugin for it")
        for name in LEFT_OUT
        if name in news
    ]
    return _marked(shape, news if failures else _filled(shape, news)), failures


def problems(shape: Shape, values: Any) -> list[Failure]:
    """Return what does not fit the shape. Unknown values fit everywhere."""
    found = [
        Failure(name, f"Missing required field '{name}' on '{shape.name}'")
        for name, one in shape.fields.items()
        if one.required and plain(values.get(name)) is None
    ]
    for name, value in values.items():
        if name in shape.fields:
            found += _misfit(shape, name, shape.fields[name].type, plain(value))
        else:
            found.append(Failure(name, f"Unrecognized field '{name}' on '{shape.name}'"))
    return found


def decoding(failures: list[Failure]) -> str:
    """Tell several failures in one text."""
    lines = "".join(f"\n\t{one.property}: {one.reason}" for one in failures)
    return f"{len(failures)} failures decoding:{lines}"


def _misfit(shape: Shape, name: str, kind: str | Shape, value: Any) -> list[Failure]:
    if value is None or value is UNKNOWN:
        return []
    if isinstance(kind, Shape):
        if not isinstance(value, dict):
            return [_wrong(shape, name, kind.name, value)]
        inner = problems(kind, value)
        place = f"{shape.short}.{name}"
        return [Failure(name, f"An error occurred decoding '{place}': {decoding(inner)}")] if inner else []
    # A bool is an int to Python, never to Pulumi.
    fits = isinstance(value, PYTHON_TYPES[kind]) and (kind == BOOL or not isinstance(value, bool))
    if not fits:
        return [_wrong(shape, name, kind, value)]
    parts: dict[str, Any] = {}
    if kind == TEXTS:
        parts = {f"{name}[{key}] value": one for key, one in value.items()}
    elif kind == STRINGS:
        parts = {f"{name}[{index}]": one for index, one in enumerate(value)}
    return [problem for part, one in parts.items() for problem in _misfit(shape, part, STRING, one)]


def _wrong(shape: Shape, name: str, wanted: str, value: Any) -> Failure:
    got = GO_NAMES.get(type(value), "map[string]interface {}")
    return Failure(name, f"Field '{name}' on '{shape.name}' must be a '{wanted}'; got '{got}' instead")


def _filled(shape: Shape, values: Properties) -> Properties:
    """Add defaults for what is absent; zero and empty values are the user's own. Integers lose their fraction."""
    filled = {name: _filled_value(shape.fields[name].type, value) for name, value in values.items()}
    defaults = {name: one.default for name, one in shape.fields.items() if one.default is not None}
    return {**defaults, **filled}


def _filled_value(kind: str | Shape, value: Any) -> Any:
    if isinstance(value, Secret):
        return Secret(_filled_value(kind, value.value))
    if isinstance(kind, Shape) and isinstance(value, dict):
        return _filled(kind, value)
    if kind == INTEGER and isinstance(value, float):
        return float(int(value))
    return value


def _marked(shape: Shape, values: Properties) -> Properties:
    return {name: _marked_value(shape.fields.get(name), value) for name, value in values.items()}


def _marked_value(one: Field | None, value: Any) -> Any:
    if one is None:
        return value
    inner = value.value if isinstance(value, Secret) else value
    if isinstance(one.type, Shape) and isinstance(inner, dict):
        inner = _marked(one.type, inner)
    return secret(inner) if one.secret or isinstance(value, Secret) else inner
