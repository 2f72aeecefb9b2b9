"""How Pulumi logs in: keys, passwords and the agent, all of them secret, and none of them in any error."""

import asyncio
import socket
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pulumi
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from components import rules
from stacks.settings import Settings, load
from stacks.wording import SECRETS
from tests.unit.reading import configured

ED25519 = Ed25519PrivateKey.generate()
RSA = generate_private_key(65537, 2048)
PUBLIC = ED25519.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
PASSPHRASE = "planted passphrase"


def written(key: Any, form: PrivateFormat, passphrase: str | None = None) -> str:
    lock = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    text: bytes = key.private_bytes(Encoding.PEM, form, lock)
    return text.decode()


PLAIN = written(ED25519, PrivateFormat.OpenSSH)
SHORT = written(ED25519, PrivateFormat.PKCS8)
PEM = written(RSA, PrivateFormat.TraditionalOpenSSL)
LOCKED = written(RSA, PrivateFormat.TraditionalOpenSSL, PASSPHRASE)
PKCS8 = written(RSA, PrivateFormat.PKCS8)
LOCKED_PKCS8 = written(RSA, PrivateFormat.PKCS8, PASSPHRASE)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a home of its own and no agent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setattr(pulumi, "get_stack", lambda: "prod")
    (tmp_path / ".ssh").mkdir()
    return tmp_path


@pytest.fixture
def agent(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give an agent's socket, which is all that is asked of it here."""
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(home / "agent"))
        one.listen()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(home / "agent"))
        yield str(home / "agent")


@pytest.fixture
def stack() -> Any:
    """Return what loads a stack from settings as Pulumi hands them over, and tells all its credentials."""

    def loaded(plain: tuple[str, ...] = (), **given: Any) -> Settings:
        secrets = {name: given.pop(name, "") for name in SECRETS}
        whole = {
            "prometheus": {"mon1": {"address": "10.0.0.10", "hostKey": PUBLIC}},
            "hosts": {"web1": {"address": "10.0.0.21", "hostKey": PUBLIC, **given.pop("host", {})}},
            **given,
        }

        async def run() -> Settings:
            return Settings(**await told(vars(load())))

        with configured(whole, secrets, plain):
            return asyncio.run(run())

    return loaded


async def told(value: Any) -> Any:
    """Return settings with each output as `("secret" or "plain", value)`."""
    if isinstance(value, dict):
        return {key: await told(one) for key, one in value.items()}
    if isinstance(value, pulumi.Output):
        return ("secret" if await value.is_secret() else "plain", await value.future())
    return value


def login(settings: Settings, machine: str = "web1") -> dict[str, Any]:
    found: Any = (settings.hosts | settings.servers)[machine]["connection"]
    return dict(found)


def refused(stack: Any, *secrets: str, **given: Any) -> str:
    """Return the errors of a stack; none of them holds any of its secrets."""
    with pytest.raises(pulumi.RunError) as caught:
        stack(**given)
    text = str(caught.value)
    bodies = [one for key in (PLAIN, PEM, LOCKED) for one in key.splitlines()[1:-1] if one]
    for secret in (PASSPHRASE, *secrets, *bodies):
        assert secret not in text
    return text


def test_the_secret_key_is_what_logs_in(stack: Any) -> None:
    found = login(stack(sshPrivateKey=PLAIN))
    assert found["private_key"] == ("secret", SHORT)
    assert not found.keys() & {"password", "agent_socket_path", "private_key_password", "sudo_password"}


@pytest.mark.parametrize(("key", "short"), [(PLAIN, SHORT), (PEM, PEM), (PKCS8, PKCS8)])
def test_a_key_may_have_any_usual_form_and_line_ends_and_goes_on_in_the_shortest(
    stack: Any, key: str, short: str
) -> None:
    assert login(stack(sshPrivateKey=key.replace("\n", "\r\n")))["private_key"] == ("secret", short)
    assert login(stack(sshPrivateKey=key.strip()))["private_key"] == ("secret", short)
    assert len(short) <= len(key)


def test_an_encrypted_key_goes_on_with_its_passphrase(stack: Any) -> None:
    found = login(stack(sshPrivateKey=LOCKED, sshPrivateKeyPassphrase=PASSPHRASE))
    assert found["private_key"] == ("secret", LOCKED)
    assert found["private_key_password"] == ("secret", PASSPHRASE)


def test_a_passphrase_stays_behind_where_the_key_is_not_encrypted(stack: Any) -> None:
    assert "private_key_password" not in login(stack(sshPrivateKey=PLAIN, sshPrivateKeyPassphrase=PASSPHRASE))


def test_an_encrypted_key_without_or_with_a_wrong_passphrase_is_refused(stack: Any) -> None:
    text = refused(stack, sshPrivateKey=LOCKED)
    assert "sshPrivateKey: the key is encrypted; set its passphrase: pulumi config set --secret" in text
    text = refused(stack, "planted wrong", sshPrivateKey=LOCKED, sshPrivateKeyPassphrase="planted wrong")
    assert "sshPrivateKey: the key is not opened by sshPrivateKeyPassphrase" in text


def test_an_openssh_key_that_is_encrypted_is_opened_or_python_says_what_it_lacks(home: Path) -> None:
    file = home / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", PASSPHRASE, "-f", str(file)], check=True)
    text, encrypted = rules.private_key(file.read_text())
    assert encrypted
    if find_spec("bcrypt") is None:
        with pytest.raises(ValueError, match="pip install bcrypt"):
            rules.opened_by(text, PASSPHRASE, "x")
    else:
        rules.opened_by(text, PASSPHRASE, "x")
        with pytest.raises(ValueError, match="not opened"):
            rules.opened_by(text, "wrong", "x")


@pytest.mark.parametrize(
    "key",
    ["planted", PUBLIC, "-----BEGIN OPENSSH PRIVATE KEY-----\nplanted\n-----END OPENSSH PRIVATE KEY-----", "\ud800"],
    ids=["no-key", "public", "cut-short", "no-text"],
)
@pytest.mark.parametrize("name", ["sshPrivateKey", "tunnelPrivateKey"])
def test_a_text_that_is_no_private_key_is_refused_unseen(stack: Any, name: str, key: str) -> None:
    text = refused(stack, key, **{"sshPassword": "x", name: key})
    assert f"{name}: is no private key" in text
    assert f"pulumi config set --secret metrics-tunnel:{name} < FILE" in text


def test_a_key_that_ssh_cannot_use_is_refused(stack: Any) -> None:
    exchange = written(X25519PrivateKey.generate(), PrivateFormat.PKCS8)
    assert "is no private key for SSH" in refused(stack, sshPrivateKey=exchange)
    assert "ssh-keygen -p" in refused(stack, sshPrivateKey=LOCKED_PKCS8, sshPrivateKeyPassphrase=PASSPHRASE)


def test_a_key_file_is_read_and_a_machines_own_goes_before_it(stack: Any, home: Path) -> None:
    (home / "all").write_text(PLAIN)
    (home / "own").write_text(PEM)
    bastion = {"address": "10.0.0.3", "hostKey": PUBLIC, "privateKeyPath": str(home / "own")}
    settings = stack(ssh={"privateKeyPath": "~/all"}, host={"privateKeyPath": "~/own"})
    assert login(settings)["private_key"] == ("secret", PEM)
    assert login(settings, "mon1")["private_key"] == ("secret", SHORT)
    found = login(stack(ssh={"privateKeyPath": "~/all"}, host={"bastion": bastion}))
    assert found["private_key"] == ("secret", SHORT)
    assert found["bastion"]["private_key"] == ("secret", PEM)


def test_a_key_file_that_is_no_use_is_refused_with_its_path(stack: Any, home: Path) -> None:
    (home / "public").write_text(PUBLIC)
    (home / "noise").write_bytes(b"\xff\xfe")
    (home / "text").write_text("planted words")
    (home / "locked").write_text(LOCKED)
    for file, reason in {
        "~/none": "'~/none' is no file",
        "~": "'~' is no file",
        "~/public": "'~/public' holds a public key",
        "~/noise": "'~/noise' is no private key",
        "~/text": "'~/text' is no private key",
        "~/locked": "'~/locked' is encrypted; set its passphrase",
        "~nobodyofthisname/x": "'~nobodyofthisname/x' cannot be read (there is no such home folder)",
    }.items():
        text = refused(stack, "planted", sshPassword="x", host={"privateKeyPath": file})
        assert f"hosts.web1.privateKeyPath: {reason}" in text
        assert f"ssh.privateKeyPath: {reason}" in refused(stack, "planted", ssh={"privateKeyPath": file})


def test_a_key_file_that_may_not_be_read_is_refused(stack: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path) -> str:
        raise PermissionError(13, "Permission denied", str(self))

    (home / "key").write_text(PLAIN)
    monkeypatch.setattr(Path, "read_text", denied)
    assert "'~/key' cannot be read (Permission denied)" in refused(stack, ssh={"privateKeyPath": "~/key"})


def test_a_password_logs_in_alone_or_beside_a_key(stack: Any, agent: str) -> None:
    assert agent
    found = login(stack(sshPassword="päss"))
    assert found["password"] == ("secret", "päss")
    assert not found.keys() & {"private_key", "agent_socket_path"}
    found = login(stack(sshPassword="päss", sshPrivateKey=PLAIN))
    assert found["password"] == ("secret", "päss")
    assert found["private_key"] == ("secret", SHORT)


def test_the_sudo_password_goes_to_machines_and_not_to_jump_hosts(stack: Any) -> None:
    bastion = {"address": "10.0.0.3", "hostKey": PUBLIC}
    found = login(stack(sshPassword="x", sudoPassword="y", host={"bastion": bastion}))
    assert found["sudo_password"] == ("secret", "y")
    assert "sudo_password" not in found["bastion"]
    assert found["bastion"]["password"] == ("secret", "x")


def test_the_agent_comes_before_the_usual_file_and_without_either_it_is_said(
    stack: Any, home: Path, request: pytest.FixtureRequest
) -> None:
    text = refused(stack)
    assert "ssh.privateKeyPath: is missing, and there is no agent and no ~/.ssh/id_ed25519" in text
    (home / ".ssh" / "id_ed25519").write_text(PLAIN)
    assert login(stack())["private_key"] == ("secret", SHORT)
    request.getfixturevalue("agent")
    found = login(stack())
    assert not found.keys() & {"private_key", "agent_socket_path"}, "its path is another one in each session"


def test_an_agent_that_is_gone_is_told_even_beside_a_key(stack: Any, agent: str) -> None:
    assert login(stack(sshPrivateKey=PLAIN))
    Path(agent).unlink()
    text = refused(stack, sshPrivateKey=PLAIN)
    assert f"SSH_AUTH_SOCK: no agent answers at {agent[:20]!r}"[:-1] in text
    assert "unset the variable" in text
    local = {"prometheus": {"mon1": {"address": "local"}}, "hosts": {}}
    assert login(stack(**local), "mon1"), "nothing is dialled"


def test_a_local_server_needs_no_credentials(stack: Any) -> None:
    settings = stack(prometheus={"mon1": {"address": "local"}}, hosts={})
    assert login(settings, "mon1") == {"address": "local", "user": "root"}


def test_two_keys_for_one_purpose_are_refused(stack: Any, home: Path) -> None:
    (home / "key").write_text(PLAIN)
    text = refused(stack, sshPrivateKey=PLAIN, ssh={"privateKeyPath": "~/key"})
    assert "ssh.privateKeyPath: stands beside the secret sshPrivateKey; keep one" in text


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_that_is_not_encrypted_is_refused_unseen(stack: Any, name: str) -> None:
    value = PLAIN if name.endswith("PrivateKey") else "planted"
    text = refused(stack, "planted", plain=(name,), **{"sshPassword": "x", name: value})
    assert f"{name}: stands unencrypted in the stack's file" in text
    assert f"pulumi config set --secret metrics-tunnel:{name}" in text


@pytest.mark.parametrize("name", ["sshPassword", "sudoPassword", "sshPrivateKeyPassphrase"])
def test_a_password_with_a_line_break_is_refused_unseen(stack: Any, name: str) -> None:
    text = refused(stack, "planted", **{"sshPassword": "x", name: "planted\nrm -rf x"})
    assert f"{name}: holds a line break" in text


def test_the_tunnels_own_key_arrives_secret_and_may_not_be_encrypted(stack: Any) -> None:
    settings = stack(sshPassword="x", tunnelPrivateKey=PLAIN)
    assert settings.servers["mon1"].get("private_key") == ("secret", PLAIN), "ssh-keygen there reads no PKCS #8"
    assert "private_key" not in stack(sshPassword="x").servers["mon1"]
    text = refused(stack, sshPassword="x", tunnelPrivateKey=LOCKED, sshPrivateKeyPassphrase=PASSPHRASE)
    assert "tunnelPrivateKey: is encrypted" in text


def test_a_secret_that_was_pasted_elsewhere_too_is_not_repeated(stack: Any) -> None:
    text = refused(
        stack, "plant'ed", sshPassword="plant'ed", host={"user": "plant'ed", "plant'ed": 1, "address": "a plant'ed"}
    )
    assert "3 errors in stacks/Pulumi.prod.yaml" in text
    assert "[secret]" in text


@pytest.mark.parametrize("key", ["password", "sudo_password", "private_key", "sshPrivateKey", "sudoPasswd"])
def test_a_secret_in_a_machine_is_pointed_to_its_place_unseen(stack: Any, key: str) -> None:
    text = refused(stack, "planted", host={key: "planted"})
    assert (
        f"hosts.web1.{key}: is not known here; set it as a secret of the whole stack: pulumi config set --secret"
        in text
    )


def test_an_encrypted_value_among_the_settings_is_refused(stack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stacks.settings.is_config_secret", lambda key: key == "metrics-tunnel:hosts")
    text = refused(stack, "planted", sshPassword="x", host={"user": "planted;"})
    assert "1 error in stacks/Pulumi.prod.yaml" in text
    assert "hosts: holds an encrypted value" in text


def test_settings_that_are_unknown_or_no_json_are_refused_at_the_top_too(stack: Any) -> None:
    text = refused(stack, "planted", sshPassword="x", rotatoin="planted", surprise="planted", scrape="planted: {")
    assert "rotatoin: is not known here; did you mean rotation?" in text
    assert "surprise: is not known here; use one of prometheus, hosts, ssh, scrape, rotation, detectDrift" in text
    assert "scrape: 'planted: {'" not in text
    assert "scrape: " in text


def test_a_key_in_a_namespace_that_is_nearly_ours_is_refused_for_it_would_be_missed(stack: Any) -> None:
    text = refused(stack, sshPassword="x", **{"metrics-tunnels:hosts": {"a": 1}})
    assert "metrics-tunnels:hosts: is in another namespace; write metrics-tunnel:hosts" in text
    assert stack(sshPassword="x", **{"pulumi:tags": {"a": 1}, "aws:region": "eu"})
