"""Figures of raters, pairs and classes of the first comparison."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from analysis.inference.crossing import crossing_of
from analysis.preference.rate import rater_rates
from analysis.raters.agreement import MajorityHistogram, majority_histogram
from analysis.report.parts import wording
from analysis.report.parts.figure import ARM, BASELINE, INK, MUTED, FigureSpec, new_figure, plain
from analysis.report.parts.table import versus
from analysis.votes.table import Comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["class_figures", "pair_figures", "rater_figures"]

SIGNIFICANCE_LEVEL = 0.05
# Names beyond so many would be smaller than a page can show.
_MOST_NAMED_CLASSES = 40


def rater_figures(reported: Mapping, comparison: Comparison) -> list[FigureSpec]:
    """Return the raters' own rates in order, with their mean: who disagrees, and how widely raters spread."""
    if not len(comparison):
        return []
    crossing = crossing_of(comparison)
    rates = np.sort(rater_rates(comparison.score, crossing))
    low, middle, high = np.quantile(rates, (0.1, 0.5, 0.9))
    subject = f"Each rater's preference rate for {versus(reported)}, in order"
    n = f"{wording.count(crossing.n_raters, 'rater')}, {wording.count(len(comparison), 'vote')}"
    above, below = int((rates > 0.5).sum()), int((rates < 0.5).sum())
    described = (
        f"Mean {wording.percent(float(rates.mean()))}, median {wording.percent(float(middle))}; one rater in ten is "
        f"below {wording.percent(float(low))}, one in ten above {wording.percent(float(high))}; "
        f"{wording.count(above, 'rater')} above 50 %, {wording.count(below, 'rater')} below."
    )
    return [FigureSpec("raters", subject, described, lambda: _draw_raters(rates), n=n)]


def _draw_raters(rates: np.ndarray) -> Figure:
    figure, axes = new_figure(2.6)
    place = np.arange(1, len(rates) + 1)
    # One marker a rater; many raters become a line of small ones, which stays legible and keeps the file small.
    marker, size = ("o", 5) if len(rates) <= 100 else (".", 2)
    axes.plot(place, 100 * rates, linestyle="none", color=ARM, marker=marker, markersize=size)
    axes.axhline(100 * rates.mean(), color=ARM, linewidth=1.4)
    axes.annotate(
        f"mean {100 * rates.mean():.1f} %",
        (0.01, 100 * rates.mean()),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        color=ARM,
        fontsize=9.5,
    )
    axes.axhline(50, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set(ylim=(-3, 103), xlim=(0.5, len(rates) + 0.5), ylabel="Preference rate, %", xlabel="Rater, by rate")
    axes.locator_params(axis="x", integer=True)
    return figure


def pair_figures(reported: Mapping, comparison: Comparison) -> list[FigureSpec]:
    """Return the histogram of the pairs' rates beside what fair coins would give."""
    histogram = majority_histogram(comparison)
    pairs = int(histogram.observed.sum())
    if not pairs:
        return []
    subject = f"Share of decisive votes for {reported['arm']} on each pair, and what fair coins would give"
    n = wording.count(pairs, "pair")
    edges = 100 * histogram.edges
    described = "; ".join(
        f"{edges[at]:.0f} to {edges[at + 1]:.0f} %: {seen:.0f} pairs, {expected:.1f} expected"
        for at, (seen, expected) in enumerate(zip(histogram.observed, histogram.expected, strict=True))
    )
    return [FigureSpec("pairs", subject, described + ".", lambda: _draw_pairs(histogram), n=n)]


def _draw_pairs(histogram: MajorityHistogram) -> Figure:
    figure, axes = new_figure(2.6)
    edges = 100 * histogram.edges
    axes.bar(
        edges[:-1],
        histogram.observed,
        width=np.diff(edges),
        align="edge",
        color=ARM,
        edgecolor="white",
        label="observed",
    )
    axes.stairs(histogram.expected, edges, color=INK, linewidth=1.6, label="fair coins")
    axes.set(xlim=(0, 100), xlabel="Share of decisive votes for the arm, %", ylabel="Pairs")
    axes.legend(loc="lower left", ncols=2, bbox_to_anchor=(0, 1))
    return figure


def class_figures(reported: Mapping) -> list[FigureSpec]:
    """Return the forest of the classes; with many classes their rates in order, without names."""
    classes = [entry for entry in reported["per_class"] if entry["result"]["ci95"] is not None]
    if len(classes) < 2:
        return []
    classes.sort(key=lambda entry: (-entry["result"]["estimate"], entry["class_label"]))
    found = sum(_is_significant(entry) for entry in classes)
    adjustment = {"bh": "false discovery rate 5 %", "holm": "Holm, 5 %"}[reported["class_family"]["adjustment"]]
    subject = (
        f"Preference rate for {versus(reported)} by class, 95 % intervals; filled: apart from 50 % at {adjustment}"
    )
    votes = wording.count(sum(sum(entry["counts"].values()) for entry in classes), "vote")
    n = f"{wording.count(len(classes), 'class', 'classes')}, {votes}"
    named = classes if len(classes) <= _MOST_NAMED_CLASSES else [*classes[:3], *classes[-3:]]
    described = f"{found} of {len(classes)} classes differ from 50 %. " + "; ".join(
        f"{wording.class_shown(entry)}: {wording.percent(entry['result']['estimate'])} "
        f"{wording.interval(entry['result']['ci95'])}"
        for entry in named
    )
    return [FigureSpec("classes", subject, described + ".", lambda: _draw_classes(classes), n=n)]


def _is_significant(entry: Mapping) -> bool:
    return entry["p_adjusted"] is not None and entry["p_adjusted"] < SIGNIFICANCE_LEVEL


def _draw_classes(classes: list[Mapping]) -> Figure:
    is_named = len(classes) <= _MOST_NAMED_CLASSES
    figure, axes = new_figure(0.8 + 0.24 * len(classes) if is_named else 4.2)
    place = np.arange(len(classes))
    low, high = (100 * np.array([entry["result"]["ci95"][end] for entry in classes]) for end in (0, 1))
    rates = 100 * np.array([entry["result"]["estimate"] for entry in classes])
    significant = np.array([_is_significant(entry) for entry in classes])
    axes.axvline(50, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    # One broken line draws all intervals as a single path.
    bars = np.stack([low, high, np.full(len(classes), np.nan)], axis=1).ravel()
    axes.plot(bars, np.repeat(place, 3), color=MUTED, linewidth=1.4 if is_named else 0.5)
    size = 6 if is_named else 2.5
    above = rates > 50
    for mask, colour in ((significant & above, ARM), (significant & ~above, BASELINE)):
        axes.plot(rates[mask], place[mask], "o", color=colour, markersize=size)
    axes.plot(
        rates[~significant], place[~significant], "o", markersize=size, markerfacecolor="white", markeredgecolor=MUTED
    )
    axes.set(ylim=(len(classes) - 0.4, -0.6), xlabel="Preference rate, %")
    if is_named:
        axes.set_yticks(place, [plain(wording.class_shown(entry) or "(no class)", longest=22) for entry in classes])
    else:
        axes.set(yticks=[], ylabel=f"{len(classes):,} classes, by rate")
    axes.tick_params(axis="y", length=0)
    return figure
