from __future__ import annotations

import itertools
import math
import random
import uuid
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from survey.services.assignment.draw import REPEAT_DISTANCE, Candidate, Draft, arranged, chosen, planned_slots

SIZES = {str(label): 1 for label in range(10)}


def candidates(pairs: int, *, classes: int = 4, votes: int = 3, arms: int = 2, seed: int = 0) -> list[Candidate]:
    """Return all the slots of a study in the order of a claim."""
    keys = [uuid.UUID(int=number) for number in range(pairs)]
    comparisons = list(itertools.combinations(range(arms), 2))
    drawn = planned_slots(keys, comparisons, wanted=votes, assignment_seed=seed, version=1)
    ordered = sorted(drawn, key=lambda slot: (slot.index, slot.draw))
    return [
        Candidate(number, index, pair, str(pair.int % classes), arm_a, arm_b, is_a_left)
        for number, (pair, arm_a, arm_b, index, is_a_left, _, _) in enumerate(ordered)
    ]


def test_chosen_takes_each_pair_once_with_sides_and_classes_even() -> None:
    taken = chosen(candidates(60), 20, class_sizes=dict.fromkeys("0123", 15))
    assert len({slot.pair_id for slot in taken}) == len(taken) == 20
    assert sum(slot.is_a_left for slot in taken) == 10
    assert set(Counter(slot.class_label for slot in taken).values()) == {5}


def test_classes_come_in_proportion_to_their_sizes() -> None:
    free = [slot for slot in candidates(60) if slot.class_label in "01" or slot.pair_id.int < 20]
    sizes = Counter(slot.class_label for slot in free if slot.index == 0)
    assert sizes == {"0": 15, "1": 15, "2": 5, "3": 5}
    taken = Counter(slot.class_label for slot in chosen(free, 16, class_sizes=sizes))
    assert taken == {"0": 6, "1": 6, "2": 2, "3": 2}


def test_chosen_takes_the_least_seen_first() -> None:
    free = candidates(60)
    seen = {slot.pair_id for slot in free[:30]}
    left = [slot for slot in free[30:] if slot.pair_id not in seen or slot.index > 0]
    assert not {slot.pair_id for slot in chosen(left, 20, class_sizes=SIZES)} & seen
    # Cut off in the middle of an index, where some pairs have one slot more among the candidates than others.
    assert not {slot.pair_id for slot in chosen(left[:70], 20, class_sizes=SIZES, is_cut=True)} & seen


def test_chosen_fills_the_session_even_where_balance_is_impossible() -> None:
    one_sided = [slot for slot in candidates(30) if slot.is_a_left]
    assert len(chosen(one_sided, 10, class_sizes=SIZES)) == 10


@given(pairs=st.integers(0, 40), wanted=st.integers(1, 50), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_chosen_never_takes_more_than_there_is(pairs: int, wanted: int, seed: int) -> None:
    taken = chosen(candidates(pairs, seed=seed), wanted, class_sizes=SIZES)
    assert len(taken) == min(pairs, wanted)
    assert len({slot.pair_id for slot in taken}) == len(taken)


@pytest.mark.parametrize(
    ("pairs", "votes", "classes", "arms", "wanted"),
    [
        (60, 3, 4, 2, 20),
        (30, 10, 10, 2, 25),
        (43, 20, 7, 2, 40),
        (300, 5, 10, 2, 40),
        (40, 1, 10, 5, 20),
        (12, 1, 3, 10, 12),
    ],
)
@pytest.mark.parametrize("drop_out", [0.0, 0.3])
def test_a_study_fills_up_evenly_in_as_few_visits_as_can_be(
    pairs: int, votes: int, classes: int, arms: int, wanted: int, drop_out: float
) -> None:
    free = candidates(pairs, classes=classes, votes=votes, arms=arms)
    sizes = Counter(slot.class_label for slot in free if slot.index == 0)
    seen = Counter({slot.pair_id: 0 for slot in free})
    sides = Counter({(slot.pair_id, slot.arm_a_id, slot.arm_b_id): 0 for slot in free})
    rng, visits, fewest = random.Random(1), 0, math.ceil(len(free) / wanted)
    while free:
        limit = 6 * wanted + 20
        taken = chosen(free[:limit], wanted, class_sizes=sizes, is_cut=len(free) >= limit)
        assert len({slot.pair_id for slot in taken}) == len(taken)
        assert len(taken) == min(wanted, len({slot.pair_id for slot in free}))
        visits += 1
        answered = taken[: rng.randrange(wanted)] if rng.random() < drop_out else taken
        for slot in answered:
            seen[slot.pair_id] += 1
            sides[slot.pair_id, slot.arm_a_id, slot.arm_b_id] += 1 if slot.is_a_left else -1
        if arms == 2:
            assert max(seen.values()) - min(seen.values()) <= 2
        gone = {slot.slot_id for slot in answered}
        free = [slot for slot in free if slot.slot_id not in gone]
    assert drop_out or visits == fewest
    assert {abs(lead) for lead in sides.values()} == {votes % 2}


@pytest.mark.parametrize("arms", [2, 3, 5])
def test_places_balance_sides_over_each_pair_and_show_all_pairs_in_each_round(arms: int) -> None:
    comparisons = list(itertools.combinations(range(arms), 2))
    drawn = list(planned_slots(range(20), comparisons, wanted=4, assignment_seed=3, version=1))
    assert len(drawn) == 20 * len(comparisons) * 4
    lead = Counter()
    for slot in drawn:
        lead[slot.pair_id, slot.arm_a_id, slot.arm_b_id] += 1 if slot.is_a_left else -1
        lead[slot.arm_a_id, slot.arm_b_id, "index", slot.index] += 1 if slot.is_a_left else -1
    assert set(lead.values()) == {0}
    rounds = Counter((slot.index, int(slot.draw * len(comparisons)), slot.pair_id) for slot in drawn)
    assert len(rounds) == len(drawn)


def drafts(count: int, classes: int = 4) -> list[Draft]:
    return [Draft.of(slot) for slot in chosen(candidates(count, classes=classes), count, class_sizes=SIZES)]


@given(count=st.integers(1, 40), repeats=st.integers(0, 6), seed=st.integers(0, 99))
@settings(max_examples=60)
def test_arranged_keeps_every_trial_and_puts_repeats_behind_with_sides_swapped(count, repeats, seed) -> None:
    main = drafts(count)
    order = arranged(main, [], repeats=repeats, rng=random.Random(seed))
    again = [(place, draft) for place, draft in enumerate(order) if draft.check_kind == "repeat"]
    assert sorted(draft.slot_id for draft in order if draft.slot_id is not None) == sorted(d.slot_id for d in main)
    distance = max(1, min(REPEAT_DISTANCE, count // 2))
    assert len(again) == min(repeats, count - distance + 1)
    for place, draft in again:
        first = order[draft.repeats]
        assert (first.pair_id, first.arm_left_id, first.arm_right_id) == (
            draft.pair_id,
            draft.arm_right_id,
            draft.arm_left_id,
        )
        assert draft.repeats < place
        if count >= 2 * REPEAT_DISTANCE:
            assert place - draft.repeats >= REPEAT_DISTANCE


def test_arranged_never_shows_a_class_twice_running_where_it_can_be_helped() -> None:
    for seed in range(50):
        order = arranged(drafts(24), [], repeats=0, rng=random.Random(seed))
        labels = [draft.class_label for draft in order]
        assert all(one != other for one, other in itertools.pairwise(labels)), labels


@pytest.mark.parametrize("seed", range(3))
def test_the_same_seed_arranges_alike(seed: int) -> None:
    one, other = (arranged(drafts(20), [], repeats=3, rng=random.Random(seed)) for _ in range(2))
    assert one == other
