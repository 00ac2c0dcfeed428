"""Hide what is left of differences in the time that answers take."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

__all__ = ["response_jitter", "wait_by"]

# Trials of every kind cost the same statements and the same rows, but a file that was read a moment ago, as the second
# image of an identical pair was, is still nearer to the processor: some hundredths of a millisecond.
_MOST_MICROSECONDS = 1000
_wait: Callable[[float], None] = time.sleep


def wait_by(wait: Callable[[float], None]) -> None:
    """Let answers wait by other means than sleeping: the server's, which hold no thread."""
    global _wait
    _wait = wait


def response_jitter() -> None:
    """Wait for a random moment. Each trial is shown and answered once, so nobody can average it away."""
    _wait(secrets.randbelow(_MOST_MICROSECONDS) / 1e6)
