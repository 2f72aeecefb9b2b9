"""What a thief tries with a stolen tunnel key. Each attack says by its effect whether it got through.

python -m lab.campaign.attack_list SCENE      in the server's network namespace; SCENE and the outcome are JSON
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko

from lab.campaign.thief import BAIT, GET, Scene, Thief, heard, reached, received, socks4, socks5, until

if TYPE_CHECKING:
    from collections.abc import Callable

    Attack = Callable[[Thief], bool]

AT_ONCE = 6
_TOUCH = "touch {mark}"


def marks(*words: str, client: str = "ssh", text: str = "") -> Attack:
    """Have a client leave a file on the host."""

    def attack(thief: Thief) -> bool:
        own = thief.fresh()
        thief.run(*(word.format(**own) for word in words), client=client, text=text.format(**own).encode())
        return thief.on_host(own["mark"]).exists()

    return attack


def prints(*words: str, found: Callable[[bytes], bool], text: bytes = b"") -> Attack:
    """Have a client print something."""

    def attack(thief: Thief) -> bool:
        own = thief.fresh()
        return found(thief.run(*(word.format(**own) for word in words), text=text))

    return attack


def forwards(
    target: str, option: str = "-L", ask: Callable[[str], bytes] = lambda _: b"", *, stolen: bool = True
) -> Attack:
    """Open a port here that leads to a target; `ask` gives what is sent first, by the other host's address."""

    def attack(thief: Thief) -> bool:
        own = thief.fresh()
        request = ask(own["other"]) + GET
        words = option, f"{own['port']}{target and ':'}{target.format(**own)}"
        key = "" if stolen else str(thief.other_key)
        return reached(thief.held(*words, look=lambda _: heard(int(own["port"]), request), key=key))

    return attack


def listens(where: str, *, socks: bool = False) -> Attack:
    """Open a port on the host that leads to the thief."""

    def attack(thief: Thief) -> bool:
        own = thief.fresh()
        ask = socks4("127.0.0.1", int(own["bait"])) if socks else b""
        words = "-R", where.format(**own)
        return reached(thief.held(*words, look=lambda _: thief.heard_inside(int(own["port"]), ask)))

    return attack


def listens_anywhere(thief: Thief) -> bool:
    """Open a port on the host that sshd chooses."""

    def look(printed: bytes) -> bytes | None:
        _, told, rest = printed.partition(b"Allocated port ")
        return thief.heard_inside(int(rest.split()[0])) if told else None

    return reached(thief.held("-R", "0:127.0.0.1:{bait}".format(**thief.fresh()), look=look))


def listens_at_socket(thief: Thief) -> bool:
    """Open a socket on the host that leads to the thief."""
    own = thief.fresh()
    words = "-R", "{mark}:127.0.0.1:{bait}".format(**own)
    return reached(thief.held(*words, look=lambda _: thief.heard_at_socket(own["mark"])))


def makes_tunnel(thief: Thief) -> bool:
    """Have a network device on the host."""
    return bool(thief.held("-w", "any", look=lambda _: (b"tun" in thief.inside("ip", "-br", "link")) or None))


def runs_rc(thief: Thief) -> bool:
    """Log in where the user's own ~/.ssh/rc, written beforehand, leaves a mark."""
    own, home = thief.fresh(), thief.home()
    if home:
        (home / ".ssh/rc").write_text(_TOUCH.format(**own) + "\n")
    thief.run(own["to"], "true")
    return thief.on_host(own["mark"]).exists()


def is_offered_more(thief: Thief) -> bool:
    """Be offered another way to log in than a key."""
    with thief.connected() as raw:
        try:
            raw.auth_none(thief.scene.user)
        except paramiko.BadAuthenticationType as refused:
            return set(refused.allowed_types) != {"publickey"}
    return True


def direct(host: str, port: int) -> Attack:
    """Ask for a channel to an address, as no client would spell it."""

    def attack(thief: Thief) -> bool:
        with thief.logged_in() as raw:
            channel = raw.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 1))
            channel.settimeout(5)
            channel.sendall(GET)
            return reached(received(channel))

    return attack


def opens(kind: str, *strings: str, number: int | None = None, reads: bool = False) -> Attack:
    """Open a channel of a kind; `reads`: and hear somebody there."""

    def attack(thief: Thief) -> bool:
        extra = paramiko.Message()
        for one in strings:
            extra.add_string(one)
        if number is not None:
            extra.add_int(number)
        with thief.logged_in() as raw:
            raw.extra = extra.asbytes()
            channel = raw.open_channel(kind, ("127.0.0.1", 1), ("127.0.0.1", 1))
            channel.settimeout(5)
            return not reads or reached(received(channel))

    return attack


def asks(request: Callable[[paramiko.Channel], object]) -> Attack:
    """Have a request granted on a session's channel."""

    def attack(thief: Thief) -> bool:
        with thief.logged_in() as raw:
            request(raw.open_session())
            return True

    return attack


def runs(begin: Callable[[paramiko.Channel, str], object]) -> Attack:
    """Have a command that is sent on a session's channel leave a mark."""

    def attack(thief: Thief) -> bool:
        command = _TOUCH.format(**(own := thief.fresh()))
        with thief.logged_in() as raw:
            channel = raw.open_session()
            begin(channel, command)
            channel.status_event.wait(5)
            return thief.on_host(own["mark"]).exists()

    return attack


def shell(channel: paramiko.Channel, command: str) -> None:
    """Send a command to a shell."""
    channel.invoke_shell()
    channel.sendall(f"{command}\nexit\n".encode())


def lists_files(thief: Thief) -> bool:
    """List the host's folders by the sftp subsystem."""
    with thief.logged_in() as raw:
        client = paramiko.SFTPClient.from_transport(raw)
        return bool(client and client.listdir("/"))


def _hand_over(channel: paramiko.Channel, _origin: object, _server: object) -> None:
    channel.sendall(BAIT)
    channel.close()


def requests(address: str, port: str = "{port}", more: int = 0) -> Attack:
    """Ask for a listener on the host, which leads to the thief."""

    def attack(thief: Thief) -> bool:
        wanted = int(port.format(**thief.fresh())) + more
        with thief.logged_in() as raw:
            given = raw.request_port_forward(address, wanted, _hand_over)
            return reached(until(lambda: thief.heard_inside(given % 65536)))

    return attack


def requests_socket(thief: Thief) -> bool:
    """Ask for a socket on the host."""
    path = thief.fresh()["mark"]
    with thief.logged_in() as raw:
        raw.global_request("streamlocal-forward@openssh.com", (path,))
        return thief.heard_at_socket(path) is not None


# In these, a plain key gets through in most: else there would be nothing to see.
FIRST: dict[str, Attack] = {
    "exec": marks("{to}", _TOUCH),
    "shell by stdin": marks("-T", "{to}", text=_TOUCH + "\n"),
    "shell on a terminal": marks("-tt", "{to}", text=_TOUCH + "\nexit\n"),
    "exec beside a tunnel": marks("-L", "{port}:127.0.0.1:9100", "{to}", _TOUCH),
    "sftp": marks("-b", "-", "{to}", client="sftp", text="put {file} {mark}\n"),
    "scp -O": marks("-O", "{file}", "{to}:{mark}", client="scp"),
    **{
        f"-L to {target}": forwards(target)
        for target in (
            "127.0.0.1:9101",
            "localhost:9100",
            "LOCALHOST:9100",
            "[::1]:9100",
            "127.0.0.2:9100",
            "0.0.0.0:9100",
            "127.1:9100",
            "0x7f000001:9100",
            "2130706433:9100",
            "[::ffff:127.0.0.1]:9100",
            "{host}:9100",
            "{other}:9100",
            "/run/decoy.sock",
        )
    },
    **{
        f"-W {target}": prints("-W", target, "{to}", found=reached, text=GET)
        for target in ("127.0.0.1:22", "{host}:22", "{other}:22")
    },
    "-D to 127.0.0.1:9101": forwards("", "-D", lambda _: socks4("127.0.0.1", 9101)),
    "-D to another host": forwards("", "-D", lambda other: socks5(other, 9100)),
    **{
        f"-R {address}PORT:...": listens(f"{address}{{port}}:127.0.0.1:{{bait}}")
        for address in ("", "127.0.0.1:", "localhost:", "0.0.0.0:", "*:", "{host}:")
    },
    "-R PORT": listens("{port}", socks=True),
    "-R 0": listens_anywhere,
    "-R /path.sock": listens_at_socket,
    "-A": prints("-A", "{to}", "ssh-add -l", found=lambda text: b"SHA256:" in text),
    "-w any": makes_tunnel,
    "SetEnv LD_PRELOAD": prints("-o", "SetEnv=LD_PRELOAD=/x.so", "{to}", "true", found=lambda text: b"/x.so" in text),
    "~/.ssh/rc": runs_rc,
    "other ways to log in": is_offered_more,
    "another key": forwards("127.0.0.1:9100", stolen=False),
    **{
        f"raw direct-tcpip {host!r} {port}": direct(host, port)
        for host, port in (
            ("127.0.0.1", 9101),
            ("127.0.0.1", 9100 + 65536),
            ("127.0.0.1\0.example", 9100),
            ("", 9100),
            (" 127.0.0.1", 9100),
            ("127.0.0.1:9100", 9101),
            ("*", 9100),
        )
    },
    "raw forwarded-tcpip": opens("forwarded-tcpip"),
    "raw x11": opens("x11"),
    "raw auth-agent": opens("auth-agent@openssh.com"),
    "raw tun": opens("tun@openssh.com", number=1),
    "raw session": asks(lambda channel: channel),
    "raw session exec": runs(lambda channel, command: channel.exec_command(command)),
    "raw session sftp": lists_files,
    "raw session pty-req": asks(lambda channel: channel.get_pty()),
    "raw session x11-req": asks(lambda channel: channel.request_x11()),
    "raw session shell": runs(shell),
    **{
        f"raw tcpip-forward {address!r}": requests(address)
        for address in ("127.0.0.1", "localhost", "", "0.0.0.0", "*", "::")  # noqa: S104 (that sshd is asked to)
    },
    "raw tcpip-forward port 0": requests("localhost", "0"),
    "raw tcpip-forward port + 65536": requests("localhost", more=65536),
}
ATTACKS: dict[str, Attack] = {
    **FIRST,
    "raw direct-streamlocal": opens("direct-streamlocal@openssh.com", "/run/decoy.sock", "", number=0, reads=True),
    "raw streamlocal-forward": requests_socket,
    "raw tcpip-forward localhost:1": requests("localhost", "1"),
    "the key for root": marks("root@{host}", _TOUCH),
    "the key for another user": marks("deploy@{host}", _TOUCH),
    "-X": prints("-X", "{to}", "echo =$DISPLAY", found=lambda text: b"=localhost:" in text),
    "sftp by exec": marks(
        "-b", "-", "-s", "/usr/lib/openssh/sftp-server", "{to}", client="sftp", text="put {file} {mark}\n"
    ),
    "scp by sftp": marks("{file}", "{to}:{mark}", client="scp"),
}


def got_through(attack: Attack, thief: Thief) -> bool:
    """Try one. That the far side refuses is what the clients raise."""
    try:
        return attack(thief)
    except (paramiko.SSHException, paramiko.SFTPError, EOFError, OSError):
        return False


def legitimate(thief: Thief) -> bool:
    """Whether the exporter's metrics come through a forward, as for a tunnel."""
    port = int(thief.fresh()["port"])
    data = thief.held("-L", f"{port}:127.0.0.1:9100", look=lambda _: heard(port))
    return b"node_exporter_build_info" in (data or b"")


def main() -> None:
    """Try all of them, some at once, and then the legitimate use."""
    logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)
    with tempfile.TemporaryDirectory(prefix="thief-") as folder:
        thief = Thief(Scene(**json.loads(sys.argv[1])), Path(folder))
        with thief.ready(), ThreadPoolExecutor(AT_ONCE) as pool:
            results = list(pool.map(lambda attack: got_through(attack, thief), ATTACKS.values()))
            through = [name for name, result in zip(ATTACKS, results, strict=True) if result]
            print(json.dumps({"through": through, "legitimate": legitimate(thief)}))


if __name__ == "__main__":
    main()
