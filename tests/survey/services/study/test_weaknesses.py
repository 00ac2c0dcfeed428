"""Each weakness of a plan is named while it is there, with what fixes it, and goes when it is fixed."""

from __future__ import annotations

from typing import Any

import pytest

from survey.models import ImagePair, PairImage, Study
from survey.services.study.weaknesses import version_weaknesses
from tests.beyond import ASKED
from tests.factories import make_study

pytestmark = pytest.mark.django_db

#: (a plan that has the weakness, how its sentence begins, a plan that has not)
FIELDS: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({"contact": ""}, "no contact is given", {"contact": "lab@example.org"}),
    ({"instructions": " "}, "the instructions are empty", {"instructions": "Look at both."}),
    ({"degraded_trials": 0, "identical_trials": 0}, "no attention checks", {"identical_trials": 1}),
    ({"repeat_trials": 0}, "no repeated trials", {"repeat_trials": 1}),
    ({"exclusion_rules": []}, "no exclusion rule", {"exclusion_rules": [{"rule": "too_fast"}]}),
    ({"practice_trials": 0}, "no practice trials", {"practice_trials": 2}),
    ({"votes_per_pair": 3}, "3 votes per pair is odd", {"votes_per_pair": 4}),
    ({"votes_per_pair": 8, "target_raters": 4}, "8 votes per pair need as many raters", {"votes_per_pair": 4}),
    ({"target_raters": 2, "votes_per_pair": 10}, "2 raters give 12 votes, the plan wants 60", {"target_raters": 10}),
    ({"target_raters": 90, "votes_per_pair": 2}, "more raters than places: 90 raters", {"target_raters": 2}),
    ({"trials_per_session": 400}, "400 trials take about", {"trials_per_session": 6}),
    ({"display": "pixels", "pixel_multiple": 1}, "images of 16 pixels are tiny", {"pixel_multiple": 4}),
]


def found(study: Study, begins: str) -> bool:
    study.refresh_from_db()
    return any(text.startswith(begins) for text in version_weaknesses(study))


@pytest.mark.parametrize(("weak", "begins", "fixed"), FIELDS, ids=[begins for _, begins, _ in FIELDS])
def test_a_weakness_of_the_plan_goes_when_it_is_mended(weak: dict, begins: str, fixed: dict) -> None:
    study = make_study(practice_trials=0, repeat_trials=0, identical_trials=0, degraded_trials=0)
    row = Study.objects.filter(pk=study.pk)
    row.update(**weak)
    assert found(study, begins), version_weaknesses(study)
    row.update(**fixed)
    assert not found(study, begins)


def test_few_pairs_and_a_baseline_by_chance_are_named() -> None:
    study = make_study(pairs=6)
    assert found(study, "only 6 pairs")
    Study.objects.filter(pk=study.pk).update(baseline=None)
    assert found(study, "no baseline arm is chosen: the report takes the first name, 'robust'")
    Study.objects.filter(pk=study.pk).update(baseline=study.arms.get(name="vanilla"))
    assert not found(study, "no baseline arm")


def test_a_plan_without_the_power_says_what_would_reach_it() -> None:
    study = make_study(pairs=6, target_raters=6)
    (text,) = [text for text in version_weaknesses(study) if text.startswith("power is")]
    assert "would reach it (see Planning)" in text


def test_pairs_that_tell_nothing_or_lean_to_one_class_are_named() -> None:
    study = make_study(pairs=6, question="Which {class_name} looks better?")
    calm = version_weaknesses(study)
    assert not [text for text in calm if text.startswith(("in 1 pair", "classes are uneven"))]
    first = study.pairs.order_by("key").first()
    PairImage.objects.filter(pair=first).update(sha256="0" * 64)
    assert found(study, "in 1 pair(s) all arms have the same bytes")
    ImagePair.objects.filter(study=study).exclude(pk=first.pk).update(class_label="1", class_name="")
    assert found(study, "classes are uneven: 1 pairs of '0', 5 of '1'")


def test_questions_that_follow_a_choice_lengthen_the_session() -> None:
    plan = {"trials_per_session": 100, "minimum_exposure_ms": 800}
    alone, more = (version_weaknesses(make_study(**plan, **asked)) for asked in ({}, ASKED))
    assert not any("attention fades" in text for text in alone)
    assert any("take about 23 minutes" in text for text in more)
