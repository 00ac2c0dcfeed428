"""No result is decided by the words of another: texts for readers may be reworded without moving a number."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from analysis.images import MetricResult
from analysis.preference.rate import headline, two_way_t
from analysis.report.content.assemble import build_report
from analysis.report.parts.prose import paper_sentence
from tests.analysis.votes_factory import make_comparison, stored_table

ROOT = Path(__file__).parents[2]
PROSE = {"method", "reason", "note", "remark"}


def _name(node: ast.AST) -> str | None:
    """The name that a value goes by: a variable, an attribute or a key."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
    return None


def _branches_on_words(tree: ast.AST) -> list[int]:
    """The lines that look into a text for readers: a comparison with a literal, or a search for one."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = (node.left, *node.comparators)
            literal = any(
                isinstance(side, ast.Constant) and isinstance(side.value, str) and side.value for side in sides
            )
            if literal and any(_name(side) in PROSE for side in sides):
                found.append(node.lineno)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            searches = {"startswith", "endswith", "find", "index", "partition", "split"}
            if node.func.attr in searches and _name(node.func.value) in PROSE:
                found.append(node.lineno)
    return found


def test_the_search_finds_branches_on_words():
    tree = ast.parse(
        "if 'adjusted' in r['method']: x\nif r.reason == 'diverges': x\nreason.startswith('sep')\nx = r.reason"
    )
    assert _branches_on_words(tree) == [1, 2, 3]


def test_no_module_of_analysis_branches_on_its_own_prose():
    files = sorted((ROOT / "analysis").rglob("*.py"))
    found = {str(file.relative_to(ROOT)): _branches_on_words(ast.parse(file.read_text())) for file in files}
    assert len(files) > 50
    assert {file: lines for file, lines in found.items() if lines} == {}


def test_the_rate_knows_whether_it_is_adjusted_for_the_side():
    votes = {"score": [1.0, 0.0, 1.0, 0.5], "rater": [0, 0, 1, 1], "pair": [0, 1, 0, 1]}
    balanced = make_comparison(**votes, side=[0.5, -0.5, -0.5, 0.5])
    skewed = make_comparison(**votes, side=[0.5, 0.5, -0.5, 0.5])
    assert not headline(balanced).is_position_adjusted
    assert headline(skewed).is_position_adjusted
    assert two_way_t(balanced, adjusted=True).is_position_adjusted
    assert "is_position_adjusted" not in headline(skewed).as_json()


@pytest.mark.parametrize("is_adjusted", [True, False])
def test_the_sentence_for_the_paper_follows_the_flag_and_not_the_method(is_adjusted: bool):
    report = build_report(stored_table("full_20x30"))
    comparison = report["comparisons"][0]
    comparison["headline"]["method"] = "in other words"
    sentence = paper_sentence(report, comparison, is_position_adjusted=is_adjusted)
    assert ("adjusted for the side shown" in sentence) is is_adjusted


def test_a_metric_without_interval_names_a_remark_that_it_carries():
    with pytest.raises(ValueError, match="none of the remarks"):
        MetricResult(value=1.0, remarks=("biased",), no_interval="too few")
