"""Figures of several arms: who beats whom, and strengths."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from analysis.report.parts import wording
from analysis.report.parts.figure import ARM, INK, FigureSpec, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ranking_figures"]

# Rows of strengths that a page holds; arms whose counts fit into squares; arms whose shares do.
_MOST_STRENGTHS, _MOST_COUNTED, _MOST_NUMBERED = 24, 7, 30


def ranking_figures(report: Mapping) -> list[FigureSpec]:
    """Return win fractions and Bradley-Terry strengths of three arms or more."""
    if len(report["data"]["arms"]) < 3 or not report["ranking"]:
        return []
    ranking = report["ranking"]["bradley_terry"]
    n = wording.count(ranking["n_votes"], "decisive vote")
    arms = [entry["arm"] for entry in ranking["arms"]]
    wins = np.array(ranking["wins"], dtype=np.float64)
    met = wins + wins.T
    described = "; ".join(
        f"{arms[one]} over {arms[other]}: {wins[one, other] / met[one, other]:.0%} of {met[one, other]:.0f}"
        for one in range(len(arms))
        for other in range(len(arms))
        if one != other and met[one, other]
    )
    specs = []
    if met.any():
        subject = "Share of decisive votes for the row's arm over the column's"
        specs.append(FigureSpec("win_matrix", subject, described + ".", lambda: _draw_matrix(arms, wins, met), n=n))
    strong = [entry for entry in ranking["arms"] if entry["strength"] is not None and entry["ci95"] is not None]
    if strong:
        strong.sort(key=lambda entry: (-entry["strength"], entry["arm"]))
        bounds = (
            min(entry["ci95"][0] for entry in strong),
            max(entry["ci95"][1] for entry in strong),
        )
        for number, start in enumerate(range(0, len(strong), _MOST_STRENGTHS), start=1):
            part = strong[start : start + _MOST_STRENGTHS]
            described = "; ".join(
                f"{entry['arm']}: {wording.decimal(entry['strength'])} {wording.interval(entry['ci95'], rate=False)}"
                for entry in part
            )
            subject = "Bradley-Terry strengths with clustered 95 % intervals"
            name = "strengths" if number == 1 else f"strengths_{number}"
            draw = partial(_draw_strengths, part, bounds)
            specs.append(FigureSpec(name, subject, described + ".", draw, n=n))
    return specs


def _draw_matrix(arms: list[str], wins: np.ndarray, met: np.ndarray) -> Figure:
    # Many arms share the width of the page: smaller squares, and the counts stand in the table's file.
    is_wide = len(arms) > _MOST_COUNTED
    figure, axes = new_figure(5.8 if is_wide else 1.1 + 0.55 * len(arms))
    with np.errstate(invalid="ignore"):
        share = np.where(met > 0, wins / np.maximum(met, 1), np.nan)
    # Squares as vectors: an image would be pixels in the page and in print.
    axes.pcolormesh(
        np.arange(len(arms) + 1) - 0.5, np.arange(len(arms) + 1) - 0.5, share, cmap="cividis", vmin=0, vmax=1
    )
    axes.invert_yaxis()
    for row in range(len(arms)):
        for column in range(len(arms)):
            if met[row, column]:
                text = f"{share[row, column]:.0%}\n{wins[row, column]:,.0f}/{met[row, column]:,.0f}"
                if is_wide:
                    text = f"{100 * share[row, column]:.0f}" if len(arms) <= _MOST_NUMBERED else ""
                colour = "white" if share[row, column] < 0.55 else INK
                size = min(8.5, 140 / len(arms)) if is_wide else 8.5
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)
    names = [plain(arm, longest=16) for arm in arms]
    size = min(10.0, 170 / len(arms))
    axes.set_xticks(range(len(arms)), names, rotation=60 if is_wide else 25, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(len(arms)), names)
    axes.tick_params(labelsize=size)
    axes.tick_params(top=True, bottom=False, labeltop=True, labelbottom=False, length=0)
    axes.spines[:].set_visible(False)
    return figure


def _draw_strengths(strong: list[Mapping], bounds: tuple[float, float]) -> Figure:
    figure, axes = new_figure(0.9 + 0.3 * len(strong))
    for place, entry in enumerate(strong):
        axes.plot(entry["ci95"], [place, place], color=ARM, linewidth=2.5, solid_capstyle="butt")
        axes.plot(entry["strength"], place, "o", color=ARM, markersize=7)
    axes.axvline(0, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    axes.set_yticks(range(len(strong)), [plain(entry["arm"], longest=22) for entry in strong])
    margin = 0.04 * (bounds[1] - bounds[0])
    axes.set(xlim=(min(bounds[0], 0) - margin, max(bounds[1], 0) + margin))
    axes.set(ylim=(len(strong) - 0.5, -0.5), xlabel="Strength, log-odds")
    axes.tick_params(axis="y", length=0)
    return figure
