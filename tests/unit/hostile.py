"""Bad values of every setting, each with what an error must name, and good ones beside them."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, SECP521R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


def public(key: Any) -> str:
    line: bytes = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return line.decode()


def private(key: Any) -> str:
    text: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return text.decode()


def ed25519(seed: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([seed] * 32))


KEY = public(ed25519(1))
ECDSA = [public(derive_private_key(12345, curve)) for curve in (SECP256R1(), SECP384R1(), SECP521R1())]
RSA = public(generate_rsa(65537, 2048))

# What every stack here has set; no error may show any of them.
SECRETS = {
    "sshPrivateKey": private(ed25519(2)),
    "sshPassword": "planted a'b\"c\\d $(x) `y` %n;#",
    "sudoPassword": "planted words; purple kettles under seven bridges hum while two foxes count pebbles",
    "tunnelPrivateKey": private(ed25519(3)),
}

# Strings that are nothing but trouble, for every setting that holds text.
HOSTILE = [
    *("", " ", "   ", "-oProxyCommand=touch /tmp/x", "-", "--", "a;b", "'; id; '", "a|b", "a&&b", "a>b", "<a", "!a"),
    *(
        "$(id)",
        "`id`",
        "$HOME",
        "${HOME}",
        "%h",
        "%H",
        "%%",
        "a%0ab",
        "~",
        "#a",
        "a*",
        "a?",
        "[a]",
        "{a}",
        "a,b",
        "a=b",
    ),
    *('a"b', "a'b", "a\\", "a\\\\", "a\\'b", "a\\n"),
    *("a\nb", "a\n", "\na", "a\rb", "a\r\nb", "a\tb", "a\0b", "\0", "a\x1b[31m", "a\x7f", "a\x85b", "a\u2028b"),
    # Look-alikes: full width, Cyrillic, other digits and hyphens, signs without width, direction marks, combining ones.
    *("\uff57eb1", "web\uff11", "w\u0435b1", "web\u0661", "web\u00b2", "\u2010a", "a\u00a0b", "\ufeffweb1"),
    *("web\u200b1", "a\u202eb", "web1\u200f", "we\u0301b1", "\u00e9", "\u6f22", "\U0001f600", "\ud800"),
    *("../x", "x" * 5000),
]
NO_TEXT = [5, 5.5, True, [], ["a"], {}, {"a": "b"}]
NO_NUMBER: list[Any] = [
    *("22", "22 -oX", "22 ", "22\n", "", "0x16", "1e3", "\u0662\u0662", "\uff12\uff12"),
    *(22.5, 22.0, float("nan"), float("inf"), True, [], [22], {}, None),
]
NO_PORT = [0, -1, 65536, 10**30, -(10**30)]
NO_SWITCH = ["true", "no", "", "\uff54rue", 0, 1, 1.0, [], [True], {}, None]
NO_MAP = ["text", 5, True, [], ["a"], None]
NO_NAME = ["Web1", "WEB1", "a.b", "a_b", "-a", "a-", "a" * 64, "a/b", "..", "a@b", "a:b", "web1 "]

BAD: dict[str, list[Any]] = {
    "prometheus": [*NO_MAP, {}],
    "hosts": NO_MAP,
    "ssh": NO_MAP,
    "scrape": NO_MAP,
    "rotation": [0, -1, 10**30, 1000001, "two", "2 2", "\u0662", 1.5, 1.0, float("nan"), True, [], {}, None],
    # As Pulumi has it, true and "true" are one, and "" is unset.
    "detectDrift": [one for one in NO_SWITCH if one not in ("true", "")],
    "prometheus.mon1": NO_MAP,
    "hosts.web1": NO_MAP,
    "hosts.web1.address": [
        *(HOSTILE + NO_TEXT),
        *(
            "local",
            "fe80::1%eth0",
            "10.0.0.256",
            "10.0.0",
            "127.1",
            "2130706433",
            "0x7f000001",
            "a.0x7f",
            "10.0.0.1:22",
        ),
        *("[::1]", "::", "0.0.0.0", "224.0.0.1", "255.255.255.255", "ff02::1", "a..b", ".a", "a.", "a_b", "-a", "a-"),  # noqa: S104 - refused
        *("root@a", "a,b", "*", "a/24", "a b", "a" * 64, ".".join(["a" * 60] * 5), "\uff110.0.0.1", "10.0.0.\u0663"),
    ],
    "hosts.web1.port": [*NO_NUMBER, *NO_PORT],
    "hosts.web1.user": [*HOSTILE, *NO_TEXT, "Root", "root;id", "1user", "a.b", "a@b", "a" * 33, "-a", "a:b", "a b"],
    "hosts.web1.hostKey": [
        *(HOSTILE + NO_TEXT),
        *(
            RSA,
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            # A point that is none as sshd writes them.
            (
                "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABB0BCbvzr0O6eNKZpGH4Ys6kSKy9z"
                "OUW2Scyfn5Ien52tgSkCOL3pzHuzMNFQxncE3SWucFUgV0S28xv0BwdFhy0OY="
            ),
            KEY + "\n" + KEY,
            f"10.0.0.1 {KEY}",
            f"{KEY[:-4]}",
            f"{KEY[:30]}\n{KEY[30:]}",
        ),
        *(KEY.replace("ssh-ed25519", ECDSA[0].split()[0]), KEY.replace(" ", ""), f"@revoked * {KEY}", f"{KEY}\r{KEY}"),
        *(KEY.replace("AAAA", "AAAA;", 1), f'command="x" {KEY}', KEY.upper()),
    ],
    "hosts.web1.insecureHostKey": [*NO_SWITCH, True],
    "hosts.web1.privateKeyPath": [*NO_TEXT, "", " ", "a\nb", "a\0b", "x" * 5000, "-----BEGIN OPENSSH PRIVATE KEY-----"],
    "hosts.web1.bastion": ["10.0.0.1", 5, True, [], ["a"]],
    "hosts.web1.bastion.address": [*HOSTILE, *NO_TEXT, "local", "b%c", "::%1"],
    "hosts.web1.bastion.bastion": [{"address": "a"}],
    "hosts.web1.offline": NO_SWITCH,
    "hosts.web1.abandoned": NO_SWITCH,
    "hosts.web1.login": [*HOSTILE, *NO_TEXT, "root", "metrics-tunnel", "Deploy", "a:b"],
    "hosts.web1.listen": [
        *(HOSTILE + NO_TEXT),
        *("0.0.0.0:7080", "10.0.0.1:7080", "[::]:7080", "::1:7080", "[::2]:7080", "localhost:7080", ":7080", "7080"),
        *(
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:07080",
            "127.0.0.1:0",
            "127.0.0.1:65536",
            "127.0.0.1:-1",
            "128.0.0.1:7080",
        ),
        *(
            "127.0.0.1:80",
            "[::1]:1023",
            "127.0.0.1:7080 -R 1:a:1",
            "127.0.0.1:7080:x",
            "127.1:7080",
            "[127.0.0.1]:7080",
        ),
        *(
            "127.0.0.1:\u0667080",
            "127.0.0.1:7_080",
            "127.0.0.1: 7080",
            "127.0.0.1:+7080",
            "[::1%lo]:7080",
            "[0::1]:7080",
        ),
    ],
    "hosts.web1.exporters": [*NO_MAP, {}],
    "hosts.web1.exporters.node": [*NO_MAP, "9100", 9100],
    "hosts.web1.exporters.node.port": [*NO_NUMBER, *NO_PORT, 60000, 22],
    "hosts.web1.exporters.node.unit": [
        *(HOSTILE + NO_TEXT),
        *("node", "node.timer", "a/b.service", ".service", "-a.service", "a b.service", "node@.service", "a.service.d"),
        "a.service\nExecStart=/bin/x",
    ],
    "hosts.web1.exporters.node.job": [*HOSTILE, *NO_TEXT, 'a"} or up{', "-a", "a-", "a" * 101, "é", "a\\b", "{a}"],
    "hosts.web1.exporters.node.path": [
        *HOSTILE,
        *NO_TEXT,
        "metrics",
        "/",
        "/a?b",
        "/a#b",
        "/a/../b",
        "/a/.",
        "//a",
        "/a b",
    ],
    "hosts.web1.exporters.node.manage": NO_SWITCH,
    "hosts.web1.exporters.node.listen": ["0.0.0.0:7080", "127.0.0.1", "[::]:7080", 7080, ""],
    "hosts.web1.labels": NO_MAP,
    "hosts.web1.labels.env": [
        *NO_TEXT,
        None,
        *(one for one in HOSTILE if not one.isprintable() or not one),
        "x" * 1025,
    ],
    "hosts.web1.servers": [*NO_MAP[:3], {}, [], {"mon1": True}],
    "hosts.web1.servers[0]": [["mon9"], ["Mon1"], [5], [None], [""], ["mon1;id"], [["mon1"]]],
    "prometheus.mon1.address": [*HOSTILE, *NO_TEXT, "Local host", "fe80::1%eth0", "localhost:22"],
    "prometheus.mon1.configFile": [
        *HOSTILE,
        *NO_TEXT,
        "x.yml",
        "/",
        "/etc/../x",
        "/etc/./x",
        "/etc//x",
        "/etc/x/",
        "/a*b",
    ],
    "prometheus.mon1.service": [*HOSTILE, *NO_TEXT, "prometheus", "../a.service", "a.socket"],
    "prometheus.mon1.url": [
        *(HOSTILE + NO_TEXT),
        *(
            "127.0.0.1:9090",
            "ftp://a",
            "https://a",
            "file:///etc/passwd",
            "http://u:p@a/",
            "http://a/?q",
            "http://a/#f",
            "http://a/b/../c",
        ),
        *(
            "http://",
            "http://:9090",
            "http://a:0",
            "http://a:65536",
            "http://a:x",
            "http://[::1",
            "http://::1",
            "http://a b",
        ),
        *("http://a//b", "http://a\n", "javascript:1", "http://-a", "http://a:9090:1", "HTTP://a"),
    ],
    "prometheus.mon1.egress": [*NO_MAP[:3], {}],
    "prometheus.mon1.egress[0]": [
        *([one] for one in HOSTILE),
        *(
            ["10.0.0.0/33"],
            ["10.0.0.1/24"],
            ["10.0.0.0/255.255.255.0"],
            ["0.0.0.0/0"],
            ["::/0"],
            ["fe80::1%eth0"],
            ["a.b"],
        ),
        *([5], [None], ["10.0.0.0/"], ["!10.0.0.1"], ["10.0.0.*"], ['10.0.0.1",command="x']),
    ],
    "ssh.user": [*HOSTILE, *NO_TEXT, "Root"],
    "ssh.privateKeyPath": [*NO_TEXT, "", "a\nb", "x" * 1025],
    "scrape.job": [*HOSTILE, *NO_TEXT, 'a"b', "a{b", "a" * 101],
    "scrape.interval": [
        *(HOSTILE + NO_TEXT),
        *(
            "5",
            "0s",
            "5 s",
            "s",
            "5S",
            "1.5s",
            "-5s",
            "5s1m",
            "5s5s",
            "999ms",
            "2h",
            "1h1ms",
            "1d",
            "\u0665s",
            "5s\n",
            "9999999s",
        ),
    ],
    "scrape.sampleLimit": [*(one for one in NO_NUMBER if one is not None), 0, -1, 10000001],
    "scrape.timeout": [*HOSTILE, *NO_TEXT, "0ms", "6s", "1m", "5", "5000"],
}
# What every machine has.
BAD |= {
    f"{place}.{key}": BAD[f"hosts.web1.{key}"]
    for place in ("prometheus.mon1", "hosts.web1.bastion")
    for key in ("port", "user", "hostKey", "insecureHostKey", "privateKeyPath")
}
BAD |= {f"prometheus.mon1.{key}": BAD[f"hosts.web1.{key}"] for key in ("bastion", "offline")}
NO_KEYS: dict[str, list[str]] = {
    "prometheus": [*HOSTILE, *NO_NAME],
    "hosts": [*HOSTILE, *NO_NAME],
    "hosts.web1.exporters": [*HOSTILE, *NO_NAME],
    "hosts.web1.labels": [
        *HOSTILE,
        "instance",
        "job",
        "__address__",
        "__x",
        "le",
        "quantile",
        "a-b",
        "a.b",
        "1a",
        "a:b",
    ],
}
VALUES = {
    "prometheus": {"address": "10.0.0.1", "hostKey": KEY},
    "hosts": {"address": "10.0.0.2", "hostKey": KEY},
    "hosts.web1.exporters": {"port": 9101},
    "hosts.web1.labels": "x",
}


def change(whole: dict[str, Any], path: str, value: Any, key: str | None = None) -> dict[str, Any]:
    """Return a stack in which a value stands at a path; with a key, below that."""
    steps = path.partition("[")[0].split(".") + ([key] if key is not None else [])
    place = whole = copy.deepcopy(whole)
    for step in steps[:-1]:
        place = place.setdefault(step, copy.deepcopy(_AROUND.get(step, {})))
    place[steps[-1]] = value
    return whole


def stack(path: str = "", value: Any = None, key: str | None = None) -> dict[str, Any]:
    """Return a sound stack, or one that is but for the value at a path."""
    return change(_SOUND, path, value, key) if path else copy.deepcopy(_SOUND)


_SOUND: dict[str, Any] = {
    "prometheus": {"mon1": {"address": "10.0.0.10", "hostKey": KEY}},
    "hosts": {"web1": {"address": "10.0.0.21", "hostKey": KEY}},
}
# What a map has to have, where a path leads through one that is not there.
_AROUND: dict[str, Any] = {"exporters": {"node": {"port": 9100}}, "bastion": {"address": "10.0.0.3", "hostKey": KEY}}

# Settings' path, the path in the components' arguments, and values that arrive there as they were written.
GOOD: list[tuple[str, str, list[Any]]] = [
    (
        "hosts.web1.address",
        "hosts web1 connection address",
        [
            "web1",
            "db1.example.org",
            "WEB1.Example.ORG",
            "10.0.0.2",
            "127.0.0.1",
            "2001:db8::1",
            "::1",
            "1a.b",
            "a.b-c.d1",
            "xn--bcher-kva",
        ],
    ),
    ("hosts.web1.port", "hosts web1 connection port", [1, 2222, 65535]),
    ("hosts.web1.user", "hosts web1 connection user", ["root", "deploy", "_a", "a-b_c1", "a" * 32]),
    ("hosts.web1.hostKey", "hosts web1 connection host_key", [KEY, *ECDSA]),
    ("hosts.web1.login", "hosts web1 login", ["deploy", "monitor_1"]),
    ("hosts.web1.listen", "hosts web1 exporters node listen", ["127.0.0.1:7080", "[::1]:7080", "127.255.255.254:1024"]),
    ("hosts.web1.exporters.node.listen", "hosts web1 exporters node listen", ["127.0.0.1:7080", "[::1]:65535"]),
    ("hosts.web1.exporters.node.port", "hosts web1 exporters node port", [1, 80, 55535]),
    (
        "hosts.web1.exporters.node.unit",
        "hosts web1 exporters node unit",
        ["prometheus-node-exporter.service", "node_exporter@9100.service", "a.b.service"],
    ),
    ("hosts.web1.exporters.node.job", "hosts web1 exporters node job", ["node_exporter", "Linux hosts", "a/b:c.d-e"]),
    (
        "hosts.web1.exporters.node.path",
        "hosts web1 exporters node path",
        ["/metrics", "/a/.b/c_d", "/probe/metrics+x", "/..a"],
    ),
    (
        "hosts.web1.labels.env",
        "hosts web1 labels env",
        [one for one in HOSTILE if one.isprintable() and 0 < len(one) < 1025]
        + ["prod", "x: y", "{a}", "é ü 漢", "#x", "x" * 1024],
    ),
    ("prometheus.mon1.address", "servers mon1 connection address", ["mon1", "10.0.0.9", "2001:db8::9"]),
    (
        "prometheus.mon1.configFile",
        "servers mon1 config_file",
        ["/etc/prometheus/prometheus.yml", "/opt/prometheus-2.53/conf.d/a+b@c.yml"],
    ),
    ("prometheus.mon1.service", "servers mon1 service", ["prometheus.service", "prometheus@main.service"]),
    (
        "prometheus.mon1.url",
        "servers mon1 url",
        ["http://127.0.0.1:9090", "http://mon1.example.org:80/prometheus", "http://[::1]:9090", "http://localhost:1"],
    ),
    ("ssh.user", "hosts web1 connection user", ["admin", "root"]),
    ("scrape.job", "hosts web1 exporters node job", ["node", "node exporter", "a"]),
    ("scrape.interval", "servers mon1 scrape_interval", ["1s", "15s", "1m30s", "1500ms", "1h", "60m"]),
    ("scrape.timeout", "servers mon1 scrape_timeout", ["5s", "1ms", "4s999ms"]),
    ("scrape.sampleLimit", "servers mon1 sample_limit", [1, 15000, 10000000]),
]


# Values that are right in themselves and clash, and the path that is told.
CLASHES: list[tuple[str, dict[str, Any]]] = [
    ("hosts.web2.address", {"hosts.web2": {"address": "10.0.0.21", "hostKey": KEY}}),
    ("hosts.web2.address", {"hosts.web1.address": "web.org", "hosts.web2": {"address": "WEB.ORG", "hostKey": KEY}}),
    ("hosts.web2.address", {"hosts.web1.address": "::1", "hosts.web2": {"address": "0:0::1", "hostKey": KEY}}),
    ("prometheus.mon2.address", {"prometheus.mon2": {"address": "10.0.0.10", "hostKey": KEY}}),
    (
        "hosts.web2.listen",
        {
            "hosts.web1.listen": "127.0.0.1:7080",
            "hosts.web2": {"address": "10.0.0.22", "hostKey": KEY, "listen": "127.0.0.1:7080"},
        },
    ),
    ("hosts.web1.listen", {"hosts.web1.listen": "[::1]:7080", "hosts.web1.exporters.node.listen": "[::1]:7080"}),
    (
        "hosts.web1.listen",
        {"hosts.web1.listen": "[::1]:7080", "hosts.web1.exporters": {"a": {"port": 1}, "b": {"port": 2}}},
    ),
    (
        "hosts.web1.exporters.b.listen",
        {
            "hosts.web1.exporters": {
                "a": {"port": 1, "listen": "127.0.0.1:7080"},
                "b": {"port": 2, "listen": "127.0.0.1:7080"},
            }
        },
    ),
    ("hosts.web1.exporters.b.port", {"hosts.web1.exporters": {"a": {"port": 9100}, "b": {"port": 9100}}}),
    (
        "hosts.web1.exporters.b.job",
        {"hosts.web1.exporters": {"a": {"port": 1, "job": "x"}, "b": {"port": 2, "job": "x"}}},
    ),
    ("hosts.web1.exporters.b.job", {"hosts.web1.exporters": {"node": {"port": 1}, "b": {"port": 2, "job": "node"}}}),
    ("hosts.web1.port", {"hosts.web1.port": 9100}),
    ("hosts.web1.exporters.node.port", {"hosts.web1.exporters.node.port": 22}),
    ("hosts.web1.servers[0]", {"hosts.web1.servers": ["mon2"]}),
    ("hosts.web1.servers[1]", {"hosts.web1.servers": ["mon1", "mon1"]}),
    ("hosts.web1.abandoned", {"hosts.web1.abandoned": True, "hosts.web1.offline": True}),
    ("hosts.web1.insecureHostKey", {"hosts.web1.insecureHostKey": True}),
    ("prometheus.mon1.insecureHostKey", {"prometheus.mon1.insecureHostKey": True}),
    ("hosts.web1.hostKey", {"hosts.web1.hostKey": None}),
    ("hosts.web1.bastion.hostKey", {"hosts.web1.bastion": {"address": "10.0.0.3"}}),
    ("prometheus.mon1.hostKey", {"prometheus.mon1.address": "local"}),
    ("prometheus.mon1.port", {"prometheus.mon1": {"address": "local", "port": 22}}),
    ("prometheus.mon1.bastion", {"prometheus.mon1": {"address": "local", "bastion": {"address": "a", "hostKey": KEY}}}),
    ("scrape.timeout", {"scrape": {"interval": "5s", "timeout": "5001ms"}}),
    ("hosts.web1.labels", {"hosts.web1.labels": {f"l{number}": "x" for number in range(33)}}),
    ("hosts.web1.labels", {"hosts.web1.labels": {f"l{number}": "\u6f22" * 1000 for number in range(6)}}),
    (
        "hosts.web1-exporter",
        {
            "hosts.web1.exporters": {"ssh-tunnel": {"port": 9100}},
            "hosts.web1-exporter": {"address": "10.0.0.22", "hostKey": KEY},
        },
    ),
    (
        "hosts.web1-ssh-tunnel-a",
        {
            "prometheus": {name: {"address": name, "hostKey": KEY} for name in ("a-authorized-key-b", "b")},
            "hosts.web1-ssh-tunnel-a": {"address": "10.0.0.22", "hostKey": KEY},
        },
    ),
    ('metrics-tunnels:["a\\nb"]', {"metrics-tunnels:a\nb": 1}),
    ("hosts", {"hosts": "[" * 100000}),
    ("hosts.web1.labels", {"hosts.web1.labels": json.loads("[" * 500 + "]" * 500)}),
    ("ssh.privateKeyPath", {"ssh.privateKeyPath": "~/key"}),
    ("hosts.web1.privateKeyPath", {"hosts.web1.privateKeyPath": "/etc/passwd"}),
    ("hosts.web1.privateKeyPath", {"hosts.web1.privateKeyPath": "/nonexistent/../x"}),
    ("hosts.web1.privateKeyPath", {"hosts.web1.privateKeyPath": "~nobodyofthisname/x"}),
    ("hosts.web1.address", {"hosts.web1": {}}),
    ("hosts.web1.exporters.node.port", {"hosts.web1.exporters": {"node": {}}}),
    *((name, {name: "x"}) for name in ("surprise", "Hosts", "host", "password", "a_b")),
    *((f"hosts.web1.{name}", {f"hosts.web1.{name}": "x"}) for name in ("adress", "password", "sudo_password", "Port")),
    ("prometheus.mon1.labels", {"prometheus.mon1.labels": {"a": "b"}}),
    ("scrape.path", {"scrape.path": "/x"}),
    ("ssh.password", {"ssh.password": "x"}),
]
# Of secrets, whose values no error shows.
_NO_PASSWORD = ["a\nb", "a\r", "\0a", "a\u2028b", "x" * 1025]
_NO_KEY = ["planted", KEY, "\0", SECRETS["sshPrivateKey"][:-60], "~/.ssh/id_ed25519"]
BAD_SECRETS = {
    "sshPassword": _NO_PASSWORD,
    "sudoPassword": _NO_PASSWORD,
    "sshPrivateKeyPassphrase": _NO_PASSWORD,
    "sshPrivateKey": _NO_KEY,
    "tunnelPrivateKey": _NO_KEY,
}


@dataclass(frozen=True)
class Case:
    """One bad stack; `named` begins every error that there may be."""

    named: tuple[str, ...]
    settings: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=lambda: SECRETS)


def cases() -> list[Case]:
    """Return every bad stack that is listed here."""
    values = [Case((f"{p}: ", f"{p}.", f"{p}["), stack(p, value)) for p, some in BAD.items() for value in some]
    names = [
        Case((f"{path}[", f"{path}.{key}: "), stack(path, VALUES[path], key))
        for path, keys in NO_KEYS.items()
        for key in keys
    ]
    clashes = [Case((f"{path}: ",), _changed(changes)) for path, changes in CLASHES]
    secrets = [
        Case((f"{name}: ",), stack(), SECRETS | {name: value}) for name, some in BAD_SECRETS.items() for value in some
    ]
    return [*values, *names, *clashes, *secrets]


def _changed(changes: Mapping[str, Any]) -> dict[str, Any]:
    whole = stack()
    for path, value in changes.items():
        whole = change(whole, path, value)
    return whole
