"""Studies of several criteria, from the votes to export, plan, report and release: platform and command line alike."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path

import pytest

from survey.models import StudyVersion, Trial, Vote
from survey.reports.bundle import report_bundle
from survey.reports.facts import analysis_plan, study_facts
from survey.reports.preregistration import preregistration_text
from survey.reports.report import vote_columns, votes_export
from survey.reports.screening import exclusion_proposals
from survey.selectors.progress import Tally, study_progress
from survey.selectors.tally import votes_counted
from survey.selectors.vote import vote_showings
from survey.services.results.progress import progress_of
from survey.services.visit.vote import vote_undo
from tests.factories import CRITERIA, make_running, make_version, make_visit
from tests.visits import TAB, active, next_trial, vote

pytestmark = pytest.mark.django_db
PLAN = {"pairs": 12, "trials_per_session": 12, "votes_per_pair": 6, "practice_trials": 1, "repeat_trials": 1}


def study_of(design: str, **fields) -> StudyVersion:
    asked = {"criteria": CRITERIA, "criteria_design": design, "headline_criterion": "detail"}
    return make_running(**PLAN | {"identical_trials": 1, "degraded_trials": 1} | asked | fields)


def by_detail_the_robust(trial: Trial) -> dict[str, str]:
    """Prefer the robust arm by detail, the other one by realism, and the left side overall."""
    trial = Trial.objects.select_related("arm_left").get(pk=trial.pk)
    on_left = trial.arm_left.name == "robust"
    return {
        "detail": "left" if on_left else "right",
        "realism": "right" if on_left else "left",
        "overall": "left",
    }


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "votes.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("design", ["blocks", "together"])
def test_the_export_has_a_row_for_each_criterion_of_a_trial(tmp_path, design) -> None:
    version = study_of(design)
    session = make_visit(version, by_detail_the_robust)
    package = votes_export(version.study, tmp_path)
    rows = rows_of(tmp_path)
    assert "criterion" in [field["name"] for field in package["resources"][0]["schema"]["fields"]]
    keys = Counter((row["rater"], row["trial"], row["criterion"]) for row in rows)
    assert set(keys.values()) == {1}
    trials = session.trials.filter(state="answered").count()
    assert len(rows) == trials * (3 if design == "together" else 1)
    main = [row for row in rows if not row["check_kind"]]
    assert {row["criterion"]: row["choice_arm"] for row in main if row["criterion"] != "overall"} == {
        "detail": "robust",
        "realism": "vanilla",
    }
    # One line a trial of how it stood on the screen.
    assert len(list(vote_showings(version.study))) == trials


def test_a_study_of_one_criterion_exports_what_any_study_does(tmp_path) -> None:
    version = make_running(**PLAN | {"criteria": CRITERIA[:1]})
    make_visit(version)
    votes_export(version.study, tmp_path)
    assert "criterion" not in rows_of(tmp_path)[0]
    assert "criterion" not in [column.name for column in vote_columns(version.study)]
    assert "criterion" not in analysis_plan(version.study)
    assert set(Vote.objects.values_list("criterion", flat=True)) == {""}


@pytest.mark.parametrize("design", ["blocks", "together"])
def test_platform_and_command_line_give_the_same_verdicts(tmp_path, design) -> None:
    version = study_of(design)
    for _ in range(4):
        make_visit(version, by_detail_the_robust)
    out = tmp_path / "platform"
    report = report_bundle(version.study, out)
    assert json.loads((out / "plan.json").read_text())["criterion"] == "detail"
    again = tmp_path / "again"
    call = [sys.executable, "-m", "analysis", str(out / "votes.csv"), "--out", str(again)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    theirs = json.loads((again / "report.json").read_text())
    ours = json.loads((out / "report.json").read_text())
    assert theirs["criteria"] == ours["criteria"]
    assert theirs["verdict"] == ours["verdict"]
    assert theirs["text"]["lead"] == ours["text"]["lead"]
    assert [entry["criterion"] for entry in report["criteria"]["criteria"]] == ["detail", "overall", "realism"]
    shown = {entry["criterion"]: entry["checks"]["degraded"]["shown"] for entry in report["criteria"]["criteria"]}
    assert sum(shown.values()) == (12 if design == "together" else 4)
    dictionary = (out / "data_dictionary.csv").read_text()
    assert "votes,criterion,string" in dictionary


def test_facts_and_preregistration_name_criteria_design_and_headline() -> None:
    version = study_of("together")
    facts = study_facts(version.study)
    assert 'detail, "Which image has better detail?" (Sharp where it should be.)' in facts["criteria"]
    assert "the headline is detail" in facts["criteria"]
    assert facts["ties_offered"] == "yes, but not by overall"
    assert analysis_plan(version.study)["ties_offered"] is True
    text = preregistration_text(version)
    assert "The primary criterion is detail." in text
    assert "Detail is tested alone; the other criteria are one family, adjusted by Holm." in text
    one = preregistration_text(make_version())
    assert "Holm" not in one
    assert 'Each trial asks "' in one


@pytest.mark.parametrize("design", ["blocks", "together"])
def test_counts_of_trials_do_not_grow_with_the_criteria(design) -> None:
    version = study_of(design)
    session = make_visit(version, by_detail_the_robust)
    last = Vote.objects.order_by("-pk").first().pk
    counts = votes_counted(version, after=0, until=last)
    assert counts["main", "votes", ""] == session.trial_count
    # Checks are judged by each criterion.
    assert counts["main", "check", "degraded"] == (3 if design == "together" else 1)
    progress = progress_of(version.study)
    assert progress.counted_votes == progress.main.votes == session.trial_count
    assert progress.answered == session.trials.filter(slot__isnull=False).count()


def test_an_undo_takes_all_answers_of_a_trial_out_of_the_counts() -> None:
    version = study_of("together", practice_trials=0)
    session = active(version)
    vote(session)
    first = Vote.objects.order_by("-pk").first().pk
    vote(session, "right")
    vote_undo(session_id=session.pk, tab=TAB, submission_key=uuid.uuid4())
    last = Vote.objects.order_by("-pk").first().pk
    whole = votes_counted(version, after=0, until=last)
    parts = votes_counted(version, after=0, until=first)
    parts.update(votes_counted(version, after=first, until=last))
    assert whole["main", "votes", ""] == parts["main", "votes", ""] == 1
    assert next_trial(session).position == 2


def test_screening_looks_at_each_trial_once() -> None:
    version = study_of("together", degraded_trials=2)

    def spoilt(trial: Trial) -> dict[str, str]:
        trial = Trial.objects.get(pk=trial.pk)
        other = {"left": "right", "right": "left"}.get(trial.degraded_side, "left")
        # The headline, detail, sees both spoilt copies; the others do not.
        return {"detail": other, "realism": trial.degraded_side or "left", "overall": trial.degraded_side or "left"}

    make_visit(version, spoilt)
    rules = [{"rule": "failed_checks", "parameters": {"failures": 1}}]
    version.config["analysis"]["exclusion_rules"] = rules
    StudyVersion.objects.filter(pk=version.pk).update(config=version.config)
    assert exclusion_proposals(version.study) == []


def test_progress_wants_each_vote_by_each_block() -> None:
    version = study_of("blocks")
    assert study_progress(version.study, version, Tally()).wanted == 12 * 6 * 3
