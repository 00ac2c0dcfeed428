"""The report of what raters said beyond the choice: from the file as from the table, absent where not asked."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import analysis.report
from analysis.__main__ import main
from analysis.report import build_report
from analysis.report.tables import all_tables
from analysis.votes.reading import votes_from_rows
from tests.analysis.vote_rows import study_rows

SCHEMA = json.loads((Path(analysis.report.__file__).parent / "schema.json").read_text())
TABLES = {"acceptable", "grades", "strength", "reasons"}


def answered(seed: int = 0, **kept: bool) -> list[dict]:
    """Return rows of a study in which robust is better, graded 1 to 3, with reasons."""
    rng = np.random.default_rng(seed)
    found = []
    for rater in range(10):
        for pair in range(12):
            is_left = rng.random() < 0.5
            latent = 0.6 + rng.logistic()
            grade = int(np.sign(latent) * np.searchsorted([0.3, 1.0, 2.0], abs(latent)))
            good = [rng.random() < (0.8 if robust else 0.5) for robust in (is_left, not is_left)]
            answers = {
                "acceptable": ["neither", "right", "left", "both"][2 * good[0] + good[1]],
                "strength": abs(grade) or None,
                "reasons": "|".join(name for name in ("anatomy", "colour") if rng.random() < 0.4),
            }
            found.append(
                {
                    "rater": f"r{rater}",
                    "pair": f"p{pair}",
                    "arm_left": "robust" if is_left else "vanilla",
                    "arm_right": "vanilla" if is_left else "robust",
                    "choice": "tie" if not grade else "left" if (grade > 0) == is_left else "right",
                    **{name: value for name, value in answers.items() if kept.get(name, True)},
                }
            )
    return found


def report_of(rows: list[dict]) -> dict:
    return build_report(votes_from_rows(rows).table, arm="robust", baseline="vanilla")


def test_a_study_that_asked_for_the_choice_alone_has_no_such_section() -> None:
    report = report_of(study_rows())
    assert "answers" not in report
    assert not TABLES & {table.name for table in all_tables(report)}


@pytest.fixture(scope="module")
def report() -> dict:
    return report_of(answered())


def test_the_headline_stays_that_of_directions(report: dict) -> None:
    plain = report_of(answered(acceptable=False, strength=False, reasons=False))
    assert report["comparisons"] == plain["comparisons"]
    assert report["verdict"] == plain["verdict"]


def test_the_section_follows_the_schema(report: dict) -> None:
    assert list(report["answers"]) == SCHEMA["properties"]["answers"]["required"]
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(report)))


def test_acceptable_shares_and_their_difference(report: dict) -> None:
    section = report["answers"]["acceptable"]
    assert [entry["arm"] for entry in section["arms"]] == ["robust", "vanilla"]
    shares = [entry["result"]["estimate"] for entry in section["arms"]]
    (difference,) = section["differences"]
    assert difference["result"]["estimate"] == pytest.approx(shares[0] - shares[1])
    assert sum(section["votes"].values()) == 120


def test_grades_are_counted_for_the_arm_and_modelled(report: dict) -> None:
    (entry,) = report["answers"]["strength"]
    rows = answered()
    strongest = [row for row in rows if row["strength"] == 3]
    for_robust = sum((row["choice"] == "left") == (row["arm_left"] == "robust") for row in strongest)
    counts = {row["grade"]: row["votes"] for row in entry["counts"]}
    assert (counts[3], counts[-3]) == (for_robust, len(strongest) - for_robust)
    assert sum(counts.values()) == 120
    assert len(entry["model"]["thresholds"]) == 3
    assert entry["model"]["marginal_score"]["ci95"] is not None


def test_one_question_alone_may_be_asked() -> None:
    section = report_of(answered(acceptable=False, reasons=False))["answers"]
    assert section["acceptable"] is section["reasons"] is None
    assert section["strength"]


def test_words_of_raters_are_refused_as_reasons() -> None:
    rows = [row | {"reasons": f"since {place}"} for place, row in enumerate(answered())]
    report = report_of(rows)
    assert "no categories" in report["answers"]["reasons"]["reason"]
    assert not next(table for table in all_tables(report) if table.name == "reasons").rows


def test_the_command_line_gives_tables_pages_and_json(tmp_path, report: dict) -> None:
    rows = answered()
    with (tmp_path / "votes.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    out = tmp_path / "report"
    assert main([str(tmp_path / "votes.csv"), "--out", str(out), "--arm", "robust", "--baseline", "vanilla"]) == 0
    assert json.loads((out / "report.json").read_text())["answers"] == json.loads(json.dumps(report["answers"]))
    page = (out / "report.html").read_text(encoding="utf-8")
    for text in ("Beyond the choice", "Acceptable: robust", "robust, grade 3", "Reasons for the choice", "anatomy"):
        assert text in page
    assert all((out / "tables" / f"{name}.csv").exists() for name in TABLES)
    quantities = (out / "tables" / "estimates.csv").read_text(encoding="utf-8")
    assert "answers.acceptable.differences[0].result" in quantities
