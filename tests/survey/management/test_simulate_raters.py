from __future__ import annotations

import io
from collections import Counter

import pytest
from django.core.management import CommandError, call_command

from survey.models import RaterSession, Slot, Vote
from survey.services.assignment.slots import slots_reset
from tests.beyond import ASKED
from tests.factories import CRITERIA, make_running, make_study, make_version

pytestmark = pytest.mark.django_db(transaction=True)


def rehearse(slug: str, live_server, **options) -> str:
    out = io.StringIO()
    options = {"raters": 3, "concurrency": 2, "seed": 5} | options
    call_command("simulate_raters", study=slug, base_url=live_server.url, stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()


def test_simulated_raters_finish_whole_visits_over_http(live_server) -> None:
    version = make_running(pairs=10, exit_questions=[{"name": "age", "caption": "Age?", "options": ["old", "young"]}])
    assert "3 complete" in rehearse(version.study.slug, live_server)
    sessions = RaterSession.objects.all()
    assert {session.state for session in sessions} == {RaterSession.State.COMPLETED}
    assert all(session.is_simulated and session.completion_code and session.consented_at for session in sessions)
    assert Vote.objects.filter(is_current=True).count() == sum(session.trials.count() for session in sessions)


def test_simulated_raters_leave_the_places_for_people_alone(live_server) -> None:
    version = make_version(pairs=10)  # frozen, not open: a rehearsal comes before recruitment
    rehearse(version.study.slug, live_server)
    assert not Slot.objects.filter(pool=Slot.Pool.MAIN, is_answered=True).exists()
    assert not Slot.objects.filter(pool=Slot.Pool.MAIN, session__isnull=False).exists()
    assert Slot.objects.filter(pool=Slot.Pool.REHEARSAL, is_answered=True).count() == 3 * 6


def test_every_rehearsal_starts_with_all_slots_free(live_server) -> None:
    version = make_version(pairs=6, votes_per_pair=3, practice_trials=0, repeat_trials=0)
    for _ in range(2):  # three raters fill every slot of the pool
        assert "3 complete" in rehearse(version.study.slug, live_server)
    with pytest.raises(ValueError, match="rehearsal"):
        slots_reset(version, Slot.Pool.MAIN)


def test_simulated_raters_prefer_the_arm_that_is_asked_for(live_server) -> None:
    version = make_running(pairs=10, trials_per_session=10, identical_trials=0, repeat_trials=0)
    rehearse(
        version.study.slug, live_server, arm="vanilla", preference=0.95, lapse=0, tie_rate=0, rater_sd=0, pair_sd=0
    )
    votes = Vote.objects.filter(is_current=True, trial__check_kind="").select_related("trial__arm_left")
    arms = [
        vote.trial.arm_left.name if vote.choice == "left" else vote.trial.arm_right.name
        for vote in votes.select_related("trial__arm_right")
    ]
    assert len(arms) == 30
    assert arms.count("vanilla") >= 25


def test_simulated_raters_drop_out(live_server) -> None:
    version = make_running(pairs=10)
    assert "3 dropped out" in rehearse(version.study.slug, live_server, drop_out=1.0)
    assert RaterSession.objects.filter(state=RaterSession.State.ACTIVE).count() == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [({"arm": "other"}, "robust, vanilla"), ({"preference": 1.5}, "between 0 and 1"), ({"raters": 0}, "at least 1")],
)
def test_simulate_raters_refuses_bad_options(options, message, live_server) -> None:
    version = make_running()
    with pytest.raises(CommandError, match=message):
        rehearse(version.study.slug, live_server, **options)


def test_simulate_raters_refuses_a_draft_and_an_unknown_study(live_server) -> None:
    with pytest.raises(CommandError, match="is a draft"):
        rehearse(make_study().slug, live_server)
    with pytest.raises(CommandError, match="no study 'nowhere'"):
        rehearse("nowhere", live_server)


@pytest.mark.parametrize("design", ["blocks", "together"])
def test_simulated_raters_answer_all_criteria(live_server, design) -> None:
    version = make_running(pairs=10, trials_per_session=6, criteria=CRITERIA, criteria_design=design)
    assert "2 complete" in rehearse(version.study.slug, live_server, raters=2)
    votes = Vote.objects.filter(is_current=True, trial__slot__isnull=False)
    by_criterion = Counter(votes.values_list("criterion", flat=True))
    assert by_criterion == {entry["key"]: 2 * (6 if design == "together" else 2) for entry in CRITERIA}
    assert not Vote.objects.filter(criterion="overall", choice="tie").exists()


def test_simulated_raters_answer_what_is_asked_beyond_the_choice(live_server) -> None:
    version = make_running(pairs=10, are_reasons_required=True, **ASKED)
    assert "3 complete" in rehearse(version.study.slug, live_server)
    decided = Vote.objects.filter(is_current=True).exclude(choice="tie")
    assert decided
    assert set(decided.values_list("strength", flat=True)) <= {1, 2, 3}
    assert not decided.filter(reasons="").exists()
    assert not Vote.objects.filter(is_current=True, acceptable="").exists()
