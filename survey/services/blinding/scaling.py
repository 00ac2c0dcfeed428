"""Smaller pictures by one filter for all arms: Lanczos, in linear light, from the original each time.

Averages of sRGB codes are too dark where light and dark meet; a grille of black and white lines comes out as the grey
that it looks like only in linear light. Each size is made from the original: a filter upon a filter would be another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

__all__ = ["scaled"]

# Sixteen bits: light near black needs finer steps than the eight that go in and out.
_LEVELS = 65_535


def _curves() -> tuple[np.ndarray, np.ndarray]:
    """Return sRGB's transfer functions (IEC 61966-2-1): codes to light, and light in 65,536 steps to codes."""
    code = np.arange(256) / 255
    light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    step = np.arange(_LEVELS + 1) / _LEVELS
    back = np.where(step <= 0.0031308, step * 12.92, 1.055 * step ** (1 / 2.4) - 0.055)
    return light.astype(np.float32), (back * 255 + 0.5).astype(np.uint8)


_LIGHT, _CODE = _curves()


def scaled(picture: Image.Image, sizes: Sequence[tuple[int, int]]) -> Iterator[Image.Image]:
    """Yield an RGB picture at each size; at its own size as it is."""
    bands: list[Image.Image] = []
    for size in sizes:
        if size == picture.size:
            yield picture
            continue
        bands = bands or _bands(picture)
        yield Image.merge("RGB", [_codes(band.resize(size, Image.Resampling.LANCZOS)) for band in bands])


def _bands(picture: Image.Image) -> list[Image.Image]:
    light = np.take(_LIGHT, np.asarray(picture))
    return [Image.fromarray(np.ascontiguousarray(light[..., channel])) for channel in range(3)]


def _codes(light: Image.Image) -> Image.Image:
    steps = np.array(light)
    # In place: a picture of two megapixels would be copied four times otherwise.
    np.clip(steps, 0, 1, out=steps)
    steps *= _LEVELS
    steps += 0.5
    return Image.fromarray(_CODE[steps.astype(np.uint16)])
