"""The demo's server: its address is refused before anything is trained, and nothing outlives it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from django.core.management import CommandError, call_command

from config.management.demo.serving import address_parsed, address_require_free

ROOT = Path(__file__).parents[3]
# Starts the worker and the server of the demo as the command does, without what comes before them.
SERVE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.dev"
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from config.management.demo import serving
server = serving.server_on("127.0.0.1", int(sys.argv[1]), access_log=False)
with serving.worker_beside():
    print("ready", flush=True)
    serving.serve(server)
print("ended", flush=True)
"""

# Is told twice to end: once both arrive together, once the second while the first is being dealt with.
END_TWICE = """
import os, signal
from config.management.demo.serving import interrupt_on_signals
both = {signal.SIGINT, signal.SIGTERM}
interrupt_on_signals()
signal.pthread_sigmask(signal.SIG_BLOCK, both)
for number in both:
    os.kill(os.getpid(), number)
try:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
except KeyboardInterrupt:
    for number in both:
        signal.raise_signal(number)
    print("ended in order")
"""


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]


@pytest.mark.parametrize(("text", "parsed"), [("127.0.0.1:8000", ("127.0.0.1", 8000)), ("8001", ("127.0.0.1", 8001))])
def test_an_address_may_be_a_port_alone(text: str, parsed: tuple[str, int]) -> None:
    assert address_parsed(text) == parsed


@pytest.mark.parametrize("text", ["", "localhost", "127.0.0.1:", "127.0.0.1:70000", "127.0.0.1:http"])
def test_an_address_without_a_port_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="HOST:PORT"):
        address_parsed(text)


def test_a_taken_port_is_refused_with_another_to_try(taken: int) -> None:
    with pytest.raises(CommandError, match=rf"taken by another program[\s\S]*--address 127\.0\.0\.1:{taken + 1}"):
        address_require_free("127.0.0.1", taken)
    address_require_free("127.0.0.1", free_port())


@pytest.mark.django_db
def test_the_demo_looks_at_its_port_before_it_trains(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.management.commands.demo.call_command", None)
    with pytest.raises(CommandError, match="taken"):
        call_command("demo", address=f"127.0.0.1:{taken}")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen, int, list[psutil.Process]]]:
    """The server and the worker of the demo; neither outlives a failed test."""
    port = free_port()
    environment = os.environ | {"BLINDPAIR_DATA_DIR": str(tmp_path)}
    environment.pop("BLINDPAIR_DATABASE_URL", None)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(port)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) == 1, "the worker runs beside the server"
    time.sleep(3)  # until the worker has loaded Django and waits for jobs
    yield process, port, children
    for one in (process, *children):
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()


def test_an_impatient_second_signal_breaks_into_nothing() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", END_TWICE], cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ended in order\n", "")


def test_pages_are_served_without_a_line_for_each_request(served) -> None:
    process, port, _ = served
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30) as answer:
        assert answer.status == 200
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/static/survey/css/rater.css", timeout=30) as answer:
        assert b"{" in answer.read()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[0] == "ended\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_is_stopped_ends_without_a_traceback_and_its_worker_with_it(served, number: int) -> None:
    process, _, workers = served
    process.send_signal(number)
    process.send_signal(number)  # an impatient second one breaks nothing
    said = process.communicate(timeout=60)[0]
    assert said == "ended\n"
    assert process.returncode == 0
    assert psutil.wait_procs(workers, timeout=10)[1] == []


def test_a_killed_server_takes_its_worker_along(served) -> None:
    process, _, workers = served
    process.kill()
    process.communicate(timeout=30)
    assert psutil.wait_procs(workers, timeout=30)[1] == []
