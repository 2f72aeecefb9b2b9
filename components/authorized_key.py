"""One server's key on one host: it may reach the exporters' ports and nothing else."""

import contextlib
import ipaddress
import re
from collections.abc import Sequence

import pulumi

from .facts import STORE, Facts, Receipt
from .judge import Judge, Values
from .keypair import identity
from .machine import Machine
from .part import Part


def line(public_key: str, ports: Sequence[int], egress: Sequence[str]) -> str:
    """Return the authorized_keys line: forwarding to the ports of 127.0.0.1, no command, no listener."""
    options = ["restrict", "port-forwarding", *(f'permitopen="127.0.0.1:{port}"' for port in ports)]
    options += ['permitlisten="localhost:1"', 'command="/bin/false"']
    if egress:
        options.append(f'from="{",".join(egress)}"')
    return f"{','.join(options)} {public_key}"


def addresses(sources: Sequence[str]) -> str:
    """Return the addresses among names, addresses and networks, for sshd to be asked about.

    Of a network it is the first host: a whole one cannot be asked about. A name tells no address.
    """
    plain_addresses = []
    for source in sources:
        with contextlib.suppress(ValueError):
            network = ipaddress.ip_network(source)
            plain_addresses.append(str(network[min(1, network.num_addresses - 1)]))
    return " ".join(plain_addresses)


def authorized_key(
    host: Machine,
    server: Machine,
    rotation: int,
    public_key: pulumi.Input[str],
    ports: Sequence[int],
    egress: Sequence[pulumi.Input[str]],
    key_type: str = "",
) -> Part:
    """Describe the key line of one server's rotation, with the tunnel user and sshd's drop-in that lines share.

    `key_type` is that of a key which is not made yet; empty where nobody knows it before.
    """
    name = identity(pulumi.get_stack(), server.name, rotation)
    text = pulumi.Output.all(public_key, *egress).apply(lambda known: line(known[0], ports, known[1:]))
    known, from_others = _places(host, server, egress)
    return Part(
        name=f"{host.name}-authorized-key-{server.name}",
        receipt=f"authorized-key-{name}",
        script="authorized-key",
        machine=host,
        values={"ID": name, "KEY_TYPE": key_type, "SSH_PORT": str(int(host.connection.get("port", 22))), **known},
        later_values={"LINE": text, **from_others},
        judge=JUDGE,
        version=str(rotation),
    )


def _places(
    host: Machine, server: Machine, egress: Sequence[pulumi.Input[str]]
) -> tuple[dict[str, str], dict[str, pulumi.Output[str]]]:
    """Return from where and to where the key logs in: what is known, and what other resources will tell."""
    known, from_others = {}, {}
    for name, sources in {
        "FROM": list(egress) or [server.connection["address"]],
        "HERE": [host.connection["address"]],
    }.items():
        plain = [source for source in sources if isinstance(source, str)]
        if len(plain) == len(sources):
            known[name] = addresses(plain)
        else:
            from_others[name] = pulumi.Output.all(*sources).apply(addresses)
    return known, from_others


_KEYS_FILE = "/etc/ssh/authorized_keys.d/metrics-tunnel"
_DROPIN = "/etc/ssh/sshd_config.d/10-metrics-tunnel.conf"
_UNREAD_MARK = f"{STORE}/sshd-has-to-read"
_WITH_LIMITS = re.compile(r"restrict,.* metrics-tunnel-[^ ]*")
"""A key line of ours, whichever stack's. What `apply` takes for one stands in scripts/lib/key-lines.sh."""
_SHOWN_LETTERS = 60


def has_line(name: str, lines: Sequence[str]) -> bool:
    """Say whether one of the lines of an authorized_keys file has this name."""
    return any(text.endswith(f" {name}") for text in lines)


def line_drift(recorded: str, name: str, lines: Sequence[str], file: str) -> list[str]:
    """Return what is wrong with the line of this name among those of a file, where it was applied as `recorded`.

    Nothing is where that line stands there once, and its key in no other one without limits.
    """
    key = _key(recorded)
    times, changed, changed_without_limits, loose = 0, False, False, False
    for text in lines:
        holds_key = key != "" and key in text
        if recorded and text == recorded:
            times += 1
        elif _words(text)[-1:] == [name]:
            changed = True
            changed_without_limits |= holds_key and not text.startswith("restrict,")
        elif holds_key and not _WITH_LIMITS.fullmatch(text):
            # Lines of other stacks may hold the same key; they have limits of their own.
            loose = True
    drift = []
    if times and changed_without_limits:
        # Beside our line a second one of its name is another line with our key.
        loose = True
    elif changed:
        drift.append(f"the line of the key in {file} was changed")
    elif not times:
        drift.append(f"the line of the key in {file} is missing")
    if times > 1:
        drift.append(f"the line of the key in {file} stands there {times} times")
    if loose:
        drift.append(f"the key is not alone in {file}: it stands there in another line too, without its limits")
    return drift


def _words(text: str) -> list[str]:
    """Return the words of a line as sshd and awk have them: another blank or a carriage return is a letter."""
    return [word for word in re.split(r"[ \t]+", text) if word]


def _key(recorded: str) -> str:
    """Return the key, in letters, of a line of options, type, key and name; nothing where there is no line."""
    return "".join(_words(recorded)[-2:-1])


def _dropin_drift(facts: Facts) -> list[str]:
    """Return which line of sshd's drop-in says what, and should say what."""
    there, wanted = facts.texts.get(_DROPIN, []), facts.wanted.get(_DROPIN, [])
    if _DROPIN not in facts.modes:
        return [f"{_DROPIN} is missing"]
    if "\n".join(there).rstrip("\n") == "\n".join(wanted):
        return []
    said = [text for line in there if (text := line.lstrip(" \t")) and not text.startswith("#")]
    # The first is a comment.
    by_setting = {_setting(text): text for text in wanted[1:]}
    drift = []
    for text in said:
        ours = by_setting.get(_setting(text))
        if ours is None:
            drift.append(f"{_DROPIN} says '{text}', which is not ours")
        elif ours != text:
            drift.append(f"{_DROPIN} says '{text}' instead of '{ours}'")
    missing = by_setting.keys() - {_setting(text) for text in said}
    if missing:
        texts = ", ".join(f"'{text}'" for setting, text in by_setting.items() if setting in missing)
        drift.append(f"{_DROPIN} does not say {texts}")
    return drift or [f"{_DROPIN} was edited"]


def _setting(text: str) -> str:
    """Return what a line sets: its keyword. Our drop-in has two lines of Match, `Match User` and `Match all`."""
    words = _words(text.lower())
    return " ".join(words[:2] if words[:1] == ["match"] else words[:1])


def _present(values: Values, facts: Facts) -> bool:
    return has_line(values["ID"], facts.texts.get(_KEYS_FILE, []))


def _drift(values: Values, receipt: Receipt, facts: Facts) -> list[str]:
    lines = facts.texts.get(_KEYS_FILE, [])
    drift = line_drift(receipt.files.get("line", ""), values["ID"], lines, _KEYS_FILE)
    for path in (_KEYS_FILE, _DROPIN):
        mode = facts.modes.get(path, "644 root")
        if mode != "644 root":
            drift.append(f"{path} has mode and owner {mode} instead of 644 root")
    drift += facts.said.get("tunnel-user", [])
    if "sshd" in facts.said:
        # It cannot be asked about the rest.
        return [*drift, "; ".join(facts.said["sshd"])]
    drift += _dropin_drift(facts)
    if _UNREAD_MARK in facts.modes:
        drift.append(f"sshd has not read {_DROPIN} yet, as where a run was killed; it is told to")
    return drift + facts.said.get(values["PART"], [])


def _notices(values: Values, facts: Facts) -> list[str]:
    """Tell what stands in the tunnel user's file and is not ours; one part of those that share it does."""
    part = values["PART"]
    if part != min(name for name in facts.receipts if name.startswith("authorized-key-")):
        return []
    key = _key(facts.receipts[part].files.get("line", ""))
    notices = []
    for text in facts.texts.get(_KEYS_FILE, []):
        # Our own key in a line that is not ours is drift.
        if text.lstrip()[:1] in ("", "#") or _WITH_LIMITS.fullmatch(text) or key in text:
            continue
        name = re.sub(r"[^ -~]", "", text.rpartition(" ")[2])[:_SHOWN_LETTERS]
        notices.append(
            f"{_KEYS_FILE} has a line that is not ours, of '{name}': it is left alone, and keeps file, user and "
            "drop-in there; take it out if nobody needs it"
        )
    return notices


JUDGE = Judge(places=(_KEYS_FILE, _DROPIN), present=_present, drift=_drift, notices=_notices, asks="tunnel_key")
