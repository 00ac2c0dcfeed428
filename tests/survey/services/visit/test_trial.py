"""A visit's trials where a study asks several criteria."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import pytest
from django.utils import timezone

from survey.models import Slot, StudyVersion, Trial
from survey.services.assignment.verify import version_problem, visits_redrawn
from tests.factories import CRITERIA, make_running
from tests.visits import active, fault, vote, vote_all

pytestmark = pytest.mark.django_db
KEYS = [entry["key"] for entry in CRITERIA]
PLAN = {"practice_trials": 2, "identical_trials": 3, "degraded_trials": 3, "repeat_trials": 3}


def in_blocks(**fields) -> StudyVersion:
    plan = {"pairs": 24, "trials_per_session": 18, "votes_per_pair": 6, "criteria": CRITERIA}
    return make_running(**plan | PLAN | fields)


def main_trials(session) -> list[Trial]:
    return list(session.trials.exclude(check_kind="practice").order_by("position"))


def test_a_visit_in_blocks_shows_the_same_pairs_once_by_each_criterion() -> None:
    version = in_blocks(arms=("one", "two", "three"))
    sessions = [active(version) for _ in range(4)]
    for session in sessions:
        blocks = [key for key, _ in groupby(trial.criterion for trial in main_trials(session))]
        assert sorted(blocks) == sorted(KEYS)
        assert blocks == session.assignment["criteria"] == session.assignment["blocks"]
        shown = {
            key: sorted(
                (str(trial.pair_id), trial.slot.arm_a_id, trial.slot.arm_b_id)
                for trial in main_trials(session)
                if trial.slot and trial.criterion == key
            )
            for key in KEYS
        }
        assert shown["realism"] == shown["detail"] == shown["overall"]
        assert len({pair for pair, *_ in shown["realism"]}) == 6
        # Every block has checks and a repeat, and practice asks what comes first.
        kinds = Counter((trial.criterion, trial.check_kind) for trial in main_trials(session) if trial.check_kind)
        assert kinds == {(key, kind): 1 for key in KEYS for kind in ("identical", "degraded", "repeat")}
        practice = session.trials.filter(check_kind="practice").values_list("criterion", flat=True)
        assert set(practice) == {blocks[0]}
    # Drawn for each rater, not one order for all.
    assert len({tuple(session.assignment["criteria"]) for session in sessions}) > 1


def test_repeats_stay_in_their_block_and_ask_the_same() -> None:
    session = active(in_blocks())
    repeats = session.trials.filter(check_kind="repeat").select_related("repeat_of")
    assert len(repeats) == 3
    for trial in repeats:
        assert (trial.criterion, trial.pair_id) == (trial.repeat_of.criterion, trial.repeat_of.pair_id)
        assert trial.position > trial.repeat_of.position


def test_a_study_in_blocks_fills_up_although_visits_are_broken_off() -> None:
    version = in_blocks(votes_per_pair=2, pairs=12, trials_per_session=12, **dict.fromkeys(PLAN, 0))
    for visit in range(40):
        session = active(version) if Slot.objects.filter(is_answered=False).exists() else None
        if session is None or session.step != "trials":
            break
        if visit % 2:
            for _ in range(5):
                vote(session)
            Slot.objects.filter(session=session, is_answered=False).update(session=None, lease_expires_at=None)
        else:
            vote_all(session)
    assert not Slot.objects.filter(is_answered=False).exists()
    shown = Counter(Trial.objects.values_list("session", "pair", "criterion"))
    assert set(shown.values()) == {1}


@pytest.mark.parametrize("design", ["blocks", "together"])
def test_visits_of_several_criteria_are_as_drawn_and_a_change_is_found(design) -> None:
    version = in_blocks(criteria_design=design)
    assert version_problem(version) == ""
    for number in range(4):
        session = active(version)
        session.trials.update(issued_at=timezone.now())
        if number % 2:
            for kind in ("practice", "", "identical", "degraded", "repeat"):
                sound = session.trials.filter(check_kind=kind, state=Trial.State.OPEN)
                fault(session, sound.order_by("position").first())
        vote_all(session)
    assert [visit.problems for visit in visits_redrawn(version.study)] == [[]] * 4
    session.refresh_from_db()
    session.assignment["criteria"] = session.assignment["criteria"][::-1]
    session.save(update_fields=["assignment"])
    changed = [visit.problems for visit in visits_redrawn(version.study) if visit.problems]
    assert changed == [["the order of its criteria is not the one that was drawn"]]


def test_a_faulty_trial_is_replaced_by_one_that_asks_the_same() -> None:
    session = active(in_blocks())
    trial = session.trials.filter(slot__isnull=False).order_by("position").first()
    session.trials.update(issued_at=timezone.now())
    fault(session, trial)
    last = session.trials.order_by("position").last()
    assert last.criterion == trial.criterion
    asked = session.trials.filter(criterion=trial.criterion, check_kind="").exclude(pk=trial.pk)
    assert last.pair_id not in {one.pair_id for one in asked if one != last}


def test_together_every_trial_asks_all_criteria_in_an_order_of_the_visits_own() -> None:
    sessions = [active(in_blocks(criteria_design="together")) for _ in range(4)]
    orders = {tuple(session.assignment["criteria"]) for session in sessions}
    assert all(sorted(order) == sorted(KEYS) for order in orders)
    assert len(orders) > 1
    assert set(Trial.objects.values_list("criterion", flat=True)) == {""}
