"""Makes what is sent to machines: the parts' scripts and their libraries, without comments and indents (`make sent`).

It lies in the repository, so that everyone with one release sends the same bytes and needs no tool for it.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from components.payload import CODE_BEGINS, SENT, libraries, source

SCRIPTS = Path(__file__).parents[1] / "components/scripts"
FOLDER = SCRIPTS / SENT
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


def sent() -> dict[Path, str]:
    """Return what is sent of the parts' scripts and of each library that they name: all that runs, and no comment."""
    files = {}
    for name in sorted({name for part in parts() for name in (*libraries(part), part)}):
        if name.endswith(".awk"):
            files[FOLDER / name] = bare_awk((SCRIPTS / name).read_text())
        else:
            files[FOLDER / f"{name}.sh"] = bare(source(name)).removeprefix(CODE_BEGINS)
    return files


def main() -> None:
    """Write scripts/sent anew."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    for file, text in sent().items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


if __name__ == "__main__":
    main()
