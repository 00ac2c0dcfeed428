"""Training curves as SVG, drawn by the server: no script, no chart library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

__all__ = ["curve_svg", "draw_curves"]

WIDTH, HEIGHT = 640, 190
LEFT, RIGHT, TOP, BOTTOM = 48, 130, 22, 24
COLOURS = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#b9770e")


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

    def place(iteration: int, value: float) -> str:
        x = LEFT + (WIDTH - LEFT - RIGHT) * iteration / last
        y = TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / ((high - low) or 1.0)
        return f"{x:.1f},{y:.1f}"

    lines = [
        (" ".join(place(*point) for point in points), colour)
        for points, colour in zip(series.values(), COLOURS, strict=False)
    ]
    captions = [
        (WIDTH - RIGHT + 8, TOP + 12 + 16 * row, colour, f"{caption} {points[-1][1]:.3g}")
        for row, ((caption, points), colour) in enumerate(zip(series.items(), COLOURS, strict=False))
    ]
    return format_html(
        '<svg viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{} by iteration">'
        '<rect x="{}" y="{}" width="{}" height="{}" fill="none" stroke="#999"/>'
        '<g font-size="11" fill="currentColor">{}</g>{}<g font-size="11">{}</g></svg>',
        WIDTH,
        HEIGHT,
        WIDTH,
        HEIGHT,
        chart.title,
        LEFT,
        TOP,
        WIDTH - LEFT - RIGHT,
        HEIGHT - TOP - BOTTOM,
        _axis(chart.title, low, high, last),
        format_html_join("", '<polyline points="{}" fill="none" stroke="{}" stroke-width="1.5"/>', lines),
        format_html_join("", '<text x="{}" y="{}" fill="{}">{}</text>', captions),
    )


def _axis(title: str, low: float, high: float, last: int) -> SafeString:
    texts = [
        (LEFT - 4, TOP + 8, "end", f"{high:.3g}"),
        (LEFT - 4, HEIGHT - BOTTOM, "end", f"{low:.3g}"),
        (LEFT, HEIGHT - 8, "start", "0"),
        (WIDTH - RIGHT, HEIGHT - 8, "end", f"{last} iterations"),
        (LEFT, TOP - 8, "start", title),
    ]
    return format_html_join("", '<text x="{}" y="{}" text-anchor="{}">{}</text>', texts)
