"""Preference against image metrics, per arm and class, and against the difference between the images of a pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from analysis.metric_names import metric_name
from analysis.report.parts import wording
from analysis.report.parts.figure import ARM, INK, MUTED, FigureSpec, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["metric_against_preference_figure", "metric_figures", "preference_points"]

# What may stand on the axis, the first that enough arms or classes have. KID needs fewer images than the distances.
_DISTANCES = ("fid", "frechet_distance", "kid")
_MOST_NAMED_POINTS = 40


def metric_figures(report: Mapping) -> list[FigureSpec]:
    """Return image metrics against preference, per arm and per class, and preference by visible difference.

    All but the first are of the first comparison.
    """
    return [*_arm_figures(report), *_class_figures(report), *_difference_figures(report)]


def _arm_figures(report: Mapping) -> list[FigureSpec]:
    """Return the distance of each arm's images to the reference beside its share of votes."""
    for name in _DISTANCES:
        points = _metric_points(report, name)
        if len(points) >= 2:
            described = "; ".join(
                f"{arm}: {metric_name(name)} {wording.decimal(value, digits=2)}, share {wording.percent(rate)}"
                for arm, value, rate in points
            )
            subject = f"{metric_name(name)} and share of votes of each arm; no test is made on so few points"
            n = f"{wording.count(len(points), 'arm')}, {wording.count(report['data']['votes'], 'vote')}"
            draw = lambda points=points, name=name: _draw_metric(points, metric_name(name))  # noqa: E731
            return [FigureSpec("image_metrics", subject, described + ".", draw, n=n)]
    return []


def _metric_points(report: Mapping, name: str) -> list[tuple[str, float, float]]:
    points = []
    for arm, metrics in sorted(report["image_metrics"].items()):
        value = metrics.get(name, {}).get("value")
        won, votes = 0.0, 0
        for comparison in report["comparisons"]:
            counts = comparison["counts"]
            if arm in (comparison["arm"], comparison["baseline"]):
                won += counts["wins" if arm == comparison["arm"] else "losses"] + counts["ties"] / 2
                votes += sum(counts.values())
        if value is not None and votes:
            points.append((arm, value, won / votes))
    return points


def _draw_metric(points: list[tuple[str, float, float]], label: str) -> Figure:
    figure, axes = new_figure(2.8)
    for arm, value, rate in points:
        axes.plot(value, 100 * rate, "o", color=ARM, markersize=7)
        axes.annotate(plain(arm), (value, 100 * rate), xytext=(7, 4), textcoords="offset points", fontsize=9.5)
    axes.axhline(50, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    axes.margins(x=0.25, y=0.25)
    axes.set(xlabel=f"{label} (lower: closer to the reference)", ylabel="Share of votes, %")
    return figure


def _difference_figures(report: Mapping) -> list[FigureSpec]:
    groups = report["preference_by_difference"]
    if not groups:
        return []
    arm = report["comparisons"][0]["arm"]
    pairs, votes = (sum(group[key] for group in groups) for key in ("n_pairs", "n_votes"))
    described = "; ".join(
        f"{wording.percent(group['rate'])} {wording.interval(group['ci95'])} at {wording.metric(group['distance'])} "
        f"({wording.count(group['n_pairs'], 'pair')})"
        for group in groups
    )
    subject = f"Preference for {arm} by how different a pair's images look, 95 % intervals over pairs"
    n = f"{wording.count(pairs, 'pair')}, {wording.count(votes, 'vote')}"
    draw = lambda: _draw_differences(groups, arm)  # noqa: E731
    return [FigureSpec("preference_by_difference", subject, described + ".", draw, n=n)]


def _draw_differences(groups: Sequence[Mapping], arm: str) -> Figure:
    figure, axes = new_figure(2.8)
    for group in groups:
        if group["ci95"] is not None:
            bounds = [100 * bound for bound in group["ci95"]]
            axes.plot([group["distance"]] * 2, bounds, color=MUTED, linewidth=1.4)
        axes.plot(group["distance"], 100 * group["rate"], "o", color=ARM, markersize=5)
    axes.axhline(50, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    axes.set(ylim=(-3, 103), xlabel="Difference between the images of a pair (0: equal)")
    axes.set_ylabel(f"Preference for {plain(arm)}, %")
    return figure


def _class_figures(report: Mapping) -> list[FigureSpec]:
    if not report["comparisons"]:
        return []
    names = [report["comparisons"][0][side] for side in ("arm", "baseline")]
    by_class = report["image_metrics_by_class"]
    for metric in _DISTANCES:
        points = _class_points(report["comparisons"][0], by_class, metric)
        if len(points) >= 2:
            label = metric_name(metric)
            return [metric_against_preference_figure(points, metric=label, arm=names[0], baseline=names[1])]
    return []


def _class_points(comparison: Mapping, by_class: Mapping, metric: str) -> list[dict]:
    points = []
    for row in comparison.get("per_class", []):
        label, rate = str(row["class_label"]), row["result"]
        found = [by_class.get(comparison[side], {}).get(label, {}).get(metric, {}) for side in ("arm", "baseline")]
        values = [result.get("value") for result in found]
        if rate["estimate"] is not None and None not in values:
            points.append(
                {
                    "class": wording.class_shown(row),
                    "rate": rate["estimate"],
                    "ci95": rate["ci95"],
                    "difference": values[0] - values[1],
                }
            )
    return points


def preference_points(report: Mapping, metrics: Mapping, *, metric: str = "kid") -> tuple[list[dict], str, str]:
    """Join a report's preference by class with per-class metrics of the two arms it compares.

    Parameters
    ----------
    report : mapping
        ``report.json``; its first comparison is used.
    metrics : mapping
        What ``evaluate_images --out`` wrote.
    metric : str
        ``kid`` or ``frechet_distance``.

    Returns
    -------
    points : list of dict
        ``{"class", "rate", "ci95", "difference"}`` for the classes that have everything, in the report's order.
    arm, baseline : str

    Raises
    ------
    ValueError
        If the report compares no arms, or an arm of it was not evaluated by class.
    """
    comparisons: Sequence[Mapping] = report.get("comparisons", [])
    if not comparisons:
        raise ValueError("the report compares no arms")
    arm, baseline = comparisons[0]["arm"], comparisons[0]["baseline"]
    classes = metrics.get("per_class", {})
    if missing := [name for name in (arm, baseline) if not classes.get(name)]:
        raise ValueError(f"no per-class metrics of {', '.join(missing)}: evaluate against a reference with classes")
    return _class_points(comparisons[0], classes, metric), arm, baseline


def metric_against_preference_figure(points: Sequence[Mapping], *, metric: str, arm: str, baseline: str) -> FigureSpec:
    """Return, per class, the arm's preference rate over the difference of an image metric between the arms.

    Parameters
    ----------
    points : sequence of mapping
        ``{"class", "rate", "ci95", "difference"}``; ``ci95`` of the rate may be None.
    metric : str
        Name of the metric, e.g. ``KID (classifier:judge)``; lower is better.
    arm, baseline : str
    """
    if not points:
        raise ValueError("no class has both a preference rate and a metric of both arms")
    told = ", ".join(
        f"{p['class']}: {wording.percent(p['rate'])} at {p['difference']:+.3g}" for p in points[:_MOST_NAMED_POINTS]
    )
    if len(points) > _MOST_NAMED_POINTS:
        told += f", and {len(points) - _MOST_NAMED_POINTS} classes more"
    subject = f"Preference for {arm} against the difference in {metric}, by class"
    n = wording.count(len(points), "class", "classes")
    return FigureSpec(
        "metric_against_preference", subject, told + ".", lambda: _draw_preference(points, metric, arm, baseline), n=n
    )


def _draw_preference(points: Sequence[Mapping], metric: str, arm: str, baseline: str) -> Figure:
    figure, axes = new_figure(3.4)
    for place, point in enumerate(sorted(points, key=lambda point: point["difference"])):
        if point["ci95"] is not None:
            axes.plot([point["difference"]] * 2, point["ci95"], color=MUTED, linewidth=0.8)
        axes.plot(point["difference"], point["rate"], "o", color=ARM, markersize=5)
        if len(points) <= _MOST_NAMED_POINTS:
            label = plain(str(point["class"]), longest=14)
            # Neighbours have their names on different sides, above and below.
            offset = (4, 3) if place % 2 else (4, -10)
            axes.annotate(label, (point["difference"], point["rate"]), offset, textcoords="offset points", fontsize=8.5)
    axes.axhline(0.5, color=MUTED, linewidth=0.8)
    axes.axvline(0.0, color=MUTED, linewidth=0.8)
    axes.set(ylim=(-0.03, 1.03), xlabel=f"{plain(metric, longest=40)}: {plain(arm)} minus {plain(baseline)}")
    axes.set_ylabel(f"preference for {plain(arm)}")
    return figure
