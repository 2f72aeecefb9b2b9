"""The rules between values that are right in themselves, for the settings of a stack and for the components alike.

Each yields whole errors. `place` is where the values stand, `hosts.web1.` in settings and nothing in a component's own
arguments; `spelled` writes a key as it is written there.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from . import rules

SHOW_KEY = "as shown there by: cat /etc/ssh/ssh_host_ed25519_key.pub"


@dataclass(frozen=True)
class Exporter:
    """What clashes of one exporter, the default values too.

    `written` has the keys that somebody wrote: no error names another one as if he had.
    """

    port: int
    job: str
    written: frozenset[str]


def jobs(place: str, exporters: Mapping[str, Exporter]) -> Iterator[str]:
    """Yield exporters of one host with one job: their series could not be told apart."""
    used: dict[str, str] = {}
    for name, exporter in exporters.items():
        here = f"{place}exporters.{name}"
        first = used.setdefault(exporter.job, here)
        if first != here and "job" in exporter.written:
            yield f"{here}.job: {exporter.job!r} is {first}'s job already; give it another job"
        elif first != here:
            yield f"{here}: has no job of its own, and {exporter.job!r} is {first}'s; give it another job"


def ports(place: str, ssh: int, exporters: Mapping[str, Exporter], *, ssh_written: bool, path: str) -> Iterator[str]:
    """Yield exporters on the port of another one, or of sshd. `path` is that of SSH's own port."""
    used: dict[int, str] = {}
    for name, exporter in exporters.items():
        here = f"{place}exporters.{name}"
        first = used.setdefault(exporter.port, here)
        if first != here:
            yield f"{here}.port: {exporter.port} is that of {first} already; give the exporter's own"
        elif exporter.port == ssh and "port" not in exporter.written:
            yield (
                f"{path}: {ssh} is SSH's port here, and that of the {name} exporter, which is there where none is "
                f"written; an exporter's port goes to {here}.port"
            )
        elif exporter.port == ssh:
            whose = path if ssh_written else "SSH"
            yield f"{here}.port: {exporter.port} is that of {whose} already; give the exporter's own"


def taken_by(written: str, first: str) -> str:
    """Return whose a listen is already; `written` is empty where it is a default that nobody wrote."""
    mine = "" if written else "its default listen, and "
    return f"{mine}that of {first} already; give one of them another listen"


def host_keys(place: str, spelled: Callable[[str], str], *, host: bool, key: bool, insecure: bool) -> Iterator[str]:
    """Yield what is wrong with how a machine's host key is pinned; a host's has to be, for its tunnel pins it too."""
    if insecure and host:
        yield (
            f"{place}{spelled('insecure_host_key')}: true is refused for a host, whose key its tunnel pins; "
            f"give {spelled('host_key')}, {SHOW_KEY}"
        )
    elif insecure and key:
        name = spelled("host_key")
        yield f"{place}{spelled('insecure_host_key')}: true stands beside {name}; keep one, and best {name}"


def local(place: str, spelled: Callable[[str], str], written: frozenset[str]) -> Iterator[str]:
    """Yield what a machine that Pulumi runs on has no use for."""
    for key in sorted(written & _OVER_SSH):
        yield f"{place}{spelled(key)}: is for machines over SSH, and this one is local; take it out"


_OVER_SSH = frozenset(
    {
        *("port", "host_key", "insecure_host_key", "private_key", "private_key_password", "private_key_path"),
        *("password", "agent_socket_path", "bastion"),
    }
)


def gone(place: str, *, abandoned: bool, offline: bool) -> Iterator[str]:
    """Yield that a host cannot be gone for good and come back."""
    if abandoned and offline:
        yield f"{place}abandoned: true and offline: true exclude each other; keep offline while it may come back"


def timeout(path: str, value: str, interval: str, interval_path: str, *, written: bool) -> Iterator[str]:
    """Yield a time-out that is longer than the interval, which Prometheus refuses."""
    if rules.milliseconds(value) > rules.milliseconds(interval):
        which = interval if written else f"{interval} where none is written"
        yield f"{path}: {value!r} is longer than {interval_path} ({which}); make it no longer"


def resources(host: str, exporters: list[str], servers: list[str]) -> list[str]:
    """Return the names of a host's resources: hyphens stand in names and between them."""
    suffixes = [f"-{server}" for server in servers] if len(servers) > 1 else [""]
    ends = [f"exporter-{exporter}" for exporter in exporters] + [f"authorized-key-{server}" for server in servers]
    return [
        f"{host}-{end}"
        for end in [*ends, *(f"{kind}{suffix}" for kind in ("ssh-tunnel", "scrape-config") for suffix in suffixes)]
    ]
