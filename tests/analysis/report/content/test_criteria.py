"""Reports of votes by several criteria: by Python, by the command line, in every format."""

import json
import subprocess
import sys

import pytest
from statsmodels.stats.multitest import multipletests

from analysis.preference.rate import headline
from analysis.report import build_report, write_report
from analysis.votes.reading import read_votes, votes_from_rows
from tests.analysis.criteria_votes import criteria_rows, write_rows

PLAN = {"criterion": "realism", "arm": "robust", "baseline": "vanilla", "looks": "one"}


@pytest.fixture(scope="module")
def rows():
    return criteria_rows(halo=0.3)


@pytest.fixture(scope="module")
def report(rows):
    return build_report(votes_from_rows(rows).table, plan=PLAN)


def alone(rows, criterion):
    kept = [
        {name: value for name, value in row.items() if name != "criterion"}
        for row in rows
        if row["criterion"] == criterion
    ]
    return votes_from_rows(kept).table


def test_the_report_is_that_of_the_headlines_votes_alone(rows, report):
    same = build_report(alone(rows, "realism"), plan={**PLAN, "criterion": None})
    for key in ("comparisons", "position_bias", "agreement", "verdict", "screening", "influence"):
        assert report[key] == same[key], key
    assert report["verdict"]["family"] == {"scope": "single", "size": 1}
    assert "criteria" not in same


def test_the_other_criteria_have_their_rates_and_holms_p_values(rows, report):
    section = report["criteria"]
    assert [entry["criterion"] for entry in section["criteria"]] == ["realism", "detail", "overall"]
    assert section["is_planned"] is True
    plain = [headline(alone(rows, key).comparison("robust", "vanilla")) for key in ("detail", "overall")]
    adjusted = multipletests([one.p_value for one in plain], method="holm")[1]
    for entry, one, p_value in zip(section["criteria"][1:], plain, adjusted, strict=True):
        (comparison,) = entry["comparisons"]
        assert comparison["headline"]["estimate"] == pytest.approx(one.estimate)
        assert comparison["verdict"]["p_adjusted"] == pytest.approx(p_value)
        assert comparison["verdict"]["family"] == {"scope": "criteria", "size": 2}
    first, *others = (entry["comparisons"][0]["verdict"]["sentence"] for entry in section["criteria"])
    assert report["text"]["lead"].startswith(f"By the criterion realism: {first}")
    for key, sentence in zip(("detail", "overall"), others, strict=True):
        assert f"By {key}: {sentence}" in report["text"]["lead"]
    assert "adjusted by Holm" in report["text"]["methods"]


def test_without_a_planned_headline_all_are_one_family(rows):
    report = build_report(votes_from_rows(rows).table)
    assert report["criteria"]["headline"] == "detail"
    families = [entry["comparisons"][0]["verdict"]["family"] for entry in report["criteria"]["criteria"]]
    assert families == [{"scope": "all", "size": 3}] * 3
    # Who asks for another criterion to be shown first changes no verdict.
    other = build_report(votes_from_rows(rows).table, criterion="overall")
    assert {
        entry["criterion"]: entry["comparisons"][0]["verdict"]["p_adjusted"] for entry in other["criteria"]["criteria"]
    } == {
        entry["criterion"]: entry["comparisons"][0]["verdict"]["p_adjusted"] for entry in report["criteria"]["criteria"]
    }


def test_each_pair_of_criteria_says_how_it_hangs_together(report):
    together = {tuple(entry["criteria"]): entry for entry in report["criteria"]["together"]}
    assert set(together) == {("realism", "detail"), ("realism", "overall"), ("detail", "overall")}
    first = together["realism", "detail"]
    assert first["halo"]["ci95"][0] > 0
    assert first["over_pairs"]["ci95"][0] < first["over_pairs"]["estimate"] < first["over_pairs"]["ci95"][1]


def test_checks_are_judged_by_each_criterion(rows):
    checks = [
        {
            "rater": "r00",
            "session": "s00",
            "trial": "c1",
            "pair": "p00",
            "arm_left": "degraded",
            "arm_right": "robust",
            "choice": choice,
            "criterion": criterion,
            "position": 99,
            "check_kind": "degraded",
        }
        for criterion, choice in (("realism", "right"), ("detail", "left"), ("overall", "tie"))
    ]
    report = build_report(votes_from_rows([*rows, *checks]).table, plan=PLAN)
    found = {entry["criterion"]: entry["checks"]["degraded"] for entry in report["criteria"]["criteria"]}
    assert found == {
        "realism": {"shown": 1, "failed": 0},
        "detail": {"shown": 1, "failed": 1},
        "overall": {"shown": 1, "failed": 0},
    }


def test_command_line_and_python_say_the_same_and_every_format_is_written(tmp_path, rows, report):
    votes = write_rows(tmp_path / "votes.csv", rows)
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "analysis", str(votes), "--out", str(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    written = json.loads((out / "report.json").read_text())
    ours = json.loads(json.dumps(report))
    assert written["criteria"] == ours["criteria"]
    assert written["verdict"] == ours["verdict"]
    assert report["text"]["lead"] in done.stderr
    page = (out / "report.html").read_text()
    assert "Verdict by each criterion" in page
    assert "How the criteria hang together" in page
    assert (out / "report.pdf").stat().st_size > 10_000
    assert {"criteria.csv", "criteria_together.csv", "criteria_checks.csv"} <= {
        path.name for path in (out / "tables").iterdir()
    }


def test_the_command_line_opens_with_the_criterion_asked_for(tmp_path, rows):
    votes = write_rows(tmp_path / "votes.csv", rows)
    call = [sys.executable, "-m", "analysis", str(votes), "--json", "--criterion"]
    done = subprocess.run([*call, "overall"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["criteria"]["headline"] == "overall"
    refused = subprocess.run([*call, "beauty"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "the criteria are detail, overall, realism" in refused.stderr


def test_a_report_with_several_arms_and_criteria_is_written(tmp_path):
    rows = criteria_rows(raters=10, pairs=8)
    for row in rows:
        if row["pair"] in ("p00", "p01", "p02"):
            row |= {side: "third" for side in ("arm_left", "arm_right") if row[side] == "vanilla"}
    votes = write_rows(tmp_path / "votes.csv", rows)
    table = read_votes(votes).table
    report = build_report(table, plan={"criterion": "realism"})
    sizes = [c["verdict"]["family"]["size"] for e in report["criteria"]["criteria"][1:] for c in e["comparisons"]]
    assert set(sizes) == {4, 1}  # two comparisons have votes, by two criteria; the third has none and no family
    write_report(report, table, tmp_path / "out", formats=["json", "html", "tables"])
