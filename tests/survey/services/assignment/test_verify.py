"""What is stored of slots and visits is what their seeds give, and a change of it is found."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F
from django.utils import timezone

from survey.models import RaterSession, Slot, StudyVersion, Trial
from survey.services.assignment.verify import version_problem, visits_redrawn
from survey.services.visit.vote import vote_undo
from tests.factories import make_running
from tests.visits import TAB, active, fault, vote, vote_all

pytestmark = pytest.mark.django_db

PLAN = {"practice_trials": 2, "identical_trials": 2, "degraded_trials": 2, "repeat_trials": 3}


def open_study(**fields) -> StudyVersion:
    return make_running(**{"pairs": 24, "trials_per_session": 12, "votes_per_pair": 6} | PLAN | fields)


def problems(version: StudyVersion) -> list[str]:
    return [problem for visit in visits_redrawn(version.study) for problem in visit.problems]


@pytest.mark.parametrize("arms", [("vanilla", "robust"), ("one", "two", "three")], ids=len)
def test_many_visits_with_faults_undo_and_drop_outs_are_as_drawn(arms: tuple[str, ...]) -> None:
    version = open_study(arms=arms)
    for number in range(12):
        session = active(version)
        session.trials.update(issued_at=timezone.now())
        if number % 2:
            # Of each kind one is faulty, and another comes in its place.
            for kind in ("practice", "", "identical", "degraded", "repeat"):
                sound = session.trials.filter(check_kind=kind, state=Trial.State.OPEN, issued_at__isnull=False)
                fault(session, sound.order_by("position").first())
        for _ in range(5):
            vote(session)
        vote_undo(session_id=session.pk, tab=TAB, submission_key=uuid.uuid4())
        if number % 3:
            vote_all(session)
    visits = list(visits_redrawn(version.study))
    assert [visit.problems for visit in visits] == [[]] * 12
    assert sum(len(visit.trials) for visit in visits) == Trial.objects.count() > 12 * 21
    assert version_problem(version) == ""


def swap_sides(session: RaterSession) -> None:
    Trial.objects.filter(session=session, check_kind="").update(
        arm_left=F("arm_right"), arm_right=F("arm_left"), image_left=F("image_right"), image_right=F("image_left")
    )


def swap_images(session: RaterSession) -> None:
    Trial.objects.filter(session=session, check_kind="").update(
        image_left=F("image_right"), image_right=F("image_left")
    )


def spoil_the_other_side(session: RaterSession) -> None:
    trial = session.trials.filter(check_kind="degraded").order_by("position").first()
    Trial.objects.filter(pk=trial.pk).update(degraded_side={"left": "right", "right": "left"}[trial.degraded_side])


def exchange_two_trials(session: RaterSession) -> None:
    one, other = session.trials.filter(check_kind="").order_by("position")[2:4]
    for trial, position in ((one, 999), (other, one.position), (one, other.position)):
        Trial.objects.filter(pk=trial.pk).update(position=position)


def repeat_another(session: RaterSession) -> None:
    repeat = session.trials.filter(check_kind="repeat").order_by("position").first()
    other = session.trials.filter(check_kind="").exclude(pk=repeat.repeat_of_id).order_by("position").first()
    Trial.objects.filter(pk=repeat.pk).update(repeat_of=other)


def remove_a_trial(session: RaterSession) -> None:
    session.trials.filter(check_kind="repeat").order_by("position").last().delete()


def record_another_seed(session: RaterSession) -> None:
    session.assignment["seed"] += 1
    session.save(update_fields=["assignment"])


def record_an_older_algorithm(session: RaterSession) -> None:
    session.assignment["algorithm"] = "blindpair.assignment/1"
    session.save(update_fields=["assignment"])


def draw_with_another_seed(session: RaterSession) -> None:
    session.assignment["seed"] += 1
    session.seed += 1
    session.save(update_fields=["assignment", "seed"])


@pytest.mark.parametrize(
    "change",
    [
        swap_sides,
        swap_images,
        spoil_the_other_side,
        exchange_two_trials,
        repeat_another,
        remove_a_trial,
        record_another_seed,
        record_an_older_algorithm,
        draw_with_another_seed,
    ],
    ids=lambda change: change.__name__,
)
def test_a_visit_that_is_not_as_drawn_is_found(change: Callable[[RaterSession], None]) -> None:
    version = open_study()
    session = active(version)
    assert problems(version) == []
    change(session)
    assert problems(version)


@pytest.mark.parametrize(
    "change",
    [{"is_a_left": ~F("is_a_left")}, {"draw": F("draw") / 2}, {"index": 77}],
    ids=lambda change: "".join(change),
)
def test_a_place_that_its_seed_does_not_give_is_found(change: dict) -> None:
    version = open_study()
    slot = version.slots.order_by("pk")[30]
    Slot.objects.filter(pk=slot.pk).update(**change)
    assert str(slot.pair_id) in version_problem(version)


def test_the_command_says_what_it_checked_or_fails(capsys) -> None:
    version = open_study()
    session = active(version)
    call_command("check_assignment", study=version.study.slug)
    assert f"{session.trials.count()} trials of 1 visits, are as drawn" in capsys.readouterr().out
    swap_sides(session)
    with pytest.raises(CommandError, match="12 findings in 1 visits"):
        call_command("check_assignment", study=version.study.slug)
    assert "is not the one that was drawn" in capsys.readouterr().err
    with pytest.raises(CommandError, match="no study"):
        call_command("check_assignment", study="nowhere")
