"""Where the rows of a block stand in their file: a range while nothing lies between them, else one number a row."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

__all__ = ["Lines", "shifted"]

Lines: TypeAlias = "range | list[int] | np.ndarray"


def shifted(lines: range | np.ndarray, before: int) -> range | np.ndarray:
    """Return the lines of a block as those of its file, where so many lines come before the block."""
    if isinstance(lines, range):
        return range(lines.start + before, lines.stop + before)
    return lines + before
