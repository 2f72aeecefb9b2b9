"""Pulumi's property values as Python values, and the marks they carry on the wire.

Plain values are None, bool, float, str, list and dict. A value that preview does not know is `UNKNOWN`; a secret one is
`Secret(value)`. Absent and null mean the same to this plugin, so nulls in objects are dropped when reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format, struct_pb2  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Mapping

# The marks are fixed by the protocol: sdk/go/common/resource/sig and .../plugin/rpc.go in pulumi/pulumi.
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET_MARK = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 (a public constant of the protocol)
OUTPUT_MARK = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
UNKNOWN_MARK = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
UNKNOWN_MARKS = frozenset(
    {
        UNKNOWN_MARK,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # a bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # a number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # an array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # an asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # an archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # an object
    }
)


class _Unknown:
    """A value that is not known before the update runs."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()


@dataclass(frozen=True)
class Secret:
    """A value that the engine encrypts in state and hides on the console. It never shows in a repr."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(...)"


Properties = dict[str, Any]


def read(wire: struct_pb2.Struct) -> Properties:
    """Turn the protocol's struct into property values."""
    return {key: _decode(value) for key, value in json_format.MessageToDict(wire).items() if value is not None}


def write(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """Turn property values into the protocol's struct."""
    wire = struct_pb2.Struct()
    wire.update({key: _encode(value) for key, value in properties.items()})
    return wire


def plain(value: Any) -> Any:
    """Return the value without its secret marks, for use; unknown values stay."""
    if isinstance(value, Secret):
        return plain(value.value)
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return value


def secret(value: Any) -> Secret:
    """Mark a value secret, once."""
    return value if isinstance(value, Secret) else Secret(value)


def _decode(value: Any) -> Any:
    if isinstance(value, str):
        return UNKNOWN if value in UNKNOWN_MARKS else value
    if isinstance(value, list):
        return [_decode(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get(SIGNATURE) == SECRET_MARK:
        return Secret(_decode(value.get("value")))
    if value.get(SIGNATURE) == OUTPUT_MARK:
        known = _decode(value["value"]) if "value" in value else UNKNOWN
        return secret(known) if value.get("secret") else known
    return {key: _decode(one) for key, one in value.items() if one is not None}


def _encode(value: Any) -> Any:
    if value is UNKNOWN:
        return UNKNOWN_MARK
    if isinstance(value, Secret):
        return {SIGNATURE: SECRET_MARK, "value": _encode(value.value)}
    if isinstance(value, list):
        return [_encode(one) for one in value]
    if isinstance(value, dict):
        return {key: _encode(one) for key, one in value.items()}
    return value
