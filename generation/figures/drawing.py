"""The paper's figures, drawn from arrays: matched pairs, gradients, ascents, estimates, alignment, ablation grids.

Each function returns a :class:`analysis.report.figures.FigureSpec`; :func:`write_figures` draws it to files. The same
arrays give the same bytes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from analysis.report.content.external_figures import ExternalFigure
from analysis.report.parts.figure import (
    ARM,
    BASELINE,
    MUTED,
    WIDTH,
    FigureSpec,
    new_figure,
    plain,
    rendered,
    stacked_figure,
)
from diffusion.files import write_atomically

__all__ = [
    "FORMATS",
    "ablation_figure",
    "alignment_figure",
    "given_figure",
    "image_rows_figure",
    "montage",
    "require_formats",
    "write_figures",
]

FORMATS = ("svg", "png", "pdf")
# One white pixel tells neighbours apart without a frame.
_GAP_PX = 1
_CAPTION_SIZE = 8.5
_PADDING = 0.05  # inches
_ROW_CAPTION = 14  # characters a line; about an inch of them
_COLOURS = (BASELINE, ARM, "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_MARKERS = ("o", "s", "^", "D", "v", "P")


def montage(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Return images laid out in rows with white gaps.

    Parameters
    ----------
    rows : sequence of array (n, H, W, C), uint8
        All of one size; C of 1 or 3; equal n.

    Returns
    -------
    array (height, width, 3), uint8

    Raises
    ------
    ValueError
        If there are no rows, or they differ in shape or are not uint8.
    """
    shapes = {row.shape for row in rows}
    if len(shapes) != 1 or any(row.dtype != np.uint8 or row.ndim != 4 or 0 in row.shape for row in rows):
        raise ValueError(f"rows have shapes {sorted(shapes)}; expected equal uint8 (n, H, W, C)")
    count, height, width, channels = rows[0].shape
    step_y, step_x = height + _GAP_PX, width + _GAP_PX
    sheet = np.full((len(rows) * step_y - _GAP_PX, count * step_x - _GAP_PX, 3), 255, dtype=np.uint8)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            # One channel broadcasts over the three of the sheet.
            sheet[i * step_y : i * step_y + height, j * step_x : j * step_x + width] = image.reshape(
                height, width, channels
            )
    return sheet


def image_rows_figure(
    name: str,
    title: str,
    rows: Mapping[str, np.ndarray],
    columns: Sequence[str],
    *,
    description: str,
) -> FigureSpec:
    """Return rows of images under column captions: Figures 2 to 5 of the paper are all of this kind.

    Parameters
    ----------
    name, title, description : str
        File name, caption, and what it shows for those who cannot see it.
    rows : mapping of str to array (n, H, W, C), uint8
        Row caption to images, from the top.
    columns : sequence of str
        n captions.
    """
    sheet = montage(list(rows.values()))
    count = next(iter(rows.values())).shape[0]
    if len(columns) != count:
        raise ValueError(f"{len(columns)} column captions for {count} images a row")
    return FigureSpec(name, title, description, lambda: _draw_rows(sheet, list(rows), list(columns)))


def _draw_rows(sheet: np.ndarray, rows: list[str], columns: list[str]):
    """Images as wide as the captions leave room for: what is measured cannot be cut off at the figure's edge."""
    figure, axes = new_figure(1.0)
    # Positions are set by hand below; a layout engine would move the axes again.
    figure.set_layout_engine("none")
    side = [_wrapped(row, _ROW_CAPTION) for row in rows]
    left, _ = _extent_inches(figure, side)
    width = WIDTH - left - 3 * _PADDING
    above = [_wrapped(column, max(4, int(_ROW_CAPTION * width / len(columns)))) for column in columns]
    _, top = _extent_inches(figure, above)
    height = width * sheet.shape[0] / sheet.shape[1]
    whole = height + top + 3 * _PADDING
    figure.set_size_inches(WIDTH, whole)
    axes.set_position([(left + 2 * _PADDING) / WIDTH, _PADDING / whole, width / WIDTH, height / whole])
    # Pixels as they are: a smoothed image would hide what the arms differ in.
    axes.imshow(sheet, interpolation="nearest", aspect="auto")
    axes.set_yticks([(i + 0.5) * sheet.shape[0] / len(rows) - 0.5 for i in range(len(rows))], side)
    axes.set_xticks([(j + 0.5) * sheet.shape[1] / len(columns) - 0.5 for j in range(len(columns))], above)
    pad = _PADDING * 72
    axes.tick_params(length=0, labelsize=_CAPTION_SIZE, pad=pad, top=False, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    return figure


def _wrapped(text: str, longest: int) -> str:
    """Return a caption in up to three lines; a longer word, or the end of a longer text, is left out."""
    lines = textwrap.wrap(text, longest, max_lines=3, placeholder="…", break_long_words=False, break_on_hyphens=False)
    return "\n".join(plain(line, longest=longest) for line in lines)


def _extent_inches(figure, texts: list[str]) -> tuple[float, float]:
    """Return the largest width and height of texts, as the ticks will draw them."""
    boxes = []
    for text in texts:
        drawn = figure.text(0, 0, text, fontsize=_CAPTION_SIZE)
        boxes.append(drawn.get_window_extent())
        drawn.remove()
    return max(box.width for box in boxes) / figure.dpi, max(box.height for box in boxes) / figure.dpi


def alignment_figure(bands: Mapping[str, Sequence[Mapping]]) -> FigureSpec:
    """Return cosine similarity and relative error of classifier gradients by timestep band, one line per arm.

    Parameters
    ----------
    bands : mapping of str to sequence of mapping
        As :func:`generation.figures.gradients.alignment_bands` returns them.
    """
    first = next(iter(bands.values()))
    subject, n = "Agreement of classifier gradients with the denoisers' class score", f"{first[0]['n']} images a band"
    told = [
        f"{arm}: cosine "
        + ", ".join(f"{b['cosine']:.3f} at {b['first_timestep']} to {b['last_timestep']}" for b in rows)
        for arm, rows in bands.items()
    ]
    return FigureSpec("gradient_alignment", subject, "; ".join(told) + ".", lambda: _draw_alignment(bands), n=n)


def _draw_alignment(bands: Mapping[str, Sequence[Mapping]]):
    figure, (top, bottom) = stacked_figure(4.6, rows=2)
    for place, (arm, rows) in enumerate(bands.items()):
        # Marker and colour both: the lines can be told apart in grey print.
        style = {"color": _COLOURS[place % 6], "marker": _MARKERS[place % 6], "markersize": 4, "label": plain(arm)}
        t = [(row["first_timestep"] + row["last_timestep"]) / 2 for row in rows]
        top.plot(t, [row["cosine"] for row in rows], **style)
        low, high = zip(*((row["ci95"] or (row["cosine"],) * 2) for row in rows), strict=True)
        top.fill_between(t, low, high, color=style["color"], alpha=0.2, linewidth=0)
        bottom.plot(t, [row["relative_error"] for row in rows], **style)
    top.axhline(0.0, color=MUTED, linewidth=0.8)
    top.set_ylabel("cosine similarity")
    bottom.set(xlabel="timestep", ylabel="relative squared error")
    top.legend()
    return figure


def ablation_figure(cells: Sequence[Mapping], *, metric: str, rows: str, columns: str) -> FigureSpec:
    """Return a metric over a grid of two settings, as a heat map with the numbers in it.

    Parameters
    ----------
    cells : sequence of mapping
        Each with the two settings and ``metric``; a missing or null metric leaves its cell empty.
    metric, rows, columns : str
        Keys of the cells.
    """
    row_values, column_values = ([*sorted({cell[key] for cell in cells})] for key in (rows, columns))
    grid = np.full((len(row_values), len(column_values)), np.nan)
    for cell in cells:
        value = cell.get(metric)
        grid[row_values.index(cell[rows]), column_values.index(cell[columns])] = np.nan if value is None else value
    told = "; ".join(
        f"{rows} {cell[rows]:g}, {columns} {cell[columns]:g}: "
        + ("not computed" if cell.get(metric) is None else f"{cell[metric]:.4g}")
        for cell in cells
    )
    return FigureSpec(
        f"ablation_{metric}",
        f"{metric} over {rows} and {columns}",
        told + ".",
        lambda: _draw_grid(grid, rows, row_values, columns, column_values),
        n=f"{len(cells)} cells",
    )


def _draw_grid(grid: np.ndarray, rows: str, row_values: list, columns: str, column_values: list):
    figure, axes = new_figure(1.2 + 0.5 * len(row_values))
    axes.imshow(grid, cmap="cividis", aspect="auto")
    # cividis is dark below its middle: the ink must be told from the ground.
    middle = np.nanmean(grid) if np.isfinite(grid).any() else 0.0
    for (i, j), value in np.ndenumerate(grid):
        text = "-" if np.isnan(value) else f"{value:.3g}"
        ink = "black" if np.isnan(value) or value > middle else "white"
        axes.text(j, i, text, ha="center", va="center", fontsize=9, color=ink)
    axes.set_xticks(range(len(column_values)), [f"{value:g}" for value in column_values])
    axes.set_yticks(range(len(row_values)), [f"{value:g}" for value in row_values])
    axes.set(xlabel=plain(columns), ylabel=plain(rows))
    return figure


def require_formats(formats: Sequence[str]) -> None:
    """Refuse what figures cannot be drawn in: before long work whose end is a figure."""
    if unknown := sorted(set(formats) - set(FORMATS)):
        raise ValueError(f"unknown format {', '.join(unknown)}; choose of {', '.join(FORMATS)}")


def write_figures(specs: Sequence[FigureSpec], folder: Path, formats: Sequence[str] = ("svg",)) -> list[Path]:
    """Draw figures into a folder, one file per format, and return the files.

    Raises
    ------
    ValueError
        If a format is unknown or two figures have one name.
    """
    require_formats(formats)
    # The later one would overwrite the earlier one's file without a word.
    if len({spec.name for spec in specs}) < len(specs):
        raise ValueError(f"two figures have one name: {', '.join(spec.name for spec in specs)}")
    files = []
    for spec in specs:
        for kind, content in rendered(spec, tuple(formats)).items():
            files.append(Path(folder) / f"{spec.name}.{kind}")
            write_atomically(files[-1], [content])
    return files


def given_figure(spec: FigureSpec, formats: Sequence[str] = ()) -> ExternalFigure:
    """Draw a figure in the formats and in PNG, as a report takes it."""
    files = rendered(spec, tuple(dict.fromkeys([*formats, "png"])))
    return ExternalFigure(name=spec.name, title=spec.title, description=spec.description, files=files)
