"""Quality of each arm's images over its guidance scale, on pairs that are used for nothing else."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from analysis.metric_names import metric_name
from analysis.report.parts import wording
from analysis.report.parts.figure import ARM, BASELINE, INK, MUTED, FigureSpec, grid_figure, plain
from generation.recipes.noise import PairSpec
from generation.recipes.recipe import ArmRecipe
from generation.reproduction.samples import SampleFolder

__all__ = [
    "HELD_OUT_SEED",
    "best_in_words",
    "best_scales",
    "curve_figure",
    "curve_over_seeds",
    "curve_table",
    "sweep_scales",
]

#: Seed of the pairs of a sweep: far from those that studies are given.
HELD_OUT_SEED = 2**62
#: What a curve shows where it was measured, and whether more is better.
CURVES = {
    "kid": False,
    "mind": False,
    "frechet_distance": False,
    "fid": False,
    "precision": True,
    "recall": True,
    "class_accuracy": True,
}

Measure = Callable[[Mapping[str, Path]], Mapping[str, Mapping[str, Mapping[str, Any]]]]


def sweep_scales(
    recipes: Sequence[ArmRecipe],
    scales: Sequence[float],
    pairs: Sequence[PairSpec],
    *,
    samples: SampleFolder,
    measure: Measure,
) -> list[dict[str, Any]]:
    """Return the metrics of every guided arm at every scale.

    Parameters
    ----------
    recipes : sequence of ArmRecipe
        Those without a classifier have no scale and are left out.
    scales : sequence of float
        0 is no guidance.
    pairs : sequence of PairSpec
        Of a seed that no study uses: what is chosen by them must not be judged by them.
    samples : SampleFolder
        A scale whose images are there is not sampled again.
    measure : callable
        From files by arm to the report's ``M`` objects by arm and metric.

    Returns
    -------
    list of dict
        ``arm``, ``scale`` and the ``M`` objects, by arm, then scale.

    Raises
    ------
    ValueError
        If there is no scale, one is below 0, or no arm is guided by a classifier.
    """
    if not scales or min(scales) < 0:
        raise ValueError(f"scales are {list(scales)}; give at least one, none below 0")
    guided = [recipe for recipe in recipes if recipe.classifier is not None]
    if not guided:
        raise ValueError("no arm is guided by a classifier; a sweep has nothing to vary")
    found = []
    for scale in sorted(set(scales)):
        arms = [replace(recipe, classifier_scale=float(scale)) for recipe in guided]
        measured = measure(samples.samples(arms, pairs, what=f"sampling at scale {scale:g}"))
        found += [{"arm": arm.name, "scale": float(scale), **measured[arm.name]} for arm in arms]
    return sorted(found, key=lambda point: (point["arm"], point["scale"]))


def best_scales(points: Sequence[Mapping[str, Any]], *, metric: str = "kid") -> dict[str, float]:
    """Return each arm's scale with the best value of a metric, the smallest of several; an arm without any has none."""
    sign = -1.0 if CURVES[metric] else 1.0
    found: dict[str, tuple[float, float]] = {}
    for point in points:
        value = (point.get(metric) or {}).get("value")
        if value is not None:
            found[point["arm"]] = min(found.get(point["arm"], (float("inf"), 0.0)), (sign * value, point["scale"]))
    return {arm: scale for arm, (_, scale) in found.items()}


def best_in_words(best: Mapping[str, float], scales: Sequence[float]) -> dict[str, str]:
    """Return each arm's best scale as text, which says so where it is the largest that was tried."""
    beyond = ", the largest tried: larger ones may be better"
    return {arm: f"{scale:g}{beyond if scale == max(scales) else ''}" for arm, scale in best.items()}


def curve_table(points: Sequence[Mapping[str, Any]]) -> str:
    """Return the curves as CSV: arm, scale (and seed, where they have one), and value and interval of every metric."""
    metrics = _metrics(points)
    keys = ("arm", "scale", "seed") if any("seed" in point for point in points) else ("arm", "scale")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*keys, *(f"{name}{end}" for name in metrics for end in ("", "_low", "_high"))])
    for point in points:
        cells = [point.get(key) for key in keys]
        for name in metrics:
            result = point.get(name) or {}
            cells += [result.get("value"), *(result.get("ci95") or (None, None))]
        writer.writerow(cells)
    return text.getvalue()


def curve_over_seeds(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return every metric's mean over the training seeds of the points, by arm and scale.

    Instead of an interval each has `range`, the smallest and the largest of the seeds; one that a seed lacks or refuses
    has no value. Points of one seed are returned as they are.
    """
    if len({point.get("seed") for point in points}) < 2:
        return [dict(point) for point in points]
    together: dict[tuple[str, float], list[Mapping[str, Any]]] = {}
    for point in points:
        together.setdefault((point["arm"], point["scale"]), []).append(point)
    names = _metrics(points)
    return [
        {"arm": arm, "scale": scale} | {name: _mean([point.get(name) or {} for point in seeds]) for name in names}
        for (arm, scale), seeds in together.items()
    ]


def _mean(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    values = [result.get("value") for result in found]
    if None in values:
        reason = next((result["reason"] for result in found if result.get("reason")), "not measured for every seed")
        return {"value": None, "ci95": None, "n": found[0].get("n"), "reason": reason}
    ends = [min(values), max(values)]
    return {
        "value": fmean(values),
        "ci95": None,
        "range": ends,
        "seeds": len(values),
        "n": found[0]["n"],
        "reason": None,
    }


def curve_figure(points: Sequence[Mapping[str, Any]]) -> FigureSpec:
    """Return a panel a metric: its value over the scale, a line an arm, with 95 % intervals.

    Points of several training seeds are drawn as their mean, from the smallest to the largest of them.
    """
    points = curve_over_seeds(points)
    metrics = _metrics(points)
    described = " ".join(
        f"{metric_name(name)}: "
        + ", ".join(
            f"{point['arm']} at {point['scale']:g} {wording.metric(point[name]['value'])}"
            for point in points
            if (point.get(name) or {}).get("value") is not None
        )
        + "."
        for name in metrics
    )
    images = max(point[name]["n"] for point in points for name in metrics if point.get(name))
    seeds = max((point[name].get("seeds", 1) for point in points for name in metrics if point.get(name)), default=1)
    bars = "95 % intervals" if seeds == 1 else f"mean of {seeds} training seeds, smallest to largest"
    subject = f"Quality over the classifier scale, on pairs that are used for nothing else, {bars}"
    n = f"{images} images an arm and scale" + ("" if seeds == 1 else " of each seed")
    return FigureSpec("scale_curve", subject, described, lambda: _draw(points, metrics), n=n)


def _metrics(points: Sequence[Mapping[str, Any]]) -> list[str]:
    return [name for name in CURVES if any((point.get(name) or {}).get("value") is not None for point in points)]


def _draw(points: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Any:
    arms = list(dict.fromkeys(point["arm"] for point in points))
    colours = [ARM, BASELINE, INK, MUTED]
    columns = min(2, len(metrics))
    lines = -(-len(metrics) // columns)
    figure, grid = grid_figure(2.1 * lines, rows=lines, columns=columns, shares_y=False)
    cells = [axes for line in grid for axes in line]
    for axes, name in zip(cells, metrics, strict=False):
        for place, arm in enumerate(arms):
            mine = [p for p in points if p["arm"] == arm and (p.get(name) or {}).get("value") is not None]
            colour = colours[place % len(colours)]
            scales, values = [p["scale"] for p in mine], [p[name]["value"] for p in mine]
            axes.plot(scales, values, "o-", color=colour, markersize=4, linewidth=1.2, label=plain(arm))
            for point in mine:
                if bar := point[name].get("range") or point[name]["ci95"]:
                    axes.plot([point["scale"]] * 2, bar, color=colour, linewidth=0.8)
        better = "higher" if CURVES[name] else "lower"
        axes.set_title(f"{metric_name(name)} ({better} is better)")
    for axes in cells[len(metrics) :]:
        axes.set_visible(False)
    _space_by_octaves(cells, sorted({point["scale"] for point in points}))
    for axes in grid[-1]:
        axes.set_xlabel("classifier scale")
    cells[0].legend()
    return figure


def _space_by_octaves(cells: Sequence[Any], scales: Sequence[float]) -> None:
    """Show every doubling of the scale as wide as the next, and 0, which no logarithm shows, before the smallest."""
    positive = [scale for scale in scales if scale > 0]
    if not positive:
        return
    for axes in cells:
        axes.set_xscale("symlog", base=2, linthresh=positive[0])
        axes.set_xticks(scales, [f"{scale:g}" for scale in scales])
        axes.set_xticks([], minor=True)
        axes.tick_params(axis="x", labelsize="small")
