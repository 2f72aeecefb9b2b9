"""A machine in a temporary folder: payloads run there for real, in each shell, beside fakes of what they drive.

Every absolute path of a payload is rewritten to below the folder, PATH too, and one that is not is refused: no script
under test can touch the machine that runs the tests. `kill` is a fake as well.
"""

import asyncio
import base64
import getpass
import hashlib
import os
import re
import resource
import shlex
import shutil
import signal
import stat
import subprocess
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from components.drift import Finding
from components.look import look
from components.payload import CODE_BEGINS, LAST_LINE, started
from lab.sent import parts as scripts
from tests.mocked import Deployment, Resource, deploy, fleet

if TYPE_CHECKING:
    from components.machine import Session

SHELLS = ["dash", "bash --posix", "busybox sh"]
AWKS = [awk for awk in ("mawk", "gawk", "busybox") if shutil.which(awk)]
in_each_shell = pytest.mark.parametrize("machine", SHELLS, indirect=True, ids=["dash", "bash", "busybox"])
FAKES = Path(__file__).parent / "fakes"
# Real tools that change nothing beyond the files they are given.
_REAL = re.findall(
    r"\S+",
    """awk base64 basename bash cat chmod cmp cp cut date dirname env expr false find flock grep head kill ln ls
    mkdir mktemp mv od paste printf pwd readlink rm rmdir sed seq sh sha256sum sort ssh ssh-keygen tail tee test timeout
    touch tr true uname uniq wc xargs yes""",
)
_TOP = "bin|boot|dev|etc|home|lib|lib32|lib64|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var"
_ABSOLUTE = re.compile(rf"(?<![\w.*}}\]])/(?!dev/(?:null|stdin|tcp|fd)\b)(?={_TOP})(?=(?:{_TOP})(?!\w))")
_LEFT = re.compile(rf"/(?!dev/(?:null|stdin|tcp|fd)\b)(?:{'|'.join({*_TOP.split('|'), *os.listdir('/')})})(?!\w)")  # noqa: PTH208 - names
# On a busy machine a script that waits in vain takes its time: nothing sleeps in there, but each try is some processes.
_SECONDS, _TIMED_OUT = 120, 124
# What is asked for most often is answered in the script's own shell: a fake of its own would be one more process each
# time. `stat` is one where what it prints is not the truth, and what `sync` is asked to flush is noted as it is named.
_PREFIX = """\
kill() { "$ROOT/usr/bin/kill" "$@"; }
sync() {
  { echo "sync $*" >>"$ROOT/fake/calls"; } 2>/dev/null || :
  [ -e "$1" ]
}
stat() {
  case "$ME $*" in
  "root "*"$ROOT/home/"*) command stat "$@" ;;
  "root "*) "$REAL/stat" "$@" ;;
  *) command stat "$@" ;;
  esac
}
"""
PROMETHEUS = b"""\
# Mine.
global:
  scrape_interval: 15s

scrape_configs:
  - job_name: node   # local
    static_configs:
      - targets: ['localhost:9100']
"""


@dataclass(frozen=True)
class Done:
    """How a script ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Part:
    """A part as the engine has it."""

    receipt: str
    stdin: str
    owner: str


@cache
def _deployed(stack: str, given: str) -> Deployment:
    servers, hosts = _GIVEN[given]
    return deploy(fleet(servers, hosts), stack=stack)


_GIVEN: dict[str, tuple[Any, Any]] = {}


def parts(stack: str = "test", servers: Any = None, hosts: Any = None) -> dict[str, Part]:
    """Return the parts of a stack by their resource's name, as the components make them."""
    done = deployed(stack, servers, hosts)
    found = {}
    for one in _in_order(done):
        receipt = re.search(r"^PART=(\S+)$", one.inputs["stdin"], re.MULTILINE)
        assert receipt
        found[one.name] = Part(receipt[1], one.inputs["stdin"], done.owner(one.name))
    return found


def deployed(stack: str = "test", servers: Any = None, hosts: Any = None) -> Deployment:
    """Return a run of the components with these arguments."""
    key = repr((servers, hosts))
    _GIVEN[key] = (servers, hosts)
    return _deployed(stack, key)


def script_of(resource: str) -> str:
    """Return the script of a part, by its resource's name."""
    return next(script for script in scripts() if f"-{script}" in resource)


@cache
def rehearsed() -> dict[str, str]:
    """Return by machine what a first preview has it rehearse."""
    return dict(deploy(fleet(), preview=True).rehearsed)


def _in_order(done: Deployment) -> list[Resource]:
    """Return the commands in an order that the engine may take: each behind those that it depends on."""
    commands = {name: one for name, one in done.resources.items() if one.type.endswith(":Command")}
    before = {name: sorted(one.depends_on & commands.keys()) for name, one in sorted(commands.items())}
    return [commands[name] for name in TopologicalSorter(before).static_order()]


class Sandbox:
    """One machine: a server with Prometheus, a host with a node exporter, or both."""

    def __init__(self, root: Path, tools: Path, shell: str) -> None:
        self.root = root
        self.shell = shell
        for folder in (
            *("etc/ssh/sshd_config.d", "etc/systemd/system/multi-user.target.wants", "etc/prometheus", "etc/default"),
            *("usr/lib/systemd/system", "run/systemd/system", "var/lib", "proc/1"),
            *("fake/running", "fake/pid", "fake/on-start", "fake/on-stop"),
        ):
            (root / folder).mkdir(parents=True)
        (root / "usr/bin").symlink_to(tools)
        (root / "usr/sbin").symlink_to(tools)
        self.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n")
        self.write("etc/shadow", "root:*:19000::::::\nann:!:19000::::::\n")
        self.write("etc/group", "root:x:0:\nann:x:1000:\nadm:x:4:ann\n")
        self.write("etc/ssh/sshd_config", f"# Mine.\nInclude {root}/etc/ssh/sshd_config.d/*.conf\nX11Forwarding yes\n")
        self.write("usr/lib/systemd/system/ssh.service", "[Service]\nExecStart=/usr/sbin/sshd -D\n")
        self.write("fake/sshd-listens", "0.0.0.0:22\n[::]:22\n")
        self._process(22, "sshd", b"sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups\0", "ssh.service")
        self.write("proc/22/uid", "0\n")
        self.write("proc/1/cgroup", "0::/init.scope\n")
        # Each shell sees its own number there.
        (root / "proc/self").symlink_to("/proc/self")
        self.write("fake/journal", "")
        self.write("fake/listeners", "")
        self._watchdog()

    def __truediv__(self, path: str) -> Path:
        return self.root / path

    def write(self, path: str, text: str | bytes, mode: int = 0o644) -> Path:
        """Write a file of the machine. Absolute paths in a text stand as the machine sees them."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        file.chmod(mode)
        return file

    def read(self, path: str) -> str:
        """Return a file's text with its paths as the machine sees them."""
        return (self.root / path).read_text().replace(str(self.root), "")

    def edit(self, path: str, old: str, new: str) -> None:
        """Change a file's text in place. Absolute paths stand as the machine sees them."""
        text = (self.root / path).read_text()
        here = f"{self.root}/"
        if _ABSOLUTE.sub(here, old) in text:
            old, new = _ABSOLUTE.sub(here, old), _ABSOLUTE.sub(here, new)
        assert old in text
        self.write(path, text.replace(old, new))

    def calls(self, word: str = "") -> list[str]:
        """Return what was asked of the fakes, by a word in it."""
        file = self.root / "fake/calls"
        lines = file.read_text().replace(str(self.root), "").splitlines() if file.exists() else []
        return [line for line in lines if word in line]

    def add_prometheus(self, config: bytes = PROMETHEUS) -> None:
        """Start a Prometheus as Debian packages it."""
        self.write("etc/prometheus/prometheus.yml", config)
        self.write("fake/config", f"{self.root}/etc/prometheus/prometheus.yml")
        os.utime(self.write("fake/loaded", config), (1, 1))
        self.write("fake/up", "1\n")
        self._process(777, "prometheus", b"/usr/bin/prometheus\0", "prometheus.service")
        (self / "proc/777/fd").mkdir()
        (self / "proc/777/fd/7").symlink_to("anon_inode:inotify")

    def add_exporter(self, name: str = "prometheus-node-exporter", port: int = 9100) -> None:
        """Start an exporter as Debian packages it."""
        unit = f"{name}.service"
        self.write(
            f"usr/lib/systemd/system/{unit}",
            f"[Service]\nEnvironmentFile={self.root}/etc/default/{name}\nExecStart=/usr/bin/{name} $ARGS\n",
        )
        self.write(f"etc/default/{name}", 'ARGS=""\n')
        listener = rf"\|:{port} |d"
        self.write(f"fake/on-stop/{unit}", f'sed -i "{listener}" "$ROOT/fake/listeners"\n')
        self.write(
            f"fake/on-start/{unit}",
            "place='*'\n"
            f"! cat \"$own.d\"/*.conf 2>/dev/null | grep -q '=127.0.0.1:{port};' || place=127.0.0.1\n"
            f'sed -i "{listener}" "$ROOT/fake/listeners"\n'
            f'echo "$place:{port} {port} {name}" >>"$ROOT/fake/listeners"\n',
        )
        self._process(port, name, f"/usr/bin/{name}\0".encode(), unit)
        self.write("fake/listeners", f"*:{port} {port} {name}\n")

    def add_all(self) -> None:
        """Make it server and host at once, with a tunnel to itself."""
        self.add_prometheus()
        self.add_exporter()
        self.add_tunnel("127.77.0.1:19100")

    def _watchdog(self, unit: str = "metrics-tunnels-watchdog.service") -> None:
        """Let the watchdog's loop pause once it runs, unless fake/watchdog-dies is there."""
        loop = f"{self.root}/proc/601"
        self.write(f"fake/pid/{unit}", "600\n")
        self.write(
            f"fake/on-start/{unit}",
            f'[ -e "$ROOT/fake/watchdog-dies" ] || {{ "$REAL/mkdir" -p {loop} && echo sleep >{loop}/comm && '
            f"printf 'PPid:\t600\n' >{loop}/status; }}\n",
        )
        self.write(f"fake/on-stop/{unit}", f'"$REAL/rm" -rf {loop}\n')

    def add_tunnel(self, listen: str, unit: str = "metrics-tunnel-web1.service") -> None:
        """Let a tunnel's unit listen once it runs."""
        address, port = listen.rsplit(":", 1)
        self.write(f"fake/on-stop/{unit}", f'sed -i "/ ssh-{port}$/d" "$ROOT/fake/listeners"\n')
        self.write(f"fake/on-start/{unit}", f'echo "{address}:{port} 4242 ssh-{port}" >>"$ROOT/fake/listeners"\n')
        self.write(f"fake/pid/{unit}", "4242\n")

    def late_process(self, pid: int, owner: int) -> None:
        """Add one of a user's that begins while a script sleeps."""
        (self / "proc").mkdir(exist_ok=True)
        self.write(f"fake/late/{pid}/uid", f"{owner}\n")
        self.write(f"fake/late/{pid}/status", "Name:\tsshd\nPPid:\t500\n")

    def _process(self, pid: int, name: str, command: bytes, unit: str) -> None:
        self.write(f"proc/{pid}/comm", f"{name[:15]}\n")
        self.write(f"proc/{pid}/cmdline", command)
        self.write(f"proc/{pid}/cgroup", f"0::/system.slice/{unit}\n")
        self.write(f"proc/{pid}/uid", "110\n")
        self.write(f"proc/{pid}/exe", "ELF web.listen-address\n", 0o755)
        (self / f"proc/{pid}/cwd").symlink_to(self.root)
        (self / f"proc/{pid}/root").symlink_to("/")
        self.write(f"proc/{pid}/status", "Name:\tx\nPPid:\t1\n")
        self.write(f"fake/running/{unit}", "")
        self.write(f"fake/pid/{unit}", f"{pid}\n")

    def inside(self, text: str) -> str:
        """Return a script with every absolute path below this folder."""
        text = re.sub(r"flock -w \d+", "flock -w 0.2", _ABSOLUTE.sub(f"{self.root}/", text))
        refuse_outside(text, self.root)
        return text

    def run(self, text: str, *args: str, limit: int | None = None, ready: bool = False, alone: bool = False) -> Done:
        """Run a payload as its machine would. A file cannot grow over `limit` bytes, as on a full disk.

        `alone`: nobody is there any more to read what it prints, as after a lost connection.

        A text that is `ready` came from `inside` already.
        """

        def hamper() -> None:
            if limit is not None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            if alone:
                reader, writer = os.pipe()
                os.close(reader)
                for output in (1, 2):
                    os.dup2(writer, output)

        environment = {
            "ROOT": str(self.root),
            "PATH": f"{self.root}/usr/bin",
            "REAL": str(Path(shutil.which("stat") or "").parent),
            "ME": getpass.getuser(),
            "HOME": str(self.root),
        }
        shell, *flags = self.shell.split()
        # `timeout` ends what the script has started, too.
        timeout, seconds, _env, _i, _sh, *words = shlex.split(
            started(_SECONDS, *args).replace("$(cat)", "$($REAL/cat)")
        )
        first, newline, rest = (text if ready else self.inside(as_sent(text))).partition("\n")
        done = subprocess.run(
            [timeout, seconds, shutil.which(shell) or shell, *flags, *words],
            input=f"{first}{newline}{_PREFIX}{rest}",
            capture_output=True,
            text=True,
            check=False,
            cwd=self.root,
            env=environment,
            preexec_fn=hamper if limit is not None or alone else None,
        )
        assert done.returncode != _TIMED_OUT, f"not at its end after {_SECONDS} s: {done.stderr}"
        return Done(done.returncode, done.stdout.replace(str(self.root), ""), done.stderr.replace(str(self.root), ""))

    def apply(self, part: Part, generation: str = "0a1b2c3d", owner: str = "", **more: Any) -> Done:
        """Run a part's apply."""
        return self.run(part.stdin, "apply", owner or part.owner, generation, **more)

    def remove(self, part: Part, owner: str = "", **more: Any) -> Done:
        """Run a part's remove."""
        return self.run(part.stdin, "remove", owner or part.owner, **more)

    def look_around(self, machine: str, *, done: Deployment | None = None) -> dict[str, Finding]:
        """Return what the observation of `machine` finds, by receipt. It must not change anything."""
        before = self.state(times=True)
        _, found = asyncio.run(look(cast("Session", self), (done or deployed()).questions[machine]))
        assert self.state(times=True) == before, "a look changed something"
        return found

    async def ask(self, script: str) -> str:
        """Answer a look as a session does."""
        ended = self.run(script)
        assert ended.code == 0, ended.err
        return ended.out

    def look(self, part: Part, machine: str, *, done: Deployment | None = None) -> Finding:
        """Return what the observation of `machine` finds of one part."""
        return self.look_around(machine, done=done).get(part.receipt, Finding())

    def state(self, *folders: str, times: bool = False) -> dict[str, tuple[Any, ...]]:
        """Return every file, link and folder of the machine that a user would miss, with mode and bytes."""
        found: dict[str, tuple[Any, ...]] = {}
        for folder in folders or ("etc", "var", "run/systemd", "usr/lib"):
            for path in sorted((self.root / folder).rglob("*")):
                about = path.lstat()
                what: Any = None
                if path.is_symlink():
                    what = path.readlink()
                elif path.is_file():
                    what = path.read_bytes()
                when = about.st_mtime_ns if times and not path.is_dir() else 0
                found[str(path.relative_to(self.root))] = (stat.filemode(about.st_mode), what, when)
        return found

    def files(self) -> dict[str, tuple[Any, ...]]:
        """Return the state of what is no folder."""
        return {path: what for path, what in self.state().items() if what[0][0] != "d"}


def values_in(payload: str) -> str:
    """Return the lines of a payload that give its values."""
    return payload.removeprefix("# metrics-tunnel\n").partition(CODE_BEGINS)[0]


def code_in(payload: str) -> str:
    """Return what of a payload is the same whatever its values are, but for its last line."""
    return payload.partition(CODE_BEGINS)[2].removesuffix(LAST_LINE)


def as_sent(text: str) -> str:
    """Return a payload or an observation as it is, and any other text with the lines between which it would be sent."""
    return text if text.startswith("# metrics-tunnel\n") else f"# metrics-tunnel\n{text}\nexit\n"


def refuse_outside(text: str, root: Path) -> None:
    """Raise AssertionError where a script still names a path of this machine, or looks for programs there."""
    assert re.search(rf"\bPATH={re.escape(str(root))}/\S+$", text, re.MULTILINE), "PATH is not the sandbox's"
    assert len(re.findall(r"\bPATH=(?!\"\$PATH\" )", text)) == 1, "PATH is set twice"
    bare = re.sub(re.escape(str(root)) + r"[\w/.@%+-]*", "", text)
    bare = re.sub(r"^ExecStart=\$\w+/bin/sh ", "ExecStart=", bare, flags=re.MULTILINE)  # a unit's text, run by nobody
    bare = re.sub(r"\$(main_process|prometheus_process)/[\w/]+", "", bare)  # below /proc, which is the sandbox's
    left = _LEFT.search(bare)
    assert left is None, f"a path outside of the sandbox remains: {bare[max(0, left.start() - 40) : left.end() + 40]}"


def tools(folder: Path) -> Path:
    """Fill a folder with the fakes and with links to harmless real tools."""
    for name in _REAL:
        found = shutil.which(name)
        if found:
            (folder / name).symlink_to(found)
    for fake in FAKES.iterdir():
        (folder / fake.name).unlink(missing_ok=True)
        shutil.copy(fake, folder / fake.name)
    return folder


def blob(line: str) -> str:
    """Return the key of a public key line."""
    word = next(word for word in line.split() if word.startswith("AAAA"))
    base64.b64decode(word, validate=True)
    return word


def fingerprint(line: str) -> str:
    """Return a key's SHA-256 as sshd's log has it."""
    digest = hashlib.sha256(base64.b64decode(blob(line))).digest()
    return base64.b64encode(digest).decode().rstrip("=")
