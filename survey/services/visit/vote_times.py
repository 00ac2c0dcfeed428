"""How long an answer can have taken: what the browser says, within what the server saw.

A browser measures from the moment both images were painted, which the server cannot see; but it knows when it issued
the trial and when the answer came, and that a visit's trials are answered one after the other. Answers that waited for
the network come together, each with a time of its own: so their times are laid end to end. What does not fit in
between, or is missing, is replaced by the time since the visit was heard of before: no claim escapes rules about speed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

__all__ = ["SLACK_MS", "VoteTimes", "vote_times"]

# By how much all claims of a visit together may exceed what the server saw: clocks of several servers and of a
# browser that slept differ.
SLACK_MS = 15_000.0


@dataclass(frozen=True, kw_only=True)
class VoteTimes:
    """What is stored of an answer's times, what was claimed instead, and until when the visit is accounted for."""

    response_ms: float | None
    exposure_ms: float | None
    answered_until: datetime
    remarks: dict[str, Any]


def vote_times(
    *,
    response_ms: float | None,
    exposure_ms: float | None,
    issued_at: datetime,
    heard_at: datetime,
    answered_until: datetime | None,
    now: datetime,
    minimum_ms: float,
) -> VoteTimes:
    """Return the times of an answer that arrives ``now``.

    Parameters
    ----------
    heard_at
        When the server heard of the visit before.
    answered_until
        When the visit's answer before this one can have been given at the earliest, by the times stored so far.
    minimum_ms
        For how long the plan wants both images to be seen.
    """
    # A moment further ahead than claims may lead was written before a clock was set back: it says nothing.
    latest = now + timedelta(milliseconds=SLACK_MS)
    began = max((one for one in (issued_at, answered_until) if one is not None and one <= latest), default=None)
    if began is None:
        began, room_ms, passed_ms = now, float("inf"), SLACK_MS
    else:
        room_ms = _ms(now - began) + SLACK_MS
        passed_ms = max(0.0, _ms(now - max(issued_at, min(heard_at, now))))
    remarks: dict[str, Any] = {}
    kept = _within(response_ms, room_ms, passed_ms, ("claimed_response_ms", remarks))
    seen = None
    if exposure_ms is not None:
        seen = _within(exposure_ms, room_ms, passed_ms, ("claimed_exposure_ms", remarks))
    if min(kept, kept if seen is None else seen) < minimum_ms:
        remarks["under_minimum"] = True
    return VoteTimes(
        response_ms=kept,
        exposure_ms=seen,
        answered_until=began + timedelta(milliseconds=kept),
        remarks=remarks,
    )


def _ms(span: timedelta) -> float:
    return span.total_seconds() * 1000


def _within(claimed: float | None, room_ms: float, passed_ms: float, remark: tuple[str, dict[str, Any]]) -> float:
    """Return the claim if it can be true, else the time that passed since the visit was heard of; note the claim."""
    if claimed is not None and 0 < claimed <= room_ms:
        return claimed
    name, remarks = remark
    if claimed is not None:
        remarks[name] = claimed
    return passed_ms
