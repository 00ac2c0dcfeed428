"""Near-lossless pixels: rough parts lose their last bits, smooth ones stay as they are. The file itself stays lossless.

The rule is that of libwebp's encoder (src/enc/near_lossless_enc.c); Pillow does not pass ``-near_lossless`` on to it.
"""

from __future__ import annotations

import numpy as np

__all__ = ["QUALITIES", "near_lossless"]

# The stated quality, and how many bits a rough pixel loses.
QUALITIES = {80: 1, 60: 2, 40: 3}
# Icons stay as they are: every pixel of theirs counts.
_SMALLEST = 64


def _coarse(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Return the nearest multiples of 2**bits, ties to the even one, as far as eight bits go."""
    wide = pixels.astype(np.int16)
    mask = (1 << bits) - 1
    biased = wide + (mask >> 1) + ((wide >> bits) & 1)
    return np.where(biased > 255, 255, biased & ~mask).astype(np.uint8)


def _is_smooth(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Return which inner pixels are near all four neighbours in every channel."""
    wide = pixels.astype(np.int16)
    inner = wide[1:-1, 1:-1]
    around = (wide[1:-1, :-2], wide[1:-1, 2:], wide[:-2, 1:-1], wide[2:, 1:-1])
    return np.logical_and.reduce([(abs(inner - other) < (1 << bits)).all(axis=2) for other in around])


def near_lossless(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Return (H, W, 3) uint8 pixels at the stated quality: 80, 60 or 40."""
    height, width = pixels.shape[:2]
    if max(height, width) < _SMALLEST or height < 3:
        return pixels
    # The caller measures the difference from what it gave.
    out = pixels.copy()
    for bits in range(QUALITIES[quality], 0, -1):
        smooth = _is_smooth(out, bits)
        out[1:-1, 1:-1] = np.where(smooth[..., None], out[1:-1, 1:-1], _coarse(out[1:-1, 1:-1], bits))
    return out
