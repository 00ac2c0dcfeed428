"""Typed readers of the environment. Only ``config/settings`` calls them; an unreadable value stops the start."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

__all__ = ["boolean", "database", "integer", "secret", "text", "words"]


def text(name: str, default: str = "") -> str:
    """Return ``NAME``, else the content of the file named by ``NAME_FILE``, else the default."""
    if value := os.environ.get(name):
        return value
    path = os.environ.get(f"{name}_FILE")
    if not path:
        return default
    try:
        return Path(path).read_text().strip() or default
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE={path} cannot be read: {error.strerror}") from None


def words(name: str, default: str = "") -> list[str]:
    """Return a comma-separated variable as a list without empty items."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def integer(name: str, default: int, *, minimum: int = 0) -> int:
    """Return a whole number of at least ``minimum``."""
    raw = text(name, str(default))
    try:
        value = int(raw)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {raw!r}; give a whole number, for example {default}") from None
    if value < minimum:
        raise ImproperlyConfigured(f"{name} is {value}; the smallest allowed value is {minimum}")
    return value


def boolean(name: str, default: bool) -> bool:
    """Return true or false from the usual spellings."""
    raw = text(name, "true" if default else "false").lower()
    if raw in {"1", "true", "yes", "on"}:
        return True
    if raw in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} is {raw!r}; give true or false")


def secret(name: str, *, minimum_length: int = 40) -> str:
    """Return a secret from ``NAME`` or from the file named by ``NAME_FILE``; refuse a missing or short one."""
    value = text(name)
    if not value:
        raise ImproperlyConfigured(f"{name} is not set; set it, or {name}_FILE to the path of a file that holds it")
    if len(value) < minimum_length or len(set(value)) < 5:
        raise ImproperlyConfigured(f"{name} is too weak; give at least {minimum_length} random characters")
    return value


def database(name: str, default: str) -> dict:
    """Return Django's database settings from ``sqlite:///PATH`` or ``postgresql://USER:PASSWORD@HOST:PORT/NAME``."""
    url = text(name, default)
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {
            "ENGINE": "config.sqlite3",
            "NAME": unquote(parts.path)[1:] if parts.path.startswith("//") else unquote(parts.path),
            "CONN_MAX_AGE": 600,
            "OPTIONS": {
                # A deferred transaction that turns into a writer fails at once when another one writes: take the
                # write lock at BEGIN and wait for it. NORMAL survives the death of any process, not a power cut.
                # The log goes back into the database every 4,000 pages, not 1,000: then a writer waits for the disk,
                # and all others for that writer.
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;"
                "PRAGMA mmap_size=134217728;PRAGMA cache_size=-20000;PRAGMA wal_autocheckpoint=4000;",
            },
        }
    if parts.scheme in {"postgresql", "postgres"}:
        socket = parse_qs(parts.query).get("host", [""])[0]
        return {
            "ENGINE": "config.postgresql",
            "NAME": unquote(parts.path.lstrip("/")) or "blindpair",
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": socket or parts.hostname or "",
            "PORT": str(parts.port or ""),
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
        }
    raise ImproperlyConfigured(f"{name} starts with {parts.scheme!r}; give sqlite:///PATH or postgresql://...")
