"""What was kept out, as a sentence says it; and no text made to be pasted names a rule or a setting of the plan."""

from __future__ import annotations

import itertools
import re

import pytest

from analysis.raters.screening_rules import RULES
from analysis.report import build_report, write_report
from analysis.report.parts.exclusions import kept_out_words
from analysis.votes.reading import votes_from_rows
from tests.analysis.vote_rows import study_rows

_CODE = re.compile(r"\b[a-z]+_[a-z_]+\b|[{}]|\bTrue\b|\bFalse\b|\bNone\b|\b[a-z]+(?: [a-z]+)?: \d")
LOOKS = ["one", "anytime", 3, {"number": 5, "spending": "pocock"}, None]


def rows():
    """Votes of a study, practice and checks among them, some excluded by a rule, by hand and beyond a place."""
    found = [dict(row) for row in study_rows()]
    ordinary = [row for row in found if not row["check_kind"] and not row["is_repeat"] and not row["excluded"]]
    reasons = (
        "too_fast: median response time under 500 ms; measured 312",
        "too_fast: median response time under 500 ms; measured 288",
        "over_quota: the place was answered before by another visit",
        "hand: the rater wrote that the screen was broken",
        "withdrawn: at the rater's own wish",
    )
    for row, reason in zip(ordinary, reasons, strict=False):
        row |= {"excluded": True, "exclusion_reason": reason}
    return found


@pytest.fixture(scope="module")
def table():
    return votes_from_rows(rows()).table


def test_votes_excluded_by_one_rule_are_counted_together_whatever_it_measured(table):
    excluded = {rule: votes for rule, votes in build_report(table)["data"]["excluded"].items() if ": " in rule}
    assert (
        excluded
        | {
            "excluded: too_fast: median response time under 500 ms": 2,
            "excluded: over_quota: the place was answered before by another visit": 1,
            "excluded: hand: the rater wrote that the screen was broken": 1,
            "excluded: withdrawn: at the rater's own wish": 1,
        }
        == excluded
    )


def test_the_methods_paragraph_says_in_words_what_was_kept_out(table):
    methods = build_report(table)["text"]["methods"]
    assert "2 excluded (median response time under 500 ms)" in methods
    assert "1 excluded (the place was answered before by another visit)" in methods
    assert "12 in practice trials" in methods
    assert "too_fast" not in methods


def test_a_reason_without_a_rule_stays_as_it_was_written():
    assert kept_out_words({"excluded: Too fast: 200 ms": 3}) == "3 excluded (Too fast: 200 ms)"


@pytest.mark.parametrize("looks", LOOKS, ids=str)
def test_texts_to_paste_name_no_rule_and_no_setting_whatever_the_plan(table, looks):
    for margin, offered, rules in itertools.product((None, 0.05), (True, None), ([], sorted(RULES))):
        plan = {"looks": looks, "margin": margin, "ties_offered": offered, "exclusion_rules": rules, "adjust": "holm"}
        text = build_report(table, plan={key: value for key, value in plan.items() if value is not None})["text"]
        answers = [item["answer"] for item in text["checklist"] if item["answer"]]
        for pasted in (*text["sentences"], text["methods"], *answers):
            assert not _CODE.search(pasted), pasted


def test_pages_and_tables_to_paste_call_rules_and_criteria_by_words(tmp_path):
    pasted = []
    for row in rows():
        pasted += [row | {"criterion": key, "trial": f"{row['trial']}-{key}"} for key in ("text_match", "fine_detail")]
    votes = votes_from_rows(pasted).table
    plan = {"criterion": "text_match", "exclusion_rules": sorted(RULES)}
    write_report(build_report(votes, plan=plan), votes, tmp_path, formats=("html", "tables"))
    pages = [tmp_path / "report.html", tmp_path / "text.tex", *sorted((tmp_path / "tables").glob("*.tex"))]
    assert len(pages) > 10
    for page in pages:
        told = page.read_text(encoding="utf-8").replace("\\_", "_")
        for name in (*(rule for rule in RULES if "_" in rule), "text_match", "fine_detail"):
            assert not re.search(rf"\b{name}\b", told), (page.name, name)
    assert "By the criterion text match" in pages[0].read_text(encoding="utf-8")
    # Programs read the names.
    assert "too_fast" in (tmp_path / "tables" / "screening.csv").read_text()
