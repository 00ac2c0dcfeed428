"""Differences of image metrics over the same pairs: a panel a metric, by comparison and by class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from analysis.metric_names import metric_name
from analysis.report.parts import wording
from analysis.report.parts.figure import ARM, MUTED, FigureSpec, grid_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["difference_figures"]

_ACROSS = 3
# More rows are for the tables.
_MOST_COMPARISONS, _MOST_CLASSES = 10, 30


def difference_figures(report: Mapping) -> list[FigureSpec]:
    """Return the differences of all classes by comparison, and those of single classes of the first comparison."""
    entries = [entry for entry in report["image_metric_differences"] if entry["pairs"] == "all"]
    return [*_of_comparisons(entries), *_of_classes(report, entries)]


def _of_comparisons(entries: Sequence[Mapping]) -> list[FigureSpec]:
    whole = [{**entry, "row": (entry["arm"], entry["baseline"])} for entry in entries if not entry["class_label"]]
    names = dict.fromkeys(entry["row"] for entry in whole)
    rows = {row: " − ".join(plain(name, longest=14) for name in row) for row in list(names)[:_MOST_COMPARISONS]}
    subject = "Image metrics over the same pairs, the first arm less the second, 95 % intervals"
    return _figure("image_metric_differences", subject, whole, rows)


def _of_classes(report: Mapping, entries: Sequence[Mapping]) -> list[FigureSpec]:
    if not report["comparisons"]:
        return []
    arm, baseline = (report["comparisons"][0][side] for side in ("arm", "baseline"))
    mine = [
        {**entry, "row": entry["class_label"]}
        for entry in entries
        if entry["class_label"] and (entry["arm"], entry["baseline"]) == (arm, baseline)
    ]
    called = report["data"].get("class_names", {})
    labels = list(dict.fromkeys(entry["row"] for entry in mine))[:_MOST_CLASSES]
    rows = {label: plain(called.get(label, label), longest=14) for label in labels}
    subject = f"Image metrics of single classes over the same pairs, {arm} less {baseline}, 95 % intervals"
    return _figure("image_metric_differences_by_class", subject, mine, rows, panels=_ACROSS)


def _figure(name: str, subject: str, entries: Sequence[Mapping], rows: Mapping, *, panels: int = 6) -> list[FigureSpec]:
    """Return one figure with a panel a metric and the given rows, none where nothing has an interval."""
    known = [entry for entry in entries if entry["ci95"] is not None and entry["row"] in rows]
    metrics = list(dict.fromkeys(entry["metric"] for entry in known))[:panels]
    if not metrics:
        return []
    by_metric = {metric: {entry["row"]: entry for entry in known if entry["metric"] == metric} for metric in metrics}
    described = " ".join(
        f"{metric_name(metric)}: {', '.join(_told(rows[row], entry) for row, entry in found.items())}."
        for metric, found in by_metric.items()
    )
    n = wording.count(max(entry["n"] for entry in known), "pair")
    return [FigureSpec(name, subject, described, lambda: _draw(by_metric, rows), n=n)]


def _told(row: str, entry: Mapping) -> str:
    return f"{row} {wording.metric(entry['value'])} [{', '.join(map(wording.metric, entry['ci95']))}]"


def _draw(by_metric: Mapping[str, Mapping], rows: Mapping) -> Figure:
    columns = min(_ACROSS, len(by_metric))
    lines = math.ceil(len(by_metric) / columns)
    figure, grid = grid_figure(lines * (0.75 + 0.24 * len(rows)), rows=lines, columns=columns)
    cells = [axes for line in grid for axes in line]
    for axes, (metric, found) in zip(cells, by_metric.items(), strict=False):
        _panel(axes, metric, [found.get(row) for row in rows])
    for axes in cells[len(by_metric) :]:
        axes.set_visible(False)
    for line in grid:
        line[0].set_yticks(range(len(rows)), list(rows.values()))
        line[0].set_ylim(len(rows) - 0.5, -0.5)
    return figure


def _panel(axes: Axes, metric: str, found: Sequence[Mapping | None]) -> None:
    axes.axvline(0.0, color=MUTED, linewidth=0.8)
    for place, entry in enumerate(found):
        if entry is not None:
            axes.plot(entry["ci95"], [place, place], color=MUTED, linewidth=1.4)
            axes.plot(entry["value"], place, "o", color=ARM, markersize=5)
    axes.set_title(metric_name(metric))
    axes.locator_params(axis="x", nbins=3)
    axes.tick_params(axis="x", labelsize=8.5)
