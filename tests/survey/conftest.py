from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest


@pytest.fixture
def receiver(settings):
    """A real server that answers as it is told and keeps what it got."""
    got, answers = [], [200]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((dict(self.headers), body))
            self.send_response(answers.pop(0) if len(answers) > 1 else answers[0])
            self.send_header("Location", "http://127.0.0.1/inside")
            self.end_headers()

        def log_message(self, *args) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    settings.OUTGOING_PRIVATE_HOSTS = frozenset({"127.0.0.1"})
    yield f"http://127.0.0.1:{server.server_port}/hook?a=1", got, answers
    server.shutdown()
    server.server_close()
    thread.join()
