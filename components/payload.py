"""What is sent to a machine: a first line to know it by, quoted values, the functions that a verb reaches, a last line.

The scripts are static files of functions. Pulumi's state holds each payload twice: comments and indents go, and the
functions, which are the same for every stack, are packed. Values, which are not, stay as they can be read.
"""

import base64
import re
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

import deflate

_FUNCTION = re.compile(r"^(\w+)\(\) (?:\{.*\}|\{(?s:.*?)^\})$", re.MULTILINE)
_USAGE = re.compile(r"\A(\w+\(\) \{) #.*")
_WORD = re.compile(r"\w+")
# What only an observation calls; it need not be in the state.
_LOOKING = {"observe", "observe_owners", "rehearse", "report", "check", "notices", "present"}
_LOOKING |= {"manifest_drift", "folder_drift", "unit_drift"}
_SIDE_BY_SIDE = 4
_LEVEL = 12
_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_FIRST_LINE = "# metrics-tunnel"
LAST_LINE = '{ main "$@" </dev/null; exit; }\n'
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
def functions(script: str) -> dict[str, str]:
    """Return the functions of `scripts/<script>.sh` by name, without comments and indents."""
    source = resources.files(__package__).joinpath("scripts", f"{script}.sh").read_text()
    bare = {}
    for found in _FUNCTION.finditer(source):
        body = [line.lstrip() for line in _USAGE.sub(r"\1", found[0]).splitlines()]
        bare[found[1]] = "\n".join(line for line in body if line and not line.startswith("#"))
    return bare


def reachable(roots: Sequence[str], known: Mapping[str, str]) -> list[str]:
    """Return the functions that `roots` call, directly or through others, in the order of `known`."""
    found: set[str] = set()
    left = list(roots)
    while left:
        name = left.pop()
        if name in known and name not in found:
            found.add(name)
            left.extend(_WORD.findall(known[name]))
    return [name for name in known if name in found]


def assignments(values: Mapping[str, str]) -> str:
    """Return `NAME='value'` lines that any POSIX shell reads back byte for byte.

    Raises ValueError for a name that is no upper-case variable and for a value with a NUL byte.
    """
    for name, value in values.items():
        if not _NAME.fullmatch(name) or "\0" in value:
            raise ValueError(f"{name}: not an upper-case name, or a NUL byte in its value; no shell can hold it")
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


@cache
def code(script: str) -> str:
    """Return the functions that the verbs of a part reach."""
    known = {name: text for name, text in (functions("lib") | functions(script)).items() if name not in _LOOKING}
    return "\n".join(known[name] for name in reachable(["main"], known))


@cache
def packed(text: str) -> str:
    """Return shell text that does what `text` does, and nothing where it did not arrive whole."""
    words = base64.b64encode(deflate.gzip_compress(text.encode(), _LEVEL)).decode()
    return f'C=$(base64 -d<<E|gzip -dc\n{words}\nE\n)&&eval "$C"||exit\n'


def read_by(script: str, values: Mapping[str, str]) -> dict[str, str]:
    """Return those of the values that a script reads."""
    text = code(script)
    return {name: value for name, value in values.items() if re.search(rf"\b{name}\b", text)}


def payload(script: str, values: Mapping[str, str]) -> str:
    """Return the standard input that `started` runs with `apply` or `remove` for one part.

    The call stands last, in braces: of an upload that was cut short nothing runs.
    """
    values_read = assignments(read_by(script, values))
    return f"{_FIRST_LINE}\n{values_read}{packed(code(script))}{LAST_LINE}"


def was_applied(said: str) -> bool:
    """Return whether what a command has printed shows that `apply` ran to its end.

    A startup file that exits ends the login with success before our command runs, and nothing tells Pulumi.
    """
    return _APPLIED.search(said) is not None


def sends_other(script: str, values: Mapping[str, str], sent: str) -> bool:
    """Return whether some of the values, all of one part, stand otherwise in what `payload` gave for it."""
    other = {name: value for name, value in values.items() if f"\n{assignments({name: value})}" not in sent}
    return bool(read_by(script, other))


def observation(parts: Sequence[tuple[str, str, Mapping[str, str], bool]]) -> str:
    """Return the read-only script that reports on parts, given as (script, owner, values, whether values changed)."""
    blocks = []
    scripts = sorted({script for script, *_ in parts})
    known = functions("lib")
    needed = [
        name
        for name in reachable(
            [
                "by_its_command",
                "observe",
                "observe_owners",
                *_WORD.findall("".join(text for script in scripts for text in functions(script).values())),
            ],
            known,
        )
        if name != "main"
    ]
    library = "\n".join(known[name] for name in needed)
    for script in scripts:
        own = functions(script)
        wanted = reachable(["present", "preflight", "check", "notices", "shared", "places"], own)
        blocks.append(f"script_{script.replace('-', '_')}() {{\n" + "\n".join(own[name] for name in wanted) + "\n}")
    for script, owner, values, changed in parts:
        call = f"script_{script.replace('-', '_')}\nobserve {shlex.quote(owner)}{' changed' if changed else ''}"
        blocks.append(f"report_{len(blocks)}() (\n{assignments(values)}{call}\n)")
    calls = [block.split("(", 1)[0] for block in blocks if block.startswith("report_")]
    # A few side by side: it is quicker, and no load for a server of many hosts. Each line is written at once.
    rounds = [calls[start : start + _SIDE_BY_SIDE] for start in range(0, len(calls), _SIDE_BY_SIDE)]
    body = "\n".join([*blocks, *("".join(f"{call} &\n" for call in some) + "wait" for some in rounds)])
    last = "(observe_owners)\nprintf 'metrics-tunnel\\tend\\n'\nexit\n"
    # A greeting may have left its line without an end.
    return f"{_FIRST_LINE}\n{library}\nby_its_command\necho\n{body}\n{last}"
