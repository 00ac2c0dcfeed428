"""The pages for statisticians say what the code does."""

import json
import re
from pathlib import Path

import pytest

from analysis.__main__ import main
from analysis.pairs.columns import PAIR_COLUMNS
from analysis.raters.columns import RATER_COLUMNS
from analysis.report.content.checklist import STUDY_FACTS
from analysis.votes.columns import ANSWER_COLUMNS, VOTE_COLUMNS
from benchmarks.conclusions import table

DOCS = Path(__file__).parents[2] / "docs"


TABLES = [
    ("Votes", VOTE_COLUMNS),
    ("Beyond the choice", ANSWER_COLUMNS),
    ("Raters", RATER_COLUMNS),
    ("Pairs", PAIR_COLUMNS),
]


@pytest.mark.parametrize(("section", "columns"), TABLES)
def test_data_dictionary_has_a_row_for_every_column_in_order(section, columns):
    text = (DOCS / "data-dictionary.md").read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == len(columns)
    for row, column in zip(rows, columns, strict=True):
        name, kind, required, values, meaning = (cell.strip() for cell in row.strip("|").split("|"))
        assert (name, kind, required == "yes", meaning) == (
            f"`{column.name}`",
            column.kind,
            column.required,
            column.description,
        )
        for value in filter(None, (*column.allowed, column.unit)):
            assert value in values


def test_statistician_page_lists_every_study_fact():
    page = (DOCS / "statistician.md").read_text()
    for key, (_, item) in STUDY_FACTS.items():
        assert f"| `{key}` | {item} |" in page


def test_numbers_on_the_statistician_page_come_from_its_commands(tmp_path, monkeypatch, capsys):
    page = (DOCS / "statistician.md").read_text()
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^    python -m analysis (simulate .*|power .*)$", page, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        assert main(command.split()) == 0
    printed = capsys.readouterr().out.splitlines()
    assert main(["votes.csv", "--json", "--arm", "robust", "--baseline", "vanilla"]) == 0
    (finding,) = json.loads(capsys.readouterr().out)["text"]["findings"]
    shown = re.findall(r"^    # (.*)$", page, re.MULTILINE)
    assert len(shown) == 5
    for line in shown:
        assert line in printed or finding.replace("\u00a0", " ").endswith(line)


def test_the_error_rates_on_the_statistician_page_are_those_recorded():
    record = json.loads((DOCS.parent / "benchmarks" / "conclusions.json").read_text())
    assert record["repetitions"] >= 400
    assert not any(row["is_off"] for row in record["rows"])
    assert table(record) in (DOCS / "statistician.md").read_text()


def test_the_coverage_of_the_prediction_powered_rate_on_the_page_is_that_recorded():
    record = json.loads((DOCS.parent / "benchmarks" / "judges.json").read_text())
    page = (DOCS / "statistician.md").read_text()
    assert record["studies"] >= 1000
    assert {"4 sites", "8 sites"} < set(record["regimes"])
    for name, row in record["regimes"].items():
        assert abs(row["coverage"] - 0.95) < 0.015
        assert f"| {name} | {100 * row['coverage']:.1f} % | {row['median_variance_ratio']:.2f} |" in page


def test_the_memory_of_a_release_on_the_page_is_that_recorded():
    record = json.loads((DOCS.parent / "benchmarks" / "releasing.json").read_text())
    smallest, *_, largest = record["sizes"]
    assert (smallest["images"] // 1000, largest["images"] // 1000) == (1, 100)
    growth = largest["peak_mb"] - smallest["peak_mb"]
    assert growth < 64
    assert f"100,000 need {growth:.0f} MB more memory than 1,000" in (DOCS / "researcher.md").read_text()
