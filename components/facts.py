"""What one look at a machine brings back, as it is there: receipts, files, folders, units and users. Nothing is judged.

The lines are printed by facts.sh, jobs.sh and keys.sh in components/scripts/look, which say what each kind holds.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from .state import without_project

STORE = "/var/lib/metrics-tunnel"
_MARK = "metrics-tunnel"


@dataclass
class Receipt:
    """What a part's script has left in its folder of the store."""

    files: dict[str, str] = field(default_factory=dict)
    """The texts of its files, without their last newline, by name."""

    def generation(self, owner: str) -> str | None:
        """Return the generation that an owner has applied; None where the receipt names another instance, or none."""
        for form, name in _forms(owner):
            text = self.files.get(f"owners/{name}", "")
            if text.startswith(f"{form} "):
                return text.rpartition(" ")[2]
        return None

    def damaged(self, owner: str) -> bool:
        """Say whether an owner's file is there and holds nothing that was ever written, as after a power cut."""
        held = [(name, self.files[f"owners/{name}"]) for _, name in _forms(owner) if f"owners/{name}" in self.files]
        return any(not (text.startswith(f"{name}.") and " " in text) for name, text in held)

    def owners(self) -> Iterator[str]:
        """Yield all owners, instance included, whichever stack's they are; one that is damaged says nothing."""
        for name, text in self.files.items():
            if name.startswith("owners/") and " " in text:
                yield text.partition(" ")[0]

    @property
    def has_owners(self) -> bool:
        """Whether there is any owner's file, damaged or not."""
        return any(name.startswith("owners/") for name in self.files)

    @property
    def manifest(self) -> list[str]:
        """Return lines of "mode owner path", and of "checksum  path"."""
        return self.files.get("manifest", "").splitlines()

    @property
    def paths(self) -> list[str]:
        """Return the files that the manifest names."""
        return [path for line in self.manifest if (path := checksum(line)[1])]


def checksum(line: str) -> tuple[str, str]:
    """Return checksum and path of a line of `sha256sum`; one that begins with a backslash has doubled its path's."""
    digest, _, path = line.partition("  ")
    if digest.startswith("\\"):
        return digest[1:], path.replace("\\\\", "\\")
    return digest, path


def _forms(owner: str) -> list[tuple[str, str]]:
    """Return an owner, and the name of its file, as it is written today and as releases up to 0.1.0 wrote it."""
    return [(form, form.rpartition(".")[0]) for form in (owner, without_project(owner))]


@dataclass
class Facts:
    """What is on a machine. Paths are whole, but those of receipts."""

    receipts: dict[str, Receipt] = field(default_factory=lambda: defaultdict(Receipt))
    """By the part's name, the folder in the store."""
    modes: dict[str, str] = field(default_factory=dict)
    """Mode and owner, such as `644 root`, by path."""
    checksums: dict[str, str] = field(default_factory=dict)
    """SHA-256 in hexadecimal digits, by path."""
    folders: dict[str, str] = field(default_factory=dict)
    """What is wrong with a folder, by path; of one that is right, nothing."""
    units: dict[str, dict[str, str]] = field(default_factory=dict)
    """systemd's properties, by unit."""
    users: dict[str, list[str]] = field(default_factory=dict)
    """A user's groups, by name."""
    links: list[str] = field(default_factory=list)
    """Paths of symbolic links below /etc/metrics-tunnel."""
    listeners: list[str] = field(default_factory=list)
    """Addresses with ports, such as `127.0.0.1:9100`, `*:9100` or `[::]:9100`."""
    closed_ports: set[str] = field(default_factory=set)
    """Ports that some drop-in of ours closes, by its text."""
    commands: dict[str, str] = field(default_factory=dict)
    """Commands of an exporter's unit without our drop-in, a line each, by unit."""
    listeners_asked: dict[str, str] = field(default_factory=dict)
    """Listen flags in the environment files of an exporter's unit, a line each, by unit."""
    blocks: dict[str, str] = field(default_factory=dict)
    """The block of a scrape job as it stands in its file, by part."""
    marks: dict[str, str] = field(default_factory=dict)
    """Lines of that file that are a mark of the block or name its job, by part."""
    answers: dict[str, bool] = field(default_factory=dict)
    """Whether a Prometheus tells what it runs with, by URL."""
    running_jobs: dict[str, str] = field(default_factory=dict)
    """A scrape job as its Prometheus runs it, by part."""
    texts: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Lines of the tunnel user's key file and of sshd's drop-in, by path."""
    wanted: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Lines that a file of ours should have, by path."""
    said: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """What scripts say is wrong, in the words of apply: of the `tunnel-user`, of `sshd`, and by part."""
    key_files: dict[str, str] = field(default_factory=dict)
    """A login user's key file, by part."""
    key_lines: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Lines of that file that hold the part's name or key, by part."""
    later: dict[str, Receipt] = field(default_factory=lambda: defaultdict(Receipt))
    """The owners' files once more, as the look ended."""
    applied_meanwhile: set[str] = field(default_factory=set)
    """Parts whose owners were others as the look ended: what is told of them is half old and half new."""


def read(output: str) -> Facts:
    """Read what a machine has printed; lines that are not ours, such as a shell's greeting, are passed over."""
    facts = Facts()
    for kind, text in lines(output):
        if kind in _TAKE:
            _TAKE[kind](facts, text)
    parts = facts.receipts.keys() | facts.later.keys()
    facts.applied_meanwhile = {
        part for part in parts if _owners(facts.receipts.get(part)) != _owners(facts.later.get(part))
    }
    return facts


def _held(facts: Facts, text: str) -> None:
    part, _, file = text.partition("/")
    facts.receipts[part].files.setdefault(file, "")


def _mode(facts: Facts, text: str) -> None:
    mode, owner, path = text.split(" ", 2)
    facts.modes[path] = f"{mode} {owner}"


def _checksum(facts: Facts, text: str) -> None:
    digest, path = checksum(text)
    facts.checksums[path] = digest


def _folder(facts: Facts, text: str) -> None:
    path, _, said = text.partition("\t")
    facts.folders[path] = said


def _unit(facts: Facts, text: str) -> None:
    name, _, value = text.partition("=")
    if name == "Id":
        # Last, for what follows is of the last one.
        facts.units.pop(value, None)
        facts.units[value] = {}
    elif name == "Names" and facts.units:
        # A unit may be asked for by another name.
        facts.units |= dict.fromkeys(value.split(), facts.units[next(reversed(facts.units))])
    elif name and facts.units:
        facts.units[next(reversed(facts.units))][name] = value


def _user(facts: Facts, text: str) -> None:
    user, *groups = text.split()
    facts.users[user] = groups


def _answers(facts: Facts, text: str) -> None:
    url, _, answer = text.rpartition(" ")
    facts.answers[url] = answer == "yes"


_TAKE: Mapping[str, Callable[[Facts, str], None]] = {
    "receipt": lambda facts, text: _add_line(facts.receipts, text),
    "later": lambda facts, text: _add_line(facts.later, text),
    "held": _held,
    "mode": _mode,
    "checksum": _checksum,
    "folder": _folder,
    "unit": _unit,
    "user": _user,
    "link": lambda facts, text: facts.links.append(text),
    "listener": lambda facts, text: facts.listeners.append(text),
    "closed": lambda facts, text: facts.closed_ports.add(text.partition(" ")[0]),
    "command": lambda facts, text: _add_to(facts.commands, text),
    "asked": lambda facts, text: _add_to(facts.listeners_asked, text),
    "block": lambda facts, text: _add_to(facts.blocks, text),
    "mark": lambda facts, text: _add_to(facts.marks, text),
    "answers": _answers,
    "job": lambda facts, text: _add_to(facts.running_jobs, text),
    "text": lambda facts, text: _append(facts.texts, text),
    "wanted": lambda facts, text: _append(facts.wanted, text),
    "said": lambda facts, text: _append(facts.said, text),
    "key-file": lambda facts, text: _add_to(facts.key_files, text),
    "key-line": lambda facts, text: _append(facts.key_lines, text),
}


def _add_line(receipts: dict[str, Receipt], text: str) -> None:
    path, _, line = text.partition("\t")
    part, _, file = path.partition("/")
    _add_to(receipts[part].files, f"{file}\t{line}")


def _add_to(texts: dict[str, str], text: str) -> None:
    """Add a line to the text that it is one of: what that is stands before the first tab."""
    name, _, line = text.partition("\t")
    texts[name] = f"{texts[name]}\n{line}" if name in texts else line


def _append(lists: dict[str, list[str]], text: str) -> None:
    name, _, line = text.partition("\t")
    lists[name].append(line)


def _owners(receipt: Receipt | None) -> dict[str, str]:
    files = receipt.files if receipt else {}
    return {name: text for name, text in files.items() if name.startswith("owners/") and text}


def lines(output: str) -> Iterator[tuple[str, str]]:
    """Yield kind and text of each fact. What looks like the end of a line within it is the text's own."""
    for line in output.split("\n"):
        match line.split("\t", 3):
            case [mark, "fact", kind, text] if mark == _MARK:
                yield kind, text
            case _:
                pass
