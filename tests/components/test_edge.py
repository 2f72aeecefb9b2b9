"""The components refuse by themselves what the settings refuse: whoever calls them, before anything is sent."""

# ruff: noqa: E501 - each error stands in one line, as it is shown

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pulumi
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from components import MonitoredHost, PrometheusServer
from tests.mocked import ADMIN_KEY, HOST_KEY, TUNNEL_KEY, deploy, exporter, fleet

PLAIN: Any = {"connection": {"address": "10.0.0.1", "host_key": HOST_KEY}}
LOCKED = (
    Ed25519PrivateKey.from_private_bytes(bytes([7] * 32))
    .private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, BestAvailableEncryption(b"open"))
    .decode()
)


def errors(program: Callable[[], Any], **more: Any) -> tuple[str, list[str]]:
    """Return the head and the lines of the error that a program ends with."""
    with pytest.raises(pulumi.RunError) as caught:
        deploy(program, **more)
    head, *lines = str(caught.value).split("\n  ")
    return head, lines


def machine(connection: dict[str, Any] | None = None, **more: Any) -> Any:
    """Return arguments with an address and host key; of the connection what is `...` is left out."""
    whole = {"address": "10.0.0.20", "host_key": HOST_KEY, **(connection or {})}
    return {"connection": {key: one for key, one in whole.items() if one is not ...}, **more}


def host(**given: Any) -> list[str]:
    """Return the errors of a host."""
    head, lines = errors(
        lambda: MonitoredHost("web1", made(machine(**given)), servers=[PrometheusServer("mon1", PLAIN)])
    )
    count = "1 error" if len(lines) == 1 else f"{len(lines)} errors"
    assert head == f"{count} in MonitoredHost web1; nothing of it was planned:"
    return lines


HOSTS: list[tuple[dict[str, Any], str]] = [
        ({"exportres": {}}, "exportres: is not known here; did you mean exporters?"),
        ({"connection": {"adress": "x"}}, "connection.adress: is not known here; did you mean address?"),
        ({"connection": {"hostKey": "x"}}, "connection.hostKey: is not known here; did you mean host_key?"),
        (
            {"exporters": {"node": {"port": 9100, "lisen": "x"}}},
            "exporters.node.lisen: is not known here; did you mean listen?",
        ),
        (
            {"connection": {"bastion": {"address": "b", "host_key": HOST_KEY, "usr": "x"}}},
            "connection.bastion.usr: is not known here; did you mean user?",
        ),
        (
            {"exporters": {"node": {"zzz": 1, "port": 9100}}},
            "exporters.node.zzz: is not known here; use one of port, unit, job, path, manage, listen",
        ),
        ({"connection": {"address": ...}}, "connection.address: is missing; add it"),
        ({"connection": {"address": None}}, "connection.address: is missing; add it"),
        ({"exporters": {"node": {}}}, "exporters.node.port: is missing; add it"),
        ({"exporters": {"node": {"port": True}}}, "exporters.node.port: true is not a whole number; write such as 22"),
        ({"exporters": {"node": {"port": 9100.5}}}, "exporters.node.port: 9100.5 is not a whole number; write such as 22"),
        ({"exporters": {"node": {"port": 10**5000}}}, "exporters.node.port: a number of thousands of digits is no port; use a whole number from 1 to 65535"),
        ({"exporters": {"node": {"port": b"9100"}}}, "exporters.node.port: an object of type bytes is not a whole number; write such as 22"),
        ({"exporters": {"node": {"port": "9100"}}}, "exporters.node.port: '9100' is not a whole number; write 9100"),
        ({"exporters": {"node": 9100}}, "exporters.node: 9100 is not a map; write such as {port: ...}"),
        ({"exporters": [9100]}, "exporters: a list is not a map; write such as {node: {port: 9100}}"),
        ({"exporters": {}}, "exporters: has no entry; write such as {node: {port: 9100}}, or take the key out"),
        ({"exporters": {"node": {"port": 60000}}}, "exporters.node.port: 60000 has no default listen, for its port plus 10000 is none; give listen"),
        (
            {"exporters": {"node": exporter(), "b": exporter(2, 9101)}},
            "exporters.b.job: 'node' is exporters.node's job already; give it another job",
        ),
        ({"exporters": {"node": {"port": 22}}}, "exporters.node.port: 22 is that of SSH already; give the exporter's own"),
        (
            {"connection": {"port": 9100}},
            "connection.port: 9100 is SSH's port here, and that of the node exporter, which is there where none is written; an exporter's port goes to exporters.node.port",
        ),
        (
            {"exporters": {"node": exporter(), "b": exporter(job="b", listen="127.77.0.1:19100", port=9101)}},
            "exporters.b.listen: '127.77.0.1:19100' is that of exporters.node.listen of web1 already; give one of them another listen",
        ),
        (
            {"exporters": {"node": exporter(listen="127.0.0.1:7080\nExecStartPre=/bin/x")}},
            "exporters.node.listen: '127.0.0.1:7080\\nExecStartPre=/bin/x' is not a loopback address and port; use 127.x.y.z:port or [::1]:port",
        ),
        ({"labels": {"a-b": "x"}}, "labels.a-b: 'a-b' is no free label name; use letters, digits and _, not instance, job or a leading __"),
        ({"labels": {"env": 5}}, "labels.env: 5 is not text; put it in quotes"),
        ({"labels": {f"l{n}": "x" for n in range(33)}}, "labels: has more than 32 entries; take some out"),
        ({"detect_drift": "no"}, "detect_drift: 'no' is not true or false; write true or false, without quotes"),
        ({"abandoned": True, "offline": True}, "abandoned: true and offline: true exclude each other; keep offline while it may come back"),
        (
            {"connection": {"host_key": ...}},
            "connection.host_key: is missing; give it, as shown there by: cat /etc/ssh/ssh_host_ed25519_key.pub",
        ),
        (
            {"connection": {"host_key": ..., "insecure_host_key": True}},
            "connection.insecure_host_key: true is refused for a host, whose key its tunnel pins; give host_key, as shown there by: cat /etc/ssh/ssh_host_ed25519_key.pub",
        ),
        ({"connection": {"private_key": "PLANTED"}}, "connection.private_key: is no private key for SSH (ed25519, ecdsa or RSA); see: ssh-keygen -y -f FILE"),
        ({"connection": {"private_key": LOCKED}}, "connection.private_key: is encrypted; give private_key_password"),
        ({"connection": {"private_key": LOCKED, "private_key_password": "x"}}, "connection.private_key: is not opened by private_key_password; set the right one"),
        ({"connection": {"sudo_password": "PLANTED\nPLANTED"}}, "connection.sudo_password: holds a line break or control character, or more than 1024 characters; set it again"),
        ({"connection": {"sudo_password": 5}}, "connection.sudo_password: is not text; give one"),
        (
            {"exporters": {"node": {"port": 9100, "path": "/all?format=prometheus"}}},
            "exporters.node.path: '/all?format=prometheus' has a query, which is not served; give the path of metrics that need none",
        ),
        ({"connection": {"address": "local"}}, "connection.address: 'local' is for a server alone, the one that Pulumi runs on; use the machine's name or address"),
        ({"connection": {"user": ["root"]}}, "connection.user: a list is not text; write one text, in quotes"),
    ]  # fmt: skip

SERVERS: list[tuple[dict[str, Any], str]] = [
        ({"scrape_intervall": "5s"}, "scrape_intervall: is not known here; did you mean scrape_interval?"),
        ({"scrape_interval": 5}, "scrape_interval: 5 is no duration; write the unit too, such as 5s, 1m or 1m30s"),
        ({"scrape_interval": "2h"}, "scrape_interval: '2h' is no scrape interval; use 1s to 1h, such as 15s"),
        ({"scrape_timeout": "6s"}, "scrape_timeout: '6s' is longer than scrape_interval (5s where none is written); make it no longer"),
        ({"scrape_interval": "5s", "scrape_timeout": "6s"}, "scrape_timeout: '6s' is longer than scrape_interval (5s); make it no longer"),
        ({"rotation": 0}, "rotation: 0 is no rotation; use a whole number from 1 to 1000000"),
        ({"egress": "10.0.0.1"}, "egress: a text is not a list; write such as [10.0.0.10]"),
        ({"egress": ["10.0.0.1", '10.0.0.2",command="x']}, "egress[1]: '10.0.0.2\",command=\"x' is no address or network; use such as 10.0.0.10 or 10.0.0.0/24"),
        ({"config_file": "/etc/../x"}, "config_file: '/etc/../x' is no plain absolute path; use letters, digits and . _ + @ - between slashes"),
        ({"private_key": LOCKED}, "private_key: is encrypted, and no unit can be asked for a passphrase; give one without"),
        ({"private_key": "PLANTED"}, "private_key: is no private key for SSH (ed25519, ecdsa or RSA); see: ssh-keygen -y -f FILE"),
        ({"connection": {"address": "local"}}, "connection.host_key: is for machines over SSH, and this one is local; take it out"),
        ({"connection": {"insecure_host_key": True}}, "connection.insecure_host_key: true stands beside host_key; keep one, and best host_key"),
        (
            {"connection": {"host_key": ...}},
            "connection.host_key: is missing; give it, as shown there by: cat /etc/ssh/ssh_host_ed25519_key.pub, or insecure_host_key where any may answer",
        ),
        ({"connection": {"bastion": {"address": "local", "host_key": HOST_KEY}}}, "connection.bastion.address: 'local' is for a server alone, the one that Pulumi runs on; use the machine's name or address"),
        ({"connection": {"bastion": {"address": "b"}}}, "connection.bastion.host_key: is missing; give it, as shown there by: cat /etc/ssh/ssh_host_ed25519_key.pub, or insecure_host_key where any may answer"),
        ({"connection": {"agent_socket_path": "a\nb"}}, "connection.agent_socket_path: 'a\\nb' is no path of an agent's socket; use that of SSH_AUTH_SOCK, or leave it out"),
    ]  # fmt: skip


def test_a_wrong_argument_is_refused_with_path_value_rule_and_remedy() -> None:
    def program() -> None:
        one = PrometheusServer("mon1", PLAIN)
        for given, error in HOSTS:
            with pytest.raises(pulumi.RunError) as caught:
                MonitoredHost("web1", machine(**given), servers=[one])
            assert str(caught.value) == f"1 error in MonitoredHost web1; nothing of it was planned:\n  {error}"
        for given, error in SERVERS:
            with pytest.raises(pulumi.RunError) as caught:
                PrometheusServer("mon2", machine(**given))
            assert str(caught.value) == f"1 error in PrometheusServer mon2; nothing of it was planned:\n  {error}"

    deploy(program)
    assert not [error for _, error in [*HOSTS, *SERVERS] if "PLANTED" in error]


def test_all_errors_of_a_component_come_at_once() -> None:
    lines = host(connection={"address": "a;b", "port": 0, "prot": 22}, exportres={}, labels={"a": "x\ny"})
    assert sorted(line.partition(":")[0] for line in lines) == [
        *("connection.address", "connection.port", "connection.prot", "exportres", "labels.a")
    ]


def test_arguments_that_are_no_map_are_refused() -> None:
    wrong: list[Any] = [None, [], "web1", 5]
    for given in wrong:
        _, lines = errors(lambda given=given: PrometheusServer("mon1", given))  # type: ignore[misc]
        assert lines[0].startswith("args: ")


@pytest.mark.parametrize(
    "name",
    ["web1; touch /etc/owned;", "../../default/keep", "web1\nExecStartPre=/bin/x", "", "-a", "Web1", "a.b", 5, None],
)
def test_a_components_own_name_is_a_value_too(name: Any) -> None:
    said = f"name: {name!r} is not a name; use small letters, digits and inner hyphens, 63 at most"
    said = said if isinstance(name, str) else f"name: {'nothing' if name is None else name} is not"
    for program in (
        lambda: PrometheusServer(name, PLAIN),
        lambda: MonitoredHost(name, PLAIN, servers=[PrometheusServer("mon1", machine())]),
    ):
        head, lines = errors(program)
        assert len(lines) == 1
        assert lines[0].startswith(said)
        assert "\n" not in head


@pytest.mark.parametrize("name", ["..", ".", "a b", "-a", "a/b", "a;b", "a\nb"])
def test_a_stacks_and_a_projects_name_are_values_too(name: str) -> None:
    for what in ("stack", "project"):
        _, lines = errors(lambda: PrometheusServer("mon1", PLAIN), **{what: name})
        assert lines == [f"{what}: {name!r} is no name that files can have; use letters, digits, . _ and -, no - first"]


def test_servers_go_by_name_and_opts_third_as_in_pulumi() -> None:
    def program() -> None:
        parent = pulumi.ComponentResource("a:b:C", "parent")
        opts = pulumi.ResourceOptions(parent=parent)
        one = PrometheusServer("mon1", PLAIN, opts)
        MonitoredHost("web1", machine(), opts, servers=[one])

    assert deploy(program).resources["web1"].parent == "parent"


def test_servers_among_the_arguments_are_told_where_they_stand() -> None:
    given = {"servers": ["mon1"]}
    assert host(**given) == [
        "servers: is not known here; they stand beside the arguments: MonitoredHost(name, args, opts, servers=[server])"
    ]


def test_a_call_of_the_last_release_is_told_what_to_write() -> None:
    def program() -> None:
        MonitoredHost("web1", machine(), [PrometheusServer("mon1", PLAIN)])  # type: ignore[arg-type]

    assert errors(program)[1] == [
        "opts: a list is no ResourceOptions; servers go by name: MonitoredHost(name, args, opts, servers=[server])"
    ]


@pytest.mark.parametrize(
    ("servers", "error"),
    [
        (lambda _: [], "servers: are missing; give those that scrape the host, servers=[server]"),
        (lambda one: one, "servers: an object of type PrometheusServer is not a list; write servers=[server]"),
        (lambda one: [one, "mon2"], "servers[1]: 'mon2' is no PrometheusServer; give the component itself"),
        (lambda one: [one, one], "servers[1]: 'mon1' is named twice; take one out"),
        (
            lambda one: [one, PrometheusServer("mon2", PLAIN)],
            "servers[1]: is the machine of servers[0] already; take one of them out",
        ),
    ],
)
def test_servers_that_are_none_or_one_twice_are_refused(servers: Any, error: str) -> None:
    assert errors(lambda: MonitoredHost("web1", machine(), servers=servers(PrometheusServer("mon1", PLAIN))))[1] == [
        error
    ]


@pytest.mark.parametrize(
    ("names", "first", "second", "error"),
    [
        (
            ("web1", "web2"),
            {"exporters": {"node": exporter()}},
            {"exporters": {"node": exporter()}, "connection": {"address": "10.0.0.21"}},
            "exporters.node.listen: '127.77.0.1:19100' is that of exporters.node.listen of web1 already; give one of them another listen",
        ),
        (("web1", "web2"), {}, {}, "connection.address: '10.0.0.20' is that of web1 already; take one of them out"),
        (
            ("web1", "web1-exporter"),
            {"exporters": {"ssh-tunnel": {"port": 9100}}},
            {"connection": {"address": "10.0.0.21"}},
            "name: its resource web1-exporter-ssh-tunnel is called as one of web1; rename one of them",
        ),
    ],
)
def test_two_hosts_of_one_server_that_would_get_into_each_others_way_are_refused(
    names: tuple[str, str], first: dict[str, Any], second: dict[str, Any], error: str
) -> None:
    def program() -> None:
        one = PrometheusServer("mon1", PLAIN)
        for name, given in zip(names, (first, second), strict=True):
            MonitoredHost(name, machine(**given), servers=[one])

    head, lines = errors(program)
    assert head == f"1 error in MonitoredHost {names[1]}; nothing of it was planned:"
    assert lines == [error]


def test_what_looks_like_a_clash_and_is_none_is_made() -> None:
    def program() -> None:
        one, two = (PrometheusServer(f"mon{n}", machine({"address": f"10.0.0.{n}"})) for n in (1, 2))
        node = {"node": exporter()}
        MonitoredHost("web1", machine(exporters=node), servers=[one])
        MonitoredHost("web2", machine({"address": "10.0.0.21"}, exporters=node), servers=[two])
        MonitoredHost("web3", machine({"port": 2222}), servers=[one, two])
        MonitoredHost("web4", machine(abandoned=True), servers=[one])

        high = {"node": {"port": 60000, "listen": "127.0.0.1:7080"}}
        MonitoredHost("web5", machine({"address": "10.0.0.25"}, exporters=high), servers=[one])

    assert {"web4-exporter-node", "web5-exporter-node"} <= deploy(program).resources.keys()


def test_numbers_of_other_languages_and_what_is_none_are_taken() -> None:
    given: dict[str, Any] = {
        "exporters": {"node": {"port": 9100.0, "unit": None}},
        "labels": None,
        "connection": {"port": 2222.0, "user": None},
    }
    done = deploy(fleet({"mon1": {"rotation": 2.0, "sample_limit": 7.0}}, {"web1": given}))
    assert done.resources["web1-exporter-node"].inputs["connection"]["port"] == 2222
    assert "PORT=9100\n" in done.resources["web1-exporter-node"].inputs["stdin"]
    assert "SAMPLE_LIMIT=7\n" in done.resources["mon1-scrape-job"].inputs["stdin"]


def test_a_value_arrives_in_its_plain_form() -> None:
    servers = {"mon1": {"url": "http://127.0.0.1/", "egress": ["10.0.0.1"]}}
    hosts = {"web1": {"connection": {"host_key": f" {HOST_KEY}  root@web1\n", "address": "2001:DB8:0::1"}}}
    done = deploy(fleet(servers, hosts))
    assert "URL=http://127.0.0.1:80\n" in done.resources["mon1-scrape-job"].inputs["stdin"]
    login = done.resources["web1-exporter-node"].inputs["connection"]
    assert (login["hostKey"], login["host"]) == (HOST_KEY, "2001:db8::1")


@pytest.mark.parametrize(("interval", "timeout"), [(None, "5s"), ("1s", "1s"), ("15s", "10s"), ("1m", "10s")])
def test_a_time_out_that_is_left_out_fits_the_interval(interval: str | None, timeout: str) -> None:
    done = deploy(fleet({"mon1": {"scrape_interval": interval}}, {}))
    assert f"TIMEOUT={timeout}\n" in done.resources["mon1-scrape-job"].inputs["stdin"]


@dataclass(frozen=True)
class Later:
    """A value that is an output in the program: outside of it there can be none."""

    value: Any


def made(given: Any) -> Any:
    """Return arguments with outputs in them."""
    if isinstance(given, Later):
        return pulumi.Output.from_input(given.value)
    if isinstance(given, dict):
        return {key: made(value) for key, value in given.items()}
    return [made(value) for value in given] if isinstance(given, list) else given


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"address": "a;b"}, "connection.address: 'a;b' is no host name or IP address; write it alone, without user, port or brackets"),
        ({"address": "a\nExecStartPre=/bin/x"}, "connection.address: 'a\\nExecStartPre=/bin/x' is no host name or IP address; write it alone, without user, port or brackets"),
        ({"address": "local"}, "connection.address: 'local' is for a server alone, the one that Pulumi runs on; use the machine's name or address"),
        ({"address": 5}, "connection.address: 5 is not text; give one"),
        ({"address": None}, "connection.address: nothing is not text; give one"),
        ({"host_key": f"{HOST_KEY}\n{HOST_KEY}"}, "is no ed25519 or ecdsa host key; show it there with: cat /etc/ssh/ssh_host_ed25519_key.pub"),
        ({"private_key": "PLANTED"}, "connection.private_key: is no private key for SSH (ed25519, ecdsa or RSA); see: ssh-keygen -y -f FILE"),
        ({"private_key": LOCKED}, "connection.private_key: is encrypted; give private_key_password"),
        ({"private_key": LOCKED, "private_key_password": "PLANTED"}, "connection.private_key: is not opened by private_key_password; set the right one"),
        ({"sudo_password": "PLANTED\nPLANTED", "user": "deploy"}, "connection.sudo_password: holds a line break or control character, or more than 1024 characters; set it again"),
        ({"password": ["PLANTED"]}, "connection.password: is not text; give one"),
    ],
)  # fmt: skip
def test_an_output_is_checked_before_it_is_sent(given: dict[str, Any], error: str) -> None:
    late = {key: value if key == "user" else Later(value) for key, value in given.items()}
    for component in ("MonitoredHost web1", "PrometheusServer mon1"):
        with pytest.raises(pulumi.RunError) as caught:
            deploy(lambda component=component: _one(component, machine(late)))  # type: ignore[misc]
        assert str(caught.value).startswith(f"{component}: ")
        assert str(caught.value).endswith(error)
        assert "PLANTED" not in str(caught.value)


def _one(component: str, given: Any) -> None:
    server = made(given) if component.startswith("P") else PLAIN
    one = PrometheusServer("mon1", server)
    if component.startswith("M"):
        MonitoredHost("web1", made(given), servers=[one])


def test_an_output_that_is_right_goes_on_in_its_plain_form_and_a_secret_one_stays_secret() -> None:
    async def address() -> str:
        return "2001:DB8:0::1"

    def program() -> None:
        login: dict[str, Any] = {"host_key": Later(f"{HOST_KEY} root@web1"), "private_key": Later(LOCKED)}
        login |= {"private_key_password": Later("open"), "user": "deploy", "sudo_password": Later("PLANTED")}
        given = machine({"address": Later("10.0.0.10"), "private_key": Later(ADMIN_KEY)})
        given |= {"private_key": Later(TUNNEL_KEY), "egress": [Later("10.0.0.0/24")]}
        one = PrometheusServer("mon1", made(given))
        host = made(machine(login, exporters={"node": exporter()}))
        host["connection"]["address"] = address()
        MonitoredHost("web1", host, servers=[one])

    done = deploy(program)
    login = done.resources["web1-exporter-node"].inputs["connection"]
    assert (login["host"], login["hostKey"], login["privateKey"]) == ("2001:db8::1", HOST_KEY, LOCKED)
    assert 'from="10.0.0.0/24"' in done.resources["web1-authorized-key-mon1"].inputs["stdin"]
    assert TUNNEL_KEY in done.resources["mon1-keypair"].inputs["stdin"]
    for name, one in done.resources.items():
        public = {key: value for key, value in one.inputs.items() if key not in one.secret}
        for secret in (TUNNEL_KEY.splitlines()[1], ADMIN_KEY.splitlines()[1], LOCKED.splitlines()[1], "PLANTED"):
            assert secret not in str(public), name


def test_what_is_not_text_has_to_be_known_at_once() -> None:
    assert host(
        connection={"port": Later(22), "user": Later("root")}, labels={"a": Later("x")}, exporters=Later({})
    ) == [
        "connection.port: an output of another resource is not a whole number that is known at once; give a plain value",
        "connection.user: an output of another resource is not text that is known at once; give a plain value",
        "labels.a: an output of another resource is not text that is known at once; give a plain value",
        "exporters: an output of another resource is not a map that is known at once; give a plain value",
    ]


@pytest.mark.parametrize("egress", ['10.0.0.2",command="x', "0.0.0.0/0", "a\nb"])
def test_an_address_of_a_server_that_another_resource_gives_is_checked(egress: str) -> None:
    with pytest.raises(pulumi.RunError, match=r"^PrometheusServer mon1: egress\[0\]: .* is no address or network"):
        deploy(lambda: _one("P", machine(egress=[Later(egress)])))
