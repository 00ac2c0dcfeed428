"""Small plots as SVG, drawn on the server. Attributes only: the pages' policy allows no inline style."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

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


def _frame(title: str, top: float, body: SafeString, first: str, last: str, caption: str) -> SafeString:
    floor, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    return format_html(
        '<svg class="bp-plot" viewBox="0 0 {w} {h}" role="img" aria-label="{title}">'
        '<line x1="{left}" y1="{ceil}" x2="{right}" y2="{ceil}" class="bp-grid"/>'
        '<line x1="{left}" y1="{mid}" x2="{right}" y2="{mid}" class="bp-grid"/>'
        '<line x1="{left}" y1="{floor}" x2="{right}" y2="{floor}" class="bp-axis"/>'
        '<text x="{tick}" y="{ceil_text}" class="bp-tick bp-end">{top}</text>'
        '<text x="{tick}" y="{mid_text}" class="bp-tick bp-end">{half}</text>'
        '<text x="{tick}" y="{floor_text}" class="bp-tick bp-end">0</text>{body}'
        '<text x="{left}" y="{label}" class="bp-tick">{first}</text>'
        '<text x="{right}" y="{label}" class="bp-tick bp-end">{last}</text>'
        '<text x="{centre}" y="{below}" class="bp-tick bp-mid">{caption}</text></svg>',
        w=WIDTH,
        h=HEIGHT,
        title=title,
        left=LEFT,
        right=right,
        ceil=TOP,
        mid=(TOP + floor) / 2,
        floor=floor,
        tick=LEFT - 5,
        ceil_text=TOP + 4,
        mid_text=(TOP + floor) / 2 + 4,
        floor_text=floor + 4,
        top=f"{top:g}",
        half=f"{top / 2:g}",
        body=body,
        label=floor + 14,
        first=first,
        last=last,
        centre=(LEFT + right) / 2,
        below=HEIGHT - 6,
        caption=caption,
    )


def bars(rows: Sequence[tuple[str, float]], *, title: str, caption: str) -> SafeString:
    """Return a bar plot; ``rows`` are (what the bar stands for, its height)."""
    if not rows:
        return SafeString("")
    top = _ceiling(max(height for _, height in rows))
    room = (WIDTH - LEFT - RIGHT) / len(rows)
    span = HEIGHT - TOP - BOTTOM
    drawn = format_html_join(
        "",
        '<rect x="{}" y="{}" width="{}" height="{}" class="bp-bar"><title>{}: {}</title></rect>',
        (
            (
                f"{LEFT + place * room + 0.08 * room:.1f}",
                f"{TOP + span * (1 - height / top):.1f}",
                f"{0.84 * room:.1f}",
                f"{span * height / top:.1f}",
                name,
                f"{height:g}",
            )
            for place, (name, height) in enumerate(rows)
        ),
    )
    return _frame(title, top, drawn, rows[0][0], rows[-1][0] if len(rows) > 1 else "", caption)


def line(rows: Sequence[tuple[str, float]], *, title: str, caption: str, goal: float | None = None) -> SafeString:
    """Return a line through the points, with a dashed line at the goal."""
    if not rows:
        return SafeString("")
    top = _ceiling(max([height for _, height in rows] + ([goal] if goal else [])))
    span, room = HEIGHT - TOP - BOTTOM, WIDTH - LEFT - RIGHT
    step = room / max(1, len(rows) - 1)
    points = [
        f"{LEFT + place * step:.1f},{TOP + span * (1 - height / top):.1f}" for place, (_, height) in enumerate(rows)
    ]
    if len(points) == 1:
        points = [f"{LEFT},{HEIGHT - BOTTOM}", f"{WIDTH - RIGHT},{points[0].split(',')[1]}"]
    drawn = format_html('<polyline points="{}" class="bp-line"/>', " ".join(points))
    if goal:
        y = f"{TOP + span * (1 - goal / top):.1f}"
        drawn += format_html(
            '<line x1="{}" y1="{}" x2="{}" y2="{}" class="bp-goal"><title>planned: {}</title></line>',
            LEFT,
            y,
            WIDTH - RIGHT,
            y,
            f"{goal:g}",
        )
    return _frame(title, top, drawn, rows[0][0], rows[-1][0] if len(rows) > 1 else "", caption)
