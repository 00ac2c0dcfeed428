"""Small work that is due again and again: at its time, and whatever one part of it does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobs import housekeeping


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(housekeeping, "time", clock)
    monkeypatch.setattr(housekeeping, "_next", 0.0)
    # The survey's own receivers ask the database.
    monkeypatch.setattr(housekeeping.housekeeping, "receivers", [])
    housekeeping.housekeeping.sender_receivers_cache.clear()
    return clock


@pytest.fixture
def done(clock: Clock) -> Iterator[list[float]]:
    """The times at which the work was done, by a receiver that stands behind a broken one."""
    done: list[float] = []

    def breaks(**kwargs: object) -> None:
        raise RuntimeError("the mail server is away")

    def works(**kwargs: object) -> None:
        done.append(clock.now)

    housekeeping.housekeeping.connect(breaks, weak=False)
    housekeeping.housekeeping.connect(works, weak=False)
    yield done
    housekeeping.housekeeping.sender_receivers_cache.clear()


def test_it_is_done_at_once_and_then_at_its_interval(clock: Clock, done: list[float]) -> None:
    for _ in range(3 * housekeeping.EVERY_SECONDS):
        housekeeping.housekeeping_due()
        clock.now += 1
    assert done == [1000.0, 1030.0, 1060.0]


def test_what_fails_is_logged_and_stops_no_other_work(
    clock: Clock, done: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    housekeeping.housekeeping_due()
    assert done == [1000.0]
    assert "the mail server is away" in caplog.text
