"""A webhook's address is chosen by a researcher, or by whoever owns the name behind it: it must not reach inside."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from survey import outgoing
from survey.outgoing import OutgoingRefused, outgoing_get


class Inside(BaseHTTPRequestHandler):
    """A server of the own network; ``/away`` sends callers to its secret page."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/secret")
        else:
            self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def inside() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Inside)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_redirect_is_not_followed(inside, settings) -> None:
    settings.OUTGOING_PRIVATE_HOSTS = frozenset({"127.0.0.1"})
    with pytest.raises(OutgoingRefused):
        outgoing_get(f"http://127.0.0.1:{inside.server_port}/away")
    assert inside.asked == ["/away"]


def test_the_address_that_was_checked_is_the_one_that_is_asked(inside, monkeypatch) -> None:
    """A name that answers with a public address first and an inner one afterwards (DNS rebinding)."""
    answers = iter(["93.184.216.34", "127.0.0.1", "127.0.0.1"])
    connected: list[str] = []

    def look_up(host: str, port: int, **kwargs: object) -> list:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    def connect(address: tuple[str, int], *args: object, **kwargs: object) -> socket.socket:
        connected.append(address[0])
        raise OSError("no way out of the test")

    monkeypatch.setattr(outgoing.socket, "getaddrinfo", look_up)
    monkeypatch.setattr(outgoing.socket, "create_connection", connect)
    with pytest.raises(OutgoingRefused):
        outgoing_get("https://rebinding.example.org/secret")
    assert connected == ["93.184.216.34"]
    assert inside.asked == []
