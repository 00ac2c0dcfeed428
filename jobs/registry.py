"""Which function does which kind of job: handlers register in their app's ``tasks.py``, found by the prefix."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

__all__ = ["handler_of", "handles"]

Handler = Callable[..., dict[str, Any] | None]
_handlers: dict[str, Handler] = {}


def handles(kind: str) -> Callable[[Handler], Handler]:
    """Register ``handler(lease, **parameters)`` for a kind of job named ``app.verb``."""

    def register(handler: Handler) -> Handler:
        if _handlers.setdefault(kind, handler) is not handler:
            raise ValueError(f"two handlers for {kind!r}")
        return handler

    return register


def handler_of(kind: str) -> Handler:
    """Return the handler, importing ``app.tasks`` first: web processes never import it.

    Raises
    ------
    LookupError
        If the app has no such handler.
    """
    if kind not in _handlers:
        import_module(f"{kind.partition('.')[0]}.tasks")
    if kind not in _handlers:
        raise LookupError(f"no handler for job kind {kind!r}")
    return _handlers[kind]
