"""The report as a tagged PDF, from the same blocks as the page."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from analysis.report.content.external_figures import ExternalFigure, ReadyFigures
from analysis.report.formats.document import FigureBlock, Heading, Paragraph, TableBlock, title
from analysis.report.parts.figure import FigureSpec, one_line
from analysis.report.parts.table import Table
from analysis.report.parts.typesetting import typeset

__all__ = ["render_pdf"]

_TEMPLATE = Path(__file__).with_name("report.typ")
_TEXT_WIDTH = 493.0  # points: A4 less two margins of 18 mm
_CHART_SHARE = 0.62  # of the text's width: the letters of a chart are then a little smaller than the text's
_PICTURE_SHARE = 0.78
_TALLEST = 620.0  # points: what a page leaves beside a caption of several lines
_TALL = 230.0  # points: a higher figure moves to the head or foot of a page, or half a page before it would stay empty
_LONGEST_FOOTER = 80  # characters
_VIEW_BOX = re.compile(rb'viewBox="0 0 ([\d.]+) ([\d.]+)"')


def render_pdf(report: Mapping, blocks: Sequence[object], figures: ReadyFigures) -> bytes:
    """Return the PDF file: A4, PDF/UA-1 (tagged, with alternative texts), bookmarks; same report, same bytes.

    Parameters
    ----------
    report : mapping
        What ``build_report`` returned.
    blocks : sequence of blocks
        What :func:`~analysis.report.formats.document.document` returned.
    figures : mapping of str to (FigureSpec, bytes) or (ExternalFigure, bytes)
        The drawn figures and their SVG, the given ones and their PNG, by name.
    """
    name = one_line(title(report))
    content = {
        "title": name,
        "running": name if len(name) <= _LONGEST_FOOTER else name[: _LONGEST_FOOTER - 1] + "…",
        "lead": one_line(report["text"]["lead"]),
        "blocks": [_block(block, figures) for block in blocks],
    }
    files = {"main.typ": _TEMPLATE.read_bytes(), "blocks.json": json.dumps(content).encode()}
    for block in blocks:
        if isinstance(block, FigureBlock):
            spec, picture = figures[block.name]
            files[_file(spec)] = picture
    return typeset(files, kind="pdf", pdf_standards=["ua-1"])


def _block(block: object, figures: ReadyFigures) -> dict:
    if isinstance(block, Heading):
        return {"block": "heading", "level": block.level, "text": one_line(block.text)}
    if isinstance(block, Paragraph):
        return {"block": "paragraph", "kind": block.kind, "text": one_line(block.text)}
    if isinstance(block, TableBlock):
        return _table(block.table)
    assert isinstance(block, FigureBlock)
    return _figure(*figures[block.name])


def _table(table: Table) -> dict:
    view = table.view(longest=table.longest)
    # The first column names the row, whatever it holds.
    columns = [
        {"header": one_line(text), "is_text": is_text or place == 0}
        for place, (text, is_text) in enumerate(view.headers)
    ]
    return {
        "block": "table",
        "title": one_line(table.title),
        "columns": columns,
        "rows": [[one_line(cell) for cell in cells] for cells in view.rows],
        "notes": [one_line(note) for note in view.notes],
    }


def _figure(spec: FigureSpec | ExternalFigure, picture: bytes) -> dict:
    across, down = _size(spec, picture)
    widest = _PICTURE_SHARE if isinstance(spec, ExternalFigure) else _CHART_SHARE
    share = min(widest, _TALLEST / (_TEXT_WIDTH * down / across))
    return {
        "block": "figure",
        "caption": f"{one_line(spec.title)}.",
        "alt": one_line(spec.description),
        "file": _file(spec),
        "share": share,
        "is_tall": share * _TEXT_WIDTH * down / across > _TALL,
    }


def _file(spec: FigureSpec | ExternalFigure) -> str:
    return f"{spec.name}.{'png' if isinstance(spec, ExternalFigure) else 'svg'}"


def _size(spec: FigureSpec | ExternalFigure, picture: bytes) -> tuple[float, float]:
    """Return a figure's width and height, in any unit."""
    if isinstance(spec, ExternalFigure):
        return spec.size_px
    box = _VIEW_BOX.search(picture)
    if box is None:
        raise ValueError(f"figure {spec.name!r} is not an SVG with a viewBox")
    return float(box[1]), float(box[2])
