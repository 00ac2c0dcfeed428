"""Which function does which kind of job, and what people call it.

Handlers register in their app's ``tasks.py``, found by the prefix; captions in its ``admin``, for web processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["called", "caption_of", "handler_of", "handles"]

Handler = Callable[..., dict[str, Any] | None]
_handlers: dict[str, Handler] = {}
_captions: dict[str, str] = {}


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


def called(captions: Mapping[str, str]) -> None:
    """Register what people call kinds of jobs."""
    _captions.update(captions)


def caption_of(kind: str) -> str:
    """Return what a kind of job does, in words; one that nobody has named by its key."""
    return _captions.get(kind, kind)
