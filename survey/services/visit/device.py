"""What a browser says about itself and its window: checked once, for every door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from survey.exceptions import BadSubmission
from survey.geometry import Window

__all__ = ["Device", "engine_of"]


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

    @property
    def window(self) -> Window:
        return Window(self.width, self.height, self.pixel_ratio)

    def report(self) -> dict[str, Any]:
        """Return what is stored."""
        return asdict(self) | {"extra": dict(self.extra or {})}


def engine_of(agent: str) -> str:
    """Return the engine that a User-Agent header names: ``gecko``, ``blink``, ``webkit``, or nothing.

    Every browser of iOS is WebKit, whatever it calls itself; every engine but Gecko calls itself like WebKit.
    """
    if "Firefox/" in agent:
        return "gecko"
    if "Chrome/" in agent or "HeadlessChrome/" in agent:
        return "blink"
    return "webkit" if "AppleWebKit/" in agent else ""
