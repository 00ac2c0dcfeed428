"""How large two images stand in a window, and which windows have room for them; geometry.js says so for the page.

A reference stands between or above them, in a box of the same size. Lengths with ``_px`` are CSS pixels, as browsers
report windows; boxes are in device pixels, as images are shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from survey.beyond import beyond_of
from survey.criteria import TOGETHER, criteria_of, design_of
from survey.renditions import Shown, rendition_shown

__all__ = ["CONTROLS_PX", "GUTTER_PX", "SIDE_PX", "Layout", "Room", "Window", "controls_px"]

# CSS pixels between the images and beside them.
GUTTER_PX = 16
SIDE_PX = 12
# What question and controls need below and above: in ``pixels`` for a question of one line, in ``fit`` for one of two,
# in a row and where the answers stand in two.
CONTROLS_PX = 250
FIT_CONTROLS_PX = 288
FIT_NARROW_CONTROLS_PX = 352
NARROW_PX = 480
# Where several criteria stand below each pair: what is around their rows, and what a row takes, its question beside the
# answers in a wide window and above them in a narrow one.
TOGETHER_PX, TOGETHER_NARROW_PX = 146, 172
ROW_PX, ROW_NARROW_PX = 54, 96
# Up to so many a question has no room beside its answers.
TOGETHER_NARROW_UP_TO_PX = 820
# What a step with reasons takes more than the answers in whose place it stands: beside its rows of four or two buttons.
REASON_ROW_PX, REASONS_PX, REASONS_NARROW_PX = 50, 96 - 133, 112 - 214
# The box of a prompt with what is below it, and the caption of a reference: rater.css gives them these heights.
PROMPT_PX, CAPTION_PX = 84, 18
# Columns and lines of images by where the reference stands, in a row and in a stack.
_GRIDS = {
    "": {"row": (2, 1), "stack": (1, 2)},
    "between": {"row": (3, 1), "stack": (1, 3)},
    "above": {"row": (2, 2), "stack": (1, 3)},
}
_EPSILON = 1e-6


@dataclass(frozen=True)
class Window:
    """A browser's window: CSS pixels, and device pixels to one of them."""

    width: int
    height: int
    pixel_ratio: float = 1.0


@dataclass(frozen=True)
class Layout:
    """``row`` or ``stack``, and the two boxes' size in device pixels."""

    kind: str
    box: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Room:
    """What a frozen plan and its images ask of a window.

    ``frame`` holds the largest sides of all images, ``least`` those of their smallest renditions, ``narrowest`` and
    ``widest`` the extremes of width by height.
    """

    display: str
    frame: tuple[int, int]
    least: tuple[int, int]
    narrowest: float
    widest: float
    box_px: int
    pixel_multiple: int
    may_stack: bool
    rows: int = 0
    reasons: int = 0
    has_prompt: bool = False
    reference: str = ""

    @classmethod
    def of(cls, config: Mapping[str, Any], *, frame: tuple[int, int]) -> Room:
        """Return the room of a frozen version; one frozen up to release 0.1 does not say its images' ``frame``."""
        trial, images = config["trial"], config.get("images")
        if images is None:
            shape = frame[0] / max(1, frame[1])
            images = {"frame": frame, "least": frame, "narrowest": shape, "widest": shape}
        return cls(
            display=trial.get("display", "pixels"),
            frame=tuple(images["frame"]),
            least=tuple(images["least"]),
            narrowest=images["narrowest"],
            widest=images["widest"],
            box_px=trial.get("box_px", 0),
            pixel_multiple=trial["pixel_multiple"],
            may_stack=trial["narrow_screens"] == "stack",
            rows=len(criteria_of(config)) if design_of(config) == TOGETHER else 0,
            reasons=len(beyond_of(config).reasons),
            has_prompt=trial.get("are_prompts_shown", False),
            reference=trial.get("reference_place", ""),
        )

    @property
    def is_fit(self) -> bool:
        return self.display == "fit"

    def as_json(self) -> dict[str, Any]:
        """Return what the page's script needs of it."""
        narrow = TOGETHER_NARROW_UP_TO_PX if self.rows else NARROW_PX
        controls = [self._controls(narrow + 1), self._controls(narrow)]
        lengths = {"gutter": GUTTER_PX, "side": SIDE_PX, "controls": controls, "narrow": narrow}
        return asdict(self) | lengths | {"grid": _GRIDS[self.reference]}

    def _controls(self, width: float) -> int:
        beside = PROMPT_PX * self.has_prompt + CAPTION_PX * bool(self.reference) + _reasons_px(width, self.reasons)
        return controls_px(width, is_fit=self.is_fit, rows=self.rows) + beside

    def multiple(self, pixel_ratio: float) -> int:
        """Return device pixels to an image pixel: of every image in ``pixels``, the most of an original in ``fit``."""
        if self.is_fit:
            # Whole multiples alone: part of a pixel would be blurred by the browser, and differently in each.
            return max(1, math.floor(pixel_ratio + _EPSILON))
        # Rounded as geometry.js does, half up: page and server must agree to the pixel.
        return max(1, math.floor(self.pixel_multiple * pixel_ratio + 0.5))

    def _least_box(self, pixel_ratio: float) -> tuple[int, int]:
        if self.is_fit:
            return self.least
        multiple = self.multiple(pixel_ratio)
        return self.frame[0] * multiple, self.frame[1] * multiple

    def _box(self, kind: str, window: Window) -> tuple[int, int] | None:
        """Return the largest box of a layout that the window allows and the images can fill; None without room."""
        ratio, controls = window.pixel_ratio, self._controls(window.width)
        columns, lines = _GRIDS[self.reference][kind]
        wide = (window.width - 2 * SIDE_PX - (columns - 1) * GUTTER_PX) / columns
        high = (window.height - controls - (lines - 1) * GUTTER_PX) / lines
        width, height = (math.floor(length * ratio + _EPSILON) for length in (wide, high))
        least = self._least_box(ratio)
        if width < least[0] or height < least[1]:
            return None
        if not self.is_fit:
            return least
        most, multiple = math.floor(self.box_px * ratio + _EPSILON), self.multiple(ratio)
        width, height = min(width, most, self.frame[0] * multiple), min(height, most, self.frame[1] * multiple)
        # No box wider than the widest image fills at that height: the rest would only push images apart.
        width = min(width, max(least[0], math.ceil(height * self.widest)))
        height = min(height, max(least[1], math.ceil(width / self.narrowest)))
        return None if width < least[0] or height < least[1] else (width, height)

    def layout(self, window: Window) -> Layout | None:
        """Return how a window shows a pair: one above the other only where that is allowed and shows it larger."""
        row = self._box("row", window)
        may_stack = self.may_stack and window.width < window.height
        stack = self._box("stack", window) if may_stack and (row is None or self.is_fit) else None
        if stack and (row is None or min(stack) > min(row)):
            return Layout("stack", stack)
        return Layout("row", row) if row else None

    def shown(self, sizes: list[tuple[int, int]], layout: Layout, *, pixel_ratio: float) -> Shown:
        """Return which rendition of an image a layout shows, and how many times enlarged."""
        multiple = self.multiple(pixel_ratio)
        shown = rendition_shown(sizes, layout.box, most=multiple) if self.is_fit else Shown(0, multiple)
        return shown or Shown(len(sizes) - 1, 1)

    def needed(self, window: Window) -> tuple[int, int]:
        """Return the CSS pixels that a window of this kind needs at least: width, height."""
        width, height = (
            math.ceil(side / window.pixel_ratio - _EPSILON) for side in self._least_box(window.pixel_ratio)
        )
        kind = "stack" if self.may_stack and window.width < window.height else "row"
        columns, lines = _GRIDS[self.reference][kind]
        wide = columns * width + (columns - 1) * GUTTER_PX + 2 * SIDE_PX
        return wide, lines * height + (lines - 1) * GUTTER_PX + self._controls(wide)


def _reasons_px(width: float, reasons: int) -> int:
    """Return the CSS pixels that a step with so many reasons takes more than the answers."""
    if not reasons:
        return 0
    columns, around = (2, REASONS_NARROW_PX) if width <= NARROW_PX else (4, REASONS_PX)
    return max(0, math.ceil(reasons / columns) * REASON_ROW_PX + around)


def controls_px(width: float, *, is_fit: bool, rows: int = 0) -> int:
    """Return the CSS pixels that question and controls take of a window's height, with so many rows of answers."""
    if rows:
        is_narrow = width <= TOGETHER_NARROW_UP_TO_PX
        return rows * ROW_NARROW_PX + TOGETHER_NARROW_PX if is_narrow else rows * ROW_PX + TOGETHER_PX
    if not is_fit:
        return CONTROLS_PX
    return FIT_NARROW_CONTROLS_PX if width <= NARROW_PX else FIT_CONTROLS_PX
