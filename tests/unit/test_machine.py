"""How a machine is reached: tried against real SSH servers on this machine's loopback."""

# ruff: noqa: D102 - the methods of the server are asyncssh's own
import asyncio
import shlex
import socket
import subprocess
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import asyncssh
import pytest

from components.args import ConnectionArgs
from components.machine import Machine, _asyncssh
from tests.scripts.sandbox import as_sent

T = TypeVar("T")
# As sshd has them: the one that is pinned is not the first.
OTHER_HOST_KEY = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")
USER_KEY = asyncssh.generate_private_key("ssh-ed25519")
PASSWORD = "päss 'word"


def line(key: asyncssh.SSHKey) -> str:
    return key.export_public_key().decode().strip()


def text(key: asyncssh.SSHKey, passphrase: str | None = None) -> str:
    form = "pkcs1-pem" if passphrase else "openssh"
    return key.export_private_key(form, passphrase).decode()


class Door(asyncssh.SSHServer):
    """Lets in one key and one password, and notes who asked for what."""

    def begin_auth(self, username: str) -> bool:
        SEEN.append(f"user {username}")
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        SEEN.append(f"password of {username}")
        return password == PASSWORD

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        SEEN.append(f"key of {username}")
        return key.public_data in LET_IN

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        del orig_host, orig_port
        SEEN.append(f"forward to {dest_host}:{dest_port}")
        return True


SEEN: list[str] = []
SHELLS: list[asyncio.subprocess.Process] = []
LET_IN = {USER_KEY.public_data}


async def serve_command(process: asyncssh.SSHServerProcess[str]) -> None:
    """Run what is asked for in a real shell, as sshd does."""
    given = await process.stdin.read()
    pipe = asyncio.subprocess.PIPE
    shell = await asyncio.create_subprocess_shell(process.command or "", stdin=pipe, stdout=pipe, stderr=pipe)
    SHELLS.append(shell)
    assert shell.stdin
    assert shell.stdout
    assert shell.stderr
    shell.stdin.write(given.encode())
    shell.stdin.close()
    await asyncio.gather(_pass_on(shell.stdout, process.stdout), _pass_on(shell.stderr, process.stderr))
    process.exit(await shell.wait())


async def _pass_on(output: asyncio.StreamReader, writer: asyncssh.SSHWriter[str]) -> None:
    while some := await output.read(1024):
        writer.write(some.decode())


@asynccontextmanager
async def server(address: str = "127.0.0.1") -> AsyncIterator[int]:
    SEEN.clear()
    listener = await asyncssh.create_server(
        Door, address, 0, server_host_keys=[OTHER_HOST_KEY, HOST_KEY], process_factory=serve_command, encoding="utf-8"
    )
    try:
        yield listener.get_port()
    finally:
        listener.close()
        await listener.wait_closed()
        while SHELLS:
            shell = SHELLS.pop()
            with suppress(ProcessLookupError):
                shell.kill()
            await shell.wait()


def ask(script: str, *, address: str = "127.0.0.1", **more: Any) -> str:
    """Ask a machine on loopback, by the user's key where nothing else is said."""
    login = more if more.keys() & {"password", "private_key"} else {"private_key": text(USER_KEY), **more}

    async def run() -> str:
        async with server(address) as port:
            given = {"address": address, "port": port, "host_key": line(HOST_KEY), **login}
            return await ask_of(Machine("web1", connection(given)), as_sent(script), given)

    return in_loop(run())


async def ask_of(machine: Machine, script: str, plain: Mapping[str, Any], *, asks: bool | None = None) -> str:
    """Return what a machine prints; `asks` says whether its sudo has to want a password."""
    async with machine.session(plain) as session:
        assert asks in (None, session.sudo_asks)
        return await session.ask(script)


def connection(given: dict[str, Any]) -> ConnectionArgs:
    return cast("ConnectionArgs", given)


def in_loop(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def test_a_script_runs_on_the_machine_and_its_output_comes_back() -> None:
    assert ask("printf 'a\\tb\\n'; read -r x || echo end") == "a\tb\nend\n"
    assert SEEN[0] == "user root"


def test_an_ipv6_machine_is_asked_too() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    assert ask("echo six", address="::1") == "six\n"


def test_another_user_logs_in_under_his_name() -> None:
    with pytest.raises(OSError, match="exit"):
        ask("echo", user="deploy", sudo_password="no such sudo here")
    assert SEEN[0] == "user deploy"


def test_a_login_password_opens_the_door_and_a_wrong_one_does_not() -> None:
    assert ask("echo in", password=PASSWORD) == "in\n"
    assert SEEN == ["user root", "password of root"]
    with pytest.raises(asyncssh.PermissionDenied):
        ask("echo in", password="wrong")


def test_an_encrypted_key_opens_the_door_with_its_passphrase() -> None:
    rsa = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    LET_IN.add(rsa.public_data)
    key = text(rsa, "secret words")
    assert "ENCRYPTED" in key
    assert ask("echo in", private_key=key, private_key_password="secret words") == "in\n"
    with pytest.raises(asyncssh.KeyImportError):
        ask("echo in", private_key=key, private_key_password="wrong")


def test_a_key_that_is_not_let_in_is_refused() -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        ask("echo in", private_key=text(asyncssh.generate_private_key("ssh-ed25519")))


def test_another_host_key_is_refused_before_any_login() -> None:
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        ask("echo in", host_key=line(asyncssh.generate_private_key("ssh-ed25519")), password=PASSWORD)
    assert not SEEN


def test_any_host_key_does_where_that_is_asked_for() -> None:
    async def run() -> str:
        async with server() as port:
            given = {"address": "127.0.0.1", "port": port, "insecure_host_key": True, "private_key": text(USER_KEY)}
            return await ask_of(Machine("mon1", connection(given)), as_sent("echo any"), given)

    assert in_loop(run()) == "any\n"


def test_a_machine_behind_a_jump_host_is_asked_through_it() -> None:
    async def run() -> str:
        async with server() as port:
            one = {"address": "127.0.0.1", "port": port, "host_key": line(HOST_KEY), "private_key": text(USER_KEY)}
            given = {**one, "bastion": {**one, "user": "jump"}}
            answer = await ask_of(Machine("web1", connection(given)), as_sent("echo through"), given)
            assert f"forward to 127.0.0.1:{port}" in SEEN
            return answer

    assert in_loop(run()) == "through\n"
    assert [one for one in SEEN if one.startswith("user")] == ["user jump", "user root"]


def test_an_agents_key_opens_the_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    door = tmp_path / "agent"

    async def run() -> str:
        (tmp_path / "key").write_text(text(USER_KEY))
        (tmp_path / "key").chmod(0o600)
        agent = await asyncio.create_subprocess_exec("ssh-agent", "-D", "-a", str(door), stdout=asyncio.subprocess.PIPE)
        try:
            assert agent.stdout
            await agent.stdout.readline()  # it listens when it has told its socket
            added = await asyncio.create_subprocess_exec(
                "ssh-add", "-q", str(tmp_path / "key"), env={"SSH_AUTH_SOCK": str(door), "PATH": "/usr/bin:/bin"}
            )
            assert await added.wait() == 0
            async with server() as port:
                given = {
                    "address": "127.0.0.1",
                    "port": port,
                    "host_key": line(HOST_KEY),
                    "agent_socket_path": str(door),
                }
                return await ask_of(Machine("web1", connection(given)), as_sent("echo by agent"), given)
        finally:
            agent.terminate()
            await agent.wait()

    assert in_loop(run()) == "by agent\n"


def test_no_agent_is_asked_where_a_key_or_password_is_given() -> None:
    for more in ({"private_key": text(USER_KEY)}, {"password": "x"}):
        given = _asyncssh({"address": "a", "host_key": line(HOST_KEY), "agent_socket_path": "/a", **more})
        assert given["agent_path"] is None
    assert _asyncssh({"address": "a", "host_key": line(HOST_KEY), "agent_socket_path": "/a"})["agent_path"] == "/a"


def test_a_script_that_fails_tells_its_last_words() -> None:
    with pytest.raises(OSError, match="exit 3: no such thing"):
        ask("echo no such thing >&2; exit 3")


def test_output_that_is_no_text_does_no_harm() -> None:
    assert in_loop(ask_of(Machine("mon1", {"address": "local"}), as_sent("printf 'a\\377b\\n'"), {})) == "a\ufffdb\n"


def test_a_local_server_is_asked_without_ssh() -> None:
    local = Machine("mon1", {"address": "local"})
    assert local.local
    assert in_loop(ask_of(local, as_sent("echo here"), {})) == "here\n"
    with pytest.raises(OSError, match="exit 4: gone"):
        in_loop(ask_of(local, as_sent("echo gone >&2; exit 4"), {}))


SUDO = """#!/bin/sh
case $1 in
-S) IFS= read -r p; [ "$p" = "se cret\\\\" ] || { echo wrong >&2; exit 1; } ;;
-k) echo "asked without one" >>"$0.log"; ASKS ;;
-n) shift; exec "$@" ;;
esac
"""


def put_sudo(folder: Path, monkeypatch: pytest.MonkeyPatch, asks: str) -> None:
    sudo = folder / "sudo"
    sudo.write_text(SUDO.replace("ASKS", asks))
    sudo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_sudo_that_asks_gets_its_password_first_and_the_script_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_sudo(tmp_path, monkeypatch, "exit 1")
    given: dict[str, Any] = {"address": "local", "user": "deploy", "sudo_password": "se cret\\"}
    assert in_loop(ask_of(Machine("mon1", connection(given)), as_sent("echo as root"), given, asks=True)) == "as root\n"
    wrong = {**given, "sudo_password": "no"}
    with pytest.raises(OSError, match="wrong"):
        in_loop(ask_of(Machine("mon1", connection(wrong)), as_sent("echo as root"), wrong, asks=True))
    (tmp_path / "sudo.log").unlink()
    without = {"address": "local", "user": "deploy"}
    assert in_loop(ask_of(Machine("mon1", connection(without)), as_sent("echo as root"), without)) == "as root\n"
    assert not (tmp_path / "sudo.log").exists()


def test_sudo_that_does_not_ask_gets_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_sudo(tmp_path, monkeypatch, "exit 0")
    given: dict[str, Any] = {"address": "local", "user": "deploy", "sudo_password": "PLANTED"}
    machine = Machine("mon1", connection(given))
    assert in_loop(ask_of(machine, as_sent("cat; echo as root"), given, asks=False)) == "as root\n"


def test_a_command_goes_through_sudo_unless_the_user_is_root() -> None:
    assert Machine("a", {"address": "local"}).command("x") == "x"
    assert Machine("a", {"address": "local", "user": "u"}).command("x") == "sudo -n x"
    asked = Machine("a", {"address": "local", "user": "u", "sudo_password": "planted"})
    assert asked.command("x", asks=False) == "sudo -n x"
    command = asked.command("x")
    assert "sudo -S" in command
    assert "planted" not in command


def test_a_word_of_a_command_stays_one_word_through_sudo_too(tmp_path: Path) -> None:
    """As of an owner that no rule has seen."""
    word = 'a\'b;touch /tmp/x $(id) "c" `id` \\ *'
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sudo").write_text('#!/bin/sh\nif [ "$1" = -n ]; then shift; "$@"; else cat >/dev/null; fi\n')
    (programs / "sudo").chmod(0o755)
    logins: list[dict[str, str]] = [{}, {"user": "deploy"}, {"user": "deploy", "sudo_password": "p"}]
    for login in logins:
        connection = cast("ConnectionArgs", {"address": "a", "host_key": line(HOST_KEY), **login})
        command = Machine("web1", connection).command(f"printf '%s\\n' {shlex.quote(word)} end")
        done = subprocess.run(
            ["sh", "-c", command],
            input="p\n",
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": f"{programs}:/usr/bin:/bin"},
        )
        assert done.stdout == f"{word}\nend\n"


def test_standard_input_is_secret_where_it_holds_the_sudo_password() -> None:
    async def run(**more: Any) -> tuple[Any, bool]:
        asks = more.pop("asks", True)
        output = Machine("a", connection({"address": "local", **more})).stdin("script", asks=asks)
        return await output.future(), await output.is_secret()

    assert in_loop(run()) == ("script", False)
    assert in_loop(run(user="u")) == ("script", False)
    assert in_loop(run(user="u", sudo_password="p")) == ("p\nscript", True)
    assert in_loop(run(sudo_password="p")) == ("script", False)
    assert in_loop(run(user="u", sudo_password="p", asks=False)) == ("script", False)


def test_a_machine_or_jump_host_without_a_host_key_is_refused() -> None:
    with pytest.raises(ValueError, match="web1: no host key"):
        Machine("web1", {"address": "10.0.0.1"})
    with pytest.raises(ValueError, match="web1's bastion: no host key"):
        Machine("web1", {"address": "10.0.0.1", "host_key": "k", "bastion": {"address": "10.0.0.2"}})
    Machine("web1", {"address": "10.0.0.1", "insecure_host_key": True})


def test_the_command_provider_gets_the_same_login() -> None:
    bastion = {"address": "10.0.0.2", "port": 2222, "host_key": "j", "private_key": "x"}
    given = {
        "address": "10.0.0.1",
        "user": "u",
        "host_key": "k",
        "password": "p",
        "bastion": bastion,
        "sudo_password": "s",
    }
    made = Machine("web1", connection(given)).remote()
    assert "sudo_password" not in vars(made)
    assert made.host == "10.0.0.1"
    assert made.host_key == "k"
    assert made.password == "p"
    assert made.proxy is not None
    proxy: Any = made.proxy
    assert (proxy.host, proxy.port, proxy.host_key, proxy.private_key) == ("10.0.0.2", 2222, "j", "x")
    assert Machine("web1", {"address": "10.0.0.1", "host_key": "k"}).remote().proxy is None


def test_a_machine_that_ends_before_it_has_read_all_is_told_by_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where sudo refuses at once: whether the script still finds an open channel is chance."""
    ended: Any = asyncssh.SSHClientChannel.write_eof

    def closed(channel: Any) -> None:
        ended(channel)
        raise BrokenPipeError("Channel not open for sending")

    monkeypatch.setattr(asyncssh.SSHClientChannel, "write_eof", closed)
    with pytest.raises(OSError, match="exit 1: sudo: a password is required"):
        ask("echo 'sudo: a password is required' >&2; exit 1")


def test_a_login_shell_that_lets_nobody_work_is_told_by_its_own_words() -> None:
    with pytest.raises(OSError, match="exit 1: This account is currently not available"):
        ask("echo 'This account is currently not available.'; exit 1")


def test_the_root_of_a_cloud_image_says_whom_to_log_in_as_whatever_startup_files_print_beside_it() -> None:
    """Its key line ends with `sleep 10; exit 142`, and bash reads `.bashrc` where sshd starts it."""
    with pytest.raises(OSError, match=r"^exit 142: Please login as the user .debian. a note of \.bashrc$"):
        ask("""echo 'Please login as the user "debian"'; echo 'a note of .bashrc' >&2; exit 142""")


def test_of_a_look_that_has_reported_already_only_what_went_wrong_is_told() -> None:
    with pytest.raises(OSError, match=r"^exit 124: cut off$"):
        ask("printf 'metrics-tunnel\\tkeypair\\tdrift\\tx\\n'; echo 'cut off' >&2; exit 124")


@pytest.mark.parametrize("local", [True, False])
def test_a_machine_is_given_up_after_silence_and_not_while_it_speaks(
    local: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.machine.SILENCE_SECONDS", 0.5)
    speaks = "for i in 1 2 3 4 5; do sleep .2; echo $i; done"

    def asked(script: str) -> str:
        if local:
            return in_loop(ask_of(Machine("mon1", {"address": "local"}), as_sent(script), {}))
        return ask(script)

    assert asked(speaks) == "1\n2\n3\n4\n5\n"
    with pytest.raises(TimeoutError, match=r"nothing came from it for 0\.5 s"):
        asked("echo a word; exec sleep 3")


def test_a_machine_is_asked_more_than_once_over_one_connection() -> None:
    async def run() -> list[str]:
        async with server() as port:
            given = {"address": "127.0.0.1", "port": port, "host_key": line(HOST_KEY), "private_key": text(USER_KEY)}
            async with Machine("web1", connection(given)).session(given) as session:
                return [await session.ask(as_sent("echo one")), await session.ask(as_sent("echo two"))]

    assert in_loop(run()) == ["one\n", "two\n"]
    assert [one for one in SEEN if one.startswith("user")] == ["user root"]
