"""The report as PDF, from the same blocks as the page. reportlab is imported inside the functions alone."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from html import escape
from typing import TYPE_CHECKING

from analysis.report.content.external_figures import ExternalFigure, ReadyFigures
from analysis.report.formats.document import FigureBlock, Heading, Paragraph, TableBlock, title
from analysis.report.parts.figure import FigureSpec, drawable
from analysis.report.parts.table import Table, View

if TYPE_CHECKING:
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.pdfgen.canvas import Canvas
    from reportlab.platypus import BaseDocTemplate, TableStyle
    from reportlab.platypus import Paragraph as Text

__all__ = ["render_pdf"]

_MARGIN_MM = 18
_INK, _MUTED, _LINE, _BAND, _ACCENT = "#1a1a1a", "#555555", "#c8c8c8", "#f4f6f8", "#005a8f"
_CELL_SIZE = 8  # points
_FIGURE_SHARE = 0.78  # of the text's width
_TALLEST = 620  # points: what a page leaves beside a heading and a caption of several lines
_LONGEST_WORD = 120  # points: a longer one breaks, for a hash or a user's name must not push numbers off the page
_SHORT_HEADER = 16  # characters: such a header stays on one line where there is room, a longer one on two
_BREAKS = re.compile(r"[^\S\u00a0]+")  # white space but for the one that must not break


def render_pdf(report: Mapping, blocks: Sequence[object], figures: ReadyFigures) -> bytes:
    """Return the PDF file: A4, page numbers, bookmarks, embedded fonts; same report, same bytes.

    Parameters
    ----------
    report : mapping
        What ``build_report`` returned.
    blocks : sequence of blocks
        What :func:`~analysis.report.formats.document.document` returned.
    figures : mapping of str to (FigureSpec, bytes) or (ExternalFigure, bytes)
        The figures and their PNG, by name.
    """
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.units import mm
    from reportlab.platypus import CondPageBreak, SimpleDocTemplate

    _register_fonts()
    sink = io.BytesIO()
    name = _safe(title(report))
    template = SimpleDocTemplate(
        sink,
        pagesize=A4,
        leftMargin=_MARGIN_MM * mm,
        rightMargin=_MARGIN_MM * mm,
        topMargin=_MARGIN_MM * mm,
        bottomMargin=_MARGIN_MM * mm,
        title=name,
        author="Blindpair",
        subject=_safe(report["text"]["lead"]),
        lang="en",
        invariant=1,  # no date and no random id in the file
    )
    width = template.width
    flow = []
    for place, block in enumerate(blocks):
        if isinstance(block, Heading):
            flow.append(CondPageBreak(_needed(blocks[place + 1 :], figures, width)))
        flow += _flowables(block, figures, width)
    footer = _footer(name)
    template.build(flow, onFirstPage=footer, onLaterPages=footer)
    return sink.getvalue()


def _needed(following: Sequence[object], figures: ReadyFigures, width: float) -> float:
    """Return the height a heading needs on its page, so that it never stands alone at the foot."""
    for block in following:
        if isinstance(block, FigureBlock):
            return _figure_size(figures[block.name][1], width)[1] + 110
        if isinstance(block, (TableBlock, Heading)):
            break
    return 150


def _figure_size(png: bytes, width: float) -> tuple[float, float]:
    from reportlab.lib.utils import ImageReader

    across, down = ImageReader(io.BytesIO(png)).getSize()
    # A figure and its caption must fit on one page: nothing that does not fit can be set at all.
    scale = min(_FIGURE_SHARE * width / across, _TALLEST / down)
    return scale * across, scale * down


def _footer(name: str) -> Callable[[Canvas, BaseDocTemplate], None]:
    def draw(canvas: Canvas, template: BaseDocTemplate) -> None:
        canvas.saveState()
        canvas.setFont("BlindpairSans", 8)
        canvas.setFillColor(_MUTED)
        below = template.bottomMargin * 0.5
        shown = name if len(name) <= 80 else name[:79] + "…"
        canvas.drawString(template.leftMargin, below, shown)
        canvas.drawRightString(template.leftMargin + template.width, below, f"{canvas.getPageNumber()}")
        canvas.restoreState()

    return draw


def _flowables(block: object, figures: ReadyFigures, width: float) -> list:
    if isinstance(block, Heading):
        return _heading(block)
    if isinstance(block, Paragraph):
        return _paragraph(block, width)
    if isinstance(block, TableBlock):
        return _table(block.table, width)
    assert isinstance(block, FigureBlock)
    return _figure(*figures[block.name], width)


def _heading(block: Heading) -> list:
    return [_heading_class()(_safe(block.text), _style(f"h{block.level}"), key=block.anchor, level=block.level)]


@cache
def _heading_class() -> type[Text]:
    """A paragraph that leaves a bookmark; the class is made on first use, since reportlab is optional."""
    from reportlab.platypus import Paragraph as Text

    class BookmarkedText(Text):
        def __init__(self, text: str, style: ParagraphStyle, *, key: str, level: int) -> None:
            super().__init__(escape(text), style)
            self._bookmark = (text, key, level)

        def draw(self) -> None:
            text, key, level = self._bookmark
            self.canv.bookmarkPage(key)
            # The outline may not skip a level: the title is 0, sections 0 too, their parts 1.
            self.canv.addOutlineEntry(text, key, level=max(0, level - 2), closed=False)
            super().draw()

    return BookmarkedText


def _paragraph(block: Paragraph, width: float) -> list:
    from reportlab.platypus import Paragraph as Text
    from reportlab.platypus import Spacer
    from reportlab.platypus import Table as Grid

    text = Text(escape(_safe(block.text)), _style(block.kind))
    if block.kind not in ("lead", "warning", "quote"):
        return [text]
    boxes: dict[str, list[tuple]] = {
        "lead": [("LINEBEFORE", (0, 0), (0, -1), 3, _ACCENT)],
        "warning": [("BOX", (0, 0), (-1, -1), 1.5, "#8a6100"), ("BACKGROUND", (0, 0), (-1, -1), "#fff3cd")],
        "quote": [("BACKGROUND", (0, 0), (-1, -1), _BAND)],
    }
    box = Grid(
        [[text]], colWidths=[width], style=_grid_style([*boxes[block.kind], ("LEFTPADDING", (0, 0), (-1, -1), 9)])
    )
    return [box, Spacer(1, 5)]


def _figure(spec: FigureSpec | ExternalFigure, png: bytes, width: float) -> list:
    from reportlab.platypus import Image, KeepTogether
    from reportlab.platypus import Paragraph as Text

    across, down = _figure_size(png, width)
    image = Image(io.BytesIO(png), width=across, height=down, hAlign="LEFT")
    return [KeepTogether([image, Text(escape(_safe(spec.title)) + ".", _style("note"))])]


def _table(table: Table, width: float) -> list:
    from reportlab.platypus import CondPageBreak, Spacer
    from reportlab.platypus import Paragraph as Text
    from reportlab.platypus import Table as Grid

    view = table.view(longest=table.longest)
    styles = [_style("cell" if place == 0 or prose else "number") for place, (_, prose) in enumerate(view.headers)]
    rows = [
        [Text(f"<b>{escape(_safe(text))}</b>", style) for (text, _), style in zip(view.headers, styles, strict=True)]
    ]
    for cells in view.rows:
        rows.append([Text(escape(_safe(text)), style) for text, style in zip(cells, styles, strict=True)])
    grid = Grid(
        rows,
        colWidths=_widths(view, width),
        repeatRows=1,
        hAlign="LEFT",
        style=_grid_style([("LINEBELOW", (0, 0), (-1, 0), 1, _INK), ("LINEBELOW", (0, 1), (-1, -1), 0.4, _LINE)]),
    )
    notes = [Text(escape(_safe(note)), _style("note")) for note in view.notes]
    return [CondPageBreak(90), Text(escape(_safe(table.title)), _style("caption")), grid, Spacer(1, 3), *notes]


def _widths(view: View, width: float) -> list[float]:
    """Return the columns' widths: no word and no number breaks, and prose shares what is left by its length."""
    from reportlab.pdfbase.pdfmetrics import stringWidth

    def broad(text: str, font: str = "BlindpairSans") -> float:
        return stringWidth(_safe(text), font, _CELL_SIZE)

    least, wanted = [], []
    for place, (header, is_prose) in enumerate(view.headers):
        cells = [row[place] for row in view.rows]
        words = (
            [broad(word) for text in cells for word in text.split(" ")] if is_prose else [broad(text) for text in cells]
        )
        head = max((broad(word, "BlindpairSans-Bold") for word in header.split(" ")), default=0.0)
        least.append(min(max(head, *words, 8.0), _LONGEST_WORD) + 8)
        whole = broad(header, "BlindpairSans-Bold")
        full = whole if len(header) <= _SHORT_HEADER else max(head, 0.55 * whole)
        wanted.append(max(least[-1], *(broad(text) + 8 for text in cells), full + 8))
    spare, asked = width - sum(least), sum(wanted) - sum(least)
    if spare <= 0:
        return [need * width / sum(least) for need in least]
    share = min(1.0, spare / asked) if asked else 0.0
    return [low + share * (high - low) for low, high in zip(least, wanted, strict=True)]


def _grid_style(commands: list[tuple]) -> TableStyle:
    from reportlab.platypus import TableStyle

    padding = [(f"{side}PADDING", (0, 0), (-1, -1), 3) for side in ("LEFT", "RIGHT", "TOP", "BOTTOM")]
    return TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), *padding, *commands])


@cache
def _style(kind: str) -> ParagraphStyle:
    from reportlab.lib.enums import TA_RIGHT
    from reportlab.lib.styles import ParagraphStyle

    base = {"fontName": "BlindpairSans", "fontSize": 9.5, "leading": 13.5, "textColor": _INK, "spaceAfter": 5}
    bold = {"fontName": "BlindpairSans-Bold"}
    cell: dict[str, object] = {"fontSize": _CELL_SIZE, "leading": 10, "spaceAfter": 0, "splitLongWords": 1}
    changes: dict[str, dict[str, object]] = {
        "h1": {**bold, "fontSize": 17, "leading": 21, "spaceAfter": 8},
        "h2": {**bold, "fontSize": 12.5, "leading": 16, "spaceBefore": 14, "spaceAfter": 5},
        "h3": {**bold, "fontSize": 10.5, "leading": 14, "spaceBefore": 8},
        "plain": {},
        "lead": {"fontSize": 11.5, "leading": 16, "spaceAfter": 0},
        "warning": {**bold, "spaceAfter": 0},
        "quote": {"fontSize": 9, "leading": 12.5, "spaceAfter": 0},
        "note": {"fontSize": 8, "leading": 10.5, "textColor": _MUTED},
        "caption": {**bold, "fontSize": 9, "leading": 12, "spaceBefore": 8, "spaceAfter": 2},
        "cell": cell,
        "number": {**cell, "alignment": TA_RIGHT},
    }
    return ParagraphStyle(kind, **{**base, **changes[kind]})


@cache
def _register_fonts() -> None:
    """Register DejaVu Sans, which comes with matplotlib, for text beyond Latin-1; its subset is embedded."""
    import matplotlib
    from reportlab.lib.fonts import addMapping
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    folder = f"{matplotlib.get_data_path()}/fonts/ttf"
    for name, file in (("BlindpairSans", "DejaVuSans.ttf"), ("BlindpairSans-Bold", "DejaVuSans-Bold.ttf")):
        pdfmetrics.registerFont(TTFont(name, f"{folder}/{file}"))
    for is_bold in (0, 1):
        for is_italic in (0, 1):
            addMapping("BlindpairSans", is_bold, is_italic, "BlindpairSans-Bold" if is_bold else "BlindpairSans")


def _safe(text: str) -> str:
    """Return a text on one line, with every character that the font lacks written as its code point."""
    known = drawable()
    return "".join(c if ord(c) in known else f"(U+{ord(c):04X})" for c in _BREAKS.sub(" ", text))
