"""Raters and judges in the report: given by file, null with the reason otherwise, and sites move the headline."""

from __future__ import annotations

import csv
import json
from xml.etree import ElementTree

import pytest

from analysis.__main__ import main
from tests.analysis.votes_factory import TABLES

VOTES = TABLES / "full_20x30.csv"


def report(tmp_path, *options):
    assert main([str(VOTES), "--out", str(tmp_path / "out"), *options]) == 0
    return json.loads((tmp_path / "out" / "report.json").read_text()), (tmp_path / "out" / "report.html").read_text()


def labels(column):
    with VOTES.open(newline="") as file:
        return sorted({row[column] for row in csv.DictReader(file)})


def test_without_files_both_sections_say_what_is_missing(tmp_path):
    found, _ = report(tmp_path)
    assert "--raters" in found["composition"]["reason"]
    assert "--scores" in found["judges"]["reason"]


def test_raters_and_scores_by_file_reach_every_format(tmp_path):
    raters = tmp_path / "raters.csv"
    rows = "".join(f"{name},12,{'young' if n % 2 else 'old'}\n" for n, name in enumerate(labels("rater")))
    raters.write_text("rater,minutes,answer_age\n" + rows)
    scores = tmp_path / "scores.csv"
    lines = [
        f"{pair},{arm},clip,{n + (arm == 'robust') * n % 7}\n"
        for n, pair in enumerate(labels("pair"))
        for arm in ("robust", "vanilla")
    ]
    extra = [
        f"new{n},{arm},clip,{n % 5 + (arm == 'robust') * (n % 3)}\n" for n in range(40) for arm in ("robust", "vanilla")
    ]
    scores.write_text("pair,arm,scorer,score\n" + "".join([*lines, *extra]))
    found, page = report(tmp_path, "--raters", str(raters), "--scores", str(scores))
    assert found["composition"]["minutes"] == 12
    assert [row["raters"] for row in found["composition"]["groups"][0]["rows"]] == [10, 10]
    (scorer,) = found["judges"]["scorers"]
    assert scorer["pairs"] == {"scored": 70, "voted_and_scored": 30, "unvoted": 40}
    assert scorer["powered"]["result"]["ci95"] is not None
    for heading in ("Who judged", "Automatic judges"):
        assert heading in page
    groups = scorer["preference_by_score"]
    assert len(groups) == 3
    drawn = ElementTree.parse(tmp_path / "out" / "figures" / "judge_scores.svg")
    assert drawn.getroot() is not None
    assert "People's preference for robust by how far clip prefers it" in page
    assert f"{100 * groups[0]['result']['estimate']:.1f}" in page


def test_a_judge_without_groups_of_pairs_has_no_figure(tmp_path):
    scores = tmp_path / "scores.csv"
    lines = [f"{pair},{arm},clip,{n}\n" for n, pair in enumerate(labels("pair")[:12]) for arm in ("robust", "vanilla")]
    scores.write_text("pair,arm,scorer,score\n" + "".join(lines))
    found, _ = report(tmp_path, "--scores", str(scores))
    assert found["judges"]["scorers"][0]["preference_by_score"] == []
    assert not (tmp_path / "out" / "figures" / "judge_scores.svg").exists()


def test_sites_of_raters_become_the_sampled_units(tmp_path):
    raters = tmp_path / "raters.csv"
    rows = "".join(f"{name},site {n % 4}\n" for n, name in enumerate(labels("rater")))
    raters.write_text("rater,site\n" + rows)
    plain, _ = report(tmp_path)
    clustered, _ = report(tmp_path, "--raters", str(raters))
    assert clustered["comparisons"][0]["headline"]["df"] == 3
    assert plain["comparisons"][0]["headline"]["df"] > 3


@pytest.mark.parametrize("option", ["--raters", "--scores"])
def test_a_file_that_cannot_be_used_is_named(tmp_path, capsys, option):
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    assert main([str(VOTES), "--out", str(tmp_path / "out"), option, str(tmp_path / "bad.csv")]) == 2
    assert "bad.csv" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_file_of_other_raters_is_refused_and_unknown_ones_are_counted(tmp_path, capsys):
    raters = tmp_path / "raters.csv"
    raters.write_text("rater,language\nsomebody,de\nanybody,en\n")
    assert main([str(VOTES), "--out", str(tmp_path / "out"), "--raters", str(raters)]) == 2
    assert "none of the 20 raters of the votes is in the raters' table" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    known = labels("rater")[:15]
    raters.write_text(
        "rater,language\nsomebody,de\n" + "".join(f"{n},{'de' if n < known[7] else 'en'}\n" for n in known)
    )
    found, page = report(tmp_path, "--raters", str(raters))
    assert found["composition"]["unknown_raters"] == 5
    assert "5 raters of the votes stand in no row" in page


def test_a_group_of_one_rater_is_counted_without_a_rate(tmp_path):
    raters = tmp_path / "raters.csv"
    rows = "".join(f"{name},{'hermit' if n == 0 else 'many'}\n" for n, name in enumerate(labels("rater")))
    raters.write_text("rater,answer_group\n" + rows)
    found, page = report(tmp_path, "--raters", str(raters))
    rows = {row["group"]: row for row in found["composition"]["groups"][0]["rows"]}
    assert rows["many"]["result"]["estimate"] is not None
    few = rows["groups of fewer than 5 raters"]
    assert [few[name] for name in ("raters", "votes", "share", "result")] == [None] * 4
    assert "hermit" not in page


def test_words_that_no_consent_covers_group_nobody(tmp_path):
    raters = tmp_path / "raters.csv"
    rows = "".join(f"{name},{'too dark' if n % 2 else 'fine'}\n" for n, name in enumerate(labels("rater")))
    raters.write_text("rater,answer_remark\n" + rows)
    found, page = report(tmp_path, "--raters", str(raters))
    assert "too dark" in page
    study = tmp_path / "study.json"
    study.write_text(json.dumps({"answers_withheld": ["answer_remark"]}))
    found, page = report(tmp_path, "--raters", str(raters), "--study", str(study))
    assert found["composition"]["groups"] == []
    assert "too dark" not in page


def test_minutes_and_pay_by_the_hour_stand_in_the_design(tmp_path):
    raters, study = tmp_path / "raters.csv", tmp_path / "study.json"
    raters.write_text("rater,minutes\n" + "".join(f"{name},12\n" for name in labels("rater")))
    study.write_text(json.dumps({"payment": "3 EUR", "payment_amount": 3.0}))
    _, page = report(tmp_path, "--raters", str(raters), "--study", str(study))
    design = (tmp_path / "out" / "tables" / "design.csv").read_text()
    assert '"Minutes a visit, median",12.0' in design.replace("Minutes a visit, median,", '"Minutes a visit, median",')
    assert "Payment by the hour,15.00" in design
    assert "Payment by the hour" in page


@pytest.mark.parametrize(("pair", "arm"), [("elsewhere", "robust"), (None, "another")], ids=["pairs", "arms"])
def test_scores_of_pairs_or_arms_without_votes_are_refused_by_judge_and_example(tmp_path, capsys, pair, arm):
    scores = tmp_path / "scores.csv"
    lines = [
        f"{pair or name},{arm},clip,1\n{pair or name},vanilla,clip,0\n" for name in labels("pair")[: 1 if pair else 30]
    ]
    scores.write_text("pair,arm,scorer,score\n" + "".join(lines))
    assert main([str(VOTES), "--out", str(tmp_path / "out"), "--scores", str(scores)]) == 2
    assert "clip scored both robust and vanilla on none of the 30 pairs that have votes" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
