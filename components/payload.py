"""What is sent to a machine: a first line to know it by, quoted values, a part's script and its libraries, a last line.

The scripts are static files of functions. What is sent of each lies in scripts/sent, where `make sent` has put it
without comments and indents, which Pulumi's state would hold twice.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

_SCRIPTS = resources.files(__package__).joinpath("scripts")
_USES = re.compile(r"^# Uses: (.+)$", re.MULTILINE)
_CORE = "lib/core"
_LOOK = ("jobs", "keys")
_FACTS = "look_facts"
_SHARED = {"authorized-key": "shared_by_tunnel_keys"}
"""Functions of scripts/look that tell what all parts of a script share, once a machine."""
_KEY_LINES = {"authorized-key", "login-key"}
"""Scripts whose parts need what scripts/look/keys.sh asks of sshd, once for all of them."""
_SIDE_BY_SIDE = 4
_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_FIRST_LINE = "# metrics-tunnel"
SENT = "sent"
"""The folder in `scripts` of what is sent."""
CODE_BEGINS = "#!/bin/sh\n"
"""Stands between the values of a payload and what is the same for all of them."""
LAST_LINE = '{ main "$@" </dev/null; exit; }\n'
_BEGIN = "PART=x\nbegin\n"
"""Sets what a library needs, where it is called for no part."""
_APPLIED = re.compile(r"^metrics-tunnel applied [0-9a-f]+$", re.MULTILINE)
# Few words: Pulumi prints the command above whatever a part says.
_STARTED = f'sent=$(cat); case $sent in "{_FIRST_LINE}"*) eval "$sent" ;; esac; echo "standard input lost" >&2; exit 3'


def started(seconds: int, *words: str) -> str:
    """Return the command that runs what `payload` or `observation` gives, from standard input.

    A startup file of the login (~/.bashrc) may read some of that, or all, and a shell takes nothing for success: so
    nothing runs unless the first line has come, and where none of it ends the run the command fails. What the login has
    in its environment may have the name of one of our values.
    """
    return " ".join(
        [f"timeout {seconds} env -i sh -c {shlex.quote(_STARTED)} metrics-tunnel", *map(shlex.quote, words)]
    )


@cache
def source(name: str, folder: str = "") -> str:
    """Return the shell text of a file in `scripts`, such as `exporter`, `lib/core` or `lib/prometheus-yml.awk`.

    An awk program has a file of its own; to shell it is a constant, PROMETHEUS_YML_AWK. From the folder `SENT` it is
    without comments.
    """
    if not name.endswith(".awk"):
        return _SCRIPTS.joinpath(folder, f"{name}.sh").read_text()
    constant = re.sub(r"\W", "_", name.rpartition("/")[2]).upper()
    return f"{constant}={shlex.quote(_SCRIPTS.joinpath(folder, name).read_text())}\n"


def libraries(script: str) -> list[str]:
    """Return the libraries that a part's script names in its head, in the order in which they go before it."""
    return [f"lib/{name}" for names in _USES.findall(source(script)) for name in names.split()]


@cache
def code(script: str, folder: str = "") -> str:
    """Return all that runs for a part, as it stands in the repository, but for the call that starts it."""
    return "\n".join(source(name, folder) for name in [*libraries(script), script])


def assignments(values: Mapping[str, str]) -> str:
    """Return `NAME='value'` lines that any POSIX shell reads back byte for byte.

    Raises ValueError for a name that is no upper-case variable and for a value with a NUL byte.
    """
    for name, value in values.items():
        if not _NAME.fullmatch(name) or "\0" in value:
            raise ValueError(f"{name}: not an upper-case name, or a NUL byte in its value; no shell can hold it")
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def payload(script: str, values: Mapping[str, str]) -> str:
    """Return the standard input that `started` runs with `apply` or `remove` for one part.

    The call stands last, in braces: of an upload that was cut short nothing runs.
    """
    return f"{_FIRST_LINE}\n{assignments(values)}{CODE_BEGINS}{code(script, SENT)}{LAST_LINE}"


def was_applied(said: str) -> bool:
    """Return whether what a command has printed shows that `apply` ran to its end.

    A startup file that exits ends the login with success before our command runs, and nothing tells Pulumi.
    """
    return _APPLIED.search(said) is not None


def sends_other(values: Mapping[str, str], sent: str) -> bool:
    """Return whether some of the values, all of one part, stand otherwise in what `payload` gave for it."""
    head, _, _ = sent.partition(CODE_BEGINS)
    return any(f"\n{assignments({name: value})}" not in head for name, value in values.items())


Asked = tuple[str, str, Mapping[str, str], str]
"""A part that a machine is asked about: script, owner, values, and the function that tells."""


def observation(asked: Sequence[Asked]) -> str:
    """Return the read-only script that brings a machine's facts back.

    `asked` are the parts with facts that only their values or their script lead to, by a function of scripts/look.
    """
    look = [f"{_FACTS}() {{\n{source('look/facts')}\n}}", _inside(_FACTS, "facts")]
    scripts = {script for script, *_ in asked}
    if scripts & _KEY_LINES:
        # In no subshell, for the parts'; what fails there is no reason to tell less of the others.
        look.append(f"{_BEGIN}set +eu\nask_sshd")
    for script, function in _SHARED.items():
        if script in scripts:
            # For no part of its own: what is told holds for all of them.
            look.append(_inside("ID=", f"{_loaded(script)}\n{function}"))
    sources = [source(f"look/{name}") for name in _LOOK]
    return _reading([*sources, *look], asked, [_inside(_FACTS, "later")], libraries("look/facts"))


def rehearsal(parts: Sequence[tuple[str, str, Mapping[str, str]]]) -> str:
    """Return the read-only script that tells what `apply` would refuse of parts, given as (script, owner, values)."""
    return _reading([], [(*part, "rehearse_part") for part in parts], [], [])


def _inside(text: str, call: str) -> str:
    """Return a call in a subshell of its own: its functions have the names of a part's."""
    return f"(\n{text}\n{_BEGIN}{call}\n)\n"


def _loaded(script: str) -> str:
    """Return the call that defines a part's functions."""
    return f"script_{script.replace('-', '_')}"


def _reading(before: Sequence[str], asked: Sequence[Asked], after: Sequence[str], uses: Sequence[str]) -> str:
    scripts = sorted({script for script, *_ in asked})
    uses = [*uses, *(name for script in scripts for name in libraries(script))]
    blocks = [source(name) for name in dict.fromkeys(["lib/receipt", "lib/files", *uses]) if name != _CORE]
    blocks.append(source("lib/look"))
    blocks += [f"{_loaded(script)}() {{\n{source(script)}\n}}" for script in scripts]
    calls = []
    for number, (script, owner, values, function) in enumerate(asked):
        calls.append(f"part_{number}")
        blocks.append(f"part_{number}() (\n{assignments(values)}{_loaded(script)}\n{function} {shlex.quote(owner)}\n)")
    # A few side by side: it is quicker, and no load for a server of many hosts. Each line is written at once.
    rounds = [calls[start : start + _SIDE_BY_SIDE] for start in range(0, len(calls), _SIDE_BY_SIDE)]
    together = ["".join(f"{call} &\n" for call in some) + "wait" for some in rounds]
    body = "\n".join([*blocks, *before, *together, *after])
    last = "printf 'metrics-tunnel\\tend\\n'\nexit\n"
    # A greeting may have left its line without an end.
    return f"{_FIRST_LINE}\n{source(_CORE)}\nby_its_command\necho\n{body}\n{last}"
