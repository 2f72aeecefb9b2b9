"""The rules of single values: each returns the value in its plain form or raises ValueError with rule and remedy."""

import hashlib
import ipaddress
import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]{0,200}\.service")
_PATH = re.compile(r"(?:/[A-Za-z0-9@._+-]+)+")
_URL = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+(?:/[A-Za-z0-9._~-]+)*/?")
_DURATION = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?(?:(\d{1,6})ms)?")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")
_MAX_PORT = 65535


def name(value: str) -> str:
    """Return a server's, host's or exporter's name; it becomes part of unit and file names."""
    if not _NAME.fullmatch(value):
        raise ValueError("is not a name; use small letters, digits and inner hyphens, 63 at most")
    return value


def address(value: str) -> str:
    """Return an RFC 1123 host name or an IP address without zone."""
    try:
        return str(ipaddress.ip_address(value)) if "%" not in value else _no_address()
    except ValueError:
        labels = value.split(".")
        if len(value) > 253 or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():  # noqa: PLR2004 - RFC 1123
            _no_address()
        return value


def _no_address() -> str:
    raise ValueError("is no host name or IP address; use letters, digits, dots and hyphens, or an address without zone")


def port(value: int) -> int:
    """Return a TCP port."""
    if isinstance(value, bool) or not 1 <= value <= _MAX_PORT:
        raise ValueError(f"is no port; use a whole number from 1 to {_MAX_PORT}")
    return value


def user(value: str) -> str:
    """Return a login name."""
    if not _USER.fullmatch(value):
        raise ValueError("is no user name; use small letters, digits, _ and -, 32 at most")
    return value


def listen(value: str) -> str:
    """Return `address:port` of IPv4 loopback."""
    where, _, number = value.rpartition(":")
    try:
        if ipaddress.IPv4Address(where).is_loopback and number == str(port(int(number))):
            return value
    except ValueError:
        pass
    raise ValueError("is not a loopback address; use 127.x.y.z:port")


def default_listen(host: str, number: int) -> str:
    """Return a host's own loopback address, stable by its name, and the exporter's port plus 10000."""
    digest = hashlib.sha256(host.encode()).digest()
    if number + 10000 > _MAX_PORT:
        raise ValueError("has no default listen, for its port plus 10000 is none; give listen")
    return f"127.{64 + digest[0] % 64}.{digest[1]}.{1 + digest[2] % 254}:{number + 10000}"


def host_key(value: str) -> str:
    """Return `<type> <base64>` of an ed25519 or ecdsa host key; a comment is dropped."""
    words = value.split()
    if "\n" in value.strip() or len(words) < 2 or words[0] not in _KEY_TYPES:  # noqa: PLR2004 - type and key
        raise ValueError("is no ed25519 or ecdsa host key; show it there with: cat /etc/ssh/ssh_host_ed25519_key.pub")
    try:
        serialization.load_ssh_public_key(" ".join(words[:2]).encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is a malformed host key; copy the whole line again") from None
    return " ".join(words[:2])


def private_key(value: str, password: str | None = None) -> str:
    """Return a private key's text. No error holds any part of it."""
    try:
        serialization.load_ssh_private_key(value.encode(), password.encode() if password else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(
            "is no OpenSSH private key, or its passphrase is missing or wrong; see: ssh-keygen -y -f FILE"
        ) from None
    return value


def label_name(value: str) -> str:
    """Return the name of a Prometheus label that is the user's to set."""
    if not _LABEL_NAME.fullmatch(value) or value.startswith("__") or value in ("instance", "job"):
        raise ValueError("is no free label name; use letters, digits and _, not instance, job or a leading __")
    return value


def text(value: str) -> str:
    """Return a label's value: printable, 1024 characters at most."""
    if len(value) > 1024 or not value.isprintable():  # noqa: PLR2004 - the bound that the error names
        raise ValueError("holds control characters or is too long; use 1024 printable characters at most")
    return value


def milliseconds(value: str) -> int:
    """Return a Prometheus duration, such as 5s or 1m30s, in milliseconds."""
    found = _DURATION.fullmatch(value)
    total = (
        sum(int(n or 0) * unit for n, unit in zip(found.groups(), (3600000, 60000, 1000, 1), strict=True))
        if found
        else 0
    )
    if not total:
        raise ValueError("is no duration; use such as 5s, 1m or 1m30s")
    return total


def duration(value: str) -> str:
    """Return a Prometheus duration as it was written."""
    milliseconds(value)
    return value


def unit(value: str) -> str:
    """Return a systemd service's name."""
    if not _UNIT.fullmatch(value):
        raise ValueError("is no service's name; use such as prometheus-node-exporter.service")
    return value


def path(value: str) -> str:
    """Return an absolute, plain path."""
    if not _PATH.fullmatch(value) or "/.." in value or "/./" in value:
        raise ValueError("is no plain absolute path; use letters, digits and . _ + @ - between slashes")
    return value


def url(value: str) -> str:
    """Return an http or https address without credentials, query or trailing slash."""
    if not _URL.fullmatch(value):
        raise ValueError("is no http address; use such as http://127.0.0.1:9090")
    return value.rstrip("/")


def network(value: str) -> str:
    """Return an address or network in CIDR form, for `from=`."""
    try:
        ipaddress.ip_network(value)
    except ValueError:
        raise ValueError("is no address or network; use such as 10.0.0.10 or 10.0.0.0/24") from None
    return value
