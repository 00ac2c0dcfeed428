"""The accuracy of a classifier by timestep as a figure."""

from __future__ import annotations

from collections.abc import Sequence

from training.evaluation.by_timestep import attack_name

__all__ = ["COLOURS", "figure_svg"]

COLOURS = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#b9770e", "#555555")


PANEL_HEIGHT, BAR_WIDTH = 200, 30


def figure_svg(results: dict) -> str:
    """Return bars per timestep band as a stand-alone SVG: top-1 and top-5 accuracy, clean and attacked; gradients."""
    panels = []
    for caption, name in (("accuracy", "accuracy"), ("top-5 accuracy", "top5_accuracy")):
        bars = [(f"{caption}, clean", results["clean"][f"{name}_by_band"])]
        bars += [(f"{caption}, {attack_name(a)}", a[f"robust_{name}_by_band"]) for a in results["attacks"]]
        panels.append((bars, "{:.0%}"))
    if rows := results["gradient_alignment"]:
        cosines = [row["cosine"] for row in rows]
        panels.append(([("cosine of the gradient and the denoisers' class score", cosines)], "{:.2f}"))
    widest = max(len(series) for series, _ in panels)
    width, top, parts = 60 + (BAR_WIDTH * widest + 24) * len(results["bands"]), 0, []
    for series, form in panels:
        drawn, height = _panel(series, results["bands"], form, width)
        parts.append(f'<g transform="translate(0 {top})">{drawn}</g>')
        top += height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" width="{width}" height="{top}" '
        f'font-family="sans-serif" font-size="10">{"".join(parts)}</svg>\n'
    )


def _panel(
    series: Sequence[tuple[str, Sequence[float | None]]], bands: Sequence[str], form: str, width: int
) -> tuple[str, int]:
    """Return one group of bars per band, with its height; negative values hang below the line."""
    values = [value or 0.0 for _, row in series for value in row]
    room_below = 30 if min(values) < 0 else 0
    line, unit = 20 + PANEL_HEIGHT, PANEL_HEIGHT / max(1.0, *values)
    group = (width - 60) // len(bands)
    parts = [f'<line x1="40" y1="{line}" x2="{width - 10}" y2="{line}" stroke="#333"/>']
    for column, band in enumerate(bands):
        left = 50 + group * column
        for place, (_, row) in enumerate(series):
            value = row[column] or 0.0
            x, length = left + BAR_WIDTH * place, min(abs(value) * unit, PANEL_HEIGHT if value > 0 else 20)
            top = line - length if value >= 0 else line
            colour = COLOURS[place % len(COLOURS)]
            parts.append(f'<rect x="{x}" y="{top:.1f}" width="26" height="{length:.1f}" fill="{colour}"/>')
            parts.append(f'<text x="{x + 13}" y="{top - 3:.1f}" text-anchor="middle">{form.format(value)}</text>')
        middle = left + (group - 24) / 2
        parts.append(f'<text x="{middle}" y="{line + 16 + room_below}" text-anchor="middle">t {band}</text>')
    for place, (caption, _) in enumerate(series):
        y = line + 36 + room_below + 14 * place
        parts.append(f'<text x="50" y="{y}" fill="{COLOURS[place % len(COLOURS)]}">{caption}</text>')
    return "".join(parts), line + 50 + room_below + 14 * len(series)
