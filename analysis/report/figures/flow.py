"""The flow of raters: a box a step, and beside it who left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from analysis.report.parts import wording
from analysis.report.parts.figure import ARM, INK, MUTED, FigureSpec, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["flow_figures"]

_ROW, _LINE = 0.95, 0.19  # inches: of a step, and of a line of causes beyond the third


def flow_figures(report: Mapping) -> list[FigureSpec]:
    """Return the flow of raters where the platform gave it."""
    steps = (report.get("flow") or {}).get("steps")
    if not steps or not steps[0]["raters"]:
        return []
    described = "; ".join(_described(step) for step in steps)
    n = wording.count(steps[0]["raters"], "rater")
    return [FigureSpec("flow", "Flow of raters", f"{described}.", lambda: _draw(steps), n=n)]


def _described(step: Mapping) -> str:
    left = ", ".join(f"{n} {cause}" for cause, n in step["left"].items())
    return f"{step['raters']} {step['name']}" + (f" (then {left})" if left else "")


def _draw(steps: Sequence[Mapping]) -> Figure:
    heights = [_ROW + _LINE * max(0, len(step["left"]) - 3) for step in steps]
    figure, axes = new_figure(sum(heights))
    axes.set_axis_off()
    axes.set_xlim(0, 10)
    axes.set_ylim(-sum(heights), 0)
    top = 0.0
    for number, (step, height) in enumerate(zip(steps, heights, strict=True)):
        box = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": ARM, "linewidth": 1.2}
        axes.text(2.2, top - 0.3, f"{step['raters']:,} {step['name']}", ha="center", va="center", bbox=box)
        if number + 1 < len(steps):
            arrow = {"arrowstyle": "->", "color": INK, "linewidth": 1.0}
            axes.annotate("", xy=(2.2, top - height - 0.08), xytext=(2.2, top - 0.52), arrowprops=arrow)
        if step["left"]:
            lines = "\n".join(f"{n:,} {plain(cause, longest=44)}" for cause, n in step["left"].items())
            axes.text(4.9, top - 0.52, lines, ha="left", va="top", fontsize=9.0, color=INK)
            axes.plot([2.2, 4.7], [top - 0.66, top - 0.66], color=MUTED, linewidth=0.9)
        top -= height
    return figure
