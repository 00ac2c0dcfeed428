"""Training curves from the rows of a log: as SVG, without script or chart library, and as a table."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from analysis.charts import COLOURS, Frame, element, picture, text

__all__ = ["curve_svg", "curves_picture", "curves_svg", "curves_table", "merged_rows", "read_log", "scalar_names"]

WIDTH, HEIGHT = 640, 190
LEFT, RIGHT, TOP, BOTTOM = 48, 150, 22, 24
# Few points are told apart by dots: held-out images are measured seldom.
MOST_DOTS = 40


@dataclass(frozen=True)
class Chart:
    """Series that share an axis: `fields` maps a log row's field to its caption.

    A chart of shares goes from 0 to 1; any other has a logarithmic axis, on which a loss that falls by half looks alike
    wherever it is.
    """

    title: str
    fields: dict[str, str]
    is_share: bool


CHARTS = (
    Chart(
        "Loss, logarithmic",
        {"loss": "training", "validation_loss": "held out", "mse": "noise error", "validation_mse": "noise, held out"},
        False,
    ),
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


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a log of JSON lines; a last line cut short by a crash is left out."""
    rows: list[dict[str, Any]] = []
    if path.is_file():
        for line in path.read_text().splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                break
    return rows


def merged_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row an iteration: what was measured on held-out images stands beside the training row."""
    merged: dict[int, dict[str, Any]] = {}
    for row in rows:
        merged.setdefault(row["iteration"], {}).update(row)
    return [merged[iteration] for iteration in sorted(merged)]


def scalar_names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of all numbers in the rows, the iteration first."""
    names = {name for row in rows for name, value in row.items() if isinstance(value, int | float)}
    return ["iteration", *sorted(names - {"iteration"})]


def curves_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as CSV, a column a number; an empty cell is a number that a row does not have."""
    rows = merged_rows(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, scalar_names(rows), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def curves_svg(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Draw every chart that the rows have values for."""
    rows = merged_rows(rows)
    return [curve_svg(chart, rows) for chart in CHARTS if _series(chart, rows)]


def curves_picture(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return all charts below each other as one SVG file; empty where there is nothing to draw."""
    charts = curves_svg(rows)
    if not charts:
        return ""
    placed = [element("g", chart, transform=f"translate(0 {place * HEIGHT})") for place, chart in enumerate(charts)]
    size = {"xmlns": "http://www.w3.org/2000/svg", "width": WIDTH, "height": HEIGHT * len(charts)}
    return picture(WIDTH, HEIGHT * len(charts), *placed, title="Training curves", **size) + "\n"


def _series(chart: Chart, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """Return the points of every series that has some; a logarithm has no place for 0 and below."""
    series = {
        caption: [
            (row["iteration"], float(row[field]) if chart.is_share else math.log10(row[field]))
            for row in rows
            if row.get(field) is not None and (chart.is_share or row[field] > 0)
        ]
        for field, caption in chart.fields.items()
    }
    return {caption: points for caption, points in series.items() if points}


def curve_svg(chart: Chart, rows: Sequence[Mapping[str, Any]]) -> str:
    """Draw one chart; values that are missing leave a series shorter, and a single one is a dot."""
    series = _series(chart, rows)
    values = [value for points in series.values() for _, value in points]
    low, high = (0.0, 1.0) if chart.is_share else (min(values), max(values))
    last = max(iteration for points in series.values() for iteration, _ in points) or 1
    frame = Frame(left=LEFT, right=WIDTH - RIGHT, top=TOP, bottom=HEIGHT - BOTTOM, low=low, high=high)
    lines = [
        _line(frame, points, last, colour) for points, colour in zip(series.values(), cycle(COLOURS), strict=False)
    ]
    captions = [f"{caption} {_value(chart, points[-1][1])}" for caption, points in series.items()]
    return picture(
        WIDTH,
        HEIGHT,
        element("rect", x=LEFT, y=TOP, width=frame.right - LEFT, height=frame.bottom - TOP, fill="none", stroke="#999"),
        element("g", _axis(chart, frame, last), font_size=11, fill="currentColor"),
        *lines,
        element("g", frame.legend(captions, x=frame.right + 8, y=TOP + 12, step=16), font_size=11),
        title=f"{chart.title} by iteration",
        width=WIDTH,
        height=HEIGHT,
        xmlns="http://www.w3.org/2000/svg",
        font_family="sans-serif",
    )


def _line(frame: Frame, points: Sequence[tuple[int, float]], last: int, colour: str) -> str:
    places = [(iteration / last, value) for iteration, value in points]
    dots = "".join(
        element("circle", cx=frame.x(share), cy=frame.y(value), r=2, fill=colour)
        for share, value in (places if len(places) <= MOST_DOTS else ())
    )
    return frame.line(places, fill="none", stroke=colour, stroke_width=1.5) + dots


def _value(chart: Chart, value: float) -> str:
    """Return a place on the axis as the number that stands there."""
    return f"{value if chart.is_share else 10**value:.3g}"


def _axis(chart: Chart, frame: Frame, last: int) -> str:
    texts = [
        (frame.left - 4, frame.top + 8, _value(chart, frame.high), "end"),
        (frame.left - 4, frame.bottom, _value(chart, frame.low), "end"),
        (frame.left, HEIGHT - 8, "0", "start"),
        (frame.right, HEIGHT - 8, f"{last} iterations", "end"),
        (frame.left, frame.top - 8, chart.title, "start"),
    ]
    return "".join(text(x, y, words, text_anchor=anchor) for x, y, words, anchor in texts)
