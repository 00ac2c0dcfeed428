"""A webhook's address is chosen by a researcher, or by whoever owns the name behind it: it must not reach inside."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jobs.models import Job
from jobs.runner import job_run
from survey import outgoing
from survey.models import WebhookDelivery
from survey.outgoing import OutgoingRefused, outgoing_check, outgoing_get, outgoing_post
from survey.services.records.webhook import webhook_add, webhook_test
from tests.factories import make_study


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

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

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


def test_https_is_spoken_however_the_scheme_is_written(inside, settings) -> None:
    settings.OUTGOING_PRIVATE_HOSTS = frozenset({"127.0.0.1"})
    for scheme in ("https", "HTTPS", "hTtPs"):
        assert outgoing_check(f"{scheme}://127.0.0.1:{inside.server_port}/x").is_tls
        with pytest.raises(OutgoingRefused, match=r"did not answer: \[SSL"):
            outgoing_get(f"{scheme}://127.0.0.1:{inside.server_port}/x")
    assert inside.asked == [], "a request went out in the clear"


# Loopback, a private network, the cloud's own data: as translators, tunnels and old notations write them.
INNER = ("127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.0.1", "0.0.0.0", "100.64.0.1", "224.0.0.1")


def embedding(inner: str) -> list[str]:
    one, two, three, four = map(int, inner.split("."))
    high, low = f"{one:02x}{two:02x}", f"{three:02x}{four:02x}"
    inverted = f"{0xFFFF ^ int(high, 16):x}:{0xFFFF ^ int(low, 16):x}"
    return [
        f"::ffff:{inner}",
        f"::ffff:0:{inner}",
        f"::{inner}",
        f"64:ff9b::{inner}",
        f"64:ff9b:1::{inner}",
        f"2002:{high}:{low}::1",
        f"2001:0:{high}:{low}:0:0:f7f7:f7f7",
        f"2001:0:808:808:0:0:{inverted}",
        f"2606:4700::5efe:{inner}",
        f"2606:4700::200:5efe:{inner}",
    ]


@pytest.mark.parametrize("inner", INNER)
def test_an_address_within_an_address_is_looked_at_too(inner: str) -> None:
    for address in (inner, *(f"[{one}]" for one in embedding(inner))):
        with pytest.raises(OutgoingRefused):
            outgoing_check(f"https://{address}/hook")


@pytest.mark.parametrize("address", ["fc00::1", "fe80::1", "fec0::1", "ff02::1", "::1", "::", "100::1", "2001:db8::1"])
def test_only_public_unicast_addresses_are_reached(address: str) -> None:
    with pytest.raises(OutgoingRefused):
        outgoing_check(f"https://[{address}]/hook")


@pytest.mark.parametrize("address", ["8.8.8.8", "[2606:4700::1111]", "[64:ff9b::8.8.8.8]", "[::ffff:8.8.8.8]"])
def test_public_addresses_are_reached_by_every_way_of_writing(address: str) -> None:
    assert outgoing_check(f"https://{address}/hook").host


@pytest.mark.parametrize("tail", ["/\n", "/a b", "/\x7f", "/\u2028", "/\u200b", " "])
def test_addresses_with_letters_that_cannot_be_seen_are_refused(tail: str) -> None:
    with pytest.raises(OutgoingRefused):
        outgoing_check(f"https://example.org/x{tail}x")


class Dripping(threading.Thread):
    """A receiver that never ends: it sends a byte now and then, in the answer's head or in its body."""

    def __init__(self, start: bytes) -> None:
        super().__init__(daemon=True)
        self._start, self._door = start, socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        self.start()

    def run(self) -> None:
        with self._door:
            line, _ = self._door.accept()
        with line:
            try:
                line.sendall(self._start)
                while True:
                    line.sendall(b"x")
                    time.sleep(0.1)
            except OSError:
                return


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n", b""]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_receiver_that_drips_is_cut_off(start: bytes, scheme: str, settings, monkeypatch) -> None:
    settings.OUTGOING_PRIVATE_HOSTS = frozenset({"127.0.0.1"})
    monkeypatch.setattr(outgoing, "DEADLINE_SECONDS", 1.0)
    # What a TLS handshake would begin with, and then nothing but the beginning.
    start = b"\x16\x03\x03\x40\x00" if scheme == "https" else start
    receiver, began = Dripping(start), time.monotonic()
    with pytest.raises(OutgoingRefused, match="did not answer"):
        outgoing_post(f"{scheme}://127.0.0.1:{receiver.port}/hook", b"{}", {})
    assert time.monotonic() - began < 5
    receiver.join()


@pytest.mark.django_db
def test_a_path_in_letters_of_any_language_is_delivered(inside, settings) -> None:
    settings.OUTGOING_PRIVATE_HOSTS = frozenset({"127.0.0.1"})
    study = make_study()
    url = f"http://127.0.0.1:{inside.server_port}/ä/%C3%A4?q=é&x=[1]"
    webhook = webhook_add(study=study, url=f"http://127.0.0.1:{inside.server_port}/", actor=None)
    type(webhook).objects.filter(pk=webhook.pk).update(url=url)
    webhook.refresh_from_db()
    webhook_test(webhook=webhook)
    job = job_run(Job.objects.get(kind="survey.webhook").pk)
    assert job.state == Job.State.SUCCEEDED, job.error
    assert WebhookDelivery.objects.get().delivered_at is not None
    assert inside.asked == ["/%C3%A4/%C3%A4?q=%C3%A9&x=[1]"]
