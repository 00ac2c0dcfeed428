"""Every generated input is read as a reference reads it, or refused by name: no traceback, no silence."""

from __future__ import annotations

import pytest

from tests.brought.trying import TRIALS, tried

EXAMPLES = {"images": 150, "folders": 60, "zips": 80, "weights": 60, "tables": 150}


@pytest.mark.parametrize("kind", TRIALS)
def test_whatever_is_brought_is_read_or_refused_by_name(kind: str) -> None:
    counts = tried(kind, EXAMPLES[kind])
    assert counts["read"] > EXAMPLES[kind] // 20, counts
    assert counts["refused"] > EXAMPLES[kind] // 20, counts
