"""Which pairs an order means: its positions, and the same pairs among those of a study."""

from __future__ import annotations

import pytest

from generation.models import GenerationRun
from survey.models import ImagePair

pytestmark = pytest.mark.django_db


def test_positions_of_an_order_are_a_prefix_of_a_larger_one():
    small = GenerationRun(pairs=7, classes=[5, 2, 9], seed=1)
    large = GenerationRun(pairs=20, classes=[5, 2, 9], seed=1)
    assert [small.spec_at(p) for p in range(7)] == [large.spec_at(p) for p in range(7)]
    assert len({large.spec_at(p) for p in range(20)}) == 20


def test_wanted_pairs_are_exactly_the_positions(draft):
    study = draft()
    run = GenerationRun(study=study, pairs=7, classes=[3, 1, 2], seed=1)
    for label in range(4):
        for index in range(4):
            ImagePair.objects.create(study=study, key=f"{label}-{index}", class_label=str(label), index=index, seed=1)
    wanted = {(int(p.class_label), p.index) for p in ImagePair.objects.filter(run.wanted)}
    assert wanted == {(spec.class_label, spec.index) for spec in map(run.spec_at, range(7))}
