"""Which pairs a session gets, on which side, in which order: pure functions of the candidates and a seed."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

__all__ = ["ALGORITHM", "Candidate", "Draft", "arranged", "chosen"]

# Raise the number with every change that gives another assignment for the same seed and candidates.
ALGORITHM = "blindpair.assignment/1"
# A repeat comes at least so many trials after its first showing, where the session is long enough.
REPEAT_DISTANCE = 8


@dataclass(frozen=True, slots=True)
class Candidate:
    """A free slot, as the choice sees it."""

    slot_id: int
    pair_id: uuid.UUID
    class_label: str
    arm_a_id: int
    arm_b_id: int
    is_a_left: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """A trial before it has a row. A check of one picture has the same arm on both sides."""

    pair_id: uuid.UUID
    class_label: str
    arm_left_id: int
    arm_right_id: int
    slot_id: int | None = None
    check_kind: str = ""
    degraded_side: str = ""
    repeats: int | None = None  # index of the main draft that is shown again

    @classmethod
    def of(cls, slot: Candidate) -> Draft:
        left, right = (slot.arm_a_id, slot.arm_b_id) if slot.is_a_left else (slot.arm_b_id, slot.arm_a_id)
        return cls(slot.pair_id, slot.class_label, left, right, slot_id=slot.slot_id)

    def swapped(self, index: int) -> Draft:
        """Return the repeat of this trial: the same images with sides changed."""
        return replace(
            self,
            arm_left_id=self.arm_right_id,
            arm_right_id=self.arm_left_id,
            slot_id=None,
            check_kind="repeat",
            repeats=index,
        )


def chosen(candidates: Sequence[Candidate], wanted: int) -> list[Candidate]:
    """Choose slots of different pairs, the least seen first (the order of the candidates).

    The first round keeps, within the session, each duel's sides within one of balance and the classes even; the second
    gives up the classes, the third the balance, so that a nearly full study still fills a session.
    """
    taken: list[Candidate] = []
    pairs: set[uuid.UUID] = set()
    lead: Counter[tuple[int, int]] = Counter()
    classes: Counter[str] = Counter()
    labels = len({slot.class_label for slot in candidates})
    class_cap = -(-wanted // labels) if labels else 0
    for are_classes_even, are_sides_even in ((True, True), (False, True), (False, False)):
        for slot in candidates:
            if len(taken) == wanted:
                return taken
            duel, step = (slot.arm_a_id, slot.arm_b_id), 1 if slot.is_a_left else -1
            if slot.pair_id in pairs:
                continue
            if are_sides_even and abs(lead[duel] + step) > 1:
                continue
            if are_classes_even and classes[slot.class_label] >= class_cap:
                continue
            taken.append(slot)
            pairs.add(slot.pair_id)
            lead[duel] += step
            classes[slot.class_label] += 1
    return taken


def arranged(main: Iterable[Draft], checks: Iterable[Draft], *, repeats: int, rng: random.Random) -> list[Draft]:
    """Return main trials and checks in one random order, classes spread, repeats far behind their first showing.

    ``repeats`` of a returned draft is the index of its first showing in the returned list.
    """
    order = _spread([*main, *checks], rng)
    firsts = [place for place, draft in enumerate(order) if draft.slot_id is not None]
    distance = max(1, min(REPEAT_DISTANCE, len(order) // 2))
    early = [place for place in firsts if place + distance <= len(order)]
    rng.shuffle(early)
    # Later places first: what is put in never shifts a place that is still to be used.
    insertions = sorted(((rng.randint(place + distance, len(order)), place) for place in early[:repeats]), reverse=True)
    tagged: list[tuple[int | None, Draft]] = list(enumerate(order))
    for at, place in insertions:
        tagged.insert(at, (None, order[place].swapped(place)))
    place_of = {origin: place for place, (origin, _) in enumerate(tagged) if origin is not None}
    return [draft if draft.repeats is None else replace(draft, repeats=place_of[draft.repeats]) for _, draft in tagged]


def _spread(drafts: list[Draft], rng: random.Random) -> list[Draft]:
    """Return a random order in which a class follows itself only where nothing else is left."""
    queues: dict[str, list[Draft]] = {}
    for draft in rng.sample(drafts, len(drafts)):
        queues.setdefault(draft.class_label, []).append(draft)
    order: list[Draft] = []
    last = None
    while queues:
        # Weighted by what is left, so that no class piles up at the end.
        labels = [label for label in queues if label != last] or list(queues)
        longest = max(queues, key=lambda label: len(queues[label]))
        left = sum(map(len, queues.values()))
        must = longest in labels and 2 * len(queues[longest]) > left
        last = longest if must else rng.choices(labels, [len(queues[label]) for label in labels])[0]
        order.append(queues[last].pop())
        if not queues[last]:
            del queues[last]
    return order
