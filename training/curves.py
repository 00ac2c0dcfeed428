"""Training curves as SVG, drawn by the server: no script, no chart library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from analysis.charts import COLOURS, Frame, element, picture, text

__all__ = ["curve_svg", "draw_curves"]

WIDTH, HEIGHT = 640, 190
LEFT, RIGHT, TOP, BOTTOM = 48, 130, 22, 24


@dataclass(frozen=True)
class Chart:
    """Series that share an axis: `fields` maps a log row's field to its caption."""

    title: str
    fields: dict[str, str]
    is_share: bool


CHARTS = (
    Chart("Loss", {"loss": "training", "mse": "noise error", "validation_loss": "held out"}, False),
    Chart(
        "Accuracy",
        {
            "clean_accuracy": "clean x_t",
            "accuracy": "as trained",
            "validation_accuracy": "held out",
            "validation_robust_accuracy": "held out, attacked",
            "active_share": "attack's active share",
        },
        True,
    ),
)


def draw_curves(rows: Sequence[dict]) -> SafeString:
    """Draw every chart that the rows have values for."""
    charts = [(curve_svg(chart, rows),) for chart in CHARTS if any(f in row for row in rows for f in chart.fields)]
    return format_html_join("", "{}", charts) if charts else format_html("<p>{}</p>", "No row yet.")


def curve_svg(chart: Chart, rows: Sequence[dict]) -> SafeString:
    """Draw one chart; values that are missing leave a series shorter."""
    series = {
        caption: [(row["iteration"], row[field]) for row in rows if row.get(field) is not None]
        for field, caption in chart.fields.items()
    }
    series = {caption: points for caption, points in series.items() if points}
    values = [value for points in series.values() for _, value in points]
    low, high = (0.0, 1.0) if chart.is_share else (min(0.0, *values), max(values) or 1.0)
    last = max(iteration for points in series.values() for iteration, _ in points) or 1
    frame = Frame(left=LEFT, right=WIDTH - RIGHT, top=TOP, bottom=HEIGHT - BOTTOM, low=low, high=high)
    lines = [
        frame.line(
            [(iteration / last, value) for iteration, value in points], fill="none", stroke=colour, stroke_width=1.5
        )
        for points, colour in zip(series.values(), cycle(COLOURS), strict=False)
    ]
    captions = [f"{caption} {points[-1][1]:.3g}" for caption, points in series.items()]
    drawn = picture(
        WIDTH,
        HEIGHT,
        element("rect", x=LEFT, y=TOP, width=frame.right - LEFT, height=frame.bottom - TOP, fill="none", stroke="#999"),
        element("g", _axis(chart.title, frame, last), font_size=11, fill="currentColor"),
        *lines,
        element("g", frame.legend(captions, x=frame.right + 8, y=TOP + 12, step=16), font_size=11),
        title=f"{chart.title} by iteration",
        width=WIDTH,
        height=HEIGHT,
    )
    # Escaped where it was drawn.
    return SafeString(drawn)


def _axis(title: str, frame: Frame, last: int) -> str:
    texts = [
        (frame.left - 4, frame.top + 8, f"{frame.high:.3g}", "end"),
        (frame.left - 4, frame.bottom, f"{frame.low:.3g}", "end"),
        (frame.left, HEIGHT - 8, "0", "start"),
        (frame.right, HEIGHT - 8, f"{last} iterations", "end"),
        (frame.left, frame.top - 8, title, "start"),
    ]
    return "".join(text(x, y, words, text_anchor=anchor) for x, y, words, anchor in texts)
