"""What asks exporters and Prometheus: bash alone, which every host has. No text of a login is taken for an answer."""

import http.server
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from components.payload import source
from tests.scripts.sandbox import SHELLS

GREETING = "# HELP up the greeting\nup 1\necho HTTP/1.1 200 OK\n"
METRICS = "# TYPE up gauge\nup 1\n"


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # the name that http.server asks for
        self.send_response(200 if self.path.startswith("/m") else 404)
        self.end_headers()
        self.wfile.write(f"{self.path}\n\nlast".encode())

    def log_message(self, *_: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET


class _Server6(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


@pytest.fixture(scope="module", params=["127.0.0.1", "[::1]", "localhost"])
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    kind, bound = (_Server6, "::1") if request.param == "[::1]" else (_Server, "127.0.0.1")
    try:
        server = kind((bound, 0), _Answers)
        socket.getaddrinfo(request.param.strip("[]"), None)
    except OSError:
        pytest.skip(f"no {request.param} here")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"{request.param}:{server.server_port}"
    server.shutdown()
    server.server_close()


def ask(shell: str, call: str, environment: dict[str, str] | None = None) -> str:
    """Return what a function of the library prints, in a shell with this environment."""
    text = source("lib/process") + source("lib/http") + source("lib/metrics-answer.awk")
    script = f"set -eu\nexport LC_ALL=C\n{text}\n{call} || :\n"
    done = subprocess.run(
        [shutil.which(shell.split(maxsplit=1)[0]) or shell, *shell.split()[1:], "-s"],
        input=script,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
        env={**os.environ, **(environment or {})},
    )
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_a_page_comes_whole_and_without_its_headers(shell: str, place: str) -> None:
    assert ask(shell, f"http_get 'http://{place}/metrics?a=b%20c'") == "/metrics?a=b%20c\n\nlast"


@pytest.mark.parametrize("shell", SHELLS)
def test_an_error_page_and_a_closed_port_give_nothing(shell: str, place: str) -> None:
    assert ask(shell, f"http_get http://{place}/gone") == ""
    assert ask(shell, "http_get http://127.0.0.1:1/metrics") == ""


def served(answer: str | bytes, hold: float = 0, *, reset: bool = False) -> int:
    """Answer each connection with these bytes, wait, and close; return the port on loopback."""
    data = answer.encode() if isinstance(answer, str) else answer
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)

    def serve() -> None:
        with suppress(OSError), listener:
            while True:
                connection, _ = listener.accept()
                asked = b""
                with suppress(OSError), connection:
                    while b"\r\n\r\n" not in asked and (more := connection.recv(1000)):
                        asked += more
                    connection.sendall(data)
                    time.sleep(hold)
                    if reset:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    threading.Thread(target=serve, daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


def answered(body: str, status: str = "HTTP/1.1 200 OK", *headers: str) -> str:
    """Return an answer's text."""
    return "\r\n".join([status, *headers, "", body])


def sized(body: str, more: int = 0) -> str:
    """Return an answer that promises its length, and as many bytes more as it does not keep."""
    return answered(body, "HTTP/1.0 200 OK", f"Content-Length: {len(body.encode()) + more}")


WHOLE: dict[str, str] = {
    "plain": answered(METRICS),
    "without a reason": answered(METRICS, "HTTP/1.0 200"),
    "sized": sized(METRICS),
    "sized, no last line end": sized("up 1"),
    "chunked": answered(f"{len(METRICS):x}\r\n{METRICS}\r\n0\r\n\r\n", "HTTP/1.1 200 OK", "transfer-encoding: chunked"),
    "labels": answered('a_b:c{x="y z",q="\\" } 1 {"} 1.5e-07\n'),
    "letters": sized('a{x="é 漢"} 1\n'),
    "values": answered("a NaN\nb +Inf\nc -inf\nd .5\ne 1. 1700000000000\nf\t-2E+10\n\n# the end\n"),
    "spaces": answered('  a {x="y"}  1  -5\n'),
    "blanks at the end": answered("up 1 \nb 2 17 \nc 1\t\n"),
    "infinity": answered("a Infinity\nb -infinity\n"),
    "quoted name": answered('{"a.b",x="y"} 1\n'),
    "openmetrics": answered('a_total 1 1.5 # {trace_id="x"} 0.5\n# EOF\n'),
}
BROKEN: dict[str, tuple[str | bytes, str]] = {
    "a greeting": (GREETING, "answers with what is no HTTP"),
    "an SSH server": ("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "answers with what is no HTTP"),
    "an old HTTP": ("up 1\n", "answers with what is no HTTP"),
    "a status that is none": (answered(METRICS, "HTTP/1.1 2000 OK"), "answers with what is no HTTP"),
    "a line around the status": (answered(METRICS, "x HTTP/1.1 200 OK"), "answers with what is no HTTP"),
    "a redirect": (answered(METRICS, "HTTP/1.1 301 Moved", "Location: /"), "answers with status 301"),
    "a password": (answered(METRICS, "HTTP/1.1 401 Unauthorized"), "answers with status 401"),
    "a proxy": (answered("no route to 200 OK\n", "HTTP/1.1 502 Bad Gateway"), "answers with status 502"),
    "partial": (answered(METRICS, "HTTP/1.1 206 Partial Content"), "answers with status 206"),
    "Go's TLS": (
        answered("Client sent an HTTP request to an HTTPS server.\n", "HTTP/1.0 400 Bad Request"),
        "speaks TLS",
    ),
    "nginx' TLS": (
        answered("<center>The plain HTTP request was sent to HTTPS port</center>\n", "HTTP/1.1 400 Bad Request"),
        "speaks TLS",
    ),
    "a bad request": (answered("no\n", "HTTP/1.1 400 Bad Request"), "answers with status 400"),
    "a TLS alert": (b"\x15\x03\x01\x00\x02\x02\x16", "speaks TLS"),
    "nothing": ("", "closes the connection without an answer"),
    "a page": (answered("<html>\n<pre>\nup 1\n</pre></html>\n"), "answers with what is no metrics"),
    "a word": (answered("ok\n"), "answers with what is no metrics"),
    "a sentence": (answered("Service is up 1\n"), "answers with what is no metrics"),
    "JSON": (answered('{"status":"success"}\n'), "answers with what is no metrics"),
    "comments alone": (answered("# HELP up\n# TYPE up gauge\n"), "answers without one sample"),
    "an empty body": (answered(""), "answers without one sample"),
    "an empty sized body": (sized(""), "answers without one sample"),
    "one bad line": (answered("up 1\nup\n"), "answers with what is no metrics"),
    "metrics in the headers alone": (answered("", "HTTP/1.1 200 OK", "up 1"), "answers without one sample"),
    "no end of the headers": ("HTTP/1.1 200 OK\r\nup 1\n", "cuts its answer short"),
    "the status alone": ("HTTP/1.1 200 OK", "cuts its answer short"),
    "a cut line": (answered("up 1\nup 1"), "cuts its answer short"),
    "less than promised": (sized(METRICS, 1), "cuts its answer short"),
    "no last chunk": (
        answered(f"{len(METRICS):x}\r\n{METRICS}\r\n", "HTTP/1.1 200 OK", "Transfer-Encoding: chunked"),
        "cuts its answer short",
    ),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_every_form_of_metrics_is_known(shell: str) -> None:
    assert {name: verdict(shell, served(text)) for name, text in WHOLE.items()} == dict.fromkeys(WHOLE, "metrics")


@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_not_metrics_is_not_taken_for_them_and_is_named(shell: str) -> None:
    seen = {name: verdict(shell, served(text)) for name, (text, _) in BROKEN.items()}
    assert seen == {name: says for name, (_, says) in BROKEN.items()}


def verdict(shell: str, port: int, seconds: int = 5) -> str:
    return ask(shell, f"metrics_answer http://127.0.0.1:{port}/metrics {seconds}").strip()


@pytest.mark.parametrize("awk", ["mawk", "gawk", "busybox"])
def test_every_awk_judges_alike(awk: str, tmp_path: Path) -> None:
    program = shutil.which(awk)
    if not program:
        pytest.skip(f"no {awk} here")
    (tmp_path / "awk").symlink_to(program)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    whole: list[tuple[str | bytes, str]] = [(text, "metrics") for text in WHOLE.values()]
    for text, says in [*whole, *BROKEN.values()]:
        call = f"metrics_answer http://127.0.0.1:{served(text)}/metrics 5"
        assert (text, ask("dash", call, environment).strip()) == (text, says)


def test_a_connection_that_breaks_off_or_never_ends_is_no_answer() -> None:
    assert verdict("dash", 1) == "takes no connection"
    assert verdict("dash", served(answered(METRICS), reset=True)) == "cuts its answer short"
    assert verdict("dash", served("", hold=3), 1) == "answers nothing within 1 s"
    assert verdict("dash", served(answered(METRICS), hold=3), 1) == "does not end its answer within 1 s"
    # What is there in full need not end.
    assert verdict("dash", served(sized(METRICS), hold=3), 1) == "metrics"


def test_an_answer_may_take_as_long_as_it_is_given() -> None:
    slow = served(answered(METRICS), hold=1.5)
    assert verdict("dash", slow, 1) == "does not end its answer within 1 s"
    assert verdict("dash", slow, 4) == "metrics"


@pytest.mark.parametrize("shell", SHELLS)
def test_no_startup_file_and_no_exported_function_can_answer(shell: str, tmp_path: Path) -> None:
    said = "command printf 'HTTP/1.1 200 OK\\r\\n\\r\\nup 1\\n'"
    for name in (".bashrc", ".bash_profile", ".profile", "env"):
        (tmp_path / name).write_text(f"{said}\n")
    environment = {
        "HOME": str(tmp_path),
        "SSH_CLIENT": "10.0.0.1 1 22",
        "SHLVL": "0",
        "BASH_ENV": str(tmp_path / "env"),
        "BASH_FUNC_cat%%": f"() {{ {said}; }}",
    }
    if shell.startswith("bash"):  # it reads such a file itself, before it reads what it is to do
        del environment["BASH_ENV"], environment["BASH_FUNC_cat%%"]
    # The control: a bash that is started as it was before does answer.
    command = ["timeout", "6", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/1 || cat", "-"]
    greeted = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert "200 OK" in greeted.stdout
    assert ask(shell, "metrics_answer http://127.0.0.1:1/metrics 5", environment) == "takes no connection\n"
    assert ask(shell, "http_get http://127.0.0.1:1/metrics", environment) == ""
    port = served(answered(METRICS))
    assert ask(shell, f"http_get http://127.0.0.1:{port}/metrics", environment) == METRICS


def test_an_exporter_that_starts_is_waited_for_and_one_that_hangs_is_not() -> None:
    call = 'if poll {} "metrics_from http://127.0.0.1:{}/metrics 1"; then echo well; fi; echo $answer'
    assert ask("dash", call.format(5, served(answered(METRICS)))) == "well\nmetrics\n"
    begun = time.monotonic()
    assert ask("dash", call.format(1, 1)) == "takes no connection\n"
    assert ask("dash", call.format(20, served("", hold=2))) == "answers nothing within 1 s\n"
    assert time.monotonic() - begun < 9
