"""What a thread works for at the moment: named on every line of the log. Free of Django: logging starts before it."""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["log_context"]

# The id of a request or a job.
log_context: ContextVar[str] = ContextVar("log_context", default="")
