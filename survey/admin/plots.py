"""Small plots as SVG, drawn on the server. Attributes only: the pages' policy allows no inline style."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.html import escape
from django.utils.safestring import SafeString

from analysis.charts import Frame, element, picture, text

__all__ = ["bars", "line"]

WIDTH, HEIGHT = 420, 170
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 12, 34


def _ceiling(value: float) -> float:
    """Return the next round number at or above value."""
    if value <= 5:
        return 5
    step = 10 ** (len(str(int(value))) - 1)
    for factor in (1, 2, 2.5, 5, 10):
        if factor * step >= value:
            return factor * step
    return 10 * step


def _frame(top: float) -> Frame:
    return Frame(left=LEFT, right=WIDTH - RIGHT, top=TOP, bottom=HEIGHT - BOTTOM, high=top)


def _drawn(rows: Sequence[tuple[str, float]], frame: Frame, body: str, *, title: str, caption: str) -> SafeString:
    """Return the plot with its axis, its grid and the names of its first and last row."""
    half = frame.high / 2
    first, last = rows[0][0], rows[-1][0] if len(rows) > 1 else ""
    ticks = ((frame.high, "bp-grid"), (half, "bp-grid"), (0.0, "bp-axis"))
    drawn = picture(
        WIDTH,
        HEIGHT,
        *(frame.rule(value, class_=look) for value, look in ticks),
        *(text(LEFT - 5, frame.y(value) + 4, f"{value:g}", class_="bp-tick bp-end") for value, _ in ticks),
        body,
        text(frame.left, frame.bottom + 14, first, class_="bp-tick"),
        text(frame.right, frame.bottom + 14, last, class_="bp-tick bp-end"),
        text(frame.x(0.5), HEIGHT - 6, caption, class_="bp-tick bp-mid"),
        title=title,
        class_="bp-plot",
    )
    # Escaped where it was drawn.
    return SafeString(drawn)


def bars(rows: Sequence[tuple[str, float]], *, title: str, caption: str) -> SafeString:
    """Return a bar plot; ``rows`` are (what the bar stands for, its height)."""
    if not rows:
        return SafeString("")
    frame = _frame(_ceiling(max(height for _, height in rows)))
    room = (frame.right - frame.left) / len(rows)
    body = "".join(
        frame.bar(
            # 8 % of the room stay free on either side, so that bars stay apart at any number of them.
            frame.left + (place + 0.08) * room,
            height,
            element("title", escape(f"{name}: {height:g}")),
            width=0.84 * room,
            class_="bp-bar",
        )
        for place, (name, height) in enumerate(rows)
    )
    return _drawn(rows, frame, body, title=title, caption=caption)


def line(rows: Sequence[tuple[str, float]], *, title: str, caption: str, goal: float | None = None) -> SafeString:
    """Return a line through the points, with a dashed line at the goal."""
    if not rows:
        return SafeString("")
    frame = _frame(_ceiling(max([height for _, height in rows] + ([goal] if goal else []))))
    # One point makes no line: it is drawn from zero.
    heights = [height for _, height in rows] if len(rows) > 1 else [0.0, rows[0][1]]
    body = frame.line(((place / (len(heights) - 1), height) for place, height in enumerate(heights)), class_="bp-line")
    if goal:
        body += frame.rule(goal, element("title", f"planned: {goal:g}"), class_="bp-goal")
    return _drawn(rows, frame, body, title=title, caption=caption)
