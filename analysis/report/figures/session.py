"""Figures of the answers in time: how fast raters answered, and how the estimate settled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from analysis.preference.sequential import RunningSequence, running_sequence
from analysis.raters.screening_rules import RULES
from analysis.report.content.screening import planned_rules
from analysis.report.parts import wording
from analysis.report.parts.figure import ARM, BASELINE, INK, FigureSpec, new_figure
from analysis.report.parts.table import versus
from analysis.votes.table import Comparison, VoteTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["running_figures", "time_figures"]


def running_figures(reported: Mapping, comparison: Comparison, *, least_votes: int) -> list[FigureSpec]:
    """Return the estimate and its confidence sequence after each rater who finished."""
    path = running_sequence(comparison, least_votes=least_votes)
    if len(path.raters) < 2:
        return []
    result = reported["methods"]["confidence_sequence"]
    subject = f"Preference rate for {versus(reported)} as raters finished, with its 95 % confidence sequence"
    n = f"{wording.count(len(path.raters), 'rater')}, {wording.count(result['n_votes'], 'vote')}"
    described = (
        f"After {wording.count(len(path.raters), 'rater')} the rate is {wording.percent(result['estimate'])}, the "
        f"confidence sequence {wording.interval(result['ci95'])}."
    )
    return [FigureSpec("running", subject, described, lambda: _draw_running(path), n=n)]


def _draw_running(path: RunningSequence) -> Figure:
    figure, axes = new_figure(2.6)
    axes.fill_between(path.raters, 100 * path.low, 100 * path.high, color=ARM, alpha=0.25, linewidth=0)
    axes.plot(path.raters, 100 * path.estimate, color=ARM, linewidth=1.8)
    axes.axhline(50, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set(ylim=(0, 100), xlim=(1, path.raters[-1]), xlabel="Raters who finished", ylabel="Preference rate, %")
    axes.locator_params(axis="x", integer=True)
    return figure


def time_figures(report: Mapping, table: VoteTable) -> list[FigureSpec]:
    """Return the distribution of response times on a log scale, with the floor that screening uses."""
    times = table.extra.get("response_ms")
    times = np.zeros(0) if times is None else times[np.isfinite(times) & (times > 0)] / 1000
    if len(times) < 2 or times.min() == times.max():
        return []
    low, middle, high = np.quantile(times, (0.05, 0.5, 0.95))
    n = f"{wording.count(len(times), 'vote')} with a time"
    described = (
        f"Median {middle:.2f} s; one vote in twenty came within {low:.2f} s, one in twenty took longer than "
        f"{high:.2f} s."
    )
    floor = _floor_seconds(report)
    if floor is not None:
        under = float((times < floor).mean())
        described += f" {wording.percent(under)} came under the floor of {floor:g} s."
    return [
        FigureSpec("response_times", "Response times", described, lambda: _draw_times(times, float(middle), floor), n=n)
    ]


def _floor_seconds(report: Mapping) -> float | None:
    """Return the response time under which the plan's rule (else the default one) calls an answer too fast."""
    rules = planned_rules(report["plan"])
    if rules is None:
        rules = [{"rule": "many_fast"}]
    for entry in rules:
        if entry["rule"] == "many_fast":
            return RULES["many_fast"].parameters(entry.get("parameters"))["floor_ms"] / 1000
    return None


def _draw_times(times: np.ndarray, middle: float, floor: float | None) -> Figure:
    figure, axes = new_figure(2.4)
    edges = np.geomspace(times.min(), times.max() * (1 + 1e-9), 41)
    heights, _ = np.histogram(times, edges)
    axes.stairs(heights, edges, fill=True, color=ARM)
    axes.axvline(middle, color=INK, linewidth=1.2)
    if floor is not None and floor > edges[0]:
        axes.axvline(floor, color=BASELINE, linewidth=1.6, linestyle=(0, (4, 2)))
        _mark(axes, floor, f"floor {floor:g} s")
    _mark(axes, middle, f"median {middle:.1f} s")
    axes.set(xscale="log", xlabel="Response time, s (log scale)", ylabel="Votes")
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800) if edges[0] <= tick <= edges[-1]]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    return figure


def _mark(axes: Axes, seconds: float, text: str) -> None:
    """Write beside a line at the top, on white: bars may stand behind."""
    axes.annotate(
        text,
        (seconds, 0.98),
        xycoords=("data", "axes fraction"),
        xytext=(4, 0),
        textcoords="offset points",
        va="top",
        fontsize=9.5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
    )
