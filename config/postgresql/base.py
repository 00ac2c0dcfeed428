"""PostgreSQL for many short requests: what a connection knows from the last one is not asked for again.

A statement that joins five tables takes ten times as long to plan as to run, so those that run all the time are
prepared once on each connection. And a connection that has just answered is not asked whether it still does.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import count
from typing import Any

from django.db import Error
from django.db.backends.postgresql import base

__all__ = ["DatabaseWrapper"]

# After a restart of the database a request may fail that comes this soon after another; until then they failed anyway.
_WELL_SECONDS = 1.0
# What a pooler that hands out another connection with each transaction makes of prepared statements: there is none of
# this name, or there is one already.
_POOLED = {"26000", "42P05"}


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's connection to PostgreSQL that keeps plans."""

    _well_at = float("-inf")
    _has_plans = True

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        self._prepared: set[str] = set()
        self._well_at = float("-inf")
        return connection

    def close_if_health_check_failed(self) -> None:
        if time.monotonic() - self._well_at < _WELL_SECONDS:
            self.health_check_done = True
        super().close_if_health_check_failed()

    def close_if_unusable_or_obsolete(self) -> None:
        # At the end of a request that used the connection; at the start of one it has not been used yet.
        if self.health_check_done and not self.errors_occurred:
            self._well_at = time.monotonic()
        super().close_if_unusable_or_obsolete()

    def rows_by_plan(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run a statement that is planned once a connection, and return its rows.

        Its parameters must have a type where they stand: write ``%s::uuid`` where nothing else says so.
        """
        with self.cursor() as cursor:
            try:
                cursor.execute(self._planned(sql, len(parameters)) if self._has_plans else sql, parameters)
            except Error as error:
                if self.in_atomic_block or getattr(error.__cause__, "pgcode", None) not in _POOLED:
                    raise
                self._has_plans = False
                cursor.execute(sql, parameters)
            return cursor.fetchall()

    def _planned(self, sql: str, parameters: int) -> str:
        """Return the call of the prepared statement; prepare it if this connection has not yet."""
        name = _name(sql)
        self.ensure_connection()
        if name not in self._prepared:
            with self.cursor() as cursor:
                cursor.execute(f"PREPARE {name} AS {_numbered(sql)}")
            self._prepared.add(name)
        return f"EXECUTE {name}({', '.join(['%s'] * parameters)})"


@lru_cache(maxsize=64)
def _name(sql: str) -> str:
    return f"blindpair_{hashlib.sha256(sql.encode()).hexdigest()[:16]}"


def _numbered(sql: str) -> str:
    """Return the text with ``$1`` for the first ``%s``, and so on."""
    first, *rest = sql.split("%s")
    numbers: Iterator[int] = count(1)
    return first + "".join(f"${next(numbers)}{part}" for part in rest)
