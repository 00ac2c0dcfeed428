"""Draw slots and visits again from what is recorded of them, and compare: nobody chose who sees what on which side."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from django.db.models import QuerySet

from survey.criteria import criteria_of, slot_criteria
from survey.models import RaterSession, Slot, Study, StudyVersion, Trial
from survey.services.assignment.draw import (
    ALGORITHM,
    CheckImage,
    Draft,
    PlannedSlot,
    criteria_order,
    drawn,
    planned_slots,
    replaced,
)
from survey.services.assignment.slots import candidate_of

__all__ = ["Redrawn", "version_problem", "visits_redrawn"]

# Visits whose trials are held in memory at once.
_BATCH = 100


@dataclass(frozen=True, kw_only=True)
class Redrawn:
    """A visit, its trials, and in what they differ from the drawing that is recorded."""

    session: RaterSession
    trials: list[Trial]
    problems: list[str]


def version_problem(version: StudyVersion) -> str:
    """Return in what the slots of a frozen version first differ from those that its seed gives; empty if in nothing.

    The sides of a pair, over all its slots, are drawn here; a visit takes them as they are.
    """
    if problem := _algorithm_problem(version.config["plan"].get("assignment")):
        return problem
    rows = Slot.objects.filter(version=version, pool=Slot.Pool.MAIN).order_by("pk")
    criteria = slot_criteria(version.config)
    first = rows.filter(criterion=criteria[0])
    comparisons = first.filter(pair=first.values("pair")[:1], index=0).values_list("arm_a_id", "arm_b_id")
    again = itertools.chain.from_iterable(
        planned_slots(
            (pair for pair, _ in itertools.groupby(first.values_list("pair_id", flat=True).iterator())),
            list(comparisons),
            wanted=version.config["plan"]["votes_per_pair"],
            assignment_seed=version.config["study"]["seed"],
            version=version.number,
            criterion=criterion,
        )
        for criterion in criteria
    )
    stored = itertools.starmap(PlannedSlot, rows.values_list(*PlannedSlot._fields).iterator())
    for kept, due in itertools.zip_longest(stored, again):
        if kept != due:
            slot = kept or due
            return f"slot {slot.index + 1} of pair {slot.pair_id} is not the one that was drawn"
    return ""


def _algorithm_problem(name: str | None) -> str:
    return "" if name == ALGORITHM else f"drawn by {name}, while this release draws again by {ALGORITHM} alone"


def visits_redrawn(study: Study) -> Iterator[Redrawn]:
    """Yield every visit that was given trials, the oldest first, in constant memory."""
    sessions = RaterSession.objects.filter(version__study=study, trials__position=1).order_by("started_at", "pk")
    sessions = sessions.select_related("version")
    rows = sessions.iterator(chunk_size=_BATCH)
    while batch := list(itertools.islice(rows, _BATCH)):
        trials = _trials(batch)
        for session in batch:
            yield Redrawn(session=session, trials=trials[session.pk], problems=_problems(session, trials[session.pk]))


def _trials(sessions: list[RaterSession]) -> dict[object, list[Trial]]:
    found: dict[object, list[Trial]] = {session.pk: [] for session in sessions}
    rows: QuerySet[Trial] = Trial.objects.filter(session__in=sessions).order_by("session", "position")
    for trial in rows.select_related("slot__pair", "image_left__pair", "image_right", "repeat_of"):
        found[trial.session_id].append(trial)
    return found


def _problems(session: RaterSession, trials: list[Trial]) -> list[str]:
    record = session.assignment
    if problem := _algorithm_problem(record.get("algorithm")):
        return [problem]
    if record["seed"] != session.seed:
        return ["the seed of the record is not the session's"]
    slots = {trial.slot_id: candidate_of(trial.slot) for trial in trials if trial.slot}
    pictures = {str(trial.image_left_id): _check_image(trial) for trial in trials}
    try:
        order = drawn(
            [slots[key] for key in record["slots"]],
            {kind: [pictures[key] for key in keys] for kind, keys in record["pictures"].items()},
            repeats=record["repeats"],
            session_seed=record["seed"],
            blocks=record.get("blocks", [""]),
        )
    except KeyError as missing:
        return [f"slot or image {missing} is in the record, but no trial shows it"]
    position_of = {trial.pk: trial.position for trial in trials}
    problems = _order_problems(session)
    if [trial.position for trial in trials] != list(range(1, max(len(order), len(trials)) + 1)):
        problems.append(f"its {len(trials)} trials are not one for each position in the order")
    for trial in trials:
        due = order[trial.position - 1] if trial.position <= len(order) else _later(session, trial)
        first = position_of.get(trial.repeat_of_id)
        shown = Draft(
            trial.pair_id,
            due.class_label,
            trial.arm_left_id,
            trial.arm_right_id,
            slot_id=trial.slot_id,
            check_kind=trial.check_kind,
            degraded_side=trial.degraded_side,
            repeats=None if first is None else first - 1,
            criterion=trial.criterion,
        )
        images = [(image.pair_id, image.arm_id) for image in (trial.image_left, trial.image_right)]
        if shown != due or images != [(due.pair_id, due.arm_left_id), (due.pair_id, due.arm_right_id)]:
            problems.append(f"trial {trial.position} is not the one that was drawn")
    return problems


def _order_problems(session: RaterSession) -> list[str]:
    """Return whether the order of the criteria is another than the seed gives them."""
    keys = [criterion.key for criterion in criteria_of(session.version.config)]
    if session.assignment.get("criteria", keys) == criteria_order(keys, session_seed=session.seed):
        return []
    return ["the order of its criteria is not the one that was drawn"]


def _check_image(trial: Trial) -> CheckImage:
    image = trial.image_left
    return CheckImage(image.pk, image.pair_id, image.pair.class_label, image.arm_id)


def _later(session: RaterSession, trial: Trial) -> Draft:
    """Return the trial that replaced a faulty one, as its slot, its image or its first showing gives it."""
    if trial.slot:
        return Draft.of(candidate_of(trial.slot))
    # The criterion of its block, which nothing else records.
    if first := trial.repeat_of:
        shown = Draft(first.pair_id, "", first.arm_left_id, first.arm_right_id)
        return replace(shown.swapped(first.position - 1), criterion=first.criterion)
    check = replaced(_check_image(trial), trial.check_kind, session_seed=session.seed, position=trial.position)
    return replace(check, criterion=trial.criterion)
