"""The awk programs that judge who may log in: given text, wanted text, with each awk."""

import shutil
import subprocess

import pytest

from lab.sent import SCRIPTS
from tests.scripts.sandbox import AWKS

NAME = "metrics-tunnel-test-mon1-1"
KEY = "AAAAC3"
LINE = f'restrict,permitopen="127.0.0.1:9100" ssh-ed25519 {KEY} {NAME}\n'
OTHERS = f"restrict,port-forwarding ssh-ed25519 {KEY} metrics-tunnel-prod-mon1-1\n# a comment\nssh-rsa BBBB bob\n"
DROPIN = "# Ours.\nMatch User ours\nPermitTTY no\nMaxSessions 0\nMatch all"


def printed(program: str, awk: str, text: str, values: dict[str, str], **environment: str) -> str:
    """Return what one of the programs in scripts/lib makes of a text."""
    words = [f"-v{name}={value}" for name, value in values.items()]
    done = subprocess.run(
        [
            shutil.which(awk) or awk,
            *(["awk"] if awk == "busybox" else []),
            *words,
            "-f",
            SCRIPTS / f"lib/{program}.awk",
        ],
        input=text,
        capture_output=True,
        text=True,
        check=True,
        env={"LC_ALL": "C", **environment},
    )
    assert done.stderr == ""
    return done.stdout


ACCESS = {
    "none": ("", "10.0.0.1", ""),
    "one that names others": ("- : bob (bob) : ALL\n", "10.0.0.1", ""),
    "one for all": ("# ours\n\n-:ALL:ALL\n", "", "-:ALL:ALL\n"),
    "the first counts": ("+ : ann : ALL\n- : ALL : ALL\n", "", ""),
    "the first counts, and keeps out": ("- : ann : ALL\n+ : ALL : ALL\n", "", "- : ann : ALL\n"),
    "a group of its own name": ("- : (ann) : ALL\n", "", "- : (ann) : ALL\n"),
    "commas and tabs": ("-\t:\tbob,ann\t:\tALL\n", "", "-\t:\tbob,ann\t:\tALL\n"),
    "an exception": ("- : ALL EXCEPT root ann : ALL\n", "", ""),
    "an exception for others": ("- : ALL EXCEPT root : ALL\n", "", "- : ALL EXCEPT root : ALL\n"),
    "its address": ("- : ALL : 10.0.0.1\n", "10.0.0.1", "- : ALL : 10.0.0.1\n"),
    "the beginning of its address": ("- : ALL : 10.0.\n", "10.0.0.1", "- : ALL : 10.0.\n"),
    "another address is no beginning": ("- : ALL : 10.0.0.1\n", "10.0.0.10", ""),
    "an address with colons": ("- : ALL : fd00::1\n", "fd00::1", "- : ALL : fd00::1\n"),
    "a network that keeps out may be another's": ("- : ALL : 10.0.0.0/8\n", "10.0.0.1", ""),
    "a network that lets in may be its own": ("+ : ALL : 10.0.0.0/8\n- : ALL : ALL\n", "10.0.0.1", ""),
    "an exception by a name may be its own": ("- : ALL : ALL EXCEPT mon1.example\n", "10.0.0.1", ""),
    "nobody knows its address": ("+ : ALL : 10.0.0.7\n- : ALL : ALL\n", "", ""),
    "it is not local": ("+ : ALL : LOCAL\n- : ALL : ALL\n", "", "- : ALL : ALL\n"),
}


@pytest.mark.parametrize("awk", AWKS)
@pytest.mark.parametrize("name", ACCESS)
def test_of_access_rules_the_first_that_fits_is_told_where_it_keeps_out(name: str, awk: str) -> None:
    rules, addresses, wanted = ACCESS[name]
    assert printed("rule-that-keeps-out", awk, rules, {"name": "ann", "addresses": addresses}) == wanted


WRAPPERS = {
    "of hosts.allow": ("# ours\n\nsshd: 10.\n", "allow", "+:sshd: 10.\n"),
    "of hosts.deny": ("ALL: ALL\n", "deny", "-:ALL: ALL\n"),
    "one that says otherwise": ("sshd: 10.0.0.1: DENY\n", "allow", "-:sshd: 10.0.0.1\n"),
    "one that lets in by hosts.deny": ("sshd : ALL : allow \n", "deny", "+:sshd : ALL \n"),
    "one that runs a command": ("sshd: ALL: spawn /bin/true\n", "deny", "-:sshd: ALL\n"),
}


@pytest.mark.parametrize("awk", AWKS)
@pytest.mark.parametrize("name", WRAPPERS)
def test_rules_of_tcp_wrappers_become_access_rules(name: str, awk: str) -> None:
    rules, verdict, wanted = WRAPPERS[name]
    assert printed("tcp-wrapper-rules", awk, rules, {"verdict": verdict}) == wanted


SETTINGS = {
    "all": ("permittty no\nport 22\nmaxsessions 0\n", ""),
    "one with another value": ("permittty no\nmaxsessions 10\n", "MaxSessions 0\n"),
    "none": ("", "PermitTTY no\nMaxSessions 0\n"),
}


@pytest.mark.parametrize("awk", AWKS)
@pytest.mark.parametrize("name", SETTINGS)
def test_lines_of_the_drop_in_that_sshd_would_not_use_are_found(name: str, awk: str) -> None:
    text, wanted = SETTINGS[name]
    assert printed("disobeyed-lines", awk, text, {}, DROPIN=DROPIN) == wanted


BLOCKS = {
    "none": ("/a Port 22\n/a MaxSessions 10\n", ""),
    "a block without it": ("/a Match User *\n/a PermitTTY yes\n", ""),
    "a block": ("/a Match User *\n/a   maxsessions=10\n", ("/a", "maxsessions=10", "Match User *")),
    "the first of two": (
        "/a Match User *\n/a MaxSessions 5\n/a Match all\n/a MaxSessions 6\n",
        ("/a", "MaxSessions 5", "Match User *"),
    ),
    "a block ends with its file": ("/a Match User *\n/b MaxSessions 10\n", ""),
}


@pytest.mark.parametrize("awk", AWKS)
@pytest.mark.parametrize("name", BLOCKS)
def test_the_block_that_overrules_a_setting_is_named(name: str, awk: str) -> None:
    text, found = BLOCKS[name]
    wanted = ""
    if found:
        file, setting, block = found
        wanted = f"{file} comes first, with '{setting}' in its block '{block}'; take that out there\n"
    assert printed("overruling-block", awk, text, {"keyword": "MaxSessions"}) == wanted
