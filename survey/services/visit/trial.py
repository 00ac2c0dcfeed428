"""Draw a session's trials, and replace those that could not be shown."""

from __future__ import annotations

import random
import uuid
from dataclasses import replace

from django.db import transaction
from django.utils import timezone

from survey.criteria import BLOCKS, criteria_of, design_of
from survey.exceptions import OtherTab, SessionNotActive, TrialUnknown
from survey.models import FaultReport, ImagePair, PairImage, RaterSession, Slot, Trial
from survey.selectors.copies import spoilt_images
from survey.selectors.version import frozen_config
from survey.services.assignment.draw import (
    ALGORITHM,
    REPEAT_DISTANCE,
    CheckImage,
    Draft,
    criteria_order,
    drawn,
    replaced,
)
from survey.services.assignment.slots import lease_end, slots_claim, slots_claim_blocks

__all__ = ["FAULT_KINDS", "trial_fault", "trials_draw"]

Check = Trial.CheckKind
FAULT_KINDS = ("image", "decode", "display", "other")
# A browser that shows no image at all must not go through a study's pairs.
MOST_FAULTS = 20


def trials_draw(*, session: RaterSession) -> int:
    """Make every trial of a session: practice, then main trials and checks in one mixed order. Return their number.

    Sets, without saving, the counts, the lease and the record of the assignment. Zero when no slot is free.
    """
    config = frozen_config(session.version_id)
    plan = config["plan"]
    keys = criteria_order([criterion.key for criterion in criteria_of(config)], session_seed=session.seed)
    blocks = keys if design_of(config) == BLOCKS else [""]
    slots = slots_claim_blocks(session=session, wanted=plan["trials_per_session"], blocks=blocks)
    if not slots:
        return 0
    pool = CheckImagePool(session, random.Random(f"{session.seed}/pictures"), {slot.pair_id for slot in slots})
    pictures = {
        str(kind): pool.take(plan[f"{kind}_trials"], kind) for kind in (Check.IDENTICAL, Check.DEGRADED, Check.PRACTICE)
    }
    order = drawn(slots, pictures, repeats=plan["repeat_trials"], session_seed=session.seed, blocks=blocks)
    _create(session, order)
    practice = len(pictures[Check.PRACTICE])
    session.trial_count, session.answered_count = len(order) - practice, 0
    session.lease_expires_at = lease_end(session, timezone.now())
    session.assignment = {
        "algorithm": ALGORITHM,
        "seed": session.seed,
        "wanted": plan["trials_per_session"],
        "slots": [slot.slot_id for slot in slots],
        "pictures": {kind: [str(image.image_id) for image in taken] for kind, taken in pictures.items()},
        "repeats": plan["repeat_trials"],
        "practice": practice,
        "repeat_distance": REPEAT_DISTANCE,
    }
    if len(keys) > 1:
        session.assignment |= {"criteria": keys, "blocks": blocks}
    return len(order)


class CheckImagePool:
    """The pictures for checks: those with a spoilt copy, of pairs that the session does not otherwise see."""

    def __init__(self, session: RaterSession, rng: random.Random, used: set[uuid.UUID]) -> None:
        self._used = used
        rows = (
            spoilt_images(session.version, frozen_config(session.version_id))
            .values_list("pk", "pair_id", "pair__class_label", "arm_id", "pair__kind")
            .order_by("pk")
        )
        self._pictures = [(CheckImage(*row), kind == ImagePair.Kind.PRACTICE) for *row, kind in rows]
        rng.shuffle(self._pictures)

    def take(self, count: int, kind: str) -> list[CheckImage]:
        """Return ``count`` pictures; pairs are seen twice only when there are not enough."""
        # Pairs that were made for practice come first there, and nowhere else.
        pictures = [image for image, is_for_practice in self._pictures if not is_for_practice]
        if kind == Check.PRACTICE:
            pictures = [image for image, is_for_practice in self._pictures if is_for_practice] + pictures
        fresh = [image for image in pictures if image.pair_id not in self._used]
        taken: dict[uuid.UUID, CheckImage] = {}
        for image in [*fresh, *pictures]:
            if len(taken) == count:
                break
            taken.setdefault(image.pair_id, image)
        self._used |= taken.keys()
        return list(taken.values())


def _create(session: RaterSession, drafts: list[Draft], first_position: int = 1) -> list[Trial]:
    """Store the trials, with one query for all their images."""
    images = {
        (pair_id, arm_id): image_id
        for image_id, pair_id, arm_id in PairImage.objects.filter(
            pair_id__in={draft.pair_id for draft in drafts}
        ).values_list("pk", "pair_id", "arm_id")
    }
    trials = [
        Trial(
            session=session,
            position=position,
            pair_id=draft.pair_id,
            slot_id=draft.slot_id,
            arm_left_id=draft.arm_left_id,
            arm_right_id=draft.arm_right_id,
            image_left_id=images[draft.pair_id, draft.arm_left_id],
            image_right_id=images[draft.pair_id, draft.arm_right_id],
            check_kind=draft.check_kind,
            degraded_side=draft.degraded_side,
            criterion=draft.criterion,
        )
        for position, draft in enumerate(drafts, start=first_position)
    ]
    for trial, draft in zip(trials, drafts, strict=True):
        if draft.repeats is not None:
            trial.repeat_of = trials[draft.repeats]
    return Trial.objects.bulk_create(trials)


@transaction.atomic
def trial_fault(*, session_id: uuid.UUID, tab: str, trial_id: uuid.UUID, kind: str, detail: str = "") -> RaterSession:
    """Set a trial aside that could not be shown, and put another at the session's end. A replay changes nothing.

    Repeats of it that are still to come show the same images, so they are set aside and replaced with it.
    """
    session = RaterSession.objects.select_for_update().get(pk=session_id)
    if session.state not in {RaterSession.State.ACTIVE, RaterSession.State.EXPIRED} or session.step != "trials":
        raise SessionNotActive
    if session.tab != tab:
        raise OtherTab
    trial = Trial.objects.filter(session=session, pk=trial_id, issued_at__isnull=False).first()
    if trial is None:
        raise TrialUnknown
    # A report that was sent twice, or an answer that was faster.
    if trial.state != Trial.State.OPEN:
        return session
    session.state, session.last_seen_at = RaterSession.State.ACTIVE, timezone.now()
    session.save(update_fields=["state", "last_seen_at"])
    aside = [trial, *Trial.objects.filter(repeat_of=trial, state=Trial.State.OPEN)]
    Trial.objects.filter(pk__in=[one.pk for one in aside]).update(state=Trial.State.FAULTY)
    FaultReport.objects.create(trial=trial, kind=kind, detail=detail[:300])
    if trial.check_kind == Check.PRACTICE:
        return session
    lost = sum(not (_may_replace(session) and _replace(session, one)) for one in aside)
    # After the claim of another slot, which may wait for somebody who waits for this one.
    Slot.objects.filter(pk=trial.slot_id, session=session, is_answered=False).update(
        session=None, lease_expires_at=None
    )
    if lost:
        session.trial_count = max(0, session.trial_count - lost)
        session.save(update_fields=["trial_count"])
    return session


def _may_replace(session: RaterSession) -> bool:
    return FaultReport.objects.filter(trial__session=session).count() <= MOST_FAULTS


def _replace(session: RaterSession, trial: Trial) -> bool:
    """Add a trial of the same kind on another pair, after the last."""
    last = max(Trial.objects.filter(session=session).values_list("position", flat=True))
    if trial.check_kind == Check.REPEAT:
        return _repeat_another(session, position=last + 1, criterion=trial.criterion)
    shown = Trial.objects.filter(session=session, criterion=trial.criterion)
    seen = set(shown.values_list("pair_id", flat=True))
    drafts: list[Draft] = []
    if trial.slot_id is not None:
        drafts = [
            Draft.of(slot)
            for slot in slots_claim(session=session, wanted=1, criterion=trial.criterion, without_pairs=seen)
        ]
    elif trial.check_kind in {Check.IDENTICAL, Check.DEGRADED}:
        pool = CheckImagePool(session, random.Random(f"{session.seed}/pictures/{last + 1}"), seen)
        drafts = [
            replace(
                replaced(image, trial.check_kind, session_seed=session.seed, position=last + 1),
                criterion=trial.criterion,
            )
            for image in pool.take(1, trial.check_kind)
        ]
    return bool(drafts and _create(session, drafts, first_position=last + 1))


def _repeat_another(session: RaterSession, *, position: int, criterion: str) -> bool:
    """Show the earliest sound main trial again that has no repeat yet, its sides swapped, far enough behind it."""
    distance = max(1, min(REPEAT_DISTANCE, position // 2))
    first = (
        Trial.objects.filter(session=session, criterion=criterion, check_kind=Check.NONE, repeats__isnull=True)
        .filter(position__lte=position - distance)
        .exclude(state=Trial.State.FAULTY)
        .order_by("position")
        .first()
    )
    if first is None:
        return False
    Trial.objects.create(
        session=session,
        position=position,
        pair_id=first.pair_id,
        arm_left_id=first.arm_right_id,
        arm_right_id=first.arm_left_id,
        image_left_id=first.image_right_id,
        image_right_id=first.image_left_id,
        check_kind=Check.REPEAT,
        criterion=criterion,
        repeat_of=first,
    )
    return True
