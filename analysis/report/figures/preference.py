"""Figures of the comparisons: the votes, the estimators beside the line of no preference, the sides."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from analysis.report.parts import wording
from analysis.report.parts.figure import ARM, BASELINE, INK, MUTED, TIE, FigureSpec, new_figure, plain
from analysis.report.parts.table import shows_all, versus
from analysis.report.tables.preference import estimators

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["forest_figures", "sides_figures", "votes_figures"]

_MAIN = ("headline", "rater_mean_t", "glmm_marginal")
# The exact binomial test shares Clopper and Pearson's interval, so it has no row of its own.
_SHORT_NAMES = {
    "headline": "First line (headline)",
    "rater_mean_t": "Second line: raters' mean",
    "glmm_marginal": "Third line: logistic model",
    "two_way_t": "Crossed t, unadjusted",
    "two_way_t_adjusted": "Crossed t, side-adjusted",
    "product_bootstrap": "Product bootstrap",
    "lmm": "Linear mixed model",
    "ordinal_marginal": "Ordinal mixed model",
    "confidence_sequence": "Confidence sequence",
    "rater_mean_decisive_t": "Raters' mean, decisive",
    "gee": "GEE by rater",
    "wilson": "Wilson, votes independent",
    "clopper_pearson": "Exact, votes independent",
}
# Bars that a page holds.
_MOST_BARS = 8
_OUTCOMES = (("wins", ARM, "white"), ("ties", TIE, INK), ("losses", BASELINE, INK))


def votes_figures(report: Mapping) -> list[FigureSpec]:
    """Return one stacked bar of wins, ties and losses a comparison, or an arm where comparisons are many."""
    if len(report["comparisons"]) > _MOST_BARS:
        return _votes_by_arm(report)
    compared = [comparison for comparison in report["comparisons"] if sum(comparison["counts"].values())]
    if not compared:
        return []
    votes = sum(sum(comparison["counts"].values()) for comparison in compared)
    described = "; ".join(
        f"{c['arm']} against {c['baseline']}: {_outcomes(c['arm'], c['baseline'], c['counts'])}" for c in compared
    )
    bars = [
        (f"{plain(c['arm'], longest=19)} wins", f"{plain(c['baseline'], longest=19)} wins", c["counts"])
        for c in compared
    ]
    n = wording.count(votes, "vote")
    return [FigureSpec("votes", "Votes by outcome", described + ".", lambda: _draw_bars(bars), n=n)]


def _votes_by_arm(report: Mapping) -> list[FigureSpec]:
    """Return every arm's votes over all its opponents, so many bars a figure as a page holds."""
    won = {arm: dict.fromkeys(("wins", "ties", "losses"), 0) for arm in report["data"]["arms"]}
    for comparison in report["comparisons"]:
        counts = comparison["counts"]
        for key, turned in (("wins", "losses"), ("ties", "ties"), ("losses", "wins")):
            won[comparison["arm"]][key] += counts[key]
            won[comparison["baseline"]][key] += counts[turned]
    voted = [(arm, counts) for arm, counts in won.items() if sum(counts.values())]
    voted.sort(key=lambda entry: -(entry[1]["wins"] + entry[1]["ties"] / 2) / sum(entry[1].values()))
    specs = []
    for number, start in enumerate(range(0, len(voted), _MOST_BARS), start=1):
        part = voted[start : start + _MOST_BARS]
        described = "; ".join(f"{arm} against all others: {_outcomes(arm, 'others', counts)}" for arm, counts in part)
        bars: list[tuple[str, str, Mapping]] = [
            (f"{plain(arm, longest=19)} wins", "others win", counts) for arm, counts in part
        ]
        n = wording.count(sum(sum(counts.values()) for _, counts in part), "vote")
        specs.append(
            FigureSpec(
                "votes" if number == 1 else f"votes_{number}",
                "Votes by outcome, each arm against all others",
                described + ".",
                partial(_draw_bars, bars),
                n=n,
            )
        )
    return specs


def sides_figures(report: Mapping) -> list[FigureSpec]:
    """Return the votes of the first comparison by the side on which the arm stood."""
    if not report["comparisons"]:
        return []
    comparison = report["comparisons"][0]
    arm, baseline = comparison["arm"], comparison["baseline"]
    bars, described = [], []
    for key, side in (("arm_left", "left"), ("arm_right", "right")):
        counts = comparison["by_side"][key]["counts"]
        if sum(counts.values()):
            bars.append(
                (f"{plain(arm, longest=13)} on the {side}, wins", f"{plain(baseline, longest=18)} wins", counts)
            )
            described.append(f"{arm} on the {side}: {_outcomes(arm, baseline, counts)}")
    if not bars:
        return []
    votes = sum(sum(counts.values()) for _, _, counts in bars)
    subject, n = f"Votes for {versus(comparison)} by side shown", wording.count(votes, "vote")
    return [FigureSpec("sides", subject, "; ".join(described) + ".", lambda: _draw_bars(bars), n=n)]


def _outcomes(arm: str, baseline: str, counts: Mapping) -> str:
    return (
        f"{wording.count(counts['wins'])} for {arm}, {wording.count(counts['ties'])} ties, "
        f"{wording.count(counts['losses'])} for {baseline}"
    )


def _draw_bars(bars: list[tuple[str, str, Mapping]]) -> Figure:
    """Draw a bar a row; the names stand above it, each with its share of the votes."""
    figure, axes = new_figure(0.35 + 0.85 * len(bars))
    for row, (left, right, counts) in enumerate(bars):
        votes, start = sum(counts.values()), 0.0
        for key, colour, ink in _OUTCOMES:
            share = counts[key] / votes
            axes.barh(row, share, left=start, color=colour, edgecolor="white", linewidth=1, height=0.42)
            if share >= 0.09:
                axes.text(start + share / 2, row, f"{counts[key]:,}", ha="center", va="center", color=ink)
            start += share
        for_left, for_right = (
            f"{left} {wording.percent(counts['wins'] / votes)}",
            f"{right} {wording.percent(counts['losses'] / votes)}",
        )
        axes.text(0, row - 0.25, for_left, ha="left", va="bottom", fontsize=9.5)
        axes.text(1, row - 0.25, for_right, ha="right", va="bottom", fontsize=9.5)
        ties = f"ties {wording.percent(counts['ties'] / votes)} ({counts['ties']:,})"
        axes.text(0.5, row + 0.25, ties, ha="center", va="top", fontsize=9.5)
    axes.set(xlim=(0, 1), ylim=(len(bars) - 0.45, -0.55), yticks=[], xticks=[])
    axes.spines[:].set_visible(False)
    return figure


def forest_figures(report: Mapping) -> list[FigureSpec]:
    """Return a forest of the estimators for every comparison that pages show."""
    specs = []
    for number, comparison in enumerate(report["comparisons"] if shows_all(report) else report["comparisons"][:1]):
        results = {"headline": comparison["headline"], **estimators(comparison)}
        found = [name for name in _SHORT_NAMES if results[name]["ci95"] is not None]
        if not found:
            continue
        rows = [(_SHORT_NAMES[name], name in _MAIN, results[name]) for name in found]
        described = "; ".join(
            f"{label}: {wording.percent(result['estimate'])} {wording.interval(result['ci95'])}"
            for label, _, result in rows
        )
        subject = f"Preference rate for {versus(comparison)} by estimator, 95 % intervals"
        n = (
            f"{wording.count(comparison['headline']['n_raters'], 'rater')}, "
            f"{wording.count(comparison['headline']['n_pairs'], 'pair')}, "
            f"{wording.count(sum(comparison['counts'].values()), 'vote')}"
        )
        name = "forest" if number == 0 else f"forest_{number + 1}"
        specs.append(FigureSpec(name, subject, described + ".", partial(_draw_forest, rows), n=n))
    return specs


def _draw_forest(rows: list[tuple[str, bool, Mapping]]) -> Figure:
    figure, axes = new_figure(0.7 + 0.29 * len(rows))
    axes.axvline(50, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    for place, (_, is_main, result) in enumerate(rows):
        low, high = (100 * bound for bound in result["ci95"])
        colour = ARM if is_main else MUTED
        axes.plot([low, high], [place, place], color=colour, linewidth=3 if is_main else 1.6, solid_capstyle="butt")
        axes.plot(100 * result["estimate"], place, "o", color=colour, markersize=8 if is_main else 5)
    lows = [100 * result["ci95"][0] for _, _, result in rows]
    highs = [100 * result["ci95"][1] for _, _, result in rows]
    margin = max(2.0, 0.06 * (max(highs) - min(lows)))
    axes.set(xlim=(min(*lows, 50) - margin, max(*highs, 50) + margin), ylim=(len(rows) - 0.4, -0.6))
    axes.set_yticks(range(len(rows)), [label for label, _, _ in rows], fontsize=9.5)
    axes.tick_params(axis="y", length=0)
    for label, (_, is_main, _) in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if is_main else "normal")
    axes.set_xlabel("Preference rate, %")
    axes.spines["left"].set_visible(False)
    return figure
