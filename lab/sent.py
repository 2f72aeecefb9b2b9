"""Makes what is sent to machines: each part's script behind its libraries, without comments and indents (`make sent`).

It lies in the repository, so that everyone with one release sends the same bytes and needs no tool for it.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from components.payload import code, libraries

SCRIPTS = Path(__file__).parents[1] / "components/scripts"
# A line behind one that goes on is a part of that.
_AWK_COMMENT = re.compile(r"(?<!\\\n)^[ \t]*#.*\n", re.MULTILINE)


def parts() -> list[str]:
    """Return the names of the parts' scripts."""
    return sorted(file.stem for file in SCRIPTS.glob("*.sh"))


def bare(text: str) -> str:
    """Return a shell text without its comments and indents, as shfmt writes it."""
    shfmt = Path(sys.executable).parent / "shfmt"
    done = subprocess.run([shfmt, "-ln", "posix", "-mn"], input=text, capture_output=True, text=True, check=True)
    return done.stdout


def bare_awk(program: str) -> str:
    """Return an awk program without the lines that are comments."""
    return _AWK_COMMENT.sub("", program)


def sent(script: str) -> str:
    """Return what is sent of a part's script and its libraries: all that runs, and no comment."""
    text = code(script)
    for name in libraries(script):
        if name.endswith(".awk"):
            program = (SCRIPTS / name).read_text()
            text = text.replace(shlex.quote(program), shlex.quote(bare_awk(program)))
    return bare(text)


def main() -> None:
    """Write scripts/sent anew."""
    folder = SCRIPTS / "sent"
    folder.mkdir(exist_ok=True)
    for part in parts():
        (folder / f"{part}.sh").write_text(sent(part))


if __name__ == "__main__":
    main()
