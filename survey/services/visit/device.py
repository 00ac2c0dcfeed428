"""Is the screen large enough for two whole images and the controls? One rule, for every door."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from survey.exceptions import BadSubmission

__all__ = ["GUTTER_PX", "Device", "css_size", "device_fits", "engine_of", "layout_of"]

# CSS pixels between the images and beside them, and what question and controls need below and above.
GUTTER_PX = 16
SIDE_PX = 12
CONTROLS_PX = 250


@dataclass(frozen=True, kw_only=True)
class Device:
    """What a browser says about its window; CSS pixels."""

    width: int
    height: int
    pixel_ratio: float = 1.0
    is_touch: bool = False
    extra: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        # No screen is larger; a forged size must not reach the layout's arithmetic.
        if not (0 < self.width <= 20_000 and 0 < self.height <= 20_000):
            raise BadSubmission(f"the window is {self.width} x {self.height}; give CSS pixels from 1 to 20000")
        if not 0.2 <= self.pixel_ratio <= 20:
            raise BadSubmission(f"the pixel ratio is {self.pixel_ratio}; give 0.2 to 20")

    def report(self) -> dict[str, Any]:
        """Return what is stored."""
        return asdict(self) | {"extra": dict(self.extra or {})}


def css_size(side: int, *, pixel_multiple: int, pixel_ratio: float) -> float:
    """Return the CSS length of an image side: a whole number of screen pixels for each image pixel.

    The number is the one nearest to ``pixel_multiple`` CSS pixels, so that every rater sees about the same size.
    """
    return side * max(1, math.floor(pixel_multiple * pixel_ratio + 0.5)) / pixel_ratio


def layout_of(device: Device, *, trial: Mapping[str, Any], frame: tuple[int, int]) -> str | None:
    """Return ``row``, ``stack``, or None when the images do not fit in either way that the study allows."""
    width, height = (
        css_size(side, pixel_multiple=trial["pixel_multiple"], pixel_ratio=device.pixel_ratio) for side in frame
    )
    if device.width >= 2 * width + GUTTER_PX + 2 * SIDE_PX and device.height >= height + CONTROLS_PX:
        return "row"
    fits = device.width >= width + 2 * SIDE_PX and device.height >= 2 * height + GUTTER_PX + CONTROLS_PX
    return "stack" if fits and trial["narrow_screens"] == "stack" and device.width < device.height else None


def device_fits(device: Device, *, trial: Mapping[str, Any], frame: tuple[int, int]) -> bool:
    """Return True when the window shows a trial without scrolling."""
    return layout_of(device, trial=trial, frame=frame) is not None


def engine_of(agent: str) -> str:
    """Return the engine that a User-Agent header names: ``gecko``, ``blink``, ``webkit``, or nothing.

    Every browser of iOS is WebKit, whatever it calls itself; every engine but Gecko calls itself like WebKit.
    """
    if "Firefox/" in agent:
        return "gecko"
    if "Chrome/" in agent or "HeadlessChrome/" in agent:
        return "blink"
    return "webkit" if "AppleWebKit/" in agent else ""
