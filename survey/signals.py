"""What the survey does whenever small work is due."""

from __future__ import annotations

from django.dispatch import receiver

from jobs.housekeeping import housekeeping
from survey.services.blinding.file_times import earlier_copies_date
from survey.services.visit.session import sessions_expire

__all__ = ["abandoned_visits", "earlier_copies"]

_has_dated = False


@receiver(housekeeping)
def abandoned_visits(**kwargs: object) -> None:
    """Mark the visits that nobody came back to, so that counts and gauges say so."""
    sessions_expire()


@receiver(housekeeping)
def earlier_copies(**kwargs: object) -> None:
    """Date the copies of earlier releases, once in a process: a backup of them may have been put back meanwhile."""
    global _has_dated
    if not _has_dated:
        earlier_copies_date()
        _has_dated = True
