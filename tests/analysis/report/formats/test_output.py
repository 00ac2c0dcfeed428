import csv
import io
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from contextlib import closing
from html.parser import HTMLParser

import pypdfium2
import pytest

from analysis.report import build_report, write_report
from analysis.report.formats import output as output_module
from analysis.report.formats.html import CONTENT_SECURITY_POLICY
from analysis.report.formats.latex import escape_latex, render_latex
from analysis.report.parts.table import Column, Table
from analysis.votes.reading import votes_from_rows
from tests.analysis.vote_rows import study_rows, vote_row

HOSTILE = ('<script>alert("x")</script>', '=cmd|" /C calc"!A0', "数字 & 100%_$x^2~\\{}#")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "out"
    table = votes_from_rows(study_rows()).table
    report = build_report(table, seed=3)
    write_report(report, table, folder)
    return folder, report, table


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile") / "out"
    rows = study_rows(arms=HOSTILE, simulated=True)
    table = votes_from_rows({**row, "class_label": HOSTILE[2]} for row in rows).table
    facts = {"title": HOSTILE[0], "question": HOSTILE[2], "instructions": "Look twice.\nThen\tchoose."}
    write_report(build_report(table, study=facts), table, folder)
    return folder


class _Page(HTMLParser):
    """Collects what the page's promises are about."""

    VOID = {"meta", "br", "img", "link", "hr"}

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open, self.text = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def _page(folder):
    page = _Page((folder / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    return page


@pytest.mark.parametrize("which", ["written", "hostile"])
def test_page_has_no_script_no_style_attribute_and_no_outside_address(which, request):
    folder = request.getfixturevalue(which)
    page = _page(folder if which == "hostile" else folder[0])
    assert not {"script", "iframe", "object", "embed", "link", "form", "base"} & set(page.tags)
    for tag, name, value in page.attributes:
        assert name != "style", tag
        assert not name.startswith("on"), (tag, name)
        if name in ("href", "src", "xlink:href", "action"):
            assert value.startswith("#"), (tag, value)
    assert ("meta", "content", CONTENT_SECURITY_POLICY) in page.attributes
    assert "'unsafe-inline'" not in CONTENT_SECURITY_POLICY


def test_page_ids_are_unique_and_every_reference_has_its_target(written):
    page = _page(written[0])
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    references = [value[1:] for _, name, value in page.attributes if name in ("href", "xlink:href")]
    references += [found for _, _, value in page.attributes for found in re.findall(r"url\(#([^)]+)\)", value or "")]
    for _, name, value in page.attributes:
        references += value.split() if name == "aria-labelledby" else []
    assert references
    assert set(references) <= set(ids)


def test_page_tables_have_captions_and_scoped_headers(written):
    page = _page(written[0])
    assert page.tags.count("table") == page.tags.count("caption") > 3
    scopes = [value for tag, name, value in page.attributes if (tag, name) == ("th", "scope")]
    assert len(scopes) == page.tags.count("th")
    assert set(scopes) == {"col", "row"}
    assert page.tags.count("svg") == page.tags.count("desc") == page.tags.count("figure") > 1


def test_hostile_names_stand_in_the_page_as_text(hostile):
    text = "".join(_page(hostile).text)
    for name in HOSTILE:
        assert name in text


def test_simulated_votes_are_announced_first_thing(hostile, written):
    text = "".join(_page(hostile).text)
    assert text.index("SIMULATED VOTES") < text.index("Preference for")
    assert "SIMULATED" not in "".join(_page(written[0]).text)


def test_csv_tables_hold_full_precision_and_no_formula(written, hostile):
    folder, report, _ = written
    rows = list(csv.DictReader(io.StringIO((folder / "tables/estimates.csv").read_text())))
    (row,) = [row for row in rows if row["quantity"] == "comparisons[0].headline"]
    headline = report["comparisons"][0]["headline"]
    assert float(row["estimate"]) == headline["estimate"]
    assert [float(row["low"]), float(row["high"])] == headline["ci95"]
    assert float(row["p_value"]) == headline["p_value"]
    for path in (hostile / "tables").glob("*.csv"):
        for line in csv.reader(io.StringIO(path.read_text())):
            assert not [cell for cell in line if re.match(r"[=+@\t\r]|-(?!\d)", cell)], path.name


def test_figures_are_drawn_in_every_format_without_dates(written):
    figures = sorted(path.name for path in (written[0] / "figures").iterdir())
    stems = {name.split(".")[0] for name in figures}
    assert {"votes", "forest"} <= stems
    assert figures == sorted(f"{stem}.{kind}" for stem in stems for kind in ("pdf", "png", "svg"))
    for path in (written[0] / "figures").glob("*.svg"):
        assert "<dc:date>" not in path.read_text()
        # Letters are drawn as paths; matplotlib names each text in a comment before it.
        assert "<!-- n = " in path.read_text(), path.name
        ET.parse(path)


def _text(pdf):
    with closing(pypdfium2.PdfDocument(pdf)) as document:
        return " ".join("\n".join(page.get_textpage().get_text_range() for page in document).split())


def test_pdf_says_what_the_page_says(written, hostile):
    folder, report, _ = written
    text = _text(folder / "report.pdf")
    low, high = report["comparisons"][0]["headline"]["ci95"]
    assert f"[{100 * low:.1f}, {100 * high:.1f}]" in text
    for heading in ("Mixed models", "Sensitivity", "reporting checklist", report["data"]["sha256"][:20]):
        assert heading in text
    shown = _text(hostile / "report.pdf")
    assert "SIMULATED VOTES" in shown
    assert "(U+6570)" in shown
    assert "Look twice. Then choose." in shown


def test_same_votes_and_seed_give_the_same_bytes(written, tmp_path):
    folder, _, _ = written
    table = votes_from_rows(study_rows()).table
    write_report(build_report(table, seed=3), table, tmp_path / "again")
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert names
    assert names == sorted(p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file())
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_writing_again_replaces_files_and_leaves_others(written, tmp_path):
    _, report, table = written
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    (out / "report.json").write_text("old")
    written_files = write_report(report, table, out, formats=["json"])
    assert [path.name for path in written_files] == ["report.json"]
    assert (out / "report.json").read_text().startswith("{")
    assert (out / "notes.txt").read_text() == "mine"


def test_a_failure_leaves_nothing_half_written(written, tmp_path, monkeypatch):
    _, report, table = written

    def fail(*args):
        raise RuntimeError("no fonts")

    monkeypatch.setattr(output_module, "render_html", fail)
    with pytest.raises(RuntimeError, match="no fonts"):
        write_report(report, table, tmp_path / "out", formats=["json", "html"])
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.json"]


def test_unknown_formats_are_refused(written, tmp_path):
    with pytest.raises(ValueError, match="docx"):
        write_report(written[1], written[2], tmp_path, formats=["docx"])


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([], id="no votes"),
        pytest.param([vote_row(1)], id="one vote"),
        pytest.param([vote_row(n, choice="tie", choice_arm="") for n in range(12)], id="all ties"),
    ],
)
def test_degenerate_tables_still_make_a_whole_report(tmp_path, rows):
    table = votes_from_rows(rows).table
    write_report(build_report(table), table, tmp_path / "out", formats=["html", "pdf", "tables"])
    _page(tmp_path / "out")


def test_latex_escapes_what_users_write():
    assert escape_latex("100%_$x^2~\\{}#&") == (
        r"100\%\_\$x\textasciicircum{}2\textasciitilde{}\textbackslash{}\{\}\#\&"
    )
    assert escape_latex("a\u0000数é") == r"a[U+0000]\blindpairchar{6570}é"
    assert escape_latex("58.7\u00a0% [52.6, 64.7]") == r"58.7\,\% [52.6, 64.7]"


def test_latex_text_is_the_reports_with_its_signs_escaped(written):
    folder, report, _ = written
    text = (folder / "text.tex").read_text(encoding="utf-8")
    (sentence,) = report["text"]["sentences"]
    assert f"% For the results section.\n{escape_latex(sentence)}\n" in text
    assert r"95\,\% interval" in text
    assert re.sub(r"\\allowbreak\{\}", "", text).count(report["data"]["sha256"]) == 1


def test_latex_has_a_glyph_for_every_character_of_our_own_texts(written, tmp_path):
    _, _, table = written
    write_report(build_report(table, plan={"margin": 0.05}), table, tmp_path, formats=["tables"])
    tables = [path.read_text(encoding="utf-8") for path in (tmp_path / "tables").glob("*.tex")]
    assert any(r"\ensuremath{\pm}" in text for text in tables)
    assert not [text for text in tables if re.search(r"\\blindpairchar\{[0-9A-F]", text)]


def test_latex_rows_never_begin_with_a_bracket():
    table = Table(
        "t", "T", (Column("a", "A"), Column("ci95", "I", "rate_interval")), [{"a": "[x]", "ci95": (0.1, 0.2)}]
    )
    assert "\n{}[x] & {}[10.0, 20.0] \\\\\n" in render_latex(table)


def test_latex_wraps_what_would_widen_a_table():
    columns = (Column("a", "Arm"), Column("b", "SE, votes independent", "number"), Column("c", "Hash of the votes"))
    text = render_latex(Table("t", "T", columns, [{"a": "robust", "b": 0.5, "c": "0f" * 32}]))
    assert r"Arm & \shortstack[r]{SE, votes\\independent} & Hash of the votes \\" in text
    assert r"\begin{tabular}{lr>{\raggedright" in text
    assert f"{'0f' * 16}\\allowbreak{{}}{'0f' * 16}" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_every_latex_file_compiles_alone_and_within_a_document(hostile, tmp_path):
    files = sorted(hostile.rglob("*.tex"))
    assert len(files) > 5
    assert hostile / "text.tex" in files
    inputs = "\n".join(f"\\input{{{path}}}" for path in files)
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{textcomp,booktabs,longtable,array}\n"
        f"\\begin{{document}}\n{inputs}\n\\end{{document}}\n"
    )
    for path in [tmp_path / "paper.tex", *files]:
        command = [
            "pdflatex",
            "-interaction=nonstopmode",
            "-halt-on-error",
            "-output-directory",
            str(tmp_path),
            str(path),
        ]
        done = subprocess.run(command, capture_output=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stdout.decode("latin-1")[-1500:]


def test_remarks_become_lettered_notes_once_and_refusals_are_named():
    columns = (Column("line", "L"), Column("estimate", "E", "rate"), Column("reason", "Note", "remark"))
    rows = [
        {"line": "one", "estimate": 0.5, "reason": "few raters"},
        {"line": "two", "estimate": None, "reason": "no votes"},
        {"line": "three", "estimate": 0.25, "reason": "few raters"},
    ]
    view = Table("t", "T", columns, rows, note="All of it.").view()
    assert view.rows == [["one", "50.0\u00a0%", "a"], ["two", "not computed", "b"], ["three", "25.0\u00a0%", "a"]]
    assert view.notes == ["All of it.", "a: few raters", "b: no votes"]
    assert Table("t", "T", columns, rows[1:2]).view().rows == [["two", "not computed", "a"]]


def test_a_long_table_says_where_its_other_rows_are():
    table = Table("many", "T", (Column("line", "L"),), [{"line": str(n)} for n in range(100)])
    view = table.view(longest=table.longest)
    assert len(view.rows) == 60
    assert view.notes == ["The first 60 of 100 rows; all are in tables/many.csv."]
    assert len(table.view().rows) == 100


def test_provenance_is_in_words_and_says_what_is_not_known(tmp_path):
    table = votes_from_rows(study_rows()).table
    report = build_report(table, plan={"arm": "robust"}, provenance={"version": "0.2", "commit": None})
    write_report(report, table, tmp_path / "out")
    page = (tmp_path / "out/report.html").read_text()
    for words in ("Version of Blindpair: 0.2", "Commit: not stated", "SHA-256 of the plan of analysis: "):
        assert words in page
    assert "plan_sha256" not in page
    assert report["provenance"]["plan_sha256"] in page
