"""Small work that is due again and again: apps connect to the signal, whoever looks after the jobs sends it."""

from __future__ import annotations

import time

from django.dispatch import Signal

__all__ = ["EVERY_SECONDS", "housekeeping", "housekeeping_due"]

# Half a lease as it is set by default: a lost job is taken up soon after it lapses.
EVERY_SECONDS = 30
housekeeping = Signal()
_next = 0.0


def housekeeping_due() -> None:
    """Send the signal if it is time; what fails is logged by Django and tried again the next time."""
    global _next
    if time.monotonic() >= _next:
        _next = time.monotonic() + EVERY_SECONDS
        housekeeping.send_robust(sender=None)
