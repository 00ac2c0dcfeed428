"""What tests of jobs share: a kind of job, and a lease that has run out."""

from __future__ import annotations

import pytest

from jobs import registry


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> str:
    """A kind of job whose handler each test puts in place."""
    monkeypatch.setattr(registry, "_handlers", dict(registry._handlers))
    return "jobs.test"
