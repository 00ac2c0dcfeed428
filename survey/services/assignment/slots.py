"""Slots that a study wants filled: claim the least seen, keep them under a lease, give them back."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import reduce
from operator import or_

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from survey.models import RaterSession, Slot, StudyVersion
from survey.selectors.version import frozen_class_sizes, frozen_plan
from survey.services.assignment.draw import Candidate, chosen

__all__ = [
    "candidate_of",
    "is_lease_short",
    "lease_end",
    "pool_of",
    "slots_claim",
    "slots_claim_blocks",
    "slots_ensure",
    "slots_release",
    "slots_renew",
    "slots_reset",
]

# Looked at for each slot wanted: enough to balance sides and classes, few enough to lock for an instant. More only
# where these are of too few pairs.
_CANDIDATES_PER_SLOT = 6
_MORE = 4


def pool_of(session: RaterSession) -> str:
    """Return the pool that a session draws from."""
    if session.is_simulated:
        return Slot.Pool.REHEARSAL
    return Slot.Pool.PILOT if session.is_pilot else Slot.Pool.MAIN


def lease_end(session: RaterSession, now: datetime) -> datetime:
    """Return until when a session that is alive now keeps its slots."""
    return now + timedelta(minutes=frozen_plan(session.version_id)["lease_minutes"])


def is_lease_short(session: RaterSession, now: datetime) -> bool:
    """Return whether a quarter of the lease is used up: renewing writes a row for each open slot of the visit."""
    full = lease_end(session, now) - now
    return session.lease_expires_at is None or session.lease_expires_at - now < 0.75 * full


def _free(session: RaterSession, now: datetime, criterion: str) -> QuerySet[Slot]:
    free = Q(session__isnull=True) | Q(lease_expires_at__lt=now)
    slots = Slot.objects.filter(version_id=session.version_id, pool=pool_of(session), is_answered=False)
    return slots.filter(free, criterion=criterion)


@transaction.atomic
def slots_ensure(version: StudyVersion, pool: str) -> int:
    """Give a pool of its own the slots of the main one; return how many there are. Runs under the version's lock."""
    # Two that open the pool together must not fill it twice.
    StudyVersion.objects.select_for_update().get(pk=version.pk)
    if count := Slot.objects.filter(version=version, pool=pool).count():
        return count
    # A rater waits for this: a million rows stay in the database, as building them here would take minutes.
    table = connection.ops.quote_name(Slot._meta.db_table)
    kept = ", ".join(
        connection.ops.quote_name(Slot._meta.get_field(name).column)
        for name in ("version", "pair", "arm_a", "arm_b", "criterion", "index", "is_a_left", "draw", "turn")
    )
    key = Slot._meta.get_field("version").get_db_prep_value(version.pk, connection)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({kept}, pool, is_answered) "
            f"SELECT {kept}, %s, %s FROM {table} WHERE version_id = %s AND pool = %s ORDER BY id",
            [str(pool), False, key, Slot.Pool.MAIN.value],
        )
        return cursor.rowcount


def slots_reset(version: StudyVersion, pool: str) -> int:
    """Empty a pool for another rehearsal: its slots are free again, the votes given on them stay.

    Raises
    ------
    ValueError
        For the slots of people, which never reopen.
    """
    if pool != Slot.Pool.REHEARSAL:
        raise ValueError(f"pool is {pool!r}; only {Slot.Pool.REHEARSAL.value!r} may be emptied")
    taken = Slot.objects.filter(version=version, pool=pool).exclude(session__isnull=True, is_answered=False)
    return taken.update(session=None, lease_expires_at=None, is_answered=False)


def slots_claim_blocks(*, session: RaterSession, wanted: int, blocks: Sequence[str]) -> list[Candidate]:
    """Reserve up to ``wanted`` slots for a session, as many for each block: the same pairs in all of them.

    Where a block has no free slot left on one of the first block's pairs, it gets another pair.
    """
    first, *others = blocks
    share = wanted // len(blocks)
    slots = like = slots_claim(session=session, wanted=share, criterion=first)
    for criterion in others:
        same = slots_claim(session=session, wanted=len(like), criterion=criterion, like=like) if like else []
        seen = {slot.pair_id for slot in same}
        rest = share - len(same)
        more = slots_claim(session=session, wanted=rest, criterion=criterion, without_pairs=seen) if rest else []
        slots = [*slots, *same, *more]
    return slots


def slots_claim(
    *,
    session: RaterSession,
    wanted: int,
    criterion: str = "",
    without_pairs: Iterable[uuid.UUID] = (),
    like: Sequence[Candidate] | None = None,
    now: datetime | None = None,
) -> list[Candidate]:
    """Reserve up to ``wanted`` slots on different pairs for a session, those of the least seen pairs first.

    ``like`` narrows them down to the comparisons of these slots.

    On PostgreSQL rows that another session is choosing from are skipped, so nobody waits. Where that leaves too few,
    a second try goes one at a time, under the version's lock, and sees what the others left. On SQLite the one write
    lock does the same. Each row is taken by a conditional update all the same.
    """
    now = now or timezone.now()
    free = _free(session, now, criterion).exclude(pair_id__in=set(without_pairs))
    if like is not None:
        free = free.filter(reduce(or_, (Q(pair=one.pair_id, arm_a=one.arm_a_id, arm_b=one.arm_b_id) for one in like)))
    with transaction.atomic():
        claimed = _claim_once(session, wanted, free, now, skip_locked=True)
        if len(claimed) == wanted:
            return claimed
        # Lets go of the rows: whoever waits for the version's lock may hold none that its holder could wait for.
        transaction.set_rollback(True)
    with transaction.atomic():
        StudyVersion.objects.select_for_update(no_key=True).only("pk").get(pk=session.version_id)
        return _claim_once(session, wanted, free, now, skip_locked=False)


def _claim_once(
    session: RaterSession, wanted: int, free: QuerySet[Slot], now: datetime, *, skip_locked: bool
) -> list[Candidate]:
    rows = (
        free.select_related("pair")
        .select_for_update(skip_locked=skip_locked, of=("self",))
        .only("index", "arm_a_id", "arm_b_id", "is_a_left", "criterion", "pair__class_label")
        .order_by("index", "draw")
    )
    candidates, is_cut = _candidates(rows, wanted)
    sizes = frozen_class_sizes(session.version_id)
    taken = chosen(candidates, wanted, class_sizes=sizes, is_cut=is_cut)
    mine = Slot.objects.filter(pk__in=[slot.slot_id for slot in taken], is_answered=False)
    is_free = Q(session__isnull=True) | Q(lease_expires_at__lt=now)
    count = mine.filter(is_free).update(session=session, lease_expires_at=lease_end(session, now))
    if count == len(taken):
        return taken
    held = set(mine.filter(session=session).values_list("pk", flat=True))
    return [slot for slot in taken if slot.slot_id in held]


def _candidates(rows: QuerySet[Slot], wanted: int) -> tuple[list[Candidate], bool]:
    """Return enough free slots to choose from, and whether there are more."""
    limit = _CANDIDATES_PER_SLOT * wanted + 20
    while True:
        candidates = [candidate_of(slot) for slot in rows[:limit]]
        is_cut = len(candidates) == limit
        if not is_cut or len({slot.pair_id for slot in candidates}) >= wanted:
            return candidates, is_cut
        limit *= _MORE


def candidate_of(slot: Slot) -> Candidate:
    """Return a slot, its pair loaded with it, as the choice sees it."""
    return Candidate(
        slot.pk,
        slot.index,
        slot.pair_id,
        slot.pair.class_label,
        slot.arm_a_id,
        slot.arm_b_id,
        slot.is_a_left,
        slot.criterion,
    )


def slots_renew(*, session: RaterSession, now: datetime) -> None:
    """Extend the lease on the session's open slots, and take back those that nobody took meanwhile."""
    end = lease_end(session, now)
    Slot.objects.filter(session=session, is_answered=False).update(lease_expires_at=end)
    RaterSession.objects.filter(pk=session.pk).update(lease_expires_at=end)
    session.lease_expires_at = end


def slots_release(*, session: RaterSession) -> int:
    """Give back the slots that the session has not answered."""
    return Slot.objects.filter(session=session, is_answered=False).update(session=None, lease_expires_at=None)
