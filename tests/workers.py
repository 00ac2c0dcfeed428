"""Real worker processes for tests: the Celery worker of production on the database of the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from django.conf import settings
from django.db import connection

ROOT = Path(__file__).parents[1]
T = TypeVar("T")


def process_environment(broker_url: str = "") -> dict[str, str]:
    """Return the environment in which a process of ours works on the test's database and files."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        url = f"sqlite:///{database['NAME']}"
    else:
        host, name = str(database["HOST"]), quote(str(database["NAME"]))
        # A host that is a folder is a Unix socket.
        is_socket = host.startswith("/")
        address = f"/{name}?host={quote(host)}" if is_socket else f"{host}:{database['PORT'] or 5432}/{name}"
        url = f"postgresql://{quote(database['USER'])}:{quote(database['PASSWORD'])}@{address}"
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "config.settings.test",
        "BLINDPAIR_DATABASE_URL": url,
        "BLINDPAIR_MEDIA_ROOT": str(settings.MEDIA_ROOT),
        "BLINDPAIR_BROKER_URL": broker_url,
        "BLINDPAIR_JOB_LEASE_SECONDS": "3",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }


@contextmanager
def celery_worker(
    broker_url: str, log: Path, *, queues: str = "default,gpu", environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen]:
    """Run one Celery worker process (prefork, one child) until the block ends; its output goes to ``log``."""
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", "--concurrency", "1", "--queues", queues]
    command += ["--without-mingle", "--without-gossip", "--loglevel", "INFO", "--hostname", f"{log.stem}@%h"]
    with log.open("wb") as output:
        worker = subprocess.Popen(
            command,
            cwd=ROOT,
            env=process_environment(broker_url) | (environment or {}),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_until(lambda: b" ready." in log.read_bytes(), f"the worker is ready ({log})")
            yield worker
        finally:
            kill(worker)


def kill(process: subprocess.Popen) -> None:
    """Kill a process and all its children at once, as the kernel does when memory runs out."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until(is_true: Callable[[], T], what: str, *, seconds: float = 120.0) -> T:
    """Poll until something holds and return it; fail with its description after a while."""
    end = time.monotonic() + seconds
    while not (value := is_true()):
        assert time.monotonic() < end, f"after {seconds:.0f} s still waiting until {what}"
        time.sleep(0.1)
    return value
