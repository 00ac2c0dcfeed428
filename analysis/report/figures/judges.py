"""People's preference by how far an automatic judge prefers one image of a pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from analysis.report.parts import wording
from analysis.report.parts.figure import ARM, INK, MUTED, FigureSpec, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["judge_figures"]

# A figure a judge, the first so many by name: report.json holds the groups of all.
_MOST_JUDGES = 6


def judge_figures(report: Mapping) -> list[FigureSpec]:
    """Return, for each judge with groups of pairs, people's preference rate by the judge's preference."""
    judges = report.get("judges") or {"scorers": []}
    shown = [judge for judge in judges["scorers"] if judge["preference_by_score"]][:_MOST_JUDGES]
    arm = report["comparisons"][0]["arm"] if report["comparisons"] else ""
    return [_spec(judge, arm, number) for number, judge in enumerate(shown, start=1)]


def _spec(judge: Mapping, arm: str, number: int) -> FigureSpec:
    groups = judge["preference_by_score"]
    described = "; ".join(
        f"{wording.percent(group['result']['estimate'])} {wording.interval(group['result']['ci95'])} at "
        f"{wording.decimal(group['score'])}"
        for group in groups
    )
    pairs, votes = (sum(group["result"][key] for group in groups) for key in ("n_pairs", "n_votes"))
    return FigureSpec(
        name="judge_scores" if number == 1 else f"judge_scores_{number}",
        subject=f"People's preference for {arm} by how far {judge['scorer']} prefers it, 95 % intervals",
        description=f"{described}.",
        draw=partial(_draw, groups, arm, judge["scorer"]),
        n=f"{wording.count(pairs, 'pair')}, {wording.count(votes, 'vote')}",
    )


def _draw(groups: Sequence[Mapping], arm: str, scorer: str) -> Figure:
    figure, axes = new_figure(2.6)
    for group in groups:
        result = group["result"]
        if result["ci95"] is not None:
            axes.plot([group["score"]] * 2, [100 * bound for bound in result["ci95"]], color=MUTED, linewidth=1.4)
        if result["estimate"] is not None:
            axes.plot(group["score"], 100 * result["estimate"], "o", color=ARM, markersize=5)
    axes.axhline(50, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=0)
    difference = f"{plain(arm, longest=20)} less the other, mean of a group"
    axes.set(ylim=(-3, 103), xlabel=f"Score of {plain(scorer)}: {difference}")
    axes.set_ylabel(f"Preference for {plain(arm, longest=16)}, %")
    return figure
