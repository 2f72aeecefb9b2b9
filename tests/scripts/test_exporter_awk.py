"""The awk programs of the exporter's script: given text, wanted text, with each awk."""

import subprocess
from pathlib import Path

import pytest

from tests.scripts.sandbox import AWKS

PROGRAMS = Path(__file__).parents[2] / "components/scripts/lib"

COMMANDS = {
    "the command": ("[Service]\nExecStart=/bin/a --b\n", "/bin/a --b\n"),
    "nothing but comments": ("# /usr/lib/systemd/system/a.service\n[Service]\n#ExecStart=/bin/a\n", ""),
    "blanks around, and the line ends of Windows": ("[Service]\r\n  ExecStart = /bin/a  b \r\n", "/bin/a  b\n"),
    "a byte order mark": ("\ufeff[Service]\nExecStart=/bin/a\n", "/bin/a\n"),
    "in its section alone": (
        "[Unit]\nExecStart=/bin/no\n[Service]\nExecStart=/bin/a\n[Install]\nExecStart=/bin/no\n",
        "/bin/a\n",
    ),
    "of several each": ("[Service]\nExecStart=/bin/a\nExecStart=/bin/b\n", "/bin/a\n/bin/b\n"),
    "an empty one drops those before": (
        "[Service]\nExecStart=/bin/a\nExecStart=/bin/b\nExecStart=\nExecStart=/bin/c\n",
        "/bin/c\n",
    ),
    "no other key": ("[Service]\nExecStartPre=/bin/no\nExecStart=/bin/a\nExecStartPost=/bin/no\n", "/bin/a\n"),
    "a line that goes on": ("[Service]\nExecStart=/bin/a \\\n  --b \\\n  --c\n", "/bin/a    --b    --c\n"),
    "a comment within it": ("[Service]\nExecStart=/bin/a \\\n# no \\\n ; no\n  --b\n", "/bin/a    --b\n"),
    "a comment does not go on": ("[Service]\n# no \\\nExecStart=/bin/a\n", "/bin/a\n"),
    "two backslashes are one that is meant": ("[Service]\nX=\\\\\nExecStart=/bin/a\\\\\nX=\n", "/bin/a\\\\\n"),
    "three are one and a line that goes on": ("[Service]\nExecStart=/bin/a\\\\\\\nb\n", "/bin/a\\\\ b\n"),
    "a last line that would go on": ("[Service]\nExecStart=/bin/a \\", "/bin/a\n"),
    "without our drop-in": (
        (
            "# /usr/lib/systemd/system/a.service\n[Service]\nExecStart=/bin/a\n\n"
            "# /etc/systemd/system/a.service.d/zz-metrics-tunnel.conf\n"
            "# Managed by metrics-tunnel: loopback alone.\n[Service]\nExecStart=\nExecStart=/bin/sh -c 'x' \\\ny\n\n"
            "# /etc/systemd/system/service.d/zzz.conf\n[Service]\nNice=1\n"
        ),
        "/bin/a\n",
    ),
    "with somebody's own drop-in": (
        (
            "# /usr/lib/systemd/system/a.service\n[Service]\nExecStart=/bin/a\n\n"
            "# /etc/systemd/system/a.service.d/mine.conf\n[Service]\nExecStart=\nExecStart=/bin/b\n"
        ),
        "/bin/b\n",
    ),
}
"""What `systemctl cat` prints, and the commands that own-command.awk finds in it."""

WORDS = {
    "words": ("/bin/a --b  c\t-d \n", "/bin/a\n--b\nc\n-d\n"),
    "nothing": ("\n", ""),
    "quotes": ("/bin/a 'b c' \"d 'e\" f'g h'i\n", "/bin/a\nb c\nd 'e\nfg hi\n"),
    "an empty word": ("a '' \"\" b\n", "a\n\n\nb\n"),
    "a blank behind a backslash": ('a\\ b \\\'c "d\\"e f" g\\\\h\n', "a b\n'c\nd\"e f\ng\\h\n"),
    "a backslash at the end": ("a b\\\n", "a\nb\n"),
    "a quote without its end": ("a 'b c\n", "a\nb c\n"),
}
"""Commands, and what words.awk makes of them."""

LISTENERS = {
    "nobody": ("", ""),
    "one": (
        'LISTEN 0 4096 127.0.0.1:9100 0.0.0.0:* users:(("node_exporter",pid=412,fd=3))\n',
        "412 127.0.0.1:9100 node_exporter\n",
    ),
    "one whose processes root alone may see": ("LISTEN 0 4096 *:9100 *:*\n", ""),
    "several processes with one socket, and a name with blanks": (
        'LISTEN 0 511 [::]:80 [::]:* users:(("nginx: master",pid=8,fd=6),("nginx",pid=9,fd=6))\n',
        "8 [::]:80 nginx: master\n9 [::]:80 nginx\n",
    ),
    "several sockets": (
        (
            'LISTEN 0 1 10.0.0.1:9100 0.0.0.0:* users:(("front",pid=8000,fd=1))\n'
            'LISTEN 0 1 [::ffff:127.0.0.1]:9100 *:* users:(("node",pid=9100,fd=1))\n'
        ),
        "8000 10.0.0.1:9100 front\n9100 [::ffff:127.0.0.1]:9100 node\n",
    ),
}
"""What `ss -Hltnp` prints, and what listeners.awk makes of it."""

_OF_TODAY = "[Service]\nExecStart=\nExecStart=/bin/sh -c ' \\\nours=--web.listen-address=127.0.0.1:9100; held=; \\\n"
CLOSED = {
    "of today": (_OF_TODAY, "9100"),
    "of 0.1.0": (
        "ExecStart=/bin/sh -c 'exec \"$$@\" --web.listen-address=127.0.0.1:9187' metrics-tunnel /bin/a --b :9188\n",
        "9187",
    ),
    "by another hand": ("[Service]\nExecStart=\nExecStart=/bin/a --web.listen-address=127.0.0.1:9100\n", ""),
    "opened by a hand": (_OF_TODAY.replace("127.0.0.1", "0.0.0.0"), ""),  # noqa: S104 - the drift
    "empty": ("", ""),
}
"""Drop-ins, and the port that closed-ports.awk finds in each."""


def run(awk: str, program: str, text: str) -> str:
    """Return what a program prints of a text."""
    command = ["busybox", "awk"] if awk == "busybox" else [awk]
    done = subprocess.run(
        [*command, "-f", PROGRAMS / program],
        input=text.encode(),
        capture_output=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
    )
    assert done.stderr == b""
    return done.stdout.decode()


@pytest.mark.parametrize("awk", AWKS)
@pytest.mark.parametrize("name", COMMANDS)
def test_the_units_own_command_is_read_as_systemd_reads_it(name: str, awk: str) -> None:
    given, wanted = COMMANDS[name]
    assert run(awk, "own-command.awk", given) == wanted


@pytest.mark.parametrize("awk", AWKS)
@pytest.mark.parametrize("name", WORDS)
def test_a_command_is_split_into_its_words(name: str, awk: str) -> None:
    given, wanted = WORDS[name]
    assert run(awk, "words.awk", given) == wanted


@pytest.mark.parametrize("awk", AWKS)
@pytest.mark.parametrize("name", LISTENERS)
def test_each_process_that_listens_has_a_line(name: str, awk: str) -> None:
    given, wanted = LISTENERS[name]
    assert run(awk, "listeners.awk", given) == wanted


@pytest.mark.parametrize("awk", AWKS)
def test_a_drop_in_says_which_port_it_closes(awk: str, tmp_path: Path) -> None:
    command = ["busybox", "awk"] if awk == "busybox" else [awk]
    files = {name: tmp_path / f"{name.replace(' ', '-')}.conf" for name in CLOSED}
    for name, file in files.items():
        file.write_text(CLOSED[name][0])
    done = subprocess.run(
        [*command, "-f", PROGRAMS / "closed-ports.awk", *files.values()], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [f"{port} {files[name]}" for name, (_, port) in CLOSED.items() if port]
    assert done.stderr == ""
