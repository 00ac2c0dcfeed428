"""The flow of raters adds up, and says by what cause each of them went."""

from __future__ import annotations

import pytest

from analysis.report.content.flow import flow_section
from survey.models import StudyVersion
from survey.reports.report import report_write
from survey.selectors.flow import study_flow
from survey.services.results.exclusion import exclusion_by_hand
from survey.services.study.study import study_transition
from survey.services.visit.device import Device
from survey.services.visit.session import session_check_device, session_consent, session_start, session_withdraw
from tests.factories import make_running, make_user, make_visit
from tests.visits import active, vote

pytestmark = pytest.mark.django_db


@pytest.fixture
def version() -> StudyVersion:
    return make_running(pairs=12, votes_per_pair=4, practice_trials=0)


def test_every_way_out_is_counted_once_and_the_steps_add_up(version):
    complete = [make_visit(version) for _ in range(3)]
    exclusion_by_hand(study=version.study, session_id=complete[0].pk, reason="told us so", actor=make_user())
    session_start(study=version.study)
    small = session_start(study=version.study)
    session_consent(session_id=small.pk, consent_sha256=version.consent_sha256)
    session_check_device(session_id=small.pk, device=Device(width=20, height=20))
    agreed = session_start(study=version.study)
    session_consent(session_id=agreed.pk, consent_sha256=version.consent_sha256)
    active(version)
    session_withdraw(session_id=active(version).pk)
    make_visit(version, is_simulated=True)
    flow = study_flow(version.study)
    assert flow["steps"] == [
        {
            "name": "opened the study",
            "raters": 8,
            "left": {"refused: screen too small": 1, "left before the consent": 1, "left after the consent": 1},
        },
        {"name": "began the trials", "raters": 5, "left": {"withdrew": 1, "stopped before the end": 1}},
        {"name": "answered every trial", "raters": 3, "left": {"excluded: hand": 1}},
        {"name": "in the analysis", "raters": 2, "left": {}},
    ]
    assert flow_section(flow)["reason"] is None


def test_what_was_planned_stands_beside_what_was_reached(version):
    visit = make_visit(version)
    study_transition(study=version.study, name="close", actor=None, reason="the term is over")
    flow = study_flow(version.study)
    assert flow["planned"] == {"raters": 30, "votes": 48}
    assert flow["reached"] == {"raters": 1, "votes": visit.trials.filter(slot__isnull=False).count()}
    assert flow["dates"]["closing_reason"] == "the term is over"
    assert flow["dates"]["opened"] <= flow["dates"]["closed"]


def test_the_cost_does_not_grow_with_raters(version, django_assert_max_num_queries):
    for _ in range(3):
        make_visit(version)
    with django_assert_max_num_queries(24):
        study_flow(version.study)


def test_who_stopped_with_answers_given_is_in_the_analysis_as_the_report_counts(tmp_path):
    """The last step counted completed visits alone, and the report beside it more raters than that."""
    # No checks: a rater's first trial may be one, whose answer is in no analysis.
    version = make_running(pairs=12, votes_per_pair=4, practice_trials=0, identical_trials=0, degraded_trials=0)
    complete = [make_visit(version) for _ in range(2)]
    stopped = active(version)
    vote(stopped)
    out = active(version)
    vote(out)
    exclusion_by_hand(study=version.study, session_id=out.pk, reason="told us so", actor=make_user())
    flow = study_flow(version.study)
    assert flow["partial"] == 1
    assert flow["steps"][-1] == {
        "name": "in the analysis, every trial answered",
        "raters": len(complete),
        "left": {},
    }
    report = report_write(version.study, tmp_path / "out")
    assert report["data"]["raters"] == len(complete) + flow["partial"]
    assert "also counts 1 rater who stopped before the end" in (tmp_path / "out" / "report.html").read_text()
