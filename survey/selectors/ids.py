"""Find rows by the beginning of an id, through the index: ids that begin alike lie between two ids."""

from __future__ import annotations

import re
import uuid
from typing import Any

from django.db.models import QuerySet

__all__ = ["SHORTEST", "ids_like"]

# As many letters of an id as lists show.
SHORTEST = 8
# A session's trials, and then some.
MOST = 5_000


def ids_like(text: str, rows: QuerySet, *columns: str) -> list[Any]:
    """Return the keys of the rows of which one of the columns begins so; none for what cannot begin an id.

    ``text`` may be what a list shows, such as "session 1f0c9a3e", or a whole id with or without dashes.
    """
    bare = text.strip().lower().rpartition(" ")[2].replace("-", "")
    if not re.fullmatch(f"[0-9a-f]{{{SHORTEST},32}}", bare):
        return []
    span = (uuid.UUID(bare.ljust(32, "0")), uuid.UUID(bare.ljust(32, "f")))
    found: list[Any] = []
    # One query a column: an OR over two would use neither index.
    for column in columns:
        found += rows.filter(**{f"{column}__range": span}).order_by().values_list("pk", flat=True)[:MOST]
    return list(dict.fromkeys(found))
