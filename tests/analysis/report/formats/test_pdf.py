"""The PDF as readers that did not write it see it: pikepdf walks its tags, PDFium draws its pages."""

from __future__ import annotations

import io
import itertools
import pickle
import re
from contextlib import closing

import numpy as np
import pikepdf
import pypdfium2
import pytest
from PIL import Image

from analysis.planning.simulation import Scenario, simulate_votes
from analysis.report import build_report
from analysis.report.content.external_figures import ExternalFigure
from analysis.report.formats.document import FigureBlock, Heading, Paragraph, TableBlock
from analysis.report.formats.output import _Drawing
from analysis.report.formats.pdf import render_pdf
from analysis.report.parts.table import Column, Table

FLOW = {
    "steps": [
        {"name": "arrived", "raters": 40, "left": {"refused the consent": 4}},
        {"name": "started", "raters": 36, "left": {}},
    ],
    "planned": {"raters": 36, "votes": 1440},
    "reached": {"raters": 36, "votes": 1440},
    "dates": {"opened": "2026-01-01", "closed": "2026-01-09", "closing_reason": "all votes are in"},
}


def made(table, **facts):
    report = build_report(table, **facts)
    drawing = _Drawing(report, table, frozenset({"pdf"}), {})
    return drawing.blocks, render_pdf(report, drawing.blocks, drawing.pictures("svg"))


def two_arms():
    return simulate_votes(Scenario(raters=36, pairs=60, votes_per_rater=40, preference=0.62, classes=6, seed=1))


def many_arms():
    strengths = {f"arm {place:02d}": 0.1 * place for place in range(12)}
    return simulate_votes(Scenario(raters=80, pairs=80, votes_per_rater=60, strengths=strengths, classes=4, seed=1))


@pytest.fixture(scope="module", params=[two_arms, many_arms], ids=["two arms", "twelve arms"])
def written(request):
    return made(request.param(), flow=FLOW)


@pytest.fixture(scope="module")
def opened(written, tmp_path_factory):
    path = tmp_path_factory.mktemp("pdf") / "report.pdf"
    path.write_bytes(written[1])
    with pikepdf.open(path) as pdf:
        yield pdf


def elements(node, kind=None):
    """Yield the structure elements below a node in reading order."""
    kids = node.get("/K")
    for kid in kids if isinstance(kids, pikepdf.Array) else [kids]:
        if isinstance(kid, pikepdf.Dictionary) and "/S" in kid:
            if kind in (None, str(kid.S)):
                yield kid
            yield from elements(kid, kind)


def captions(table):
    """Return the captions of a table: inside it or, where typst groups it with its caption, beside it in the group."""
    found = list(elements(table, "/Caption"))
    while not found and str(table.P.S) == "/Div":
        table = table.P
        found = list(elements(table, "/Caption"))
    return found


def tree(pdf):
    return pdf.Root.StructTreeRoot


def test_the_file_says_what_it_is_and_in_which_language(opened):
    root = opened.Root
    assert bool(root.MarkInfo.Marked)
    assert str(root.Lang) == "en"
    assert bool(root.ViewerPreferences.DisplayDocTitle)
    with opened.open_metadata() as metadata:
        assert metadata["pdfuaid:part"] == "1"
        assert str(metadata["dc:title"]) == "Blind preference report"


def test_headings_are_those_of_the_page_and_skip_no_level(written, opened):
    wanted = [f"/H{block.level}" for block in written[0] if isinstance(block, Heading)]
    found = [str(node.S) for node in elements(tree(opened)) if re.fullmatch(r"/H\d", str(node.S))]
    assert found == wanted
    levels = [int(name[2]) for name in found]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_every_table_has_a_caption_headers_with_scope_and_rows_of_one_width(written, opened):
    tables = [block.table for block in written[0] if isinstance(block, TableBlock)]
    found = list(elements(tree(opened), "/Table"))
    assert len(found) == len(tables) > 5
    for node, table in zip(found, tables, strict=True):
        view = table.view(longest=table.longest)
        headers = list(elements(node, "/TH"))
        assert len(captions(node)) == 1, table.name
        assert len(headers) == len(view.headers)
        for header in headers:
            attributes = header.A if isinstance(header.A, pikepdf.Array) else [header.A]
            assert "/Column" in [str(entry.get("/Scope")) for entry in attributes]
        rows = list(elements(node, "/TR"))
        assert len(rows) == 1 + len(view.rows)
        assert {len(list(elements(row, "/TD"))) for row in rows[1:]} == {len(view.headers)}


def test_every_figure_has_its_description_as_alternative_text(written, opened):
    figures = list(elements(tree(opened), "/Figure"))
    described = [str(node.Alt) for node in figures if "/Alt" in node]
    assert len(described) == sum(isinstance(block, FigureBlock) for block in written[0]) > 4
    assert all(len(text) > 20 for text in described)


def test_no_content_stands_outside_the_tags(opened):
    for page in opened.pages:
        depth = 0
        for operands, operator in pikepdf.parse_content_stream(page):
            if str(operator) in ("BDC", "BMC"):
                depth += 1
            elif str(operator) == "EMC":
                depth -= 1
            elif str(operator) in ("Tj", "TJ", "Do", "'", '"'):
                assert depth > 0, operands
        assert depth == 0


def test_every_font_is_embedded_and_its_text_can_be_read(opened):
    fonts = [font for page in opened.pages for font in page.get("/Resources", {}).get("/Font", {}).values()]
    assert fonts
    for font in fonts:
        assert "/ToUnicode" in font
        descriptor = font.DescendantFonts[0].FontDescriptor
        assert {"/FontFile2", "/FontFile3"} & set(descriptor.keys())


def test_bookmarks_lead_to_the_sections(written, opened):
    wanted = [block.text for block in written[0] if isinstance(block, Heading) and block.level == 2]
    with opened.open_outline() as outline:
        (top,) = outline.root
        assert [item.title for item in top.children] == wanted


def filled(page) -> float:
    """Return down to which share of its height a page holds something, its footer left out."""
    picture = np.squeeze(page.render(scale=0.5, grayscale=True).to_numpy())
    height = len(picture)
    rows = np.flatnonzero((picture[: int(0.94 * height)] < 250).any(axis=1))
    return (rows[-1] + 1) / (0.94 * height) if len(rows) else 0.0


def test_no_page_but_the_last_is_a_third_empty(written):
    with closing(pypdfium2.PdfDocument(written[1])) as pdf:
        shares = [filled(pdf[place]) for place in range(len(pdf) - 1)]
    assert len(shares) > 4
    assert min(shares) > 0.7, shares


def test_the_last_section_stands_on_one_page(written):
    blocks = written[0]
    opening = max(place for place, block in enumerate(blocks) if isinstance(block, Heading))
    with closing(pypdfium2.PdfDocument(written[1])) as pdf:
        last = re.sub(r"\W", "", pdf[len(pdf) - 1].get_textpage().get_text_range())
    assert blocks[opening].text == "Provenance"
    assert all(re.sub(r"\W", "", block.text) in last for block in blocks[opening:])


def test_same_report_same_bytes(written):
    table = two_arms()
    assert made(table)[1] == made(pickle.loads(pickle.dumps(table)))[1]


def rendered(blocks, figures=None):
    report = {"study": {"title": "A study"}, "data": {"studies": []}, "text": {"lead": "A lead."}}
    return render_pdf(report, [Heading("A study", level=1, anchor="top"), *blocks], figures or {})


def text_of(pdf: bytes) -> str:
    with closing(pypdfium2.PdfDocument(pdf)) as document:
        # A paragraph may go on on the next page: without what stands at their feet.
        texts = [page.get_textpage().get_text_bounded(bottom=45) for page in document]
    return " ".join("\n".join(texts).split())


def test_texts_are_never_read_as_markup():
    hostile = '#read("/etc/passwd") = no heading $x^2$ *bold* \\ // "quote" @ref <label>'
    table = Table("t", "#panic()", (Column("a", "#a"), Column("b", "*b*")), [{"a": "[x]", "b": hostile}])
    shown = text_of(rendered([Paragraph(hostile), TableBlock(table)]))
    assert shown.count(hostile) == 2
    assert "#panic()" in shown


def test_letters_without_a_glyph_stand_as_code_points_and_arabic_is_drawn():
    shown = text_of(rendered([Paragraph("数 and سؤال and é")]))
    assert "(U+6570) and" in shown
    assert "é" in shown
    assert "(U+06" not in shown


def test_a_long_word_breaks_within_the_page_and_is_copied_whole():
    digest = "0123456789abcdef" * 8
    table = Table("t", "T", (Column("a", "A"), Column("b", "B")), [{"a": "name", "b": digest}])
    pdf = rendered([Paragraph(digest), TableBlock(table)])
    assert text_of(pdf).replace(" ", "").count(digest) == 2
    with closing(pypdfium2.PdfDocument(pdf)) as document:
        width, characters = document[0].get_width(), document[0].get_textpage()
        right = max(characters.get_charbox(place)[2] for place in range(characters.count_chars()))
    assert right < width - 40


def test_a_given_picture_stands_in_the_page_with_its_description(png_file):
    figure = ExternalFigure(name="given", title="A given one", description="What it shows.", files={"png": png_file})
    pdf = rendered([FigureBlock("given")], {"given": (figure, png_file)})
    assert "A given one." in text_of(pdf)


@pytest.fixture
def png_file():
    sink = io.BytesIO()
    Image.new("RGB", (60, 30), "red").save(sink, "PNG")
    return sink.getvalue()


def test_every_word_of_the_page_is_in_the_file(written):
    shown = re.sub(r"\s", "", text_of(written[1]))
    for block in written[0]:
        if isinstance(block, (Heading, Paragraph)):
            # By words: a paragraph may end on the next page, below a figure.
            assert not [word for word in block.text.split() if word not in shown]
        elif isinstance(block, TableBlock):
            assert re.sub(r"\s", "", block.table.title) in shown
