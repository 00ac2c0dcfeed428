"""Line 1.1: six or more arms gave no report at all. Reports are ordered by question and grow with the arms alone."""

import json
from contextlib import closing

import pypdfium2
import pytest

from analysis.__main__ import main
from analysis.planning.simulation import Scenario, simulate_votes
from analysis.report import IncompleteReportError, build_report, write_report
from analysis.report.figures import figure_specs
from analysis.report.formats import output
from analysis.report.tables import all_tables
from analysis.votes.selection import select_votes
from analysis.votes.writing import write_votes
from tests.analysis.vote_rows import study_rows


def arms(number, *, raters=60, votes_per_rater=60):
    strengths = {f"arm {place:02d}": 0.1 * place for place in range(number)}
    scenario = Scenario(
        raters=raters, pairs=80, votes_per_rater=votes_per_rater, strengths=strengths, classes=4, seed=1
    )
    return simulate_votes(scenario)


def pages(path):
    with closing(pypdfium2.PdfDocument(path)) as document:
        return len(document)


@pytest.fixture(scope="module")
def twenty():
    table = arms(20, raters=120)
    return table, build_report(table)


def test_six_arms_make_a_report_of_few_pages(tmp_path):
    table = arms(6)
    report = build_report(table)
    write_report(report, table, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["verdict"]["family"]["size"] == 15
    assert 5 <= pages(tmp_path / "report.pdf") <= 20


def test_twenty_arms_are_an_ordinary_report(twenty, tmp_path):
    table, report = twenty
    write_report(report, table, tmp_path, formats=("json", "html", "pdf", "tables"))
    assert len(report["comparisons"]) == 190
    assert 5 <= pages(tmp_path / "report.pdf") <= 40
    # No folder of files a comparison: the tidy table and the verdicts hold them all.
    assert len(list((tmp_path / "tables").iterdir())) < 80
    assert (tmp_path / "tables" / "verdicts.csv").read_text().count("\n") == 191


def test_the_report_says_what_was_compared_and_whether_majorities_run_in_circles(twenty):
    _, report = twenty
    coverage, cycles = report["tournament"]["coverage"], report["tournament"]["cycles"]
    assert (coverage["comparisons"], coverage["compared"]) == (190, 190)
    assert 0 < cycles["observed"] < cycles["triples"] <= 1140
    assert 0 < cycles["p_value"] <= 1
    (table,) = [table for table in all_tables(report) if table.name == "tournament"]
    assert {"fact": "Comparisons with votes", "value": "190 of 190"} in table.rows
    one, other, third = cycles["examples"][0]
    (circles,) = [row["value"] for row in table.rows if row["fact"] == "Circles"]
    assert circles.startswith(f"{one} over {other} over {third} over {one}; ")
    assert circles.endswith(f"; {cycles['observed'] - 10:,} more")
    assert build_report(arms(2))["tournament"]["reason"] == "fewer than three arms"


def test_figures_grow_with_the_arms_and_not_with_their_pairs(twenty):
    table, report = twenty
    names = [spec.name for spec in figure_specs(report, select_votes(table))]
    assert len(names) < 20
    assert names.count("win_matrix") == 1
    assert {"votes", "votes_2", "votes_3"} <= set(names)


def test_the_first_comparison_of_many_is_whole_and_the_others_say_where_the_rest_is(twenty):
    _, report = twenty
    first, other = report["comparisons"][0], report["comparisons"][7]
    assert first["methods"]["glmm"]["marginal_rate"]["estimate"] is not None
    assert "first of 190 comparisons" in other["methods"]["glmm"]["reason"]
    assert other["headline"]["ci95"] is not None
    assert {table.name for table in all_tables(report)} >= {"verdicts", "headline", "strengths_bradley_terry"}


def test_a_format_that_fails_costs_none_of_the_others(tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("too tall for a page")

    table = arms(3)
    report = build_report(table)
    monkeypatch.setattr(output, "render_pdf", broken)
    with pytest.raises(IncompleteReportError, match="pdf: RuntimeError: too tall for a page") as caught:
        write_report(report, table, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"report.json", "report.html", "tables", "figures", "text.tex"} <= names
    assert "report.pdf" not in names
    assert all(path.exists() for path in caught.value.written)


def test_the_command_writes_what_it_can_and_says_what_is_missing(tmp_path, monkeypatch, capsys):
    def broken(*_):
        raise RuntimeError("too tall for a page")

    write_votes(study_rows(), tmp_path, formats=["csv"])
    monkeypatch.setattr(output, "render_pdf", broken)
    assert main([str(tmp_path / "votes.csv"), "--out", str(tmp_path / "out")]) == 3
    assert "too tall for a page" in capsys.readouterr().err
    assert (tmp_path / "out" / "report.html").exists()
