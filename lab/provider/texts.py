"""Texts in the form of the official plugin, so that what a user reads or searches for is the same."""

from __future__ import annotations

ESCAPES = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    "\\": r"\\",
    '"': r"\"",
}
ASCII = 0x80
WIDE = 0x10000

# Exit statuses of signals as Go's SSH library counts them; a signal it does not know counts 128.
SIGNALS = {
    "ABRT": 6,
    "ALRM": 14,
    "FPE": 8,
    "HUP": 1,
    "ILL": 4,
    "INT": 2,
    "KILL": 9,
    "PIPE": 13,
    "QUIT": 3,
    "SEGV": 11,
    "TERM": 15,
}


def quoted(text: str) -> str:
    """Quote a text as Go's %q does."""
    return '"' + "".join(_escaped(letter) for letter in text) + '"'


def failed(reason: str, command: str, output: str) -> str:
    """Tell of a command that failed, with everything it printed."""
    return f"{reason}: running {quoted(command)}:\n{output}"


def exited(status: int, signal: str = "", message: str = "") -> str:
    """Tell how a remote process ended badly."""
    text = f"Process exited with status {status}"
    if signal:
        text += f" from signal {signal}"
    return text + (f". Reason was: {message}" if message else "")


def _escaped(letter: str) -> str:
    if letter in ESCAPES:
        return ESCAPES[letter]
    if letter.isprintable():
        return letter
    code = ord(letter)
    if code < ASCII:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < WIDE else f"\\U{code:08x}"
