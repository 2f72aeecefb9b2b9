"""The stand-in command provider answers over the provider protocol as the engine asks it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

URN = "urn:pulumi:s::p::command:local:Command::x"


@pytest.fixture(scope="module")
def provider() -> Iterator[Any]:
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-m", "lab.provider"], cwd=root, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        with grpc.insecure_channel(f"127.0.0.1:{process.stdout.readline().strip()}") as channel:
            yield provider_pb2_grpc.ResourceProviderStub(channel)
        process.terminate()


def create(provider: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    properties = struct_pb2.Struct()
    properties.update(inputs)
    made = provider.Create(provider_pb2.CreateRequest(urn=URN, properties=properties), timeout=20)
    return dict(json_format.MessageToDict(made.properties))


def test_standard_input_goes_in_and_output_comes_back_without_its_last_newline(provider: Any) -> None:
    assert create(provider, {"create": "cat; echo", "stdin": "hello"})["stdout"] == "hello"


def test_a_failed_command_is_told_with_its_status_its_text_and_what_it_printed(provider: Any) -> None:
    with pytest.raises(grpc.RpcError, match=r'exit status 3: running "echo no; exit 3"') as caught:
        create(provider, {"create": "echo no; exit 3"})
    assert "no\n" in caught.value.details()
