"""Real Debian hosts on this machine: systemd-nspawn on a base tree, each in a network namespace of its own.

    lab = Lab(Path("/var/tmp/mylab"))
    web1 = lab.add("web1", layouts.EXPORTERS["packaged"])
    lab.boot()
    web1.run("ss -Hltn")
    lab.remove()

A lab's folder holds what another process needs to go on with it or to take it away: `Lab(folder)` reads it.
Traffic stays on a bridge of the lab's own; the hosts have no way out of it.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lab import base
from lab.greeting import greet
from lab.layouts import collect_less
from lab.progress import locked
from lab.tools import default_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BOOT_SECONDS = 60
LATE_SECONDS = 8
_NETWORKS = [f"10.213.{number}" for number in range(100, 200)]


Result = TypeVar("Result")


class LabError(Exception):
    """The lab cannot do what was asked; the text says why."""


class Host:
    """One booted machine. `address` is its IPv4 address, `tree` its root as this machine sees it."""

    def __init__(self, lab: Lab, name: str, number: int, release: str = base.RELEASE) -> None:
        self.lab, self.name, self.number, self.release = lab, name, number, release
        self.folder = lab.folder / "hosts" / name
        self.tree = self.folder / "tree"
        self.address = f"{lab.network}.{number}"
        self.namespace = f"{lab.bridge}-{name}"
        self.link = f"{lab.bridge}-{number}"
        self._nspawn: subprocess.Popen[bytes] | None = None

    @property
    def host_key(self) -> str:
        """Its ed25519 host key as `<type> <base64>`."""
        return " ".join((self.tree / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[:2])

    @property
    def leader(self) -> int:
        """The process id of its systemd on this machine."""
        return int((self.folder / "leader").read_text().split()[0])

    def run(self, command: str, *, check: bool = True, text: str | None = None) -> str:
        """Run a shell command in it as root and return what it prints. Raises `LabError` where it fails."""
        enter = ["nsenter", f"--target={self.leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
        enter += ["--root", "--wd"]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        done = subprocess.run(
            [*enter, "env", "-i", path, "HOME=/root", "bash", "-c", command],
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=120,
        )
        if check and done.returncode:
            raise LabError(f"{self.name}: {command!r} ended with {done.returncode}: {done.stderr}{done.stdout}")
        return done.stdout

    def get(self, port: int, path: str = "/metrics", address: str = "127.0.0.1") -> str:
        """Return what answers to HTTP in it, or the empty text."""
        request = f"GET {path} HTTP/1.0\\r\\nHost: {address}\\r\\n\\r\\n"
        ask = f"exec 3<>/dev/tcp/{address}/{port} && printf '{request}' >&3 && cat <&3"
        return self.run(f"timeout 10 bash -c {shlex.quote(ask)} 2>/dev/null", check=False)

    def scraped(self, instance: str, patience: float = LATE_SECONDS) -> str:
        """Return the value of `up` of one instance in the Prometheus of this host, empty where there is none.

        On a busy machine a scrape may be late: what is not 1 is looked at again for as many seconds as `patience` says.
        """
        query = f"up{{instance={json.dumps(instance)}}}"
        until = time.monotonic() + patience
        while True:
            line = self.run(f"promtool query instant http://127.0.0.1:9090 {shlex.quote(query)}").strip()
            value = line.split("=>")[1].split()[0] if line else ""
            if value == "1" or time.monotonic() > until:
                return value
            time.sleep(0.5)

    def detach(self) -> None:
        """Take its cable's other end off the bridge: its link stays up, and packets are lost without a word."""
        _ip("link", "set", self.link, "nomaster")

    def attach(self) -> None:
        """Put that end back."""
        _ip("link", "set", self.link, "master", self.lab.bridge)

    def unplug(self) -> None:
        """Pull its network cable: its link is down, and nobody else is told."""
        _ip("link", "set", self.link, "down")

    def plug(self) -> None:
        """Put the cable back."""
        _ip("link", "set", self.link, "up")

    def mount(self) -> None:
        """Lay its own writable tree over the base."""
        for name in ("upper", "work", "tree"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        layers = f"lowerdir={base.ensure(self.release)},upperdir={self.folder / 'upper'},workdir={self.folder / 'work'}"
        _do("mount", "-t", "overlay", "overlay", "-o", layers, str(self.tree))
        for name, text in {"hostname": self.name, "hosts": f"127.0.0.1 localhost {self.name}"}.items():
            (self.tree / "etc" / name).write_text(text + "\n")
        _do("ssh-keygen", "-q", "-A", "-f", str(self.tree))
        for home, user in (("root", "root"), (f"home/{base.ADMIN}", base.ADMIN), (f"home/{base.ASKED}", base.ASKED)):
            folder = self.tree / home / ".ssh"
            folder.mkdir(mode=0o700, exist_ok=True)
            shutil.copyfile(f"{self.lab.key}.pub", folder / "authorized_keys")
            _do("chroot", str(self.tree), "chown", "-R", f"{user}:", f"/{home}/.ssh")

    def start(self) -> None:
        """Connect and boot it; `Lab.boot` waits until it is up."""
        _ip("netns", "add", self.namespace)
        # A machine that boots again has the network card it had: others know its address yet.
        card = f"02:00:{ipaddress.ip_address(self.address).packed.hex(':')}"
        peer = ["name", "eth0", "address", card, "netns", self.namespace]
        _ip("link", "add", self.link, "type", "veth", "peer", *peer)
        _ip("link", "set", self.link, "master", self.lab.bridge, "up")
        for step in ("link set lo up", f"addr add {self.address}/24 dev eth0", "link set eth0 up"):
            _ip("-n", self.namespace, *step.split())
        command = ["systemd-nspawn", "--register=no", "--keep-unit", "-q", "--console=pipe", "-D", str(self.tree)]
        command += ["-M", self.name, "--boot", f"--network-namespace-path=/run/netns/{self.namespace}"]
        with (self.folder / "console").open("w") as console:
            nspawn = self._nspawn = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True
            )
        leader = wait(f"{self.name} to start", lambda: _systemd_under(nspawn.pid))
        (self.folder / "leader").write_text(f"{leader} {_started(leader)} {nspawn.pid} {_started(nspawn.pid)}\n")

    def up(self) -> bool:
        """Whether all of its units have started, or failed, and users are let in."""
        state = self.run("systemctl is-system-running; [ ! -e /run/nologin ] || echo and closed", check=False)
        return state.strip() in {"running", "degraded"}

    def shut_down(self) -> None:
        """Power it off as its own systemd does it, unit by unit."""
        nspawn = int((self.folder / "leader").read_text().split()[2])
        self.run("systemctl poweroff", check=False)
        wait(f"{self.name} to shut down", lambda: not _started(nspawn))
        self.stop()

    def stop(self) -> None:
        """Power it off hard, by the ids of its own processes."""
        with contextlib.suppress(FileNotFoundError):
            words = [int(word) for word in (self.folder / "leader").read_text().split()]
            for pid, started in zip(words[::2], words[1::2], strict=True):
                if _started(pid) == started:
                    os.kill(pid, signal.SIGKILL)
                    wait(f"{self.name} to end", lambda pid=pid, started=started: _started(pid) != started)  # type: ignore[misc]
            (self.folder / "leader").unlink()
        if self._nspawn:
            self._nspawn.wait()
        _quietly("ip", "netns", "del", self.namespace)
        _quietly("ip", "link", "del", self.link)

    def remove(self) -> None:
        """Power it off and delete its tree."""
        self.stop()
        if os.path.ismount(self.tree):
            _do("umount", "-l", str(self.tree))
        shutil.rmtree(self.folder, ignore_errors=True)
        self.lab.hosts.pop(self.name, None)


class Lab:
    """Some hosts on one bridge, and the admin's key for them."""

    def __init__(self, folder: Path) -> None:
        if os.geteuid() != 0:
            raise LabError("lab hosts need root: they are mounted and put into namespaces")
        self.folder = folder
        self.key = folder / "admin"
        self.hosts: dict[str, Host] = {}
        file = folder / "lab.json"
        if file.exists():
            known = json.loads(file.read_text())
            self.network, self.bridge = known["network"], known["bridge"]
            for name, (number, release) in known["hosts"].items():
                self.hosts[name] = Host(self, name, number, release)
            return
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(default_cache() / "networks.lock"):
            self.network = _free_network()
            self.bridge = f"mt{self.network.rpartition('.')[2]}"
            _ip("link", "add", self.bridge, "type", "bridge")
            _ip("addr", "add", f"{self.network}.1/24", "dev", self.bridge)
        self._save()
        _do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab-admin", "-f", str(self.key))
        _ip("link", "set", self.bridge, "up")

    def add(
        self, name: str, *layouts: Callable[[Path], None], release: str = base.RELEASE, as_installed: bool = False
    ) -> Host:
        """Make a host's tree of a Debian release and lay it out; it is not booted yet.

        Its logins greet, as many people's do, and its packaged exporter leaves out what costs most here; not so where
        it is to be `as_installed`.
        """
        if len(name) > 10 - len(self.bridge) + 5:
            raise LabError(f"{name}: too long for a lab host")
        used = {host.number for host in self.hosts.values()}
        host = Host(self, name, next(number for number in range(10, 250) if number not in used), release)
        self.hosts[name] = host
        self._save()
        host.mount()
        if not as_installed:
            greet(host.tree)
            collect_less(host.tree)
        for layout in layouts:
            layout(host.tree)
        return host

    def boot(self, *hosts: Host) -> None:
        """Boot hosts, all of them where none is named, and wait until they are up."""
        chosen = hosts or tuple(self.hosts.values())
        with locked(default_cache() / "networks.lock"):
            _own_run()
            _enough_watches(len(chosen))
            for host in chosen:
                host.start()
        for host in chosen:
            wait(f"{host.name} to boot (see {host.folder / 'console'})", host.up)

    def remove(self) -> None:
        """Take every host and the bridge away."""
        for host in list(self.hosts.values()):
            host.remove()
        _quietly("ip", "link", "del", self.bridge)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _save(self) -> None:
        hosts = {name: (host.number, host.release) for name, host in self.hosts.items()}
        text = json.dumps({"network": self.network, "bridge": self.bridge, "hosts": hosts})
        (self.folder / "lab.json").write_text(text)


@contextlib.contextmanager
def temporary(folder: Path) -> Iterator[Lab]:
    """Give a lab that is taken away at the end, whatever happened."""
    lab = Lab(folder)
    try:
        yield lab
    finally:
        lab.remove()


def _do(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def _ip(*arguments: str) -> str:
    return _do("ip", *arguments)


def _quietly(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=False)


def wait(what: str, found: Callable[[], Result]) -> Result:
    """Return the first true result within a minute. Raises `LabError` where there is none."""
    until = time.monotonic() + BOOT_SECONDS
    while not (result := found()):
        if time.monotonic() > until:
            raise LabError(f"waited {BOOT_SECONDS} s for {what}")
        time.sleep(0.1)
    return result


def _started(pid: int) -> int:
    """Return when a process started, in clock ticks after boot: with its id, that names it for ever. 0: it is gone."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return 0 if fields[0] == "Z" else int(fields[19])
    return 0


def _systemd_under(pid: int) -> int:
    """Return the systemd that nspawn has started, once it is one; 0 before."""
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return int(child)
    return 0


def _free_network() -> str:
    """Return the first /24 of ours that no interface of this machine is in."""
    taken = [
        ipaddress.ip_interface(f"{one['local']}/{one['prefixlen']}").network
        for link in json.loads(_ip("-j", "addr"))
        for one in link.get("addr_info", [])
    ]
    for network in _NETWORKS:
        if not any(ipaddress.ip_address(f"{network}.1") in one for one in taken):
            return network
    raise LabError("no free network for a lab; remove an old one")


def _own_run() -> None:
    """Give systemd-nspawn the folder it expects where this machine itself runs without systemd."""
    folder = Path("/run/systemd")
    if not (folder / "system").is_dir() and not os.path.ismount(folder):
        folder.mkdir(exist_ok=True)
        _do("mount", "-t", "tmpfs", "tmpfs", str(folder))


def _enough_watches(more: int) -> None:
    """Raise the kernel's limit of inotify instances, which the hosts of all labs share, for more hosts.

    Each one's systemd and Prometheus use several.

    Without one, Prometheus does not see its target files, and says so only in its log.
    """
    hosts = len(list(Path("/run/netns").glob("mt*"))) + more
    limit, needed = Path("/proc/sys/fs/inotify/max_user_instances"), 128 + 32 * hosts
    if int(limit.read_text()) < needed:
        print(f"raising fs.inotify.max_user_instances to {needed} on this machine, until it boots again")
        limit.write_text(str(needed))
