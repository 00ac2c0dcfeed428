"""The report as one HTML file: no script, no outside request, one style sheet that a strict content policy can name."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape

from analysis.report.content.external_figures import ExternalFigure, ReadyFigures
from analysis.report.figures.svg import inline_svg
from analysis.report.formats.document import FigureBlock, Heading, Paragraph, TableBlock
from analysis.report.parts.figure import FigureSpec
from analysis.report.parts.table import Table

__all__ = ["CONTENT_SECURITY_POLICY", "render_html"]

_STYLE = """
:root{color-scheme:light dark;
--ink:#1a1a1a;--muted:#555;--line:#c8c8c8;--band:#f4f6f8;--accent:#005a8f;--paper:#fff;--alarm:#fff3cd;--edge:#8a6100}
@media screen and (prefers-color-scheme:dark){:root{
--ink:#e6e6e6;--muted:#a8adb3;--line:#43484e;--band:#1f2327;--accent:#7fc1f0;--paper:#141619;--alarm:#3b2f06;--edge:#d9a520}
figure svg,figure img{background:#fff;border-radius:.3rem;padding:.4rem}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:58rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.7rem;line-height:1.2;margin:.5rem 0 1rem;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:2.5rem 0 .6rem;padding-top:.6rem;border-top:1px solid var(--line)}
h3{font-size:1.05rem;margin:1.6rem 0 .4rem}
p{margin:.6rem 0;overflow-wrap:anywhere}
.lead{font-size:1.15rem;border-left:4px solid var(--accent);padding:.2rem 0 .2rem .9rem}
.warning{background:var(--alarm);border:2px solid var(--edge);padding:.8rem 1rem;font-weight:600}
.note{color:var(--muted);font-size:.9rem}
.quote{background:var(--band);padding:.8rem 1rem;border-radius:.3rem}
nav ul{list-style:none;padding:0;margin:1rem 0;display:flex;flex-wrap:wrap;gap:.3rem 1.1rem}
a{color:var(--accent)}
.scroll{overflow-x:auto;margin:1rem 0 .3rem}
.scroll:focus-visible{outline:2px solid var(--accent)}
table{border-collapse:collapse;width:100%;font-size:.92rem}
caption{text-align:left;font-weight:600;padding:.3rem 0}
caption span{display:inline-block;max-width:calc(100vw - 2rem);position:sticky;left:0}
th,td{padding:.35rem .6rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--line);min-width:3rem}
thead th{border-bottom:2px solid var(--ink);vertical-align:bottom}
tbody th{font-weight:500;min-width:9rem;overflow-wrap:anywhere}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
thead .n{white-space:normal}
.t{overflow-wrap:anywhere;min-width:10rem}
figure{margin:1.4rem 0}
figure svg,figure img{display:block;width:100%;max-width:40rem;height:auto}
figcaption{font-size:.9rem;color:var(--muted);margin-top:.4rem;overflow-wrap:anywhere}
@media (max-width:40rem){table{font-size:.84rem}th,td{padding:.3rem .35rem;min-width:0}tbody th{min-width:6.5rem}
.t{min-width:7rem}}
@page{margin:15mm}
@media print{caption span{max-width:none}
body{font-size:10pt}main{max-width:none;padding:0}nav{display:none}.scroll{overflow:visible}
h2,h3,caption,thead,h2+p{break-after:avoid}tbody tr:first-child,tbody tr:last-child,.note{break-before:avoid}
table:not(:has(tr:nth-child(13))){break-inside:avoid}figure,tr,.lead,.quote{break-inside:avoid}a{color:inherit}}
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_SHORT_TEXT = 24  # characters
# Pictures of given figures stand in the page as data: addresses.
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; img-src data:; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"
)


def render_html(blocks: Sequence[object], figures: ReadyFigures) -> str:
    """Return the page.

    Parameters
    ----------
    blocks : sequence of blocks
        The first is the heading of level 1, which also names the page; for the report, what
        :func:`~analysis.report.formats.document.document` returned.
    figures : mapping of str to (FigureSpec, bytes) or (ExternalFigure, bytes)
        The drawn figures and their SVG, the given ones and their PNG, by name.
    """
    first, *others = blocks
    assert isinstance(first, Heading)
    body = "\n".join(_block(block, figures) for block in others)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(CONTENT_SECURITY_POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(first.text)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"{_block(first, figures)}\n{_contents(blocks)}\n{body}\n</main>\n</body>\n</html>\n"
    )


def _contents(blocks: Sequence[object]) -> str:
    headings = [block for block in blocks if isinstance(block, Heading) and block.level == 2]
    links = "".join(f'<li><a href="#{escape(h.anchor)}">{escape(h.text)}</a></li>' for h in headings)
    return f'<nav aria-label="Sections"><ul>{links}</ul></nav>'


def _block(block: object, figures: ReadyFigures) -> str:
    if isinstance(block, Heading):
        return f'<h{block.level} id="{escape(block.anchor)}">{escape(block.text)}</h{block.level}>'
    if isinstance(block, Paragraph):
        role = ' role="alert"' if block.kind == "warning" else ""
        kind = "" if block.kind == "plain" else f' class="{block.kind}"'
        return f"<p{kind}{role}>{escape(block.text)}</p>"
    if isinstance(block, TableBlock):
        return _table(block.table)
    assert isinstance(block, FigureBlock)
    return _figure(*figures[block.name])


def _table(table: Table) -> str:
    name, view = escape(table.name), table.view(longest=table.longest)
    kinds = [_kind(place, is_text, view.rows) for place, (_, is_text) in enumerate(view.headers)]
    headers = zip(view.headers, kinds, strict=True)
    header = "".join(f'<th scope="col"{kind}>{escape(text)}</th>' for (text, _), kind in headers)
    rows = "".join(f"<tr>{_cells(cells, kinds)}</tr>\n" for cells in view.rows)
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in view.notes)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-labelledby="caption-{name}">\n'
        f'<table id="table-{name}"><caption id="caption-{name}"><span>{escape(table.title)}</span></caption>\n'
        f"<thead><tr>{header}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>{notes}"
    )


def _kind(place: int, is_text: bool, rows: Sequence[Sequence[str]]) -> str:
    """Return the class of a column: numbers, prose that needs room to wrap, or neither."""
    if not is_text:
        return ' class="n"'
    return ' class="t"' if any(len(cells[place]) > _SHORT_TEXT for cells in rows) else ""


def _cells(cells: Sequence[str], kinds: Sequence[str]) -> str:
    first, *rest = cells
    others = "".join(f"<td{kind}>{escape(text)}</td>" for text, kind in zip(rest, kinds[1:], strict=True))
    return f'<th scope="row">{escape(first)}</th>{others}'


def _figure(spec: FigureSpec | ExternalFigure, content: bytes) -> str:
    name = escape(spec.name)
    picture = _picture(spec, content) if isinstance(spec, ExternalFigure) else inline_svg(content, spec)
    return f'<figure id="figure-{name}">{picture}<figcaption>{escape(spec.title)}.</figcaption></figure>'


def _picture(figure: ExternalFigure, png: bytes) -> str:
    width, height = figure.size_px
    data = base64.b64encode(png).decode()
    alt = escape(figure.description)
    return f'<img width="{width}" height="{height}" alt="{alt}" src="data:image/png;base64,{data}">'
