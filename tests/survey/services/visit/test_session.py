from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from survey.exceptions import (
    BadSubmission,
    ConsentOutdated,
    ExitAnswersRefused,
    OtherTab,
    SessionNotActive,
    StudyNotOpen,
    TrialUnknown,
)
from survey.models import FaultReport, ImagePair, Rater, RaterSession, SessionEvent, Slot, Study, Trial
from survey.services.study.study import study_transition
from survey.services.visit import event as event_service
from survey.services.visit.device import Device
from survey.services.visit.event import events_record
from survey.services.visit.session import (
    session_answer_questions,
    session_begin,
    session_check_device,
    session_consent,
    session_resume,
    session_retry_device,
    session_start,
    session_take_tab,
    session_withdraw,
    sessions_expire,
)
from survey.services.visit.trial import trial_fault
from tests.factories import make_running, make_study, make_version
from tests.visits import SCREEN, TAB, active, begin, fault, next_trial, vote, vote_all

pytestmark = pytest.mark.django_db
State = RaterSession.State


def test_a_visit_goes_from_consent_to_completion() -> None:
    version = make_running(exit_questions=[{"name": "age", "caption": "Age?", "options": ["old", "young"]}])
    session = active(version)
    vote_all(session)
    session = session_resume(session_id=session.pk)
    assert (session.state, session.step, session.completion_code) == (State.ACTIVE, "questions", "")
    with pytest.raises(BadSubmission, match="not one of the options"):
        session_answer_questions(session_id=session.pk, answers={"age": ["dead"]})
    session = session_answer_questions(session_id=session.pk, answers={"age": ["old"], "other": ["x"]})
    assert (session.state, session.outcome, session.answers) == (State.COMPLETED, "complete", {"age": "old"})
    assert len(session.completion_code) == 9
    assert session_resume(session_id=session.pk).completion_code == session.completion_code


QUESTIONS = [
    {"name": "age", "caption": "How old are you?", "kind": "number", "minimum": 18, "maximum": 120},
    {"name": "screen", "caption": "Which screens did you use?", "kind": "multiple", "options": ["laptop", "phone"]},
    {"name": "remark", "caption": "Any remark?", "kind": "text", "length": 12},
]


def asked_at_the_end() -> RaterSession:
    session = active(make_running(exit_questions=QUESTIONS))
    vote_all(session)
    return session_resume(session_id=session.pk)


def test_answers_of_every_kind_are_stored_as_what_they_are() -> None:
    session = asked_at_the_end()
    given = {"age": ["34"], "screen": ["phone", "laptop"], "remark": [" fine\r\nthanks "]}
    session = session_answer_questions(session_id=session.pk, answers=given)
    assert session.answers == {"age": 34, "screen": ["laptop", "phone"], "remark": "fine\nthanks"}


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({"age": ["17"]}, "age"),
        ({"age": ["nan"]}, "age"),
        ({"age": ["many"]}, "age"),
        ({"screen": ["laptop", "watch"]}, "screen"),
        ({"remark": ["x" * 13]}, "remark"),
        ({"remark": ["a\x00b"]}, "remark"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_and_none_is_stored(given: dict, refused: str) -> None:
    session = asked_at_the_end()
    with pytest.raises(ExitAnswersRefused) as error:
        session_answer_questions(session_id=session.pk, answers={"screen": ["phone"], "age": ["30"]} | given)
    assert list(error.value.problems) == [refused]
    session.refresh_from_db()
    assert (session.step, session.answers) == ("questions", {})


def test_questions_may_be_left_out() -> None:
    session = asked_at_the_end()
    session = session_answer_questions(session_id=session.pk, answers={"age": [""], "remark": ["  "]})
    assert (session.state, session.answers) == (State.COMPLETED, {})


def test_no_code_before_every_trial_is_answered() -> None:
    session = active(make_running())
    vote(session)
    assert session_resume(session_id=session.pk).step == "trials"
    assert session_resume(session_id=session.pk).completion_code == ""


def test_the_panels_code_of_an_outcome_is_used() -> None:
    version = make_running(recruitment={"codes": {"complete": "C1ABC", "withdrawn": "W2"}})
    done, left = active(version), active(version)
    vote_all(done)
    assert session_resume(session_id=done.pk).completion_code == "C1ABC"
    assert session_withdraw(session_id=left.pk).completion_code == "W2"


def test_consent_to_another_text_is_refused() -> None:
    session = session_start(study=make_running().study)
    with pytest.raises(ConsentOutdated):
        session_consent(session_id=session.pk, consent_sha256="0" * 64)


def test_steps_cannot_be_skipped_or_repeated() -> None:
    version = make_running()
    session = session_start(study=version.study)
    with pytest.raises(SessionNotActive):
        session_begin(session_id=session.pk)
    with pytest.raises(SessionNotActive):
        session_check_device(session_id=session.pk, device=SCREEN)
    session_consent(session_id=session.pk, consent_sha256=version.consent_sha256)
    with pytest.raises(SessionNotActive):
        session_consent(session_id=session.pk, consent_sha256=version.consent_sha256)


def test_a_returning_rater_finds_the_same_visit() -> None:
    version, rater = make_running(), Rater.objects.create(provider="panel", provider_key="k")
    session = session_start(study=version.study, rater=rater)
    study_transition(study=version.study, name="pause", actor=None)
    assert session_start(study=version.study, rater=rater) == session


@pytest.mark.parametrize("state", [Study.State.DRAFT, Study.State.FROZEN, Study.State.PAUSED, Study.State.CLOSED])
def test_only_an_open_study_takes_raters(state) -> None:
    study = make_running().study
    Study.objects.filter(pk=study.pk).update(state=state)
    with pytest.raises(StudyNotOpen):
        session_start(study=study)


def test_a_visit_under_way_may_finish_while_the_study_is_paused_and_runs_under_its_own_version() -> None:
    version = make_running()
    session = active(version)
    study_transition(study=version.study, name="pause", actor=None)
    Study.objects.filter(pk=version.study_id).update(are_ties_allowed=False, question="Other?")
    vote_all(session, "tie")
    assert session_resume(session_id=session.pk).outcome == "complete"


def test_a_small_screen_is_refused_and_may_come_back() -> None:
    version = make_running(pixel_multiple=20)
    session = session_start(study=version.study)
    session_consent(session_id=session.pk, consent_sha256=version.consent_sha256)
    session = session_check_device(session_id=session.pk, device=Device(width=500, height=900))
    assert (session.state, session.outcome) == (State.REFUSED, "screen")
    assert session.completion_code
    session_retry_device(session_id=session.pk)
    assert session_check_device(session_id=session.pk, device=SCREEN).step == "instructions"


def test_trials_follow_the_plan() -> None:
    version = make_running(pairs=30, trials_per_session=20, practice_trials=2, identical_trials=2, degraded_trials=3)
    session = begin(version)
    trials = list(session.trials.order_by("position"))
    kinds = Counter(trial.check_kind for trial in trials)
    assert kinds == {"": 20, "practice": 2, "identical": 2, "degraded": 3, "repeat": 3}
    assert [trial.check_kind for trial in trials[:2]] == ["practice", "practice"]
    assert session.trial_count == 28
    main = [trial for trial in trials if trial.check_kind == ""]
    assert len({trial.pair_id for trial in main}) == 20
    names = Counter(trial.arm_left.name for trial in main)
    assert abs(names["robust"] - names["vanilla"]) <= 1
    for trial in trials:
        assert (trial.image_left.arm_id, trial.image_right.arm_id) == (trial.arm_left_id, trial.arm_right_id)
        assert trial.image_left.pair_id == trial.image_right.pair_id == trial.pair_id
        if trial.check_kind == "repeat":
            assert trial.image_left_id == trial.repeat_of.image_right_id
            assert trial.repeat_of.position < trial.position
        if trial.check_kind in ("identical", "degraded", "practice"):
            assert trial.image_left_id == trial.image_right_id
            assert bool(trial.degraded_side) == (trial.check_kind != "identical")
    assert session.assignment["algorithm"] == "blindpair.assignment/2"
    assert session.assignment["seed"] == session.seed


def test_sides_and_votes_balance_over_each_pair_and_the_quota_is_met_exactly() -> None:
    version = make_running(pairs=10, trials_per_session=5, votes_per_pair=4)
    for _ in range(8):
        vote_all(active(version))
    main = Trial.objects.filter(check_kind="", session__version=version)
    for pair in ImagePair.objects.all():
        lefts = Counter(main.filter(pair=pair).values_list("arm_left__name", flat=True))
        assert lefts == {"robust": 2, "vanilla": 2}
    late = begin(version)
    assert (late.state, late.outcome) == (State.REFUSED, "full")
    assert late.completion_code
    assert not late.trials.exists()


def test_the_least_seen_pairs_come_first() -> None:
    version = make_running(pairs=24, trials_per_session=8, votes_per_pair=5, seed=11)
    for _ in range(3):
        begin(version)
    seen = Counter(Slot.objects.filter(session__isnull=False).values_list("pair_id", flat=True))
    # Balancing sides and classes within the last sessions may cost a pair or two its turn, never more.
    assert len(seen) >= 20
    assert max(seen.values()) <= 2


def test_places_of_a_silent_rater_go_to_another_and_the_late_vote_still_counts() -> None:
    version = make_running(pairs=4, trials_per_session=4, votes_per_pair=1, practice_trials=0)
    silent = active(version)
    assert begin(version).outcome == "full"
    past = timezone.now() - timedelta(minutes=1)
    silent.slots.update(lease_expires_at=past)
    RaterSession.objects.filter(pk=silent.pk).update(lease_expires_at=past)
    other = active(version)
    assert other.slots.count() == 4
    assert silent.slots.count() == 0
    vote_all(silent)
    assert not Slot.objects.filter(version=version, is_answered=True).exists()
    vote_all(other)
    assert Slot.objects.filter(version=version, pool="main", is_answered=True, session=other).count() == 4


def test_an_answered_place_never_reopens() -> None:
    version = make_running(pairs=4, trials_per_session=4, votes_per_pair=1, practice_trials=0)
    session = active(version)
    vote_all(session)
    Slot.objects.update(lease_expires_at=timezone.now() - timedelta(days=1))
    assert begin(version).outcome == "full"


def test_expired_visits_are_marked_and_can_be_resumed() -> None:
    session = active(make_running())
    assert sessions_expire() == 0
    RaterSession.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert sessions_expire() == 1
    session.refresh_from_db()
    assert session.state == State.EXPIRED
    vote_all(session)
    assert session.slots.filter(is_answered=True).count() == 6, "the places were still free, so they are the visit's"
    session.refresh_from_db()
    assert session.state == State.ACTIVE


def test_opening_the_page_again_keeps_a_lease_that_is_hardly_used_and_writes_no_place() -> None:
    session = active(make_running())
    ends = set(session.slots.values_list("lease_expires_at", flat=True))
    with CaptureQueriesContext(connection) as queries:
        session_take_tab(session_id=session.pk, tab="newer")
    assert set(session.slots.values_list("lease_expires_at", flat=True)) == ends
    assert not [query for query in queries if 'UPDATE "survey_slot"' in query["sql"]]


def test_opening_the_page_again_extends_a_lease_of_which_a_quarter_is_used_up() -> None:
    session = active(make_running())
    soon = timezone.now() + timedelta(minutes=30)
    RaterSession.objects.filter(pk=session.pk).update(lease_expires_at=soon)
    session.slots.update(lease_expires_at=soon)
    session = session_take_tab(session_id=session.pk, tab="newer")
    assert session.lease_expires_at > soon + timedelta(minutes=20)
    assert not session.slots.filter(is_answered=False, lease_expires_at__lte=soon).exists()


def test_withdrawing_frees_the_slots_and_is_final() -> None:
    session = active(make_running())
    vote(session)
    session_withdraw(session_id=session.pk)
    assert not Slot.objects.filter(session=session, is_answered=False).exists()
    assert session_withdraw(session_id=session.pk).state == State.WITHDRAWN
    with pytest.raises(SessionNotActive):
        session_begin(session_id=session.pk)


def test_pilot_raters_draw_from_places_of_their_own() -> None:
    version = make_version()
    study_transition(study=version.study, name="pilot", actor=None)
    session = active(version)
    assert session.is_pilot
    assert set(session.slots.values_list("pool", flat=True)) == {"pilot"}
    assert not Slot.objects.filter(pool="main", session__isnull=False).exists()


def test_practice_uses_practice_pairs_where_there_are_some() -> None:
    study = make_study(pairs=9)
    practice = list(study.pairs.filter(key__startswith="2").values_list("pk", flat=True))
    study.pairs.filter(pk__in=practice).update(kind="practice")
    session = begin(make_running(study))
    kinds = session.trials.values_list("check_kind", "pair_id")
    assert {pair for kind, pair in kinds if kind == "practice"} == set(practice)
    assert not {pair for kind, pair in kinds if kind != "practice"} & set(practice)


def test_a_fault_gives_another_trial_and_frees_the_slot() -> None:
    version = make_running(pairs=12, trials_per_session=5, practice_trials=0, repeat_trials=0)
    session = active(version)
    trial = session.trials.filter(check_kind="", issued_at__isnull=False).first()
    for _ in range(2):  # a replay changes nothing
        fault(session, trial)
    trial.refresh_from_db()
    assert trial.state == Trial.State.FAULTY
    assert FaultReport.objects.count() == 1
    assert Slot.objects.get(pk=trial.slot_id).session is None
    last = session.trials.order_by("position").last()
    assert (last.check_kind, last.state) == ("", Trial.State.OPEN)
    assert session.trials.filter(pair=last.pair).count() == 1
    vote_all(session)
    session.refresh_from_db()
    assert session.answered_count == session.trial_count
    assert session_resume(session_id=session.pk).outcome == "complete"


def test_a_fault_without_another_pair_shortens_the_visit() -> None:
    session = active(make_running(pairs=4, trials_per_session=4, votes_per_pair=1, practice_trials=0, repeat_trials=0))
    trial = session.trials.filter(check_kind="", issued_at__isnull=False).first()
    before = session.trial_count
    session = fault(session, trial)
    assert session.trial_count == before - 1


def test_a_faulty_repeat_gives_another_repeat_with_swapped_sides() -> None:
    session = active(make_running(pairs=16, trials_per_session=8, practice_trials=0, repeat_trials=1))
    while (trial := next_trial(session)).check_kind != "repeat":
        vote(session)
    before = session.trials.count()
    session = fault(session, trial)
    another = session.trials.order_by("position").last()
    assert session.trials.count() == before + 1
    assert (another.check_kind, another.state, another.slot) == ("repeat", Trial.State.OPEN, None)
    assert another.repeat_of not in {None, trial.repeat_of}
    assert another.repeat_of.state == Trial.State.ANSWERED
    assert (another.image_left, another.image_right) == (another.repeat_of.image_right, another.repeat_of.image_left)
    vote_all(session)
    session.refresh_from_db()
    assert session.answered_count == session.trial_count == before
    assert session_resume(session_id=session.pk).outcome == "complete"


@pytest.mark.parametrize("pairs", [16, 8], ids=["another pair to show", "no other pair"])
def test_a_faulty_trial_takes_its_repeat_with_it(pairs) -> None:
    plan = {"practice_trials": 0, "repeat_trials": 2, "identical_trials": 0, "degraded_trials": 0}
    session = active(make_running(pairs=pairs, trials_per_session=8, votes_per_pair=1, **plan))
    repeat = session.trials.filter(check_kind="repeat").order_by("repeat_of__position").first()
    while (trial := next_trial(session)) != repeat.repeat_of:
        vote(session)
    total = session.trial_count
    session = fault(session, trial)
    repeat.refresh_from_db()
    assert repeat.state == Trial.State.FAULTY
    assert FaultReport.objects.get().trial == trial
    sound = session.trials.exclude(state=Trial.State.FAULTY)
    assert not sound.filter(pair=trial.pair).exists()
    assert session.trial_count == sound.count() == total - (0 if pairs == 16 else 1)
    repeats = list(sound.filter(check_kind="repeat"))
    assert len({one.repeat_of_id for one in repeats}) == len(repeats) == 2
    for one in repeats:
        assert one.repeat_of.state != Trial.State.FAULTY
        assert one.position > one.repeat_of.position
    vote_all(session)
    session.refresh_from_db()
    assert session.answered_count == session.trial_count
    assert session_resume(session_id=session.pk).outcome == "complete"


def test_a_faulty_practice_is_passed_over_and_counts_stay_right() -> None:
    session = active(make_running(pairs=12, trials_per_session=5, practice_trials=2))
    total, trial = session.trial_count, next_trial(session)
    assert trial.check_kind == "practice"
    session = fault(session, trial)
    assert session.trial_count == total
    assert next_trial(session).check_kind == "practice"
    vote_all(session)
    session.refresh_from_db()
    assert session.answered_count == session.trial_count == total
    assert session_resume(session_id=session.pk).outcome == "complete"


def test_faults_of_foreign_trials_and_older_tabs_are_refused() -> None:
    session, other = (active(make_running()) for _ in range(2))
    with pytest.raises(TrialUnknown):
        trial_fault(session_id=session.pk, tab=TAB, trial_id=next_trial(other).pk, kind="image")
    with pytest.raises(OtherTab):
        trial_fault(session_id=session.pk, tab="older", trial_id=next_trial(session).pk, kind="image")


def test_events_are_capped_and_checked(monkeypatch) -> None:
    session = active(make_running())
    monkeypatch.setattr(event_service, "MOST_EVENTS", 5)
    assert events_record(session_id=session.pk, events=[("blur", {"at_ms": 1})] * 3) == 3
    assert events_record(session_id=session.pk, events=[("focus", {})] * 3) == 2
    assert events_record(session_id=session.pk, events=[("focus", {})]) == 0
    assert SessionEvent.objects.count() == 5
    for bad in [("party", {}), ("blur", {"text": "robust"})]:
        with pytest.raises(BadSubmission):
            events_record(session_id=session.pk, events=[bad])
