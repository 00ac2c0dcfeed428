"""One spelling of a JSON value, so that equal content has equal bytes and one digest."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["canonical_json"]


def canonical_json(value: Any) -> bytes:
    """Return UTF-8 JSON with sorted keys and no spaces; refuse NaN."""
    # NaN is no JSON, and would not equal itself when a digest is checked.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
