"""What a plugin tells the engine of itself, and what the engine may send it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi.runtime.proto import provider_pb2

from tests.contract.resource import SIGNATURE, UNKNOWN, Resource, call, failure, output, secret

if TYPE_CHECKING:
    from tests.contract.plugin import Plugin


def test_the_version_is_1_2_1(plugin: Plugin) -> None:
    assert plugin.version() == "1.2.1"


def test_there_is_no_handshake_so_the_engine_configures(plugin: Plugin) -> None:
    assert "not implemented" in failure(call, plugin.stub.Handshake, provider_pb2.ProviderHandshakeRequest())
    agreed = call(plugin.stub.Configure, provider_pb2.ConfigureRequest(acceptSecrets=True, sends_old_inputs=True))
    assert agreed.acceptSecrets
    assert agreed.acceptOutputs
    assert agreed.acceptResources
    assert agreed.supportsPreview


def test_other_kinds_are_refused_by_name(plugin: Plugin) -> None:
    assert "local:Nothing" in failure(Resource(plugin.stub, "command:local:Nothing").create)
    assert plugin.local.create().id


def test_a_command_inside_a_component_is_the_same(plugin: Plugin) -> None:
    assert Resource(plugin.stub, "our:index:Host$command:local:Command").create(create="echo in")["stdout"] == "in"


def test_an_output_is_as_good_as_its_value(local: Resource) -> None:
    for given, plain in (
        (output(value="x"), "x"),
        (output(value="x", dependencies=["urn:pulumi:stack::project::command:local:Command::web2"]), "x"),
        (output(value="x", secret=True), secret("x")),
        (output(), UNKNOWN),
    ):
        assert local.check(stdin=given) == local.check(stdin=plain)
        assert local.previewed().create(stdin=given).properties == local.previewed().create(stdin=plain).properties
        assert local.diff({"stdin": "old"}, {"stdin": given}).paths == {"stdin": "UPDATE"}
    assert local.create(create="cat", stdin=output(value="x", secret=True))["stdout"] == "x"


def test_an_unknown_secret_stays_a_secret(local: Resource) -> None:
    for unknown in (output(secret=True), secret(UNKNOWN)):
        assert SIGNATURE in local.check(stdin=unknown).inputs["stdin"]
        assert SIGNATURE in local.previewed().create(create="cat", stdin=unknown)["stdin"]
        assert local.diff({"stdin": "old"}, {"stdin": unknown}).paths == {"stdin": "UPDATE"}


def test_a_recorded_state_that_does_not_fit_is_told(local: Resource) -> None:
    made = local.create(create="echo in")
    del made.properties["stdout"]
    told = "1 failures decoding:\n\tstdout: Missing required field 'stdout' on 'local.CommandOutputs'"
    assert failure(local.update, made, create="echo in") == told
    assert failure(local.delete, made) == told
