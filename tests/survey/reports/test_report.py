from __future__ import annotations

import csv
import errno
import hashlib
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from analysis.votes.columns import VOTE_COLUMNS
from survey.models import Exclusion, RaterSession, StudyVersion, Trial
from survey.reports.bundle import report_bundle
from survey.reports.report import report_write
from survey.services.study.study import study_transition
from survey.services.visit.session import session_answer_questions, session_resume
from survey.services.visit.submission import Answer
from tests.beyond import ASKED, LEFT, TIE
from tests.factories import make_described, make_running, make_version, make_visit
from tests.languages import THREE_LANGUAGES
from tests.visits import active, next_trial, vote

pytestmark = pytest.mark.django_db


def prefer(arm: str):
    """Answer for one arm, whatever its side; ties on checks."""

    def choose(trial: Trial) -> str:
        trial = Trial.objects.select_related("arm_left").get(pk=trial.pk)
        if trial.check_kind in {"identical", "degraded", "practice"}:
            return "tie"
        return "left" if trial.arm_left.name == arm else "right"

    return choose


@pytest.fixture
def version() -> StudyVersion:
    return make_running(pairs=12, votes_per_pair=4, repeat_trials=1, stopping_rule="anytime")


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "votes.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_export_has_one_row_per_current_vote_with_the_arm_that_was_chosen(
    version: StudyVersion, tmp_path: Path
) -> None:
    visit = make_visit(version, prefer("robust"))
    assert visit.state == RaterSession.State.COMPLETED
    call_command("export_votes", study=version.study.slug, out=tmp_path, format="csv,jsonl", verbosity=0)
    table = rows(tmp_path)
    assert len(table) == Trial.objects.filter(session=visit, state="answered").count()
    main = [row for row in table if not row["check_kind"]]
    assert len(main) == 6
    assert {row["choice_arm"] for row in main} == {"robust"}
    for row in main:
        assert row[f"arm_{row['choice']}"] == "robust"
    assert {row["check_kind"] for row in table} == {"", "practice", "repeat", "identical", "degraded"}
    lines = (tmp_path / "votes.jsonl").read_text().splitlines()
    assert [json.loads(line)["trial"] for line in lines] == [row["trial"] for row in table]
    package = json.loads((tmp_path / "datapackage.json").read_text())
    for resource in package["resources"]:
        content = (tmp_path / resource["path"]).read_bytes()
        assert resource["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_report_is_of_the_exported_file_and_finds_what_raters_preferred(version: StudyVersion, tmp_path: Path) -> None:
    for _ in range(4):
        make_visit(version, prefer("robust"))
    call_command("export_report", study=version.study.slug, out=tmp_path, verbosity=0)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["data"]["sha256"] == hashlib.sha256((tmp_path / "votes.csv").read_bytes()).hexdigest()
    comparison = report["comparisons"][0]
    assert (comparison["arm"], comparison["counts"]["wins"], comparison["counts"]["losses"]) == ("robust", 24, 0)
    assert report["study"]["config_sha256"] == version.config_sha256
    assert "<script" not in (tmp_path / "report.html").read_text()


def test_platform_command_line_and_python_give_the_same_verdict(tmp_path: Path, capsys) -> None:
    """Lines 1.5 to 1.7: the plan, its margin, looks, ties and direction bind wherever the votes are analysed."""
    from analysis.__main__ import main
    from analysis.report import build_report
    from analysis.votes.reading import read_votes

    version = make_running(pairs=12, votes_per_pair=4, stopping_rule="anytime", equivalence_margin=0.1)
    for number in range(4):
        make_visit(version, prefer("vanilla" if number == 1 else "robust"))
    call_command("export_report", study=version.study.slug, out=tmp_path, verbosity=0)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["plan"]["ties_offered"] is version.study.are_ties_allowed
    assert (report["verdict"]["looks"]["basis"], report["verdict"]["margin"]) == ("anytime", 0.1)
    capsys.readouterr()
    # The command that the platform prints.
    assert main([str(tmp_path / "votes.csv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == report["verdict"]
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert build_report(read_votes(tmp_path / "votes.csv").table, plan=plan)["verdict"] == report["verdict"]


def test_preference_by_language_where_each_has_five_raters(tmp_path: Path) -> None:
    version = make_running(pairs=6, votes_per_pair=12, **THREE_LANGUAGES)
    for number in range(11):
        language, arm = ("de", "robust") if number % 2 else ("en", "vanilla" if number % 4 else "robust")
        session = make_visit(version, prefer(arm), language=language)
        session_answer_questions(session_id=session.pk, answers={})
    report = report_write(version.study, tmp_path)
    groups = {entry["column"]: entry for entry in report["composition"]["groups"]}
    rows = {row["group"]: row for row in groups["language"]["rows"]}
    assert {group: row["raters"] for group, row in rows.items()} == {"de": 5, "en": 6}
    assert rows["de"]["result"]["estimate"] > rows["en"]["result"]["estimate"]
    assert groups["language"]["heterogeneity"] is not None


def test_what_raters_say_beyond_the_choice_is_exported_and_reported(tmp_path: Path) -> None:
    version = make_running(pairs=6, votes_per_pair=6, practice_trials=0, **ASKED)
    for number in range(6):
        session = active(version)
        while next_trial(session) is not None:
            vote(session, answers=[Answer(**(TIE if number == 5 else LEFT))])
        session_resume(session_id=session.pk)
    report = report_bundle(version.study, tmp_path)
    header, *lines = (tmp_path / "votes.csv").read_text().splitlines()
    assert header.endswith(",submitted_at,acceptable,strength,reasons")
    assert any(line.endswith(",both,2,anatomy|colour") for line in lines)
    assert any(line.endswith(",neither,,") for line in lines)
    assert report["data"]["bad_rows"] == {}
    assert {entry["arm"] for entry in report["answers"]["acceptable"]["arms"]} == {"robust", "vanilla"}
    assert {entry["reason"] for entry in report["answers"]["reasons"]["rows"]} == {"anatomy", "colour"}
    assert {entry["arm"] for entry in report["answers"]["reasons"]["rows"]} == {"robust", "vanilla"}  # ties have none
    assert "Anatomy" in (tmp_path / "tables" / "reasons.csv").read_text()
    dictionary = (tmp_path / "data_dictionary.csv").read_text()
    assert all(f"votes,{name}," in dictionary for name in ("acceptable", "strength", "reasons"))
    assert "reasons (optional): Anatomy, Colour" in report["study"]["beyond_choice"]
    assert "They grade the preference (1 to 3)" in (tmp_path / "preregistration-1.md").read_text()


def test_an_ordinary_study_exports_the_columns_that_it_always_had(version: StudyVersion, tmp_path: Path) -> None:
    make_visit(version)
    report = report_write(version.study, tmp_path)
    assert rows(tmp_path)[0].keys() == {column.name for column in VOTE_COLUMNS}
    assert "answers" not in report
    assert not {"beyond_choice", "reason_captions"} & set(report["study"])


def test_a_baseline_of_several_arms_names_no_primary_comparison() -> None:
    from survey.reports.facts import analysis_plan

    version = make_version(pairs=12, arms=("robust", "vanilla", "clean"))
    version.config["analysis"]["baseline"] = "vanilla"
    version.save()
    assert "arm" not in analysis_plan(version.study)


def test_a_format_that_fails_leaves_the_others_and_says_so(
    version: StudyVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from analysis.report.formats import output

    def broken(*_):
        raise RuntimeError("too tall for a page")

    make_visit(version, prefer("robust"))
    monkeypatch.setattr(output, "render_pdf", broken)
    call_command("export_report", study=version.study.slug, out=tmp_path, verbosity=0)
    assert "too tall for a page" in (tmp_path / "incomplete.txt").read_text()
    assert (tmp_path / "report.json").exists()


def test_report_follows_the_adjustment_and_the_finished_raters_of_the_frozen_plan(tmp_path: Path) -> None:
    version = make_running(pairs=12, votes_per_pair=4, stopping_rule="anytime", class_adjustment="holm", least_votes=7)
    make_visit(version, prefer("robust"))
    call_command("export_report", study=version.study.slug, out=tmp_path, verbosity=0)
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["plan"]["adjust"], report["plan"]["least_votes"]) == ("holm", 7)
    comparison = report["comparisons"][0]
    assert comparison["class_family"]["adjustment"] == "holm"
    # The one rater gave six ordinary votes, a whole session, and the plan asks for seven.
    assert "fewer than 7 votes" in comparison["methods"]["confidence_sequence"]["reason"]


def test_a_plan_without_least_votes_asks_for_a_whole_session_of_one_comparison() -> None:
    def asked(**fields: object) -> int:
        return make_version(**fields).config["analysis"]["least_votes"]

    assert asked(pairs=12) == 6
    assert asked(pairs=12, trials_per_session=40) == 12
    assert asked(pairs=12, arms=("robust", "vanilla", "clean")) == 1


def test_excluded_and_withdrawn_votes_stay_in_the_export_and_out_of_the_estimates(
    version: StudyVersion, tmp_path: Path
) -> None:
    kept, excluded = (make_visit(version, prefer(arm)) for arm in ("robust", "vanilla"))
    Exclusion.objects.create(session=excluded, rule="hand", reason="slept")
    withdrawn = RaterSession.objects.get(pk=make_visit(version, prefer("vanilla")).pk)
    withdrawn.state = RaterSession.State.WITHDRAWN
    withdrawn.save()
    call_command("export_report", study=version.study.slug, out=tmp_path, verbosity=0)
    reasons = {row["session"]: row["exclusion_reason"] for row in rows(tmp_path)}
    assert reasons[str(kept.pk)] == ""
    assert reasons[str(excluded.pk)] == "hand: slept"
    assert reasons[str(withdrawn.pk)].startswith("withdrawn")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["comparisons"][0]["counts"] == {"wins": 6, "losses": 0, "ties": 0}
    Exclusion.objects.update(revoked_at=timezone.now())
    call_command("export_report", study=version.study.slug, out=tmp_path, verbosity=0)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["comparisons"][0]["counts"] == {"wins": 6, "losses": 6, "ties": 0}


def test_pilot_votes_never_pool_with_main_votes(tmp_path: Path) -> None:
    version = make_version(pairs=12, stopping_rule="anytime")
    study_transition(study=version.study, name="pilot", actor=None)
    make_visit(version)
    study_transition(study=version.study, name="end_pilot", actor=None)
    study_transition(study=version.study, name="open", actor=None)
    make_visit(version)
    call_command("export_votes", study=version.study.slug, out=tmp_path / "main", verbosity=0)
    call_command("export_votes", study=version.study.slug, out=tmp_path / "pilot", pilot=True, verbosity=0)
    sessions = [{row["session"] for row in rows(tmp_path / name)} for name in ("main", "pilot")]
    assert [len(found) for found in sessions] == [1, 1]
    assert not sessions[0] & sessions[1]


def test_export_names_the_studies_there_are(version: StudyVersion, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=version.study.slug):
        call_command("export_votes", study="nosuchstudy", out=tmp_path)
    with pytest.raises(CommandError, match="robust, vanilla"):
        call_command("export_report", study=version.study.slug, out=tmp_path, arm="nobody")
    with pytest.raises(CommandError, match="parquet"):
        call_command("export_votes", study=version.study.slug, out=tmp_path, format="xlsx")


def test_export_cost_does_not_grow_with_votes(
    version: StudyVersion, tmp_path: Path, django_assert_max_num_queries
) -> None:
    for _ in range(3):
        make_visit(version)
    with django_assert_max_num_queries(14):
        call_command("export_votes", study=version.study.slug, out=tmp_path, verbosity=0)


@pytest.mark.parametrize("command", ["export_votes", "export_report"])
def test_exports_are_refused_while_a_plan_of_one_look_hides_the_results(command: str, tmp_path: Path) -> None:
    version = make_running(pairs=12, votes_per_pair=4)
    make_visit(version, prefer("robust"))
    with pytest.raises(CommandError, match="hidden until the study is closed"):
        call_command(command, study=version.study.slug, out=tmp_path / "out", verbosity=0)
    assert not (tmp_path / "out").exists()
    study_transition(study=version.study, name="close", actor=None)
    call_command(command, study=version.study.slug, out=tmp_path / "out", verbosity=0)
    assert (tmp_path / "out" / "votes.csv").exists()


def test_the_pairs_table_joins_the_votes_and_says_what_raters_read(tmp_path: Path) -> None:
    version = make_running(make_described(repeat_trials=1))
    make_visit(version, prefer("robust"))
    report_bundle(version.study, tmp_path)
    with (tmp_path / "pairs.csv").open(newline="", encoding="utf-8") as file:
        pairs = {row["pair"]: row for row in csv.DictReader(file)}
    assert {row["pair"] for row in rows(tmp_path)} <= set(pairs)
    first = next(iter(pairs.values()))
    assert (first["prompt"], first["tags"], first["class_name"]) == ("prompt 0", "animal|group 0", "digit 0")
    assert len(first["reference_sha256"]) == 64
    report = json.loads((tmp_path / "report.json").read_text())
    groups = report["comparisons"][0]["per_group"]
    assert [group["name"] for group in groups["tag"]["groups"]] == ["animal", "group 0", "group 1"]
    assert groups["prompt"]["reason"] == "no prompt has more than one pair"
    assert report["comparisons"][0]["per_class"][0]["class_name"] == "digit 0"
    assert (tmp_path / "tables" / "tags.csv").is_file()
    package = json.loads((tmp_path / "datapackage.json").read_text())
    assert "pairs-csv" in {resource["name"] for resource in package["resources"]}
    dictionary = csv.reader((tmp_path / "data_dictionary.csv").read_text().splitlines())
    assert ["pairs", "prompt"] in [line[:2] for line in dictionary]
    digest = hashlib.sha256((tmp_path / "manifest.jsonl").read_bytes()).hexdigest()
    assert digest == version.config["pairs"]["manifest_sha256"]


def test_a_full_disk_leaves_no_part_of_a_report_and_an_earlier_one_as_it_was(tmp_path: Path, monkeypatch) -> None:
    version = make_running(practice_trials=0)
    make_visit(version)
    study_transition(study=version.study, name="close", actor=None)
    out = tmp_path / "report"
    call_command("export_report", study=version.study.slug, out=out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert out / "tables" / "design.csv" in before

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    # Votes and plan are written by then.
    monkeypatch.setattr("survey.reports.report.study_flow", full)
    for place in (out, tmp_path / "another"):
        with pytest.raises(CommandError, match="No space left on device"):
            call_command("export_report", study=version.study.slug, out=place, seed=5)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert list(tmp_path.iterdir()) == [out]
