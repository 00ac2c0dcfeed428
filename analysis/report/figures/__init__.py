"""Figures of a report. matplotlib is imported inside the drawing functions alone, never with the package."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.report.figures.arms import ranking_figures
from analysis.report.figures.differences import difference_figures
from analysis.report.figures.flow import flow_figures
from analysis.report.figures.judges import judge_figures
from analysis.report.figures.metrics import metric_figures
from analysis.report.figures.preference import forest_figures, sides_figures, votes_figures
from analysis.report.figures.session import running_figures, time_figures
from analysis.report.figures.units import class_figures, pair_figures, rater_figures
from analysis.report.parts.figure import FigureSpec
from analysis.votes.selection import Selection

__all__ = ["FigureSpec", "figure_specs"]


def figure_specs(report: Mapping, selection: Selection) -> list[FigureSpec]:
    """Return the figures that the votes support; raters, pairs, classes and sides are those of the first comparison."""
    specs = [*flow_figures(report), *votes_figures(report), *forest_figures(report)]
    if report["comparisons"]:
        first = report["comparisons"][0]
        comparison = selection.table.comparison(first["arm"], first["baseline"])
        specs += [*rater_figures(first, comparison), *pair_figures(first, comparison), *class_figures(first)]
        specs += running_figures(first, comparison, least_votes=report["plan"].get("least_votes") or 1)
    specs += [*sides_figures(report), *time_figures(report, selection.table)]
    specs += [*ranking_figures(report), *metric_figures(report), *difference_figures(report)]
    return [*specs, *judge_figures(report)]
