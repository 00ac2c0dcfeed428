"""What tests of jobs share: a kind of job, and signals as a worker takes them."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from jobs import leaving, registry


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> str:
    """A kind of job whose handler each test puts in place."""
    monkeypatch.setattr(registry, "_handlers", dict(registry._handlers))
    return "jobs.test"


@pytest.fixture
def own_signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the test tell this process to go, and leave the process as it was."""
    monkeypatch.setattr(leaving, "_is_leaving", False)
    monkeypatch.setattr(leaving, "PATIENCE_SECONDS", 1)
    taken = (signal.SIGTERM, leaving.TELL, signal.SIGALRM)
    before = [signal.getsignal(one) for one in taken]
    yield
    signal.alarm(0)
    for one, handler in zip(taken, before, strict=True):
        signal.signal(one, handler)
