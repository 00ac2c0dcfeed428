from __future__ import annotations

import itertools
import random
import uuid
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from survey.services.assignment import REPEAT_DISTANCE, Candidate, Draft, arranged, chosen

ARMS = (1, 2)


def candidates(pairs: int, *, classes: int = 4, votes: int = 3, seed: int = 0) -> list[Candidate]:
    """Return free slots in the order of a claim: by index, then at random, sides alternating over each pair."""
    rng = random.Random(seed)
    keys = [uuid.UUID(int=rng.getrandbits(128)) for _ in range(pairs)]
    first = [rng.random() < 0.5 for _ in keys]
    slots = []
    for index in range(votes):
        level = [
            Candidate(index * pairs + place, key, str(place % classes), *ARMS, first[place] == (index % 2 == 0))
            for place, key in enumerate(keys)
        ]
        rng.shuffle(level)
        slots += level
    return slots


def test_chosen_takes_each_pair_once_with_sides_and_classes_even() -> None:
    taken = chosen(candidates(60), 20)
    assert len({slot.pair_id for slot in taken}) == len(taken) == 20
    assert sum(slot.is_a_left for slot in taken) == 10
    assert set(Counter(slot.class_label for slot in taken).values()) == {5}


def test_chosen_takes_the_least_seen_first() -> None:
    free = candidates(60)
    assert all(slot.slot_id < 60 for slot in chosen(free, 20))


def test_chosen_fills_the_session_even_where_balance_is_impossible() -> None:
    one_sided = [slot for slot in candidates(30) if slot.is_a_left]
    assert len(chosen(one_sided, 10)) == 10


@given(pairs=st.integers(0, 40), wanted=st.integers(1, 50), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_chosen_never_takes_more_than_there_is(pairs: int, wanted: int, seed: int) -> None:
    taken = chosen(candidates(pairs, seed=seed), wanted)
    assert len(taken) == min(pairs, wanted)
    assert len({slot.pair_id for slot in taken}) == len(taken)


def drafts(count: int, classes: int = 4) -> list[Draft]:
    return [Draft.of(slot) for slot in chosen(candidates(count, classes=classes), count)]


@given(count=st.integers(1, 40), repeats=st.integers(0, 6), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
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
