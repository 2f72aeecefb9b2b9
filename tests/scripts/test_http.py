"""What asks exporters and Prometheus: bash alone, which every host has."""

import http.server
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest

from components.payload import functions
from tests.scripts.sandbox import SHELLS


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
    except OSError:
        pytest.skip("no IPv6 loopback here")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"{request.param}:{server.server_port}"
    server.shutdown()
    server.server_close()


def get(shell: str, url: str) -> str:
    script = f"set -eu\n{functions('lib')['http_get']}\nhttp_get '{url}' || :\n"
    done = subprocess.run([*shell.split(), "-s"], input=script, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_a_page_comes_whole_and_without_its_headers(shell: str, place: str) -> None:
    assert get(shell, f"http://{place}/metrics?a=b%20c") == "/metrics?a=b%20c\n\nlast"


@pytest.mark.parametrize("shell", SHELLS)
def test_an_error_page_and_a_closed_port_give_nothing(shell: str, place: str) -> None:
    assert get(shell, f"http://{place}/gone") == ""
    assert get(shell, "http://127.0.0.1:1/metrics") == ""
