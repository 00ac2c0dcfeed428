"""Places with their sides, and which of them a session gets in which order: pure functions of what is recorded."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, product
from typing import NamedTuple

__all__ = [
    "ALGORITHM",
    "Candidate",
    "CheckImage",
    "Draft",
    "PlannedSlot",
    "arranged",
    "chosen",
    "criteria_order",
    "drawn",
    "planned_slots",
    "replaced",
]

# Raise the number with every change that gives another assignment for the same record.
ALGORITHM = "blindpair.assignment/2"
# A repeat comes at least so many trials after its first showing, where the session is long enough.
REPEAT_DISTANCE = 8


class PlannedSlot(NamedTuple):
    """A slot before it has a row."""

    pair_id: uuid.UUID
    arm_a_id: int
    arm_b_id: int
    index: int
    is_a_left: bool
    draw: float
    criterion: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A free slot, as the choice sees it."""

    slot_id: int
    index: int
    pair_id: uuid.UUID
    class_label: str
    arm_a_id: int
    arm_b_id: int
    is_a_left: bool
    criterion: str = ""


@dataclass(frozen=True, slots=True)
class CheckImage:
    """An image that a check or a practice trial shows on both sides."""

    image_id: uuid.UUID
    pair_id: uuid.UUID
    class_label: str
    arm_id: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A trial before it has a row. A check of one image has the same arm on both sides."""

    pair_id: uuid.UUID
    class_label: str
    arm_left_id: int
    arm_right_id: int
    slot_id: int | None = None
    check_kind: str = ""
    degraded_side: str = ""
    repeats: int | None = None  # index of the main draft that is shown again
    criterion: str = ""

    @classmethod
    def of(cls, slot: Candidate) -> Draft:
        left, right = (slot.arm_a_id, slot.arm_b_id) if slot.is_a_left else (slot.arm_b_id, slot.arm_a_id)
        return cls(slot.pair_id, slot.class_label, left, right, slot_id=slot.slot_id, criterion=slot.criterion)

    @classmethod
    def check(cls, image: CheckImage, kind: str, rng: random.Random) -> Draft:
        """Return the check of one image: against itself, or against its spoilt copy on either side."""
        side = "" if kind == "identical" else rng.choice(("left", "right"))
        arm = image.arm_id
        return cls(image.pair_id, image.class_label, arm, arm, check_kind=kind, degraded_side=side)

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


def planned_slots(
    pairs: Iterable[uuid.UUID],
    comparisons: Sequence[tuple[int, int]],
    *,
    wanted: int,
    assignment_seed: int,
    version: int,
    criterion: str = "",
) -> Iterator[PlannedSlot]:
    """Yield the wanted votes of every comparison of every pair by one criterion, sides balanced over each pair.

    ``draw`` orders the slots of one index in rounds: a pair has one slot in each, so that the first free slots are
    of many pairs, however many comparisons there are.
    """
    rng = random.Random("/".join([f"{assignment_seed}/{version}/slots", *filter(None, [criterion])]))
    next_left: dict[tuple[int, int], bool] = {}
    for pair in pairs:
        rounds = rng.sample(range(len(comparisons)), len(comparisons))
        for comparison, turn in zip(comparisons, rounds, strict=True):
            # Drawn for every second pair and turned for the next: each index of a comparison is balanced over pairs,
            # so that sessions with balanced sides leave balanced sides to the sessions after them.
            first_left = next_left.pop(comparison, None)
            if first_left is None:
                first_left = rng.random() < 0.5
                next_left[comparison] = not first_left
            for index in range(wanted):
                draw = (turn + rng.random()) / len(comparisons)
                yield PlannedSlot(pair, *comparison, index, first_left == (index % 2 == 0), draw, criterion)


def chosen(
    candidates: Sequence[Candidate], wanted: int, *, class_sizes: Mapping[str, int], is_cut: bool = False
) -> list[Candidate]:
    """Choose slots of different pairs, the least seen pairs first.

    The candidates are free slots from the lowest index on; ``is_cut`` says that there are more of them. Who has been
    seen less has more slots left: pairs are taken in that order, and as the candidates were drawn where they have
    equally many. Otherwise a study's last slots would pile up on few pairs, and no visit may show a pair twice.

    Of a pair's slots the first is taken that keeps its comparison's sides, within the session, within one of balance.
    The first round also keeps the classes in proportion to their sizes; the second gives up the classes, the third the
    balance, so that a nearly full study still fills a session. Near its end a study goes through the rounds with the
    least seen pairs first, so that as many whole visits as can be come out of what is left.
    """
    slots: dict[uuid.UUID, list[Candidate]] = {}
    for slot in candidates:
        slots.setdefault(slot.pair_id, []).append(slot)
    # Where the candidates are cut off, some pairs have a slot of the last index among them and some not yet.
    last = candidates[-1].index if is_cut else None
    left = Counter(slot.pair_id for slot in candidates if slot.index != last)
    total = sum(class_sizes.values())
    caps = {slot.class_label: -(-wanted * class_sizes[slot.class_label] // total) for slot in candidates}
    lead: Counter[tuple[int, int]] = Counter()
    classes: Counter[str] = Counter()

    def excess(slot: Candidate) -> int:
        """Return by how much the slot would put its comparison's sides out of balance."""
        return max(0, abs(lead[slot.arm_a_id, slot.arm_b_id] + (1 if slot.is_a_left else -1)) - 1)

    taken: dict[uuid.UUID, Candidate] = {}
    rounds = ((True, True), (False, True), (False, False))
    order = sorted(slots, key=lambda pair: -left[pair])
    for _, alike in groupby(order, key=lambda pair: None if is_cut else left[pair]):
        for (are_classes_even, are_sides_even), pair in product(rounds, alike):
            if len(taken) == wanted:
                return list(taken.values())
            slot = min(slots[pair], key=excess)
            if (
                pair in taken
                or (are_sides_even and excess(slot))
                or (are_classes_even and classes[slot.class_label] >= caps[slot.class_label])
            ):
                continue
            taken[pair] = slot
            lead[slot.arm_a_id, slot.arm_b_id] += 1 if slot.is_a_left else -1
            classes[slot.class_label] += 1
    return list(taken.values())


def drawn(
    slots: Sequence[Candidate],
    pictures: Mapping[str, Sequence[CheckImage]],
    *,
    repeats: int,
    session_seed: int,
    blocks: Sequence[str] = ("",),
) -> list[Draft]:
    """Return a visit's trials in order: practice, then main trials, checks and repeats mixed, block by block.

    ``pictures`` holds those of each kind of check; ``blocks`` the criterion of each block in the visit's order. Nothing
    else goes in, so what is recorded of a visit gives its sides and its order again, at any time.

    Checks and repeats are dealt out to the blocks in turn; practice asks what the first block asks.
    """
    rng = random.Random(f"{session_seed}/order")

    def checks(*kinds: str) -> list[Draft]:
        return [Draft.check(image, kind, rng) for kind in kinds for image in pictures.get(kind, ())]

    order = [replace(draft, criterion=blocks[0]) for draft in checks("practice")]
    mixed = checks("identical", "degraded")
    for place, criterion in enumerate(blocks):
        first = len(order)
        block = arranged(
            (Draft.of(slot) for slot in slots if slot.criterion == criterion),
            [replace(draft, criterion=criterion) for draft in mixed[place :: len(blocks)]],
            repeats=len(range(place, repeats, len(blocks))),
            rng=rng,
        )
        order += [draft if draft.repeats is None else replace(draft, repeats=draft.repeats + first) for draft in block]
    return order


def criteria_order(keys: Sequence[str], *, session_seed: int) -> list[str]:
    """Return the criteria in a visit's own order: of its blocks, or below each of its pairs."""
    return random.Random(f"{session_seed}/criteria").sample(keys, len(keys))


def replaced(image: CheckImage, kind: str, *, session_seed: int, position: int) -> Draft:
    """Return the check that takes the place of a faulty one, at the end of the visit."""
    return Draft.check(image, kind, random.Random(f"{session_seed}/{position}"))


def arranged(main: Iterable[Draft], checks: Iterable[Draft], *, repeats: int, rng: random.Random) -> list[Draft]:
    """Return main trials and checks in one random order, classes spread, repeats far behind their first showing.

    ``repeats`` of a returned draft is the index of its first showing in the returned list.
    """
    order = _spread([*main, *checks], rng)
    firsts = [position for position, draft in enumerate(order) if draft.slot_id is not None]
    distance = max(1, min(REPEAT_DISTANCE, len(order) // 2))
    early = [position for position in firsts if position + distance <= len(order)]
    rng.shuffle(early)
    # Later positions first: what is put in never shifts a position that is still to be used.
    insertions = sorted(
        ((rng.randint(position + distance, len(order)), position) for position in early[:repeats]), reverse=True
    )
    tagged: list[tuple[int | None, Draft]] = list(enumerate(order))
    for at, position in insertions:
        tagged.insert(at, (None, order[position].swapped(position)))
    position_of = {origin: position for position, (origin, _) in enumerate(tagged) if origin is not None}
    return [
        draft if draft.repeats is None else replace(draft, repeats=position_of[draft.repeats]) for _, draft in tagged
    ]


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
