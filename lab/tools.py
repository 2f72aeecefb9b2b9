"""The Pulumi tools of the lab: taken from this machine, or built from pinned and checksummed Go modules.

    tools = ensure()                               # a folder for the front of PATH
    kind = command_plugin(tools, pulumi_home)      # "official" or "stand-in"
    variables = environment(tools, pulumi_home, backend)

`python -m lab.tools` does all of it and prints what is used. Nothing is installed system-wide and no installer is run:
what is built or fetched lies in the user's cache folder. `METRICS_TUNNEL_PLUGIN=official` or `=stand-in` forces the
choice of the command plugin; `METRICS_TUNNEL_COMMAND_PLUGIN` names an executable of the official one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

from lab.progress import locked, watched

Kind = Literal["official", "stand-in"]

MODULES = Path(__file__).parent / "tools"
PULUMI, LANGUAGE, EXEC = "pulumi", "pulumi-language-python", "pulumi-language-python-exec"
PULUMI_VERSION = "3.259.0"
LANGUAGE_VERSION = "3.79.0"  # the last language host inside the sdk module: later ones are in no module that has a tag
SDK = "github.com/pulumi/pulumi/sdk/v3"
PLUGIN, PLUGIN_VERSION = "pulumi-resource-command", "1.2.1"
PLUGIN_FOLDER = f"resource-command-v{PLUGIN_VERSION}"
PLUGIN_CHOICE, PLUGIN_PATH = "METRICS_TUNNEL_PLUGIN", "METRICS_TUNNEL_COMMAND_PLUGIN"
INSTALL_SECONDS = 20
REMEMBERED_SECONDS = 24 * 60 * 60
STAND_IN_MARK = "# The stand-in for the Pulumi command plugin, made by lab/tools.py."
PASSPHRASE = "lab"  # noqa: S105 (the lab's state holds nothing but the lab)


class ToolsError(Exception):
    """A tool cannot be had; the text says why and what to do."""


def default_cache() -> Path:
    """Return the project's folder in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "metrics-tunnel"


def ensure(cache: Path | None = None) -> Path:
    """Return a folder that holds pulumi and its Python language host: the user's own, or one built in the cache.

    Raises `ToolsError` where neither is possible.
    """
    if found := installed():
        return found
    tools = (cache or default_cache()) / "tools" / _key()
    with locked(tools.parent / "lock"):
        if not tools.exists():
            _build_all(tools)
    return tools


def installed() -> Path | None:
    """Return the folder of a pulumi on PATH that is new enough and has its Python language host beside it."""
    found = shutil.which(PULUMI)
    if not found:
        return None
    folders = [Path(found).parent, Path(found).resolve().parent]
    folder = next((one for one in folders if (one / LANGUAGE).exists() and (one / EXEC).exists()), None)
    version = _version(found)
    if folder is None or version is None or version < _numbers(PULUMI_VERSION):
        return None
    return folder


def command_plugin(tools: Path, pulumi_home: Path, cache: Path | None = None) -> Kind:
    """Put the command plugin into `pulumi_home`: the official one if it can be had, else the stand-in.

    Looks at what is there already, at `METRICS_TUNNEL_COMMAND_PLUGIN`, at the user's own Pulumi folder, and then asks
    Pulumi to download it, which is given 20 seconds once a day.
    """
    if pulumi_home.resolve() == _own_home().resolve():
        raise ToolsError(f"{pulumi_home} is your own Pulumi folder; give the lab one of its own")
    choice = os.environ.get(PLUGIN_CHOICE, "")
    if choice not in {"", "official", "stand-in"}:
        raise ToolsError(
            f"{PLUGIN_CHOICE}={choice!r} is neither 'official' nor 'stand-in'; give one of them, or unset it"
        )
    target = pulumi_home / "plugins" / PLUGIN_FOLDER / PLUGIN
    if choice != "stand-in":
        if _official_here(target) or _linked(target) or _downloaded(target, tools, cache, forced=choice == "official"):
            return "official"
        if choice == "official":
            raise ToolsError(
                f"the official command plugin {PLUGIN_VERSION} could not be downloaded; run 'pulumi plugin install "
                f"resource command {PLUGIN_VERSION}' where there is a network, or name its executable in {PLUGIN_PATH}"
            )
    _put_stand_in(target, wanted=choice == "stand-in")
    return "stand-in"


def environment(tools: Path, pulumi_home: Path, backend: Path) -> dict[str, str]:
    """Return the whole environment for a hermetic run: own Pulumi folder, state in files, no account, no agent.

    Makes both folders, since Pulumi does not.
    """
    for folder in (pulumi_home, backend):
        folder.mkdir(parents=True, exist_ok=True)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PULUMI_") and name not in {"SSH_AUTH_SOCK", "SSH_AGENT_PID"}
    }
    path = [str(tools), str(Path(sys.executable).parent), kept.get("PATH", os.defpath)]
    return kept | {
        "PATH": os.pathsep.join(path),
        "PULUMI_HOME": str(pulumi_home.resolve()),
        "PULUMI_BACKEND_URL": f"file://{backend.resolve()}",
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
    }


def _own_home() -> Path:
    return Path.home() / ".pulumi"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(one) for one in re.findall(r"\d+", version)[:3])


def _version(pulumi: str) -> tuple[int, ...] | None:
    command = [pulumi, "version"]
    variables = os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "1"}
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, env=variables)
        return _numbers(said.stdout) or None
    return None


def _key() -> str:
    """Name what is built: another version or another checksum makes another folder."""
    digest = hashlib.sha256()
    for file in sorted(MODULES.glob("*/go.*")):
        digest.update(file.read_bytes())
    return f"{PULUMI_VERSION}-{LANGUAGE_VERSION}-{digest.hexdigest()[:12]}"


def check(cache: Path | None = None) -> None:
    """Raise `ToolsError` where the tools are neither here nor can be built."""
    tools = (cache or default_cache()) / "tools" / _key()
    if installed() or tools.exists():
        return
    wanted = re.findall(r"^go ([\d.]+)$", (MODULES / "pulumi/go.mod").read_text(), re.MULTILINE)[0]
    go = shutil.which("go")
    version, toolchain = _go_settings(go) if go else ("none", "")
    # From 1.21 on Go fetches the version that a module wants, where it may.
    fetches = _numbers(version) >= (1, 21) and toolchain.startswith(("auto", "path"))
    if not fetches and _numbers(version) < _numbers(wanted):
        raise ToolsError(
            f"Go {wanted} or later on PATH (here: {version}; https://go.dev/dl/), or Pulumi {PULUMI_VERSION} or later "
            "with its Python language host (https://www.pulumi.com/docs/install/)"
        )


def _go_settings(go: str) -> tuple[str, str]:
    """Return Go's version, and whether it fetches others (GOTOOLCHAIN), which versions before 1.21 do not know."""
    said = subprocess.run([go, "env", "GOVERSION", "GOTOOLCHAIN"], cwd="/", capture_output=True, text=True, check=False)
    version, toolchain, *_ = [*said.stdout.splitlines(), "", ""]
    return version or "one that does not run", toolchain


def _build_all(tools: Path) -> None:
    """Build everything beside its final place and move it there whole."""
    check(tools.parents[1])
    with tempfile.TemporaryDirectory(dir=tools.parent, prefix="building-") as folder:
        made = Path(folder) / "bin"
        made.mkdir()
        print(f"No Pulumi on PATH: building it once from pinned Go modules, into {tools}")
        what = f"building the Pulumi CLI {PULUMI_VERSION} from Go modules, 3 to 6 minutes on two cores"
        _build("pulumi", "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", PULUMI_VERSION, made / PULUMI, what)
        what = f"building its Python language host {LANGUAGE_VERSION}, about half a minute"
        _build("language-python", f"{SDK}/python/cmd/{LANGUAGE}", LANGUAGE_VERSION, made / LANGUAGE, what)
        listed = _go("pulumi", ["list", "-m", "-f", "{{.Dir}}", SDK], Path(folder) / "log", "looking for its source")
        source = listed.strip().splitlines()[-1]
        shutil.copyfile(Path(source) / "python" / "cmd" / EXEC, made / EXEC)
        (made / EXEC).chmod(0o755)
        made.rename(tools)


def _build(module: str, package: str, version: str, target: Path, what: str) -> None:
    flags = f"-s -w -X {SDK}/go/common/version.Version=v{version}"
    command = ["build", "-ldflags", flags, "-o", str(target), package]
    _go(module, command, target.parent.parent / "log", what)


def _go(module: str, arguments: list[str], log: Path, what: str) -> str:
    """Run Go in one of the pinned modules and return what it printed; it may change neither go.mod nor go.sum."""
    variables = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
    failed = watched(["go", *arguments], log, what, MODULES / module, variables)
    if failed:
        raise ToolsError(_go_trouble(module, log.read_text()))
    return log.read_text()


def _go_trouble(module: str, log: str) -> str:
    last = "\n".join(log.splitlines()[-15:])
    remedy = "is there a network, and does GOPROXY name a proxy that has these modules?"
    if "requires go >=" in log:
        remedy = "install a later Go, or set GOTOOLCHAIN=auto so that Go fetches it"
    elif "checksum mismatch" in log or "SECURITY ERROR" in log:
        remedy = "the modules are not those that were pinned: do not go on before you know why"
    return f"Go could not build {module} in {MODULES / module}:\n{last}\n{remedy}"


def _is_stand_in(target: Path) -> bool:
    try:
        with target.open("rb") as file:
            return STAND_IN_MARK.encode() in file.read(200)
    except OSError:
        return False


def _official_here(target: Path) -> bool:
    return os.access(target, os.X_OK) and not _is_stand_in(target)


def _linked(target: Path) -> bool:
    """Link an official plugin that this machine has."""
    named = os.environ.get(PLUGIN_PATH)
    if named and not os.access(named, os.X_OK):
        raise ToolsError(f"{PLUGIN_PATH}={named!r} is no executable file; name the official {PLUGIN}, or unset it")
    source = Path(named) if named else _own_home() / "plugins" / PLUGIN_FOLDER / PLUGIN
    if not _official_here(source):
        return False
    _clear(target)
    target.symlink_to(source.resolve())
    return True


def _downloaded(target: Path, tools: Path, cache: Path | None, *, forced: bool) -> bool:
    """Ask Pulumi for the plugin; a failure is remembered for a day, so that a closed network costs 20 seconds once."""
    failed = (cache or default_cache()) / f"no-{PLUGIN_FOLDER}"
    if not forced and failed.exists() and time.time() - failed.stat().st_mtime < REMEMBERED_SECONDS:
        return False
    print(f"asking Pulumi for the command plugin {PLUGIN_VERSION}, {INSTALL_SECONDS} seconds at most", flush=True)
    home = target.parents[2]
    home.mkdir(parents=True, exist_ok=True)
    if target.parent.exists():
        _clear(target)
        target.parent.rmdir()
    if _install(tools, home) and _official_here(target):
        failed.unlink(missing_ok=True)
        return True
    failed.parent.mkdir(parents=True, exist_ok=True)
    failed.touch()
    return False


def _install(tools: Path, home: Path) -> bool:
    command = [str(tools / PULUMI), "plugin", "install", "resource", "command", PLUGIN_VERSION]
    with subprocess.Popen(
        command,
        env=environment(tools, home, home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            return process.wait(INSTALL_SECONDS) == 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return False


def _put_stand_in(target: Path, *, wanted: bool) -> None:
    """Put a script there that starts the stand-in with this Python, whatever the working directory is."""
    root = Path(__file__).resolve().parent.parent
    program = f"import sys; sys.path.insert(0, {str(root)!r}); from lab.provider.__main__ import main; main()"
    _clear(target)
    fresh = target.with_name(f"{PLUGIN}.new")
    fresh.write_text(f'#!/bin/sh\n{STAND_IN_MARK}\nexec {shlex.join([sys.executable, "-P", "-c", program])} "$@"\n')
    fresh.chmod(0o755)
    fresh.rename(target)
    print(
        f"The command plugin is the lab's STAND-IN for pulumi-command {PLUGIN_VERSION}, good for this lab only: the "
        f"official one {'was not wanted' if wanted else 'is not here and could not be downloaded'}."
    )


def _clear(target: Path) -> None:
    """Make room for a plugin, without what an interrupted download leaves: Pulumi ignores a folder with a `.lock`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    for ending in (".lock", ".partial"):
        target.parent.with_name(PLUGIN_FOLDER + ending).unlink(missing_ok=True)


def main() -> None:
    """Make the tools and the plugin ready in the cache and print what is used; or `check` what they need."""
    if sys.argv[1:] == ["check"]:
        try:
            check()
        except ToolsError as error:
            print(error)
            sys.exit(1)
        return
    home = default_cache() / "pulumi-home"
    try:
        tools = ensure()
        kind = command_plugin(tools, home)
    except ToolsError as error:
        raise SystemExit(f"lab.tools: {error}") from error
    version = ".".join(str(one) for one in _version(str(tools / PULUMI)) or ())
    rows = {
        "pulumi": f"{version}  {tools / PULUMI}",
        "python language host": str(tools / LANGUAGE),
        "command plugin": f"{PLUGIN_VERSION}  {kind}  {(home / 'plugins' / PLUGIN_FOLDER / PLUGIN).resolve()}",
        "python": sys.executable,
        "pulumi home": str(home),
    }
    for name, value in rows.items():
        print(f"{name:22}{value}")


if __name__ == "__main__":
    main()
