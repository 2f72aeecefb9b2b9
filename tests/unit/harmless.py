"""Whether what a stack's resources send to machines says what was written in the settings, and nothing else."""

import ipaddress
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncssh
import yaml

from components import rules
from components.payload import CODE_BEGINS, assignments, code
from tests.mocked import Deployment, Resource, public_key

SHELLS = ("dash", "bash --posix", "busybox sh")
_NAMED = re.compile(r"^([A-Z][A-Z0-9_]*)=", re.MULTILINE)
_MATCHER = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)=("(?:[^"\\]|\\["\\])*")')
_KINDS = (
    "keypair",
    "tunnel-watchdog",
    "scrape-job",
    "authorized-key",
    "login-key",
    "ssh-tunnel",
    "scrape-config",
    "exporter",
)
_ON_HOST = {"authorized-key", "login-key", "exporter"}
_LAST = '{ main "$@" </dev/null; exit; }\n'
_SUDO = """sh -c 'IFS= read -r p; printf "%s\\n" "$p" | sudo -S -p "" -v && sudo -n "$@"' sudo {}"""
STARTED = (
    """env -i sh -c 'sent=$(cat); case $sent in "# metrics-tunnel"*) eval "$sent" ;; esac; """
    """echo "standard input lost" >&2; exit 3' metrics-tunnel"""
)
_SSH = """/usr/bin/ssh -NTF none -oIdentitiesOnly=yes -oIdentityFile=${{CREDENTIALS_DIRECTORY}}/key
-oUserKnownHostsFile=${{CREDENTIALS_DIRECTORY}}/known_hosts -oGlobalKnownHostsFile=/dev/null -oStrictHostKeyChecking=yes
-oHostKeyAlias={host} -oUpdateHostKeys=no -oBatchMode=yes -oExitOnForwardFailure=yes -oConnectTimeout=5
-oServerAliveInterval=5 -oServerAliveCountMax=2 -p {port} {forwards} -- {login}@{address}"""


def check(done: Deployment, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
    """Assert that every payload reads back in every shell, and that each value is exactly what it has to be."""
    commands = {name: one for name, one in done.resources.items() if one.type.endswith(":Command")}
    payloads = {name: _payload(one, secrets) for name, one in commands.items()}
    first, *others = [_read_back(shell, payloads) for shell in SHELLS]
    assert all(other == first for other in others)
    for name, values in first.items():
        _Part(settings, secrets, values).check(commands[name])


def _payload(resource: Resource, secrets: Mapping[str, str]) -> str:
    """Return what comes after the sudo password, which has to be one line, where there is one."""
    text: str = resource.inputs["stdin"]
    if resource.inputs["connection"]["user"] == "root":
        return text
    password, _, text = text.partition("\n")
    assert password == secrets["sudoPassword"]
    return text


def _read_back(shell: str, payloads: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return by resource the values of its payload as a shell has them that finds no program to run."""
    script, names = "", {}
    for resource, payload in payloads.items():
        assert payload.endswith(_LAST)
        assigned = payload.partition(CODE_BEGINS)[0]
        names[resource] = _NAMED.findall(assigned)
        script += f"(\n{assigned}" + "".join(f"printf '%s\\0' \"${name}\"\n" for name in names[resource]) + ")\n"
    words = iter(_printed(shell, script).split("\0"))
    return {resource: {name: next(words) for name in some} for resource, some in names.items()}


def _printed(shell: str, script: str) -> str:
    program, *arguments = shell.split()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [shutil.which(program) or program, *arguments, "-eus"],
            input=script.encode(),
            capture_output=True,
            check=True,
            cwd=folder,
            env={"PATH": "/nowhere"},
        )
        assert not list(Path(folder).iterdir())
    assert done.stderr == b""
    return done.stdout.decode()


def unit_text(values: Mapping[str, str]) -> str:
    """Return the unit that a tunnel's script makes of its values, for a systemd that knows all of it."""
    return _made("ssh-tunnel", "systemd_version=252; paths; unit_text", values)


def _made(script: str, call: str, values: Mapping[str, str]) -> str:
    """Return what functions of a part's script print."""
    script = f"{assignments(values)}{code(script)}\n{call}\n"
    done = subprocess.run(["dash", "-eus"], input=script, capture_output=True, check=True, text=True)
    assert done.stderr == ""
    return done.stdout


class _Part:
    """A part as the settings have it: a method for each kind asserts what its values are."""

    def __init__(self, settings: Mapping[str, Any], secrets: Mapping[str, str], values: Mapping[str, str]) -> None:
        self.settings, self.secrets, self.values = settings, secrets, values
        (self.kind,) = [one for one in _KINDS if f"{values['PART']}-".startswith(f"{one}-")]
        servers, hosts, self.scrape = settings["prometheus"], settings.get("hosts", {}), settings.get("scrape", {})
        machine = values["MACHINE"]
        on_host = self.kind in _ON_HOST
        self.machine = hosts[machine] if on_host else servers[machine]
        self.host_name = machine if on_host else values.get("HOST", "")
        self.host = hosts.get(self.host_name, {})
        # The key's name tells the server of its line; an exporter has none.
        named = [one for one in servers if values.get("ID", self._key(machine)) == self._key(one)]
        self.server = servers[named[0]] if named else {}
        self.key = self._key(named[0]) if named else ""
        self.exporters = [
            {
                "path": "/metrics",
                "job": self.scrape.get("job", "node") if name == "node" else name,
                "listen": self.host.get("listen") or rules.default_listen(self.host_name, one["port"]),
                **{key: value for key, value in one.items() if value is not None},
            }
            for name, one in self.host.get("exporters", {"node": {"port": 9100}}).items()
        ]

    def _key(self, server: str) -> str:
        return f"metrics-tunnel-test-{server}-{self.settings.get('rotation', 1)}"

    def check(self, resource: Resource) -> None:
        """Command lines hold names of ours alone, the connection is what was written, and so are the values."""
        user = self.machine.get("user") or self.settings.get("ssh", {}).get("user", "root")
        for verb, start, last in (("create", "apply", " (?:0|[0-9a-f]{8})"), ("delete", "remove", "")):
            owner = f"metrics-tunnel:test[.]{resource.name}[.][0-9a-f]{{8}}"
            text = f"timeout [0-9]+ {re.escape(STARTED)} {start} {owner}{last}"
            wanted = text if user == "root" else re.escape(_SUDO).replace(r"\{\}", text)
            # Of a machine that is left alone there is none.
            line = resource.inputs.get(verb)
            assert line is None or re.fullmatch(wanted, line), line
        login = resource.inputs["connection"]
        assert login["host"] == _address(self.machine["address"])
        assert login["port"] == self.machine.get("port", 22)
        assert login["user"] == user
        assert login["hostKey"] == _plain(self.machine["hostKey"])
        assert self.values.get("STACK", "test") == "test"
        getattr(self, self.kind.replace("-", "_"))(self.values)

    def keypair(self, values: Mapping[str, str]) -> None:
        assert values["KEY"] == f"/etc/metrics-tunnel/keys/{self.key}"
        assert values["COMMENT"] == self.key
        assert values["PRIVATE_KEY"] == self.secrets["tunnelPrivateKey"]

    def tunnel_watchdog(self, values: Mapping[str, str]) -> None:
        assert set(values) == {"MACHINE", "PART", "STACK"}

    def scrape_job(self, values: Mapping[str, str]) -> None:
        interval = self.scrape.get("interval", "5s")
        (job,) = yaml.safe_load(_made("scrape-job", "job_text", values))
        timeout = self.scrape.get("timeout") or min(interval, "10s", key=rules.milliseconds)
        assert job == {
            "job_name": "metrics-tunnel-test",
            "scrape_interval": interval,
            "scrape_timeout": timeout,
            "honor_labels": False,
            "honor_timestamps": False,
            "follow_redirects": False,
            "fallback_scrape_protocol": "PrometheusText0.0.4",
            "sample_limit": self.scrape.get("sampleLimit") or 15000,
            "body_size_limit": "32MB",
            "label_limit": 64,
            "label_value_length_limit": 4096,
            "file_sd_configs": [{"files": ["/etc/metrics-tunnel/targets/test/*.json"], "refresh_interval": "10s"}],
        }
        assert values["JOB"] == "metrics-tunnel-test"
        assert values["CONFIG"] == (self.server.get("configFile") or "")
        assert values["SERVICE"] == (self.server.get("service") or "")
        url = urlsplit(self.server.get("url") or "")
        port = "" if url.port else ":80"
        assert values["URL"] == (f"http://{url.netloc}{port}{url.path.rstrip('/')}" if url.netloc else "")

    def authorized_key(self, values: Mapping[str, str]) -> None:
        assert values["ID"] == self.key
        assert values["LINE"].splitlines() == [values["LINE"]]
        (entry,) = asyncssh.import_authorized_keys(values["LINE"])._user_entries
        (egress,) = [re.findall(r'from="([^"]*)"', values["LINE"])]
        assert egress == ([",".join(self.server["egress"])] if self.server.get("egress") else [])
        assert entry.options.pop("from", []) or not egress
        assert entry.options == {
            "restrict": True,
            "port-forwarding": True,
            "permitopen": {("127.0.0.1", one["port"]) for one in self.exporters},
            "permitlisten": ["localhost:1"],
            "command": "/bin/false",
        }
        assert values["LINE"].endswith(f" {public_key(self.key)}")

    def login_key(self, values: Mapping[str, str]) -> None:
        assert values["LOGIN"] == self.host["login"]
        self.authorized_key(values)

    def ssh_tunnel(self, values: Mapping[str, str]) -> None:
        assert values["HOST"] == self.host_name
        assert values["HOST_KEY"] == _plain(self.host["hostKey"])
        assert values["LISTENS"].split() == [one["listen"] + one["path"] for one in self.exporters]
        mark, *lines = unit_text(values).split("\n")
        assert re.fullmatch("# Managed by metrics-tunnel, stack test; key [0-9a-f]{16}", mark)
        command = _SSH.format(
            host=self.host_name,
            port=self.host.get("port", 22),
            forwards=" ".join(f"-L {one['listen']}:127.0.0.1:{one['port']}" for one in self.exporters),
            login=self.host.get("login") or "metrics-tunnel",
            address=_address(self.host["address"]),
        )
        assert lines[: lines.index("NoNewPrivileges=yes")] == [
            "[Unit]",
            f"Description=SSH tunnel to {self.host_name}",
            "Wants=network-online.target",
            "After=network-online.target nss-lookup.target",
            "StartLimitIntervalSec=0",
            "[Service]",
            "Type=exec",
            "Restart=always",
            "RestartSec=5",
            "User=metrics-tunnel-ssh",
            "UMask=0077",
            f"ExecStart={' '.join(command.split())}",
            f"LoadCredential=key:/etc/metrics-tunnel/keys/{self.key}",
            f"LoadCredential=known_hosts:/etc/metrics-tunnel/known_hosts/{self.host_name}",
        ]
        assert not set("%\"'\\;`").intersection(command), "systemd or ssh would read it as more than a letter"

    def scrape_config(self, values: Mapping[str, str]) -> None:
        labels = self.host.get("labels", {})
        assert values["HOST"] == self.host_name
        assert json.loads(values["TARGETS"]) == [
            {
                "targets": [one["listen"]],
                "labels": labels | {"instance": self.host_name, "job": one["job"], "__metrics_path__": one["path"]},
            }
            for one in self.exporters
        ]
        assert values["TARGETS"].isascii()
        for line, one in zip(values["LISTED"].split("\n"), self.exporters, strict=True):
            told = json.loads(f"{{{line}}}")
            assert list(told) == ["labels", "scrapePool", "scrapeUrl"]
            assert told["labels"] == labels | {"instance": self.host_name, "job": one["job"]}
            assert told["scrapeUrl"] == f"http://{one['listen']}{one['path']}"

    def exporter(self, values: Mapping[str, str]) -> None:
        (one,) = [one for one in self.exporters if str(one["port"]) == values["PORT"]]
        assert values["METRICS"] == one["path"]
        assert values["SERVICE"] == one.get("unit", "")
        assert values["MANAGE"] == ("yes" if one.get("manage", True) else "no")
        assert values["SCRAPE_SECONDS"].isdecimal()


def _address(written: str) -> str:
    try:
        return str(ipaddress.ip_address(written))
    except ValueError:
        return written


def _plain(host_key: str) -> str:
    return " ".join(host_key.split()[:2])
