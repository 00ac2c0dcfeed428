"""How a process without a port shows a health check that it lives: it touches a file again and again."""

from pathlib import Path

from django.conf import settings

__all__ = ["heartbeat_touch"]


def heartbeat_touch() -> None:
    """Touch ``BLINDPAIR_ALIVE_PATH``, where one is named; ``deploy/probe.py`` looks at its age."""
    if settings.ALIVE_PATH:
        Path(settings.ALIVE_PATH).touch()
