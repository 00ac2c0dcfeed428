"""A worker that is told to go: what runs saves itself and goes back to the queue; what does not listen is cut off.

Signals arrive in the process that does the work. One of them asks; ``PATIENCE_SECONDS`` later an alarm insists.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

__all__ = [
    "PATIENCE_SECONDS",
    "TELL",
    "end_with_parent",
    "is_leaving",
    "leave_on",
    "leave_soon",
    "work_begin",
    "work_end",
]

# Less than what a container has before it is killed (stop_grace_period).
PATIENCE_SECONDS = 60
# How the parent of a pool tells the processes that work: no other part of Celery uses this signal.
TELL = signal.SIGUSR2

_is_leaving = False
_is_working = False


def is_leaving() -> bool:
    """Return True once this process was told to go."""
    return _is_leaving


def leave_soon() -> None:
    """Let the job at hand stop at its next look."""
    global _is_leaving
    _is_leaving = True


def work_begin() -> None:
    global _is_working
    _is_working = True


def work_end() -> None:
    """The job at hand is over: there is nothing left to cut off."""
    global _is_working
    _is_working = False


def leave_on(*signals: signal.Signals) -> None:
    """Take these signals, in the main thread, for the wish that this process should go."""
    signal.signal(signal.SIGALRM, _insist)
    for one in signals:
        signal.signal(one, _told)


def end_with_parent() -> None:
    """Get SIGTERM when standard input ends: the system closes it with the process that holds the other end."""
    threading.Thread(target=_wait_for_end, daemon=True).start()


def _wait_for_end() -> None:
    # Not by sys.stdin: a thread that waits in it holds a lock that the interpreter takes when it ends.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _told(number: int, frame: FrameType | None) -> None:
    leave_soon()
    if _is_working:
        signal.alarm(PATIENCE_SECONDS)
    elif number != TELL:
        raise SystemExit(128 + number)


def _insist(number: int, frame: FrameType | None) -> None:
    if _is_working:
        raise SystemExit(128 + number)
