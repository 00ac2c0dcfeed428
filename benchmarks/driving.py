"""Drive web servers: raters of a script each, in one thread that waits for whoever is answered next."""

from __future__ import annotations

import heapq
import json
import re
import selectors
import socket
import statistics
import time
import uuid
from collections.abc import Callable, Generator

__all__ = ["Ports", "Script", "drive", "rate", "rate_barely", "rate_by_pairs", "request"]

# What a rater does next: a request, by its kind and bytes, or to look for so many seconds. The answer is sent back in.
Script = Generator[tuple[str, bytes | float], bytes, int]
# Of pages and votes, and of images.
Ports = tuple[int, int]


def request(method: str, path: str, body: dict | None = None, *, form: str = "") -> bytes:
    """Return the bytes of a request, with a body of JSON or of a form."""
    content = json.dumps(body).encode() if body is not None else form.encode()
    kind = "application/json" if body is not None else "application/x-www-form-urlencoded"
    length = f"Content-Type: {kind}\r\nContent-Length: {len(content)}\r\n" if content else ""
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}\r\n".encode() + content


def rate(rater: dict[str, str], is_over: Callable[[], bool], think: float) -> Script:
    """Vote until the time is over, each image asked for by itself; return the number of cycles."""
    return _rated(rater, is_over, think, lambda trial: [trial["left"], trial["right"]])


def rate_by_pairs(rater: dict[str, str], is_over: Callable[[], bool], think: float) -> Script:
    """Do the same with both images of a trial in one answer, as the page asks for them (``images.js``)."""
    return _rated(rater, is_over, think, _pair)


def _pair(trial: dict[str, str]) -> list[str]:
    left, right = (trial[side].removesuffix(".0.webp") for side in ("left", "right"))
    return [f"{left}~{right.rpartition('/')[2]}.0.pair"]


def _rated(
    rater: dict[str, str], is_over: Callable[[], bool], think: float, images: Callable[[dict[str, str]], list[str]]
) -> Script:
    base = f"/r/{rater['token']}/api/"
    yield "look", think * int(rater["session"][:4], 16) / 0xFFFF
    window = json.loads((yield "window", request("POST", base + "window", {"tab": "bench"})))
    seen, cycles = {trial["id"] for trial in window["trials"]}, 0
    yield "look", think
    while window["trials"] and not is_over():
        body = {"tab": "bench", "trial": window["trials"][0]["id"], "key": str(uuid.uuid4()), "choice": "left"}
        window = json.loads((yield "vote", request("POST", base + "votes", body | {"response_ms": 1000.0})))
        for trial in window["trials"]:
            if trial["id"] not in seen:
                seen.add(trial["id"])
                for path in images(trial):
                    yield "image", request("GET", path)
        cycles += 1
        if think:
            yield "look", think
    return cycles


def rate_barely(rater: dict[str, str], is_over: Callable[[], bool], think: float) -> Script:
    """Do the same at the yardstick: ask what comes next, get its two images as files, vote."""
    count = 0
    while not is_over():
        images = json.loads((yield "next", request("GET", f"/next/{rater['session']}/{count}")))
        yield "image", request("GET", images["left"])
        yield "image", request("GET", images["right"])
        if think:
            yield "look", think
        yield "vote", request("POST", f"/vote/{rater['session']}", {"choice": "left", "number": count})
        count += 1
    return count


def _connected(port: int) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port), timeout=60)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line


class Visitor:
    """One rater on connections that are kept alive: one, or two where images come from another server."""

    def __init__(self, ports: Ports, script: Script) -> None:
        self.script = script
        lines = {port: _connected(port) for port in set(ports)}
        self.sockets = list(lines.values())
        self._pages, self._images = (lines[port] for port in ports)
        self.socket = self._pages
        self.kind, self.sent_at, self.received = "", 0.0, b""

    def send(self, kind: str, request: bytes) -> None:
        self.kind, self.sent_at, self.received = kind, time.perf_counter(), b""
        self.socket = self._images if kind == "image" else self._pages
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """Return the answer's body once it is there whole, or where the answer leads."""
        part = self.socket.recv(1 << 18)
        if not part:
            raise SystemExit(f"the server closed the connection at a request for {self.kind}")
        self.received += part
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return None
        if re.match(rb"HTTP/1.1 30[27] ", head):
            place = re.search(rb"(?i)\r\nlocation: *([^\r]+)", head)[1]
            return place if _is_whole(head, body) else None
        if not head.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"{self.kind}: {self.received[:300]!r}")
        if not _is_whole(head, body):
            return None
        return body if _LENGTH.search(head) else _unchunked(body)


_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")


def _is_whole(head: bytes, body: bytes) -> bool:
    length = _LENGTH.search(head)
    return len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")


def _unchunked(body: bytes) -> bytes:
    parts = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        parts.append(rest[: int(size, 16)])
        body = rest[int(size, 16) + 2 :]
    return b"".join(parts)


def drive(ports: Ports, raters: list[dict[str, str]], seconds: float, work: Callable, think: float = 0.0) -> dict:
    """Run all raters in one thread that waits for whoever is answered next: what it costs is taken from the server."""
    times: dict[str, list[float]] = {name: [] for name in ("window", "next", "vote", "image")}
    counts: list[int] = []
    started = time.perf_counter()
    is_over = lambda: time.perf_counter() > started + seconds  # noqa: E731
    looking: list[tuple[float, int, Visitor]] = []
    with selectors.DefaultSelector() as selector:

        def go_on(visitor: Visitor, answer: bytes | None) -> None:
            try:
                kind, what = visitor.script.send(answer)
            except StopIteration as end:
                counts.append(end.value)
                for line in visitor.sockets:
                    selector.unregister(line)
                    line.close()
                return
            if kind == "look":
                heapq.heappush(looking, (time.perf_counter() + what, id(visitor), visitor))
            else:
                visitor.send(kind, what)

        for rater in raters:
            visitor = Visitor(ports, work(rater, is_over, think))
            for line in visitor.sockets:
                selector.register(line, selectors.EVENT_READ, visitor)
            go_on(visitor, None)
        while len(counts) < len(raters):
            wait = max(0.0, looking[0][0] - time.perf_counter()) if looking else 60.0
            events = selector.select(wait)
            if not events and not looking:
                raise SystemExit("no answer for a minute")
            for key, _ in events:
                visitor = key.data
                if (answer := visitor.receive()) is not None:
                    times[visitor.kind].append(1000 * (time.perf_counter() - visitor.sent_at))
                    go_on(visitor, answer)
            while looking and looking[0][0] <= time.perf_counter():
                go_on(heapq.heappop(looking)[2], None)
    elapsed = time.perf_counter() - started
    result = {"raters": len(raters), "per_second": round(sum(counts) / elapsed, 1)}
    return result | {name: _quantiles(values) for name, values in times.items() if values and name != "window"}


def _quantiles(values: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"n": len(values)} | {f"p{at}_ms": round(cuts[at - 1], 1) for at in (50, 95, 99)}
