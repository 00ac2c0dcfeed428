"""What the survey does whenever small work is due."""

from __future__ import annotations

from django.dispatch import receiver

from jobs.housekeeping import housekeeping
from survey.services.visit.session import sessions_expire

__all__ = ["abandoned_visits"]


@receiver(housekeeping)
def abandoned_visits(**kwargs: object) -> None:
    """Mark the visits that nobody came back to, so that counts and gauges say so."""
    sessions_expire()
