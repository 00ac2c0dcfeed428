"""Small charts as SVG, from the standard library alone: a web process loads no matplotlib, and its pages' policy allows
no inline style, so that every look is an attribute or a class.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["COLOURS", "Frame", "element", "picture", "text"]

#: Told apart in print and by colour-blind readers; series take them in turn.
COLOURS = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#b9770e", "#555555")


def element(name: str, /, *content: str, **attributes: object) -> str:
    """Return an element of already drawn content; attribute values are escaped.

    ``_`` in the name of an attribute stands for ``-``, a trailing one is dropped (``class_``).

    Examples
    --------
    >>> element("rect", class_="bar", stroke_width=2)
    '<rect class="bar" stroke-width="2"/>'
    """
    listed = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_short(value))}"' for key, value in attributes.items()
    )
    return f"<{name}{listed}>{''.join(content)}</{name}>" if content else f"<{name}{listed}/>"


def _short(value: object) -> str:
    """A tenth of a pixel is finer than any screen shows."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def text(x: float, y: float, words: str, /, **attributes: object) -> str:
    """Return escaped words at a place."""
    return element("text", escape(words), x=x, y=y, **attributes)


def picture(width: float, height: float, /, *parts: str, title: str = "", **attributes: object) -> str:
    """Return the whole SVG; with a title it is an image that screen readers name."""
    named = {"role": "img", "aria_label": title} if title else {}
    return element("svg", *parts, viewBox=f"0 0 {_short(float(width))} {_short(float(height))}", **named, **attributes)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The plotting area of a chart and the values at its lower and upper edge.

    Parameters
    ----------
    left, right, top, bottom : float
        Its edges, in the picture's units; ``y`` grows downwards.
    low, high : float
        What stands at ``bottom`` and at ``top``.
    """

    left: float
    right: float
    top: float
    bottom: float
    low: float = 0.0
    high: float = 1.0

    def x(self, share: float) -> float:
        """Return where a share in [0, 1] of the width lies."""
        return float(self.left + (self.right - self.left) * share)

    def y(self, value: float) -> float:
        """Return the height at which a value stands; a frame without a range has all of them at the bottom."""
        return float(self.bottom - (self.bottom - self.top) * (value - self.low) / ((self.high - self.low) or 1.0))

    def rule(self, value: float, *content: str, **attributes: object) -> str:
        """Return the horizontal line at a value."""
        y = self.y(value)
        return element("line", *content, x1=self.left, y1=y, x2=self.right, y2=y, **attributes)

    def line(self, points: Iterable[tuple[float, float]], **attributes: object) -> str:
        """Return the line through points of (share of the width, value)."""
        listed = " ".join(f"{self.x(share):.1f},{self.y(value):.1f}" for share, value in points)
        return element("polyline", points=listed, **attributes)

    def bar(self, x: float, value: float, *content: str, width: float, **attributes: object) -> str:
        """Return the bar from zero to a value, cut off at the lower edge."""
        ends = sorted((self.y(0.0), self.y(max(value, self.low))))
        return element("rect", *content, x=x, y=ends[0], width=width, height=ends[1] - ends[0], **attributes)

    def legend(self, captions: Sequence[str], *, x: float, y: float, step: float) -> str:
        """Return a line of text for every series, in its colour."""
        return "".join(
            text(x, y + step * row, caption, fill=COLOURS[row % len(COLOURS)]) for row, caption in enumerate(captions)
        )
