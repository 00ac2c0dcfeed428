from __future__ import annotations

import io
import itertools
import json
import math
import zipfile

import pytest
from django.test import Client

from jobs.models import Job
from jobs.runner import job_run
from survey.exceptions import ExclusionRefused, ResultsHidden
from survey.models import Exclusion, Rater, RaterSession, ReportBuild, Vote
from survey.reports.screening import exclusion_proposals
from survey.selectors.vote import vote_rows
from survey.services.results.exclusion import exclusion_by_hand, exclusion_revoke, exclusions_apply
from survey.services.results.report_build import report_request
from survey.services.study.plan import power_of, rule_problems
from survey.services.study.study import study_transition
from survey.services.study.version import version_freeze
from survey.services.study.weaknesses import version_weaknesses
from tests.factories import make_running, make_study, make_user, make_visit
from tests.survey.admin.test_study_pages import client_of, vote_on

pytestmark = pytest.mark.django_db
FAST = [{"rule": "too_fast", "parameters": {}}]


@pytest.fixture
def owner():
    return make_user("owner")


@pytest.fixture
def version(owner):
    """A running study of 6 raters, the last of them far too fast."""
    version = make_running(owner=owner, pairs=10, votes_per_pair=8, exclusion_rules=FAST)
    vote_on(version, raters=5, trials=6)
    vote_on(version, raters=1, trials=6, choice="right")
    hasty = RaterSession.objects.order_by("started_at").last()
    Vote.objects.filter(trial__session=hasty).update(response_ms=60)
    return version


def close(version, owner) -> None:
    study_transition(study=version.study, name="close", actor=owner, reason="over")


def test_planned_rules_propose_the_hasty_session_and_write_it_once(version, owner) -> None:
    (proposal,) = exclusion_proposals(version.study)
    assert (proposal.rule, proposal.rule_version, proposal.is_in_force) == ("too_fast", 1, False)
    assert "measured 60" in proposal.reason
    assert exclusions_apply(study=version.study, proposals=[proposal], actor=owner) == 1
    assert exclusions_apply(study=version.study, proposals=[proposal], actor=owner) == 0
    assert exclusion_proposals(version.study)[0].is_in_force
    excluded = [row for row in vote_rows(version.study) if row["excluded"]]
    assert len(excluded) == 6
    assert excluded[0]["exclusion_reason"].startswith("too_fast: ")
    assert version.study.audit_entries.filter(action="exclude").count() == 1


def test_whoever_came_again_under_a_new_version_keeps_the_first_visit(owner) -> None:
    version = make_running(owner=owner, exclusion_rules=[{"rule": "duplicates"}])
    study, rater = version.study, Rater.objects.create()
    make_visit(version, rater=rater)
    for name in ("pause", "revise"):
        study_transition(study=study, name=name, actor=owner, reason="a typo")
    later = version_freeze(study=study, actor=owner)
    study_transition(study=study, name="open", actor=owner)
    make_visit(later)
    again = make_visit(later, rater=rater)
    (proposal,) = exclusion_proposals(study)
    assert (proposal.session_id, proposal.rule) == (again.pk, "duplicates")
    assert proposal.reason.endswith("measured 6")


def test_a_revoked_exclusion_counts_again_and_keeps_its_row(version, owner) -> None:
    exclusions_apply(study=version.study, proposals=exclusion_proposals(version.study), actor=owner)
    row = Exclusion.objects.get()
    with pytest.raises(ExclusionRefused, match="reason"):
        exclusion_revoke(exclusion=row, reason=" ", actor=owner)
    exclusion_revoke(exclusion=row, reason="the clock was wrong", actor=owner)
    with pytest.raises(ExclusionRefused, match="already"):
        exclusion_revoke(exclusion=row, reason="again", actor=owner)
    assert not any(line["excluded"] for line in vote_rows(version.study))
    row.refresh_from_db()
    assert (row.revoked_by, row.revoke_reason) == (owner, "the clock was wrong")


def test_hand_exclusions_need_a_reason_and_a_session_of_the_study(version, owner) -> None:
    session = RaterSession.objects.first()
    with pytest.raises(ExclusionRefused, match="reason"):
        exclusion_by_hand(study=version.study, session_id=session.pk, reason="", actor=owner)
    with pytest.raises(ExclusionRefused, match="another study"):
        exclusion_by_hand(study=make_study(), session_id=session.pk, reason="why", actor=owner)
    exclusion_by_hand(study=version.study, session_id=session.pk, reason="told us so", actor=owner)
    with pytest.raises(ExclusionRefused, match="already"):
        exclusion_by_hand(study=version.study, session_id=session.pk, reason="told us so", actor=owner)


def test_exclusions_page_previews_applies_and_takes_back(version, owner) -> None:
    client = client_of(owner)
    address = f"/admin/survey/study/{version.study_id}/exclusions/"
    assert "Preview: 1 found" in client.get(f"{address}?preview=1").content.decode()
    assert not Exclusion.objects.exists()
    client.post(address, {"do": "apply", "rules": "plan", "phase": "main"})
    row = Exclusion.objects.get()
    client.post(f"/admin/survey/study/{version.study_id}/exclusion/{row.pk}/revoke/", {"reason": "a mistake"})
    assert "a mistake" in client.get(address).content.decode()
    session = RaterSession.objects.first()
    client.post(address, {"do": "hand", "session": str(session.pk)[:8], "reason": "asked to"})
    assert Exclusion.objects.filter(rule="hand", session=session, made_by=owner).exists()
    assert (
        "no one session"
        in client.post(
            address, {"do": "hand", "session": "zzzzzzzz", "reason": "x", "stay": "1"}, follow=True
        ).content.decode()
    )


def test_a_report_is_hidden_while_running_and_built_by_a_worker_afterwards(version, owner) -> None:
    client = client_of(owner)
    address = f"/admin/survey/study/{version.study_id}/reports/"
    with pytest.raises(ResultsHidden):
        report_request(study=version.study, actor=owner)
    assert "hidden until the study is closed" in client.post(address, {"phase": "main"}, follow=True).content.decode()
    assert not ReportBuild.objects.exists()
    close(version, owner)
    exclusions_apply(study=version.study, proposals=exclusion_proposals(version.study), actor=owner)
    client.post(address, {"phase": "main"})
    job = Job.objects.get(kind="survey.report")
    assert "waiting for a worker" in client.get(address).content.decode()
    assert job_run(job.pk).state == "succeeded", Job.objects.get().error
    build = ReportBuild.objects.get()
    for name in (
        "report.html",
        "report.json",
        "votes.csv",
        "pairs.csv",
        "datapackage.json",
        "data_dictionary.csv",
        "version-1.json",
        "showings.jsonl",
        "manifest.jsonl",
        "recipes.jsonl",
        "exclusions.csv",
        "log.jsonl",
        "bundle.zip",
    ):
        assert name in build.files, name
    assert any(name.endswith(".tex") for name in build.files)
    assert any(name.endswith(".svg") for name in build.files)
    get = lambda name: client.get(f"/admin/survey/study/{version.study_id}/report/{build.pk}/{name}")  # noqa: E731
    report = json.loads(get("report.json").getvalue())
    assert report["data"]["sha256"] == build.data_sha256
    assert any("too_fast" in rule for rule in report["data"]["excluded"])
    shown = [json.loads(line) for line in get("showings.jsonl").getvalue().splitlines()]
    assert {line["trial"] for line in shown} == {row["trial"] for row in vote_rows(version.study)}
    with zipfile.ZipFile(io.BytesIO(get("bundle.zip").getvalue())) as bundle:
        assert bundle.testzip() is None
        assert set(bundle.namelist()) == set(build.files) - {"bundle.zip"}
    assert get("../../../manage.py").status_code == 404
    assert get("nothing.csv").status_code == 404
    assert "Download everything (zip)" in client.get(address).content.decode()


def test_pilot_votes_never_enter_the_main_report(owner) -> None:
    version = make_running(owner=owner, pairs=8, votes_per_pair=6)
    vote_on(version, raters=3, trials=5, is_pilot=True)
    vote_on(version, raters=4, trials=6)
    assert len(list(vote_rows(version.study))) == 24
    pilot = report_request(study=version.study, actor=owner, is_pilot=True)
    assert job_run(pilot.job).state == "succeeded"
    close(version, owner)
    main = report_request(study=version.study, actor=owner)
    assert job_run(main.job).state == "succeeded"
    client = client_of(owner)
    votes = []
    for build in (pilot, main):
        address = f"/admin/survey/study/{version.study_id}/report/{build.pk}/report.json"
        votes.append(json.loads(client.get(address).getvalue())["data"]["votes"])
    assert votes == [15, 24]


def test_report_files_are_for_the_people_of_the_study(version, owner) -> None:
    close(version, owner)
    build = report_request(study=version.study, actor=owner)
    job_run(build.job)
    address = f"/admin/survey/study/{version.study_id}/report/{build.pk}/report.html"
    response = client_of(owner).get(address)
    assert not response["Content-Disposition"].startswith("attachment"), "it opens in the browser"
    assert response["Content-Security-Policy"].startswith("default-src 'none'; img-src data:;")
    assert "sandbox" in response["Content-Security-Policy"]
    assert "script" not in response["Content-Security-Policy"]
    assert response.getvalue().startswith(b"<!")
    saved = client_of(owner).get(f"{address}?download")
    assert saved["Content-Disposition"].startswith("attachment")
    assert saved.getvalue().startswith(b"<!")
    assert "sandbox" not in saved["Content-Security-Policy"]
    table = client_of(owner).get(address.replace("report.html", "votes.csv"))
    assert table["Content-Disposition"].startswith("attachment")
    assert table.getvalue()
    assert client_of(make_user("stranger")).get(address).status_code == 404
    assert Client().get(address).status_code == 302
    other = make_study(owner=owner)
    assert client_of(owner).get(address.replace(f"/{version.study_id}/", f"/{other.pk}/", 1)).status_code == 404


@pytest.mark.parametrize(
    ("rules", "part"),
    [
        ("too_fast", "not a list"),
        (["too_fast"], "no exclusion rule"),
        ([{"rule": "nobody"}], "no exclusion rule"),
        ([{"rule": "too_fast", "parameters": {"speed": 1}}], "no parameter"),
        ([{"rule": "too_fast", "parameters": {"median_ms": "fast"}}], "numbers"),
    ],
)
def test_wrong_exclusion_rules_are_named_before_freezing(owner, rules, part: str) -> None:
    assert part in rule_problems(rules)[0]
    study = make_study(owner=owner, exclusion_rules=rules)
    page = client_of(owner).get(f"/admin/survey/study/{study.pk}/step/freeze/").content.decode()
    assert part in page
    client_of(owner).post(f"/admin/survey/study/{study.pk}/step/freeze/")
    study.refresh_from_db()
    assert study.state == "draft"


@pytest.mark.parametrize("raters", [2, 3, 4096, 100_000])
def test_planning_gives_numbers_up_to_the_ends_of_its_ranges(raters: int) -> None:
    for pairs, votes, preference in itertools.product((2, 5000, 100_000), (1, 55, 10_000), (0.501, 0.66, 0.95)):
        plan = power_of(raters=raters, pairs=pairs, votes_per_rater=votes, preference=preference)
        for name in ("rate", "half_width", "power", "ceiling_power"):
            assert math.isfinite(plan[name]), (pairs, votes, preference, name)
        assert 0 <= plan["power"] <= 1
        assert 0 <= plan["ceiling_power"] <= 1


def test_planning_page_shows_power_and_the_ceiling(owner) -> None:
    study = make_study(owner=owner)
    client = client_of(owner)
    address = f"/admin/survey/study/{study.pk}/planning/"
    assert client.get(address).status_code == 200
    plan = power_of(raters=50, pairs=100, votes_per_rater=40, preference=0.6)
    assert plan["power"] < plan["ceiling_power"]
    for votes in ("votes_per_rater=40", "votes_per_pair=20", "votes_per_rater=40&votes_per_pair=20"):
        page = client.get(f"{address}?raters=50&pairs=100&{votes}&preference=0.6").content.decode()
        assert f"<strong>{100 * plan['power']:.0f} %</strong>" in page
        assert "2000: 40 of each rater, 20 on each pair" in page
        assert "Power if results are looked at any time" in page
    planned = make_study(owner=owner, stopping_rule="planned", planned_looks=5)
    asked = address.replace(f"/{study.pk}/", f"/{planned.pk}/") + "?raters=50&pairs=100&votes_per_rater=40"
    assert "Power at the last of 5 looks" in client.get(f"{asked}&preference=0.6").content.decode()
    page = client.get(f"{address}?raters=5&pairs=9&votes_per_pair=6&preference=0.6").content.decode()
    assert "nobody sees a pair twice" in page
    page = client.get(f"{address}?raters=5&pairs=9&preference=0.6").content.decode()
    assert "Give the votes of each rater, or those on each pair" in page
    assert client.get(f"{address}?raters=1&pairs=x&votes_per_rater=0&preference=2").status_code == 200


def test_planning_counts_only_raters_who_find_a_place(owner) -> None:
    study = make_study(
        owner=owner, pairs=40, trials_per_session=40, target_raters=60, votes_per_pair=12, arms=("a", "b")
    )
    client = client_of(owner)
    address = f"/admin/survey/study/{study.pk}/planning/"
    page = client.get(address).content.decode()
    plan = power_of(raters=12, pairs=40, votes_per_rater=40, preference=0.6)
    assert f"<strong>{100 * plan['power']:.0f} %</strong>" in page, "60 raters have no more votes to give than 12"
    assert "480: 40 of each rater of the 12 who find a place, 12 on each pair" in page
    assert "more raters than places: 40 pairs (votes per pair: 12) are full after 12 of 60 raters" in page
    assert "plan 12 raters or 60 votes per pair" in page
    (dry,) = [text for text in version_weaknesses(study) if text.startswith("power is")]
    assert f"power is {100 * plan['power']:.0f} % for a typical preference of 0.6 with the 12 raters who" in dry
    body = {"raters": 60, "pairs": 40, "votes_per_rater": 40, "votes_per_pair": 12, "preference": 0.6}
    told = client.post("/api/v1/planning/", body, content_type="application/json").json()
    assert (told["raters_with_places"], told["votes"], told["power"]) == (12, 480, plan["power"])
