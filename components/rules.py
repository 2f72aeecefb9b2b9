"""The rules of single values: each returns the value in its plain form or raises ValueError with rule and remedy.

No error holds any part of a value: who shows it decides what may be shown.
"""

import hashlib
import ipaddress
import re
from functools import cache
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_STACK = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.][A-Za-z0-9._-]{0,99}")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")  # a last label that resolvers read as a part of an IPv4 address
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]{0,200}(?<!@)\.service")
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9@._+-]{1,255})+")
_URL = re.compile(r"http://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,5}))?((?:/[A-Za-z0-9._~-]+)*)/?")
_JOB = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._:/-]{0,98}[A-Za-z0-9])?")
_DURATION = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?(?:([0-9]{1,6})ms)?")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,127}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_HOST_KEYS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")
_PEM = serialization.Encoding.PEM
_MAX_PORT = 65535
_HOUR = 3600000
_LABELS = 16384
LOCAL = "local"


def name(value: str) -> str:
    """Return a server's, host's or exporter's name; it becomes part of unit, file and resource names."""
    if not _NAME.fullmatch(value):
        raise ValueError("is not a name; use small letters, digits and inner hyphens, 63 at most")
    return value


def stack(value: str) -> str:
    """Return the name of a stack or project, which Pulumi makes of letters, digits, hyphens, underscores and dots."""
    if not _STACK.fullmatch(value):
        raise ValueError("is no name that files can have; use letters, digits, . _ and -, no - first")
    return value


def address(value: str) -> str:
    """Return an RFC 1123 host name or an IP address without zone, of one machine that is reached over SSH."""
    if value == LOCAL:
        raise ValueError("is for a server alone, the one that Pulumi runs on; use the machine's name or address")
    try:
        parsed = ipaddress.ip_address(value)
    except ValueError:
        labels = value.split(".")
        if len(value) > 253 or not all(map(_LABEL.fullmatch, labels)) or _NUMBER.fullmatch(labels[-1]):  # noqa: PLR2004 - RFC 1123
            raise ValueError("is no host name or IP address; write it alone, without user, port or brackets") from None
        return value
    if "%" in value or parsed.is_unspecified or parsed.is_multicast or value == "255.255.255.255":
        raise ValueError("is no address of one machine; use one without zone that a connection can be made to")
    return str(parsed)


def server_address(value: str) -> str:
    """Return the address of a server, or `local`."""
    return value if value == LOCAL else address(value)


def port(value: int) -> int:
    """Return a TCP port."""
    if not 1 <= value <= _MAX_PORT:
        raise ValueError(f"is no port; use a whole number from 1 to {_MAX_PORT}")
    return value


def rotation(value: int) -> int:
    """Return the count of a key's rotations; it becomes part of file names."""
    if not 1 <= value <= 1000000:  # noqa: PLR2004 - the bound that the error names
        raise ValueError("is no rotation; use a whole number from 1 to 1000000")
    return value


def sample_limit(value: int) -> int:
    """Return how many samples a scrape may bring."""
    if not 1 <= value <= 10000000:  # noqa: PLR2004 - the bound that the error names
        raise ValueError("is no limit of samples; use a whole number from 1 to 10000000")
    return value


def user(value: str) -> str:
    """Return a login name."""
    if not _USER.fullmatch(value):
        raise ValueError("is no user name; use small letters, digits, _ and -, 32 at most")
    return value


def login(value: str) -> str:
    """Return the name of an existing login user that holds the tunnels' key."""
    if user(value) == "root":
        raise ValueError("is refused: the tunnels' key would be root's; give another user, or leave login out")
    if value == "metrics-tunnel":
        raise ValueError("is the dedicated user's name; leave login out for it")
    return value


def listen(value: str) -> str:
    """Return `address:port` of loopback, the port one that the tunnels' user may bind."""
    ip, _, number = value.rpartition(":")
    try:
        loopback = ip == "[::1]" or ipaddress.IPv4Address(ip).is_loopback
        valid = loopback and number == str(port(int(number)))
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("is not a loopback address and port; use 127.x.y.z:port or [::1]:port")
    if int(number) < 1024:  # noqa: PLR2004 - the first port that is free to all
        raise ValueError("has a port that only root may bind; use one from 1024 on")
    return value


def default_listen(host: str, number: int) -> str:
    """Return a host's own loopback address, stable by its name, and the exporter's port plus 10000."""
    digest = hashlib.sha256(host.encode()).digest()
    if number + 10000 > _MAX_PORT:
        raise ValueError("has no default listen, for its port plus 10000 is none; give listen")
    return f"127.{64 + digest[0] % 64}.{digest[1]}.{1 + digest[2] % 254}:{number + 10000}"


def host_key(value: str) -> str:
    """Return `<type> <base64>` of an ed25519 or ecdsa host key; a comment is dropped."""
    words = value.split()
    if value.startswith(("SHA256:", "MD5:")):
        raise ValueError("is a fingerprint; the key is needed: cat /etc/ssh/ssh_host_ed25519_key.pub")
    if len(words) > 2 and words[1] in _HOST_KEYS and words[0] not in _HOST_KEYS:  # noqa: PLR2004 - host, type and key
        raise ValueError("begins with the host's name, as in known_hosts; leave that out")
    if len(value.splitlines()) != 1 or len(words) < 2 or words[0] not in _HOST_KEYS:  # noqa: PLR2004 - type and key
        raise ValueError("is no ed25519 or ecdsa host key; show it there with: cat /etc/ssh/ssh_host_ed25519_key.pub")
    try:
        well_formed = bool(_BASE64.fullmatch(words[1]))
        serialization.load_ssh_public_key(" ".join(words[:2]).encode())
    except (ValueError, UnsupportedAlgorithm, NotImplementedError):
        # The last is raised for a point in a form that sshd does not take either.
        well_formed = False
    if not well_formed:
        raise ValueError("is a malformed host key; copy the whole line again")
    return " ".join(words[:2])


@cache
def private_key(value: str) -> tuple[str, bool]:
    """Return a private key's text with plain line ends, and whether it is encrypted."""
    text = "\n".join(value.split("\r\n")).strip() + "\n"
    encrypted = False
    try:
        usable = _usable(text, None)
    except TypeError:
        encrypted = usable = True
    except (ValueError, UnsupportedAlgorithm, NotImplementedError):
        usable = False
    if not usable:
        raise ValueError("is no private key for SSH (ed25519, ecdsa or RSA); see: ssh-keygen -y -f FILE")
    if "BEGIN ENCRYPTED PRIVATE KEY" in text:
        raise ValueError("is encrypted in a form that SSH clients differ about; rewrite it with: ssh-keygen -p -f FILE")
    return text, encrypted


def key_text(value: str) -> str:
    """Return a private key's text with plain line ends."""
    return private_key(value)[0]


def tunnel_key(value: str) -> str:
    """Return the text of a private key that is not encrypted, for no unit can be asked for a passphrase."""
    text, encrypted = private_key(value)
    if encrypted:
        raise ValueError("is encrypted, and no unit can be asked for a passphrase; give one without")
    return text


@cache
def opened_by(text: str, passphrase: str, named: str) -> None:
    """Check that a passphrase, which is `named` so where it is given, opens an encrypted private key."""
    try:
        _usable(text, passphrase.encode())
    except UnsupportedAlgorithm:
        raise ValueError("is encrypted, and Python lacks what opens it; run: .venv/bin/pip install bcrypt") from None
    except (ValueError, TypeError, NotImplementedError):
        raise ValueError(f"is not opened by {named}; set the right one") from None


def shortest(text: str) -> str:
    """Return an unencrypted private key in its shortest form: of ed25519 that is PKCS #8, a third of OpenSSH's."""
    form = serialization.PrivateFormat.PKCS8
    written: bytes = _loaded(text, None).private_bytes(_PEM, form, serialization.NoEncryption())
    return min(text, written.decode(), key=len)


def _usable(text: str, passphrase: bytes | None) -> bool:
    return isinstance(
        _loaded(text, passphrase), ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    )


def _loaded(text: str, passphrase: bytes | None) -> Any:
    ssh = "BEGIN OPENSSH PRIVATE KEY" in text
    load = serialization.load_ssh_private_key if ssh else serialization.load_pem_private_key
    return load(text.encode(), passphrase)


def password(value: str) -> str:
    """Return a password that fits in one line."""
    if not value.isprintable() or len(value) > 1024:  # noqa: PLR2004 - the bound that the error names
        raise ValueError("holds a line break or control character, or more than 1024 characters; set it again")
    return value


def key_file(value: str) -> str:
    """Return the path of a private key's file; whether it is there is seen later."""
    if not value.strip() or not value.isprintable() or "-----" in value or len(value) > 1024:  # noqa: PLR2004 - as above
        raise ValueError("is no path of a private key's file; use such as ~/.ssh/id_ed25519")
    return value


def socket_path(value: str) -> str:
    """Return the path of an agent's socket on the machine that Pulumi runs on."""
    if not value.strip() or not value.isprintable() or len(value) > 1024:  # noqa: PLR2004 - as above
        raise ValueError("is no path of an agent's socket; use that of SSH_AUTH_SOCK, or leave it out")
    return value


def label_name(value: str) -> str:
    """Return the name of a Prometheus label that is the user's to set."""
    if not _LABEL_NAME.fullmatch(value) or value.startswith("__") or value in ("instance", "job"):
        raise ValueError("is no free label name; use letters, digits and _, not instance, job or a leading __")
    if value in ("le", "quantile"):
        raise ValueError("is the label of histograms and summaries, which it would break; use another name")
    return value


def text(value: str) -> str:
    """Return a label's value: printable, 1024 characters at most."""
    if not value.isprintable() or not 1 <= len(value) <= 1024:  # noqa: PLR2004 - the bound that the error names
        raise ValueError("is no label value; use 1 to 1024 characters, none of them a control character")
    return value


def labels(value: dict[str, str]) -> dict[str, str]:
    """Return labels that fit into one question to Prometheus, where one letter may become six."""
    if len("".join([*value, *value.values()]).encode()) > _LABELS:
        raise ValueError(f"is too long; names and values may have {_LABELS} bytes together, take some out")
    return value


def milliseconds(value: str) -> int:
    """Return a Prometheus duration, such as 5s or 1m30s, in milliseconds."""
    written = _DURATION.fullmatch(value)
    units = (_HOUR, 60000, 1000, 1)
    total = sum(int(count or 0) * unit for count, unit in zip(written.groups(), units, strict=True)) if written else 0
    if not total:
        raise ValueError("is no duration; write the unit too, such as 5s, 1m or 1m30s")
    return total


def interval(value: str) -> str:
    """Return a Prometheus duration from 1s to 1h as it was written."""
    if not 1000 <= milliseconds(value) <= _HOUR:  # noqa: PLR2004 - one second
        raise ValueError("is no scrape interval; use 1s to 1h, such as 15s")
    return value


def default_timeout(interval: str) -> str:
    """Return the time-out of a scrape where none is given: Prometheus' own 10s, or the interval where it is shorter."""
    return min(interval, "10s", key=milliseconds)


def duration(value: str) -> str:
    """Return a Prometheus duration as it was written."""
    milliseconds(value)
    return value


def job(value: str) -> str:
    """Return a job label that needs no escapes, in JSON or PromQL."""
    if not _JOB.fullmatch(value):
        raise ValueError("is no job label; use letters, digits and inner spaces . _ : / -, 100 at most")
    return value


def unit(value: str) -> str:
    """Return a systemd service's name."""
    if not _UNIT.fullmatch(value):
        raise ValueError("is no service's name; use such as prometheus-node-exporter.service")
    return value


def path(value: str) -> str:
    """Return an absolute, plain path."""
    if not _PATH.fullmatch(value) or len(value) > 1024:  # noqa: PLR2004 - what a script's checks can bear
        raise ValueError("is no plain absolute path; use letters, digits and . _ + @ - between slashes")
    return value


def metrics_path(value: str) -> str:
    """Return the absolute, plain path of an exporter's metrics."""
    if "?" in value:
        raise ValueError("has a query, which is not served; give the path of metrics that need none")
    return path(value)


def url(value: str) -> str:
    """Return Prometheus' http address with its port, without user, query or last slash. The scripts speak no TLS."""
    written = _URL.fullmatch(value)
    try:
        valid = written is not None and bool(address(written[1].strip("[]"))) and bool(port(int(written[2] or 80)))
    except ValueError:
        valid = False
    if not written or not valid or {".", ".."} & set(written[3].split("/")):
        raise ValueError("is no plain http address without user, query or fragment; use such as http://127.0.0.1:9090")
    return f"http://{written[1]}:{written[2] or 80}{written[3]}"


def network(value: str) -> str:
    """Return an address or network in CIDR form, for `from=`."""
    base, slash, bits = value.partition("/")
    try:
        parsed = ipaddress.ip_network(value)
    except ValueError:
        raise ValueError("is no address or network; use such as 10.0.0.10 or 10.0.0.0/24") from None
    if "%" in base or (slash and not (bits.isascii() and bits.isdigit())) or not parsed.prefixlen:
        raise ValueError("is no address or network to limit a key to; use such as 10.0.0.10 or 10.0.0.0/24")
    return value
