"""What a login says on many people's machines: none of it may be taken for an answer, nor files take modes from it.

Each place greets under its own name, so that a test that fails shows which one it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import base

if TYPE_CHECKING:
    from pathlib import Path

HOMES = ("root", f"home/{base.ADMIN}", f"home/{base.ASKED}")
FILE = "etc/greeting.sh"
# The second line reads like a sample of Prometheus' text format: people print their load. What a startup file prints
# last has no end of line: what comes next stands behind it.
_WORDS = "*** Welcome to production: {place} ***\nload 0.42"
_STARTUP = """\
printf '%s\\n' '{words}'
printf '%s\\n' 'a note of {place}' >&2
printf 'Have a nice day! '
umask 077
export LC_ALL=C.UTF-8
"""
_BY_SSHD = "# Ours.\nBanner /etc/issue.net\n"


def greet(tree: Path) -> None:
    """Let every login of a machine greet, and every bash of one, with a command or without."""
    for home in HOMES:
        for name in (".bashrc", ".profile"):
            # First: Debian's own .bashrc returns at once where nobody types.
            _before(tree / home / name, _startup(f"~/{name}"))
    _before(tree / "etc/profile.d/greeting.sh", _startup("/etc/profile.d"))
    _before(tree / FILE, _startup("BASH_ENV"))
    _before(tree / "etc/environment", f"BASH_ENV=/{FILE}\n")
    _before(tree / "etc/issue.net", _words("the Banner") + "\n")
    _before(tree / "etc/motd", _words("motd") + "\n")
    _before(tree / "etc/ssh/sshrc", f"printf '%s\\n' '{_words('sshrc')}'\n")
    _before(tree / "etc/ssh/sshd_config.d/90-company.conf", _BY_SSHD)


def _words(place: str) -> str:
    return _WORDS.format(place=place)


def _startup(place: str) -> str:
    return _STARTUP.format(words=_words(place), place=place)


def _before(file: Path, text: str) -> None:
    """Put a text in front of what a file holds, in place: whose it is, and what mode it has, stays."""
    held = file.read_text() if file.exists() else ""
    file.write_text(text + held)
