"""What happened around the trials: focus lost, window resized, network gone. Only added, and capped."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from django.db import transaction

from survey.exceptions import BadSubmission
from survey.models import SessionEvent
from survey.services.visit.session import session_locked

__all__ = ["EVENT_KINDS", "MOST_EVENTS", "events_record"]

EVENT_KINDS = frozenset(
    {"blur", "focus", "hidden", "visible", "resize", "fullscreen", "offline", "online", "hurry", "translated"}
)
# Per visit: a page that reports in a loop must not fill the table.
MOST_EVENTS = 500
# No kind of event has more numbers to tell.
_LONGEST_DETAIL = 6


@transaction.atomic
def events_record(*, session_id: uuid.UUID, events: Sequence[tuple[str, dict[str, Any]]]) -> int:
    """Add events, as many as the cap still allows; return how many were kept."""
    for kind, detail in events:
        if kind not in EVENT_KINDS:
            raise BadSubmission(f"event is {kind!r}; it must be one of {', '.join(sorted(EVENT_KINDS))}")
        if len(detail) > _LONGEST_DETAIL or not all(isinstance(value, int | float | bool) for value in detail.values()):
            raise BadSubmission(f"the detail of {kind!r} must be at most {_LONGEST_DETAIL} numbers")
    # Under lock: two parcels at once must not both count the same room.
    session = session_locked(session_id)
    room = MOST_EVENTS - SessionEvent.objects.filter(session=session).count()
    kept = events[: max(0, room)]
    SessionEvent.objects.bulk_create([SessionEvent(session=session, kind=kind, detail=detail) for kind, detail in kept])
    return len(kept)
