"""Planted credentials, sought wherever runs leave something: outputs, logs, state, process lists, files, journals.

One of each kind is set: a key with a passphrase, a jump host's password, a password for sudo, an own tunnel key. In
each place something else is sought that does stand there, for a search that finds nothing proves nothing.
"""

from __future__ import annotations

import secrets
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import base, layouts
from lab.campaign.figures import Figure, count
from lab.hosts import Host, Lab, temporary, wait
from lab.project import DRIFT, Project, machine, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.campaign.figures import Tell

CONTROL = f"control-{secrets.token_hex(12)}"
_FAILED = (1, 255, DRIFT)
_SAID = b"web1-exporter-node"
# What runs there of ours, as each process has it.
_CONTROLS = {"command lines": b"metrics-tunnel\0apply", "environments": b"SUDO_USER="}
_TEMPORARY = "temporary"  # in the lab's folder: where all runs log to
_KEYS = "etc/metrics-tunnel/keys/"  # where the own tunnel key has to be


@dataclass
class Search:
    """By place: the secrets that were found, and whether what does stand there was; by failure: whether it was told."""

    marks: dict[str, bytes] = field(default_factory=dict)
    hits: dict[str, list[str]] = field(default_factory=dict)
    controls: dict[str, bool] = field(default_factory=dict)
    told: dict[str, bool] = field(default_factory=dict)

    def plant(self, name: str, value: str) -> str:
        """Take a secret into the search, by a part of it that no form of quoting changes; return it."""
        lines = value.splitlines()
        self.marks[f"{name} {len(self.marks)}"] = (lines[-3] if len(lines) > 1 else value[:24]).encode()
        return value

    def password(self, name: str) -> str:
        """Plant a new password that is hard to quote."""
        return self.plant(name, f"{secrets.token_hex(12)} a'b\"c\\d $(x) `y` %n;#é")

    def found(self, text: bytes) -> list[str]:
        """Return the secrets that stand in a text."""
        return [name for name, mark in self.marks.items() if mark in text]

    def look(self, place: str, text: bytes, control: bytes) -> None:
        """Search one place."""
        self.hits[place] = self.found(text)
        self.controls[place] = control in text


@dataclass
class SearchedStack:
    """A server, and a host behind a jump host that lets nobody in but with a password."""

    lab: Lab
    project: Project
    search: Search
    given: dict[str, str]
    """The secrets that are right, by setting."""

    def settings(self, **web1: Any) -> dict[str, Any]:
        """Return settings, with more of the host."""
        mon1, jump = self.lab.hosts["mon1"], self.lab.hosts["jump"]
        whole = settings(self.lab, [mon1], [self.lab.hosts["web1"]], ssh={"user": base.ASKED})
        whole["hosts"]["web1"] |= {"bastion": machine(jump), **web1}
        return whole

    def secrets(self, **other: str) -> None:
        """Set the right secrets, or others."""
        for name, value in {**self.given, **other}.items():
            self.project.secret(name, value)

    def fail(self, name: str, says: str, *commands: Callable[..., Any]) -> None:
        """Run what has to fail, and search what it says."""
        text = "".join(command("--debug", codes=_FAILED).output for command in commands)
        self.search.told[name] = says in text
        self.search.look(f"output: {name}", text.encode(), says.encode())


def build(lab: Lab, search: Search) -> SearchedStack:
    """Plant the secrets, lay out three hosts and boot them."""
    given = {
        "sshPrivateKey": search.plant("sshPrivateKey", _key(lab, "ecdsa", "-m", "PEM", "-N", passphrase := _token())),
        "sshPrivateKeyPassphrase": search.plant("sshPrivateKeyPassphrase", passphrase),
        "sshPassword": search.password("sshPassword"),
        "sudoPassword": search.password("sudoPassword"),
        "tunnelPrivateKey": search.plant("tunnelPrivateKey", _key(lab, "ed25519", "-N", "")),
    }
    public = (lab.folder / "ecdsa.pub").read_text()
    lab.add("mon1", layouts.SERVERS["comments"], _account(given["sudoPassword"], public))
    lab.add("web1", layouts.EXPORTERS["packaged"], _account(given["sudoPassword"], public))
    lab.add("jump", layouts.none, _account(given["sshPassword"], ""))
    lab.boot()
    project = Project(lab.folder / "project")
    (lab.folder / _TEMPORARY).mkdir()
    project.environment["TMPDIR"] = str(lab.folder / _TEMPORARY)
    return SearchedStack(lab, project, search, given)


def life(stack: SearchedStack, tell: Tell) -> None:
    """Fail in several ways, apply, look everywhere, fail again, and destroy."""
    with _watched(stack):
        tell("failures before the first success")
        _fail_at_first(stack)
        tell("a run that succeeds, and what it leaves")
        _succeed(stack)
        for host in stack.lab.hosts.values():
            _look_at(stack.search, host)
        tell("failures of a stack that is there")
        _fail_later(stack)
        last = stack.project.destroy("--debug")
    stack.search.look("output: destroy", last.output.encode(), _SAID)
    stack.search.look("log files of all runs", _all(stack.lab.folder / _TEMPORARY), b"Log file created at")
    stack.search.look("files of the project", _all(stack.project.folder), _SAID)


def measure(folder: Path, tell: Tell) -> list[Figure]:
    """Live through it on a lab of its own."""
    search = Search()
    with temporary(folder) as lab:
        life(build(lab, search), tell)
    found = [f"{place}: {', '.join(names)}" for place, names in search.hits.items() if names]
    blind = [place for place, seen in search.controls.items() if not seen]
    places, controls, failures = len(search.hits), len(search.controls), len(search.told)
    return [
        count("places where a planted secret was found", len(found), places, wanted=0, note="; ".join(found)),
        count("searches that find what does stand there", controls - len(blind), controls, wanted=controls),
        count("failures that said what failed", sum(search.told.values()), failures, wanted=failures),
    ]


def _fail_at_first(stack: SearchedStack) -> None:
    project, search = stack.project, stack.search
    project.settings(stack.settings(user=stack.given["sudoPassword"], port=stack.given["sshPassword"]))
    stack.secrets()
    # No `up` of this: the engine's history keeps the settings as they are written.
    stack.fail("secrets in the place of settings", "hosts.web1.user: ", project.preview)
    project.settings(stack.settings())
    stack.secrets(tunnelPrivateKey=search.plant("broken key", _token()))
    stack.fail("a key that is none", "tunnelPrivateKey: is no private key", project.preview, project.up)
    stack.secrets(sshPrivateKey=search.plant("other key", _key(stack.lab, "rsa", "-m", "PEM", "-N", "")))
    stack.fail("a key that is not let in", "unable to authenticate", project.up)
    stack.secrets(sudoPassword=search.password("wrong sudoPassword"))
    stack.fail("a wrong password for sudo", "sudo:", project.up)
    stack.secrets(sshPassword=search.password("wrong sshPassword"))
    stack.fail("a wrong password for the jump host", "unable to authenticate", project.up)
    stack.secrets()
    project.settings(stack.settings(address=f"{stack.lab.network}.251", bastion=None))
    stack.fail("a host that cannot be reached", "no route to host", project.up)
    project.settings(stack.settings())


def _succeed(stack: SearchedStack) -> None:
    project, search = stack.project, stack.search
    search.look("output: preview", project.preview("--debug").output.encode(), _SAID)
    search.look("output: up", project.up("--debug").output.encode(), _SAID)
    run = project.pulumi("preview", "--stack", project.stack, "--logflow", "-v=8")
    search.look("output: preview -v=8", run.output.encode(), b"metrics-tunnel-lab")
    search.look("state", project.state(), _SAID)
    export = project.pulumi("stack", "export", "--stack", project.stack).output
    search.look("exported state", export.encode(), _SAID)
    # These two hold every secret, as the engine has them: so the marks are right, and where they are is searched well.
    shown = project.pulumi("stack", "export", "--show-secrets", "--stack", project.stack).output
    loud = stack.lab.folder / "loud"
    loud.mkdir()
    project.pulumi("preview", "--stack", project.stack, "-v=9", more={"TMPDIR": str(loud)})
    right = {name for name in search.marks if name.split()[0] in stack.given}
    search.controls["exported state with --show-secrets"] = right <= {*search.found(shown.encode())}
    search.controls["log files with -v=9"] = right <= {*search.found(_all(loud))}


def _look_at(search: Search, host: Host) -> None:
    """Search a host's files, those in memory too, and its journal; each has the control's text somewhere."""
    host.run(f"echo {CONTROL} | tee /root/control >/tmp/control; logger {CONTROL}; journalctl --sync")
    disk = {str(one.relative_to(host.folder / "upper")): one for one in (host.folder / "upper").rglob("*")}
    files = [one.read_bytes() for name, one in disk.items() if one.is_file() and not name.startswith(_KEYS)]
    search.look(f"{host.name}: files", b"\n".join(files), CONTROL.encode())
    memory = "find /run /tmp /dev/shm -path /run/credentials -prune -o -path /run/log -prune -o -type f -exec cat {} +"
    search.look(f"{host.name}: files in memory", host.run(memory, check=False).encode(), CONTROL.encode())
    search.look(f"{host.name}: journal", host.run("journalctl -ao export").encode(), CONTROL.encode())
    host.run("rm /root/control /tmp/control")


def _fail_later(stack: SearchedStack) -> None:
    project, web1 = stack.project, stack.lab.hosts["web1"]
    project.settings(stack.settings(exporters={"node": {"port": 9100}, "none": {"port": 9999}}))
    stack.fail("a part that is refused", "nothing listens on port 9999", project.preview, project.up)
    web1.run("setsid flock /run/metrics-tunnel.lock sleep 600 >/dev/null 2>&1 </dev/null & echo $! >/root/holder")
    project.settings({**stack.settings(), "rotation": 2})
    cutter = threading.Thread(target=_cut, args=(web1,))
    cutter.start()
    stack.fail("a connection that is cut", "web1-authorized-key-mon1", project.up)
    cutter.join()
    # What waits for the lock would go on without its connection.
    web1.run("pkill -f '[m]etrics-tunnel apply'; kill -- -$(cat /root/holder); rm /root/holder")
    project.up()
    # The engine gives back with the password that is in the state.
    web1.run("cp -a /etc/shadow /root/shadow; chpasswd", text=f"{base.ASKED}:{_token()}\n")
    stack.fail("destroy with a wrong password for sudo", "sudo:", project.destroy)
    web1.run("mv /root/shadow /etc/shadow")


def _cut(host: Host) -> None:
    """Cut the connection of the admin as soon as something is applied over it."""
    wait("a part to be applied", lambda: host.run("pgrep -f '[m]etrics-tunnel apply' || :"))
    host.run(f"pkill -KILL -u {base.ASKED} sshd")


@contextmanager
def _watched(stack: SearchedStack) -> Iterator[None]:
    """Look through the command lines of this machine and the lab's hosts, and the hosts' environments, all the time."""
    ended, search = threading.Event(), stack.search
    spaces = {Path(f"/proc/{host.leader}/ns/pid").readlink() for host in stack.lab.hosts.values()}
    found: dict[str, set[str]] = {place: set() for place in _CONTROLS}
    seen = set()

    def sample() -> None:
        while not ended.wait(0.05):
            for process in Path("/proc").glob("[0-9]*"):
                for place, text in _process(process, spaces).items():
                    found[place].update(search.found(text))
                    if _CONTROLS[place] in text:
                        seen.add(place)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    for place, names in found.items():
        search.hits[place], search.controls[place] = sorted(names), place in seen


def _process(process: Path, spaces: set[Path]) -> dict[str, bytes]:
    """Return what may be read of a process; its environment if it is one of the lab's hosts'."""
    try:
        texts = {"command lines": (process / "cmdline").read_bytes()}
        if (process / "ns/pid").readlink() in spaces:
            texts["environments"] = (process / "environ").read_bytes()
    except OSError:
        return {}
    return texts


def _account(password: str, public: str) -> Callable[[Path], None]:
    """Give the user whom sudo asks another password and another key."""

    def layout(tree: Path) -> None:
        subprocess.run(["chroot", str(tree), "chpasswd"], input=f"{base.ASKED}:{password}\n".encode(), check=True)
        (tree / "home" / base.ASKED / ".ssh/authorized_keys").write_text(public)

    return layout


def _key(lab: Lab, kind: str, *options: str) -> str:
    file = lab.folder / kind
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-C", kind, "-f", str(file), *options], check=True)
    return file.read_text()


def _token() -> str:
    return secrets.token_hex(16)


def _all(folder: Path) -> bytes:
    """Return all files below a folder, without those behind links."""
    return b"\n".join(one.read_bytes() for one in folder.rglob("*") if one.is_file() and not one.is_symlink())
