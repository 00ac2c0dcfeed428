"""The accuracy of a classifier by timestep as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.charts import COLOURS, Frame, element, picture, text
from training.evaluation.config import attack_name

__all__ = ["comparison_svg", "figure_svg"]

PANEL_HEIGHT, BAR_WIDTH = 200, 30
# Between two groups of bars, and below the zero line where a value is negative.
GAP, BELOW = 24, 20
# Of the captions, on average, in the font's size.
LETTER_WIDTH = 5.6

Series = Sequence[tuple[str, Sequence[float | None]]]


def figure_svg(results: Mapping[str, Any]) -> str:
    """Return bars per timestep band as a stand-alone SVG: top-1 and top-5 accuracy, clean and attacked; gradients."""
    panels: list[tuple[Series, str]] = []
    for caption, name in (("accuracy", "accuracy"), ("top-5 accuracy", "top5_accuracy")):
        bars = [(f"{caption}, clean", results["clean"][f"{name}_by_band"])]
        attacked = f"robust_{name}_by_band"
        bars += [(f"{caption}, {attack_name(a)}", a[attacked]) for a in results["attacks"] if attacked in a]
        panels.append((bars, "{:.0%}"))
    if rows := results["gradient_alignment"]:
        cosines = [row["cosine"] for row in rows]
        panels.append(([("cosine of the gradient and the denoisers' class score", cosines)], "{:.2f}"))
    return _stacked(panels, results["bands"])


def comparison_svg(results: Mapping[str, Mapping[str, Any]], differences: Sequence[Mapping[str, Any]]) -> str:
    """Return several classifiers' top-1 accuracy per band, and below it their differences with 95 % intervals."""
    bars: list[tuple[str, Sequence[float | None]]] = []
    for name, one in results.items():
        bars.append((f"{name}, clean", one["clean"]["accuracy_by_band"]))
        bars += [(f"{name}, {attack_name(a)}", a["robust_accuracy_by_band"]) for a in one["attacks"]]
    panels: list[tuple[Series, str]] = [(bars, "{:.0%}")]
    whiskers = {}
    # Cosines are no shares of images and have a scale of their own.
    for form, is_cosine in (("{:+.1%}", False), ("{:+.3f}", True)):
        chosen = [entry for entry in differences if (entry["measure"] == "gradient_cosine") == is_cosine]
        if chosen:
            whiskers[len(panels)] = [[part["ci95"] for part in entry["by_band"]] for entry in chosen]
            panels.append(([_difference(entry) for entry in chosen], form))
    bands = next(iter(results.values()))["bands"]
    return _stacked(panels, bands, whiskers)


def _difference(entry: Mapping[str, Any]) -> tuple[str, list[float | None]]:
    measure = entry["measure"].replace("_", " ")
    caption = f"{entry['classifier']} less {entry['baseline']}: {measure}, 95 % interval over images"
    return caption, [part["estimate"] for part in entry["by_band"]]


def _stacked(
    panels: Sequence[tuple[Series, str]], bands: Sequence[str], whiskers: Mapping[int, Sequence] | None = None
) -> str:
    widest = max(len(series) for series, _ in panels)
    width, top, parts = 60 + (BAR_WIDTH * widest + GAP) * len(bands), 0.0, []
    # Captions are written in full however few the bars are.
    width = max(width, 60 + LETTER_WIDTH * max(len(caption) for series, _ in panels for caption, _ in series))
    for place, (series, form) in enumerate(panels):
        drawn, height = _panel(series, bands, form, width, (whiskers or {}).get(place))
        parts.append(element("g", drawn, transform=f"translate(0 {top:g})"))
        top += height
    size = {"xmlns": "http://www.w3.org/2000/svg", "width": width, "height": top}
    return picture(width, top, *parts, **size, font_family="sans-serif", font_size=10) + "\n"


def _panel(
    series: Series, bands: Sequence[str], form: str, width: int, whiskers: Sequence | None = None
) -> tuple[str, float]:
    """Return one group of bars per band, with its height; negative values hang below the line."""
    values = [value or 0.0 for _, row in series for value in row]
    if whiskers is not None:
        return _differences(series, bands, form, width, whiskers)
    # Shares fill the whole panel at 1, so that two figures can be held side by side.
    high, room_below = max(1.0, *values), 30 if min(values) < 0 else 0
    # Below zero the scale goes on for as far as there is room.
    low = -high * BELOW / PANEL_HEIGHT
    frame = Frame(left=40, right=width - 10, top=20, bottom=20 + PANEL_HEIGHT + BELOW, low=low, high=high)
    line, group = frame.y(0.0), (width - 60) // len(bands)
    parts = [frame.rule(0.0, stroke="#333")]
    for column, band in enumerate(bands):
        left = 50 + group * column
        for place, (_, row) in enumerate(series):
            value, x = row[column] or 0.0, left + BAR_WIDTH * place
            parts.append(frame.bar(x, value, width=26, fill=COLOURS[place % len(COLOURS)]))
            parts.append(text(x + 13, frame.y(max(value, 0.0)) - 3, form.format(value), text_anchor="middle"))
        parts.append(text(left + (group - GAP) / 2, line + 16 + room_below, f"t {band}", text_anchor="middle"))
    parts.append(frame.legend([caption for caption, _ in series], x=50, y=line + 36 + room_below, step=14))
    return "".join(parts), line + 50 + room_below + 14 * len(series)


def _differences(
    series: Series, bands: Sequence[str], form: str, width: int, whiskers: Sequence[Sequence[Sequence[float] | None]]
) -> tuple[str, float]:
    """Return a dot per band and series with its interval, around a line at zero."""
    ends = [end for rows in whiskers for interval in rows for end in interval or ()]
    reach = max([abs(value) for _, row in series for value in row if value is not None] + [abs(end) for end in ends])
    reach = reach or 1.0
    frame = Frame(left=40, right=width - 10, top=20, bottom=20 + PANEL_HEIGHT, low=-1.15 * reach, high=1.15 * reach)
    group = (width - 60) // len(bands)
    # There are fewer differences than bars, and their numbers stand beside them.
    apart = (group - GAP) / len(series)
    parts = [frame.rule(0.0, stroke="#333")]
    for column, band in enumerate(bands):
        left = 50 + group * column
        for place, (_, row) in enumerate(series):
            value, interval, x = row[column], whiskers[place][column], left + apart * place + 4
            if value is None:
                continue
            colour = COLOURS[place % len(COLOURS)]
            if interval is not None:
                low, high = (frame.y(end) for end in interval)
                parts.append(element("line", x1=x, x2=x, y1=low, y2=high, stroke=colour, stroke_width=2))
            parts.append(element("circle", cx=x, cy=frame.y(value), r=3.5, fill=colour))
            parts.append(text(x + 6, frame.y(value) + 3, form.format(value)))
        parts.append(text(left + (group - GAP) / 2, frame.bottom + 14, f"t {band}", text_anchor="middle"))
    captions = [caption for caption, _ in series]
    parts.append(frame.legend(captions, x=50, y=frame.bottom + 36, step=14))
    return "".join(parts), frame.bottom + 50 + 14 * len(series)
