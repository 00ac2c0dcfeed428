"""matplotlib's SVG made fit to stand inside a page: unique ids, no style attributes, a title and a description."""

from __future__ import annotations

import re
from html import escape

from analysis.report.parts.figure import FigureSpec

__all__ = ["inline_svg"]

_BODY = re.compile(r"<svg\b[^>]*?viewBox=\"(?P<box>[^\"]+)\"[^>]*>(?P<body>.*)</svg>", re.DOTALL)
_ID = re.compile(r'\bid="([^"]+)"')
_REFERENCE = re.compile(r'(xlink:href|href)="#([^"]+)"')
_URL = re.compile(r"url\(#([^)]+)\)")
_STYLE_ATTRIBUTE = re.compile(r'\sstyle="([^"]*)"')
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_STYLE_ELEMENT = re.compile(r"<style[^>]*>.*?</style>", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


def inline_svg(svg: bytes, spec: FigureSpec) -> str:
    """Return an ``<svg>`` element for a page whose content policy forbids style attributes.

    Every ``style`` declaration that matplotlib writes is also a presentation attribute, so it becomes one; ids carry
    the figure's name, because several figures share the page.
    """
    match = _BODY.search(svg.decode())
    if match is None:
        raise ValueError(f"figure {spec.name!r} is not an SVG with a viewBox")
    body = _METADATA.sub("", match["body"])
    # The one style element holds the two line styles that stand on the root below.
    body = _COMMENT.sub("", _STYLE_ELEMENT.sub("", body))
    name = f"fig-{escape(spec.name)}"
    body = _ID.sub(rf'id="{name}-\1"', body)
    body = _REFERENCE.sub(rf'href="#{name}-\2"', body)
    body = _URL.sub(rf"url(#{name}-\1)", body)
    body = _STYLE_ATTRIBUTE.sub(_as_attributes, body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{match["box"]}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc" stroke-linejoin="round" stroke-linecap="butt">'
        f'<title id="{name}-title">{escape(spec.title)}</title>'
        f'<desc id="{name}-desc">{escape(spec.description)}</desc>{body}</svg>'
    )


def _as_attributes(match: re.Match) -> str:
    declarations = (part.split(":", 1) for part in match[1].split(";") if ":" in part)
    return "".join(f' {key.strip()}="{value.strip()}"' for key, value in declarations)
