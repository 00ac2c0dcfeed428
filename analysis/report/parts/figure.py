"""What a figure is before it is drawn, and the look all figures share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

__all__ = [
    "ARM",
    "BASELINE",
    "INK",
    "MUTED",
    "TIE",
    "WIDTH",
    "FigureSpec",
    "drawable",
    "grid_figure",
    "new_figure",
    "one_line",
    "plain",
    "rendered",
    "stacked_figure",
]

# Okabe and Ito's palette: told apart by people with any common colour deficiency, and by lightness in grey print.
ARM, BASELINE, TIE, INK, MUTED = "#0072B2", "#E69F00", "#BFBFBF", "#1A1A1A", "#6B6B6B"
WIDTH = 5.4  # inches: at a phone's width the text stays near 10 px.
_BREAKS = re.compile(r"[^\S\u00a0]+")  # white space but for the one that must not break
_FOOT = 0.2  # inches, for the n below the axes


@dataclass(frozen=True)
class FigureSpec:
    """One figure.

    Parameters
    ----------
    name : str
        File name without suffix.
    subject : str
        What the figure is about.
    description : str
        What the figure shows, for those who cannot see it: the numbers, not the shapes.
    draw : callable
        Makes the matplotlib figure.
    n : str
        What a chart rests on, with its unit: in the caption, and in the picture for those who take the file elsewhere.
    """

    name: str
    subject: str
    description: str
    draw: Callable[[], Figure]
    n: str = ""

    @property
    def title(self) -> str:
        """The caption."""
        return f"{self.subject} (n = {self.n})" if self.n else self.subject


_STYLE: dict[RcKeyType, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "text.parse_math": False,
    "axes.titlesize": 10.5,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "path.simplify": True,
}


def new_figure(height: float) -> tuple[Figure, Axes]:
    """Return a figure of the common width and its axes, free of pyplot's global state."""
    figure = _canvas(height)
    return figure, figure.subplots()


def stacked_figure(height: float, *, rows: int) -> tuple[Figure, list[Axes]]:
    """Return a figure of several axes, one below the other over the same x."""
    figure = _canvas(height)
    return figure, list(figure.subplots(rows, 1, sharex=True))


def grid_figure(height: float, *, rows: int, columns: int, shares_y: bool = True) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure of axes in a grid, row by row, over the same y unless told otherwise."""
    figure = _canvas(height)
    return figure, [list(row) for row in figure.subplots(rows, columns, sharey=shares_y, squeeze=False)]


def _canvas(height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height + _FOOT), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def rendered(spec: FigureSpec, formats: tuple[str, ...]) -> dict[str, bytes]:
    """Draw a figure and return its bytes in each format: the same bytes for the same figure, without dates."""
    import io

    import matplotlib

    options: dict[str, dict[str, Any]] = {
        "svg": {"metadata": {"Date": None, "Title": spec.title, "Description": spec.description}},
        "pdf": {"metadata": {"CreationDate": None, "Title": spec.title, "Subject": spec.description}},
        "png": {"dpi": 200, "metadata": {"Software": None, "Title": spec.title.encode("ascii", "replace").decode()}},
    }
    files = {}
    with _style():
        matplotlib.rcParams["svg.hashsalt"] = f"blindpair-{spec.name}"
        figure = spec.draw()
        if spec.n:
            figure.supxlabel(f"n = {plain(spec.n, longest=70)}", x=0.995, ha="right", fontsize=8.5, color=MUTED)
        # Laid out once: with a layout engine every format would draw twice, and place things of its own.
        figure.draw_without_rendering()
        figure.set_layout_engine(None)
        for kind in formats:
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, **options[kind])
            files[kind] = buffer.getvalue()
    return files


@contextmanager
def _style() -> Iterator[None]:
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def plain(text: str, *, longest: int = 28) -> str:
    """Return a label as the figures' font can draw it: unknown characters as ``U+4E2D``, cut when long."""
    known = drawable()
    shown = "".join(c if ord(c) in known else f"(U+{ord(c):04X})" for c in " ".join(text.split()))
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def one_line(text: str) -> str:
    """Return a text on one line, with every character that the font lacks written as its code point."""
    known = drawable()
    return "".join(c if ord(c) in known else f"(U+{ord(c):04X})" for c in _BREAKS.sub(" ", text))


@cache
def drawable() -> frozenset[int]:
    """Return the code points that the report's font, DejaVu Sans, has a glyph for."""
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    path = font_manager.findfont(font_manager.FontProperties(family="DejaVu Sans"))
    return frozenset(FT2Font(path).get_charmap())
