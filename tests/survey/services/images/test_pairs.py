"""Registering many pairs: in batches, and all of a call or nothing."""

from __future__ import annotations

import pytest

from survey.exceptions import PairConflict
from survey.models import PairImage
from survey.services.images import pairs as pair
from survey.services.images.pairs import NewImage, NewPair, pairs_register
from tests.factories import make_study

pytestmark = pytest.mark.django_db


def new_pairs(count: int, *, robust: str = "r") -> list[NewPair]:
    def image(arm: str, number: int) -> NewImage:
        return NewImage(file=f"images/{arm}{number}.png", sha256=f"{arm}{number}", width=8, height=8)

    return [
        NewPair(key=f"0-{number:05d}", images={"vanilla": image("v", number), "robust": image(robust, number)})
        for number in range(count)
    ]


def test_more_pairs_than_a_query_may_name_are_registered_in_batches(monkeypatch):
    monkeypatch.setattr(pair, "_BATCH", 3)
    study = make_study(pairs=0)
    assert pairs_register(study=study, pairs=iter(new_pairs(8))) == 8
    assert pairs_register(study=study, pairs=new_pairs(10)) == 2
    assert PairImage.objects.filter(pair__study=study).count() == 20


def test_conflict_in_a_later_batch_keeps_nothing_of_the_call(monkeypatch):
    monkeypatch.setattr(pair, "_BATCH", 3)
    study = make_study(pairs=0)
    pairs_register(study=study, pairs=new_pairs(5)[4:])
    with pytest.raises(PairConflict, match="pair '0-00004' exists with other images of robust"):
        pairs_register(study=study, pairs=[*new_pairs(4), *new_pairs(5, robust="other")[4:]])
    assert study.pairs.count() == 1
