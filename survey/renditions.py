"""The sizes in which an image is kept for raters, and which of them a box shows; geometry.js says so for the page.

Browsers never scale: the server keeps every image at a ladder of sizes, and the page shows the largest that fits its
box, one image pixel to one device pixel, or enlarged by a whole number.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

__all__ = ["STEP", "Shown", "fitted_sizes", "least_size", "rendition_shown", "rendition_sizes"]

# From one size to the next; the longer sides are this ladder's, which holds 512, and the original's own.
STEP = 1.25
_ANCHOR = 512
# A step of the ladder this near to the original, or to the least size, would be kept for nothing.
_NEAR = STEP**0.5


class Shown(NamedTuple):
    """What a box shows of an image: the place of the rendition in its list, and device pixels to an image pixel."""

    index: int
    multiple: int


def _scaled(width: int, height: int, longer: int) -> tuple[int, int]:
    factor = longer / max(width, height)
    return max(1, round(width * factor)), max(1, round(height * factor))


def least_size(width: int, height: int, *, least_px: int) -> tuple[int, int]:
    """Return the smallest size: ``least_px`` on the shorter side, or the original where that is no larger."""
    shorter = min(width, height)
    if shorter <= least_px:
        return width, height
    return max(least_px, round(width * least_px / shorter)), max(least_px, round(height * least_px / shorter))


def rendition_sizes(width: int, height: int, *, least_px: int | None) -> list[tuple[int, int]]:
    """Return the sizes of an image's renditions, the original first; the original alone where ``least_px`` is None."""
    sizes = [(width, height)]
    if least_px is None:
        return sizes
    longer, least = max(width, height), least_size(width, height, least_px=least_px)
    # The slack keeps a side that is a step of the ladder on it, where the logarithm falls just short.
    top = math.floor(math.log(longer / _ANCHOR, STEP) + 1e-9)
    for step in itertools.count(top, -1):
        side = round(_ANCHOR * STEP**step)
        if side <= max(least) * _NEAR:
            break
        if side * _NEAR <= longer:
            sizes.append(_scaled(width, height, side))
    return sizes if least == sizes[-1] else [*sizes, least]


def fitted_sizes(width: int, height: int, frames: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the sizes of a reference that stands beside images of these sizes: as large as each of them lets it be."""
    factors = [min(wide / width, high / height) for wide, high in frames]
    # Rounding must not lead over the frame's edge.
    return [
        (min(wide, max(1, round(width * factor))), min(high, max(1, round(height * factor))))
        for factor, (wide, high) in zip(factors, frames, strict=True)
    ]


def rendition_shown(sizes: list[tuple[int, int]], box: tuple[int, int], *, most: int = 1) -> Shown | None:
    """Return what a box of so many device pixels shows: the largest rendition that fits; None if none does.

    The original may be enlarged up to ``most`` times: a screen of fine pixels then shows it as large as a coarse one.
    """
    for index, (width, height) in enumerate(sizes):
        if width <= box[0] and height <= box[1]:
            # Only the original is enlarged: a smaller copy shows only where the next larger did not fit.
            multiple = min(box[0] // width, box[1] // height, most) if index == 0 else 1
            return Shown(index, max(1, multiple))
    return None
