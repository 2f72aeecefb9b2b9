"""What may stand in each setting. Every family of refused values has accepted ones beside it."""

import subprocess
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, SECP521R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from components import rules
from components.payload import assignments
from stacks.credentials import Credentials
from stacks.settings import arguments, check


def public(key: Any) -> str:
    line: bytes = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return line.decode()


KEY = public(Ed25519PrivateKey.generate())
ECDSA = [public(generate_private_key(curve)) for curve in (SECP256R1(), SECP384R1(), SECP521R1())]
RSA = public(generate_rsa(65537, 2048))
LOGIN = Credentials({None: {}})

# Strings that are nothing but trouble, for every setting that holds text.
HOSTILE = [
    "",
    " ",
    "-oProxyCommand=touch /tmp/x",
    "a;b",
    "a\nb",
    "a\rb",
    "a\tb",
    "$(id)",
    "`id`",
    "${HOME}",
    "%h",
    'a"b',
    "a'b",
    "a\\",
    "a\0b",
    "../x",
    "a|b",
    "a&&b",
    "a\u202eb",
    "a\u2028b",
    "é",
    "\ud800",
    "x" * 5000,
]
NO_TEXT = [5, 5.5, True, [], ["a"], {}, {"a": "b"}]
NO_NUMBER = ["22", "22 -oX", "", "0x16", 22.5, 22.0, True, [], {}, None]
NO_PORT = [0, -1, 65536, 10**30]
NO_SWITCH = ["true", "no", "", 0, 1, [], {}, None]
NO_MAP = ["text", 5, True, [], ["a"], None]
NO_NAME = ["Web1", "WEB1", "a.b", "a_b", "-a", "a-", "a" * 64, "a/b", "..", "a@b", "a:b", "web1 "]

BAD: dict[str, list[Any]] = {
    "prometheus": [*NO_MAP, {}],
    "hosts": NO_MAP,
    "ssh": NO_MAP,
    "scrape": NO_MAP,
    "rotation": [0, -1, 10**30, "2", "", 1.5, 1.0, True, [], {}, None],
    "detectDrift": NO_SWITCH,
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
    "hosts.web1.bastion.port": [*NO_NUMBER, *NO_PORT],
    "hosts.web1.bastion.user": ["-l root", "a b", 5],
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
    "hosts.web1.exporters.node.listen": ["0.0.0.0:7080", "127.0.0.1", "[::]:7080", 7080, ""],
    "hosts.web1.labels": NO_MAP,
    "hosts.web1.labels.env": [*NO_TEXT, None, "", "a\nb", "a\0b", "a\tb", "a\u202eb", "\ud800", "x" * 1025],
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
    "ssh.privateKeyPath": [*NO_TEXT, "", "a\nb"],
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
    "scrape.timeout": [*HOSTILE, *NO_TEXT, "0ms", "6s", "1m", "5", "5000"],
}
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


def stack(path: str = "", value: Any = None, key: str | None = None) -> dict[str, Any]:
    """Return a sound stack in which a value stands at a path; with a key, below that."""
    whole: dict[str, Any] = {
        "prometheus": {"mon1": {"address": "10.0.0.10", "hostKey": KEY}},
        "hosts": {"web1": {"address": "10.0.0.21", "hostKey": KEY}},
    }
    if path.startswith("hosts.web1.exporters.node."):
        whole["hosts"]["web1"]["exporters"] = {"node": {"port": 9100}}
    if path.startswith("hosts.web1.bastion."):
        whole["hosts"]["web1"]["bastion"] = {"address": "10.0.0.3", "hostKey": KEY}
    steps = path.partition("[")[0].split(".") if path else []
    steps += [key] if key is not None else []
    place = whole
    for step in steps[:-1]:
        place = place.setdefault(step, {"node": {"port": 9100}} if step == "exporters" else {})
    if steps:
        place[steps[-1]] = value
    return whole


def lines(raw: Mapping[str, Any]) -> list[str]:
    """Return the errors, each of which must be one short line."""
    whole, errors = check(raw)
    assert (whole is None) == bool(errors)
    for one in errors:
        assert one.isprintable(), one
        assert len(one) < 400, one
    return errors


def test_the_stack_that_the_bad_values_are_put_into_is_sound() -> None:
    assert not lines(stack())
    assert sum(map(len, [*BAD.values(), *NO_KEYS.values()])) >= 200


@pytest.mark.parametrize(("path", "value"), [(path, value) for path, values in BAD.items() for value in values])
def test_a_bad_value_is_refused_with_its_path(path: str, value: Any) -> None:
    errors = lines(stack(path, value))
    assert errors
    assert all(one.startswith((f"{path}: ", f"{path}.", f"{path}[")) for one in errors), errors


@pytest.mark.parametrize(("path", "key"), [(path, key) for path, keys in NO_KEYS.items() for key in keys])
def test_a_bad_name_is_refused_with_its_path(path: str, key: str) -> None:
    errors = lines(stack(path, VALUES[path], key))
    assert len(errors) == 1
    assert errors[0].startswith((f"{path}[", f"{path}.{key}: "))


@pytest.mark.parametrize("path", sorted(path for path in BAD if "." in path and "[" not in path))
def test_a_secret_in_a_wrong_place_is_not_repeated(path: str) -> None:
    body = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW"
    for planted in (f"-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n", body, {"password": body}, [body]):
        for errors in (lines(stack(path, planted)), lines(stack(path.rpartition(".")[0], planted, key=body))):
            assert "b3Blbn" not in "\n".join(errors)


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
        ["http://127.0.0.1:9090", "http://mon1.example.org/prometheus", "http://[::1]:9090", "http://localhost"],
    ),
    ("ssh.user", "hosts web1 connection user", ["admin", "root"]),
    ("scrape.job", "hosts web1 exporters node job", ["node", "node exporter", "a"]),
    ("scrape.interval", "servers mon1 scrape_interval", ["1s", "15s", "1m30s", "1500ms", "1h", "60m"]),
    ("scrape.timeout", "servers mon1 scrape_timeout", ["5s", "1ms", "4s999ms"]),
]


@pytest.mark.parametrize(
    ("path", "place", "value"), [(path, place, value) for path, place, values in GOOD for value in values]
)
def test_a_good_value_reaches_a_shell_as_it_was_written(path: str, place: str, value: Any) -> None:
    whole, errors = check(stack(path, value))
    assert not errors
    assert whole is not None
    found: Any = vars(arguments(whole, LOGIN))
    for step in place.split():
        found = found[step]
    assert found == value
    script = assignments({"X": str(found)}) + 'printf %s "$X"'
    done = subprocess.run(["sh", "-s"], input=script.encode(), capture_output=True, check=True)
    assert done.stdout == str(value).encode()


def test_there_are_enough_good_values_to_trust_the_bad_ones() -> None:
    assert sum(len(values) for _, _, values in GOOD) >= 60


@pytest.mark.parametrize("value", ["10.0.0.10", "10.0.0.0/24", "2001:db8::/32", "::1"])
def test_an_address_or_network_is_kept_for_the_key_line(value: str) -> None:
    assert rules.network(value) == value


@pytest.mark.parametrize(
    ("written", "plain"),
    [("2001:DB8:0::1", "2001:db8::1"), ("::FFFF:10.0.0.1", "::ffff:a00:1"), ("10.0.0.1", "10.0.0.1")],
)
def test_an_ip_address_is_brought_to_its_plain_form(written: str, plain: str) -> None:
    assert rules.address(written) in (plain, written.lower())


def test_a_host_keys_comment_and_an_urls_last_slash_are_dropped() -> None:
    assert rules.host_key(f" {KEY}  root@web1\n") == KEY
    assert rules.url("http://127.0.0.1:9090/") == "http://127.0.0.1:9090"


def test_a_server_may_be_local_and_a_host_may_not() -> None:
    assert rules.server_address("local") == "local"
    assert rules.server_address("10.0.0.1") == "10.0.0.1"
    with pytest.raises(ValueError, match="for a server alone"):
        rules.address("local")


def test_default_listens_are_stable_and_loopback() -> None:
    assert rules.default_listen("web1", 9100) == "127.101.154.128:19100"
    assert all(rules.listen(rules.default_listen(f"h{n}", 9100)) for n in range(200))
    assert len({rules.default_listen(f"h{n}", 9100) for n in range(200)}) == 200


@pytest.mark.parametrize("value", ["a\nb", "a\r", "\0", "a\u2028", "x" * 1025])
def test_a_password_of_more_than_a_line_is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(ValueError, match="holds a line break") as caught:
        rules.password(value)
    assert value not in str(caught.value)


@pytest.mark.parametrize("value", ["x", "päss wörd", "'\"$(id)`\\", "123"])
def test_a_password_of_one_line_is_kept(value: str) -> None:
    assert rules.password(value) == value
