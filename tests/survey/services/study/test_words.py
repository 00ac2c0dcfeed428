"""Prompts, names and references that pairs lack are named before freezing; a placeholder needs pairs that fill it."""

from __future__ import annotations

import pytest
from django.db.models import F

from survey.models import ImagePair, ReferenceImage
from survey.services.study.version import version_problems
from survey.services.study.windows import windows_outlook
from survey.services.study.words import words_weaknesses
from tests.factories import make_study
from tests.photos import photo_draft

pytestmark = pytest.mark.django_db


def prompts(study, *, of: int, text: str = "a cat") -> None:
    keys = study.pairs.order_by("key").values_list("pk", flat=True)[:of]
    ImagePair.objects.filter(pk__in=list(keys)).update(prompt=text)


def test_a_prompt_that_the_question_names_must_be_there_for_every_pair() -> None:
    study = make_study(question="Which image shows {prompt} better?")
    for described, missing in ((0, 6), (4, 2)):
        prompts(study, of=described)
        (problem,) = version_problems(study)
        assert problem.startswith(f"the question names the prompt, but {missing} pair(s) have no prompt, first ")
        assert problem.endswith("; import prompts, or leave {prompt} out of the question")
    prompts(study, of=6)
    assert version_problems(study) == []


def test_pairs_without_a_prompt_or_reference_that_others_have_are_counted() -> None:
    study = make_study()
    assert words_weaknesses(study) == []
    prompts(study, of=4)
    first = study.pairs.order_by("key").first()
    ReferenceImage.objects.create(pair=first, file="x", sha256="0" * 64, width=20, height=10)
    assert words_weaknesses(study) == [
        "2 of 6 pairs have no prompt; the box above them stays empty",
        "5 of 6 pairs have no reference; its place stays empty",
        f"1 reference(s) have another shape than their pair's images, first in pair {first.key}; they are fitted into "
        "the same frame",
    ]
    study.are_prompts_shown = False
    assert not [text for text in words_weaknesses(study) if "prompt" in text]


def test_a_question_of_more_than_two_lines_is_named_with_its_length_filled_in() -> None:
    study = make_study(question="Which " + "very " * 22 + "{class_name}?")
    assert not [text for text in words_weaknesses(study) if "letters" in text]
    study.pairs.filter(key__startswith="0-00000").update(class_name="s" * 40)
    (found,) = (text for text in words_weaknesses(study) if "letters" in text)
    assert found.startswith("the question takes up to 157 letters and has room for about 130, on a phone for fewer")
    study.question = "どちらの画像" * 11
    (found,) = (text for text in words_weaknesses(study) if "letters" in text)
    assert "takes up to 132 letters" in found
    study.criteria = [{"key": "a", "question": "Better?"}, {"key": "b", "question": "x" * 200}]
    assert [text[:40] for text in words_weaknesses(study) if "letters" in text] == [
        "the question of criterion b takes up to "
    ]


def test_a_reference_of_fewer_pixels_than_its_pair_is_named() -> None:
    study = make_study()
    pairs = study.pairs.order_by("key")
    for pair, side in zip(pairs, (8, 16, 32, 8, 16, 32), strict=True):
        ReferenceImage.objects.create(pair=pair, file="x", sha256="0" * 64, width=side, height=side)
    assert words_weaknesses(study) == [
        f"2 reference(s) have fewer pixels than their pair's images, first in pair {pairs[0].key}; they are enlarged "
        "smoothly to the size of the images, and look soft beside them"
    ]


@pytest.mark.parametrize(
    "question", ["{classname}", "{prompt.__class__}", "{prompt!r}", "{prompt:9}", "{", "{0}", "{}"]
)
def test_other_placeholders_are_a_problem(question: str) -> None:
    study = make_study(question=f"Which {question}?")
    assert version_problems(study) == ["the question has a placeholder other than {class_name} and {prompt}"]


def test_a_long_prompt_within_the_question_is_a_problem() -> None:
    study = make_study(question="Which image shows {prompt}?")
    prompts(study, of=6, text="x" * 121)
    (problem,) = version_problems(study)
    assert "6 prompt(s) have more than 120 characters" in problem


def test_one_name_of_two_classes_is_named() -> None:
    study = make_study()
    study.pairs.update(class_name=F("class_label"))
    assert words_weaknesses(study) == []
    study.pairs.update(class_name="a cat")
    assert words_weaknesses(study) == ["1 class name(s) stand for several classes, the first is 'a cat'"]


def test_a_question_in_each_criterion_is_looked_at() -> None:
    study = make_study(criteria=[{"key": "detail", "question": "Which shows {prompt}?"}])
    assert any(text.startswith("the question of criterion detail names the prompt") for text in version_problems(study))


def test_a_visit_with_references_weighs_half_as_much_again() -> None:
    study = photo_draft((160, 160), (160, 160), least_box_px=64, box_px=160)
    before = next(one for one in windows_outlook(study) if one.pair_seconds)
    for pair in study.pairs.all():
        ReferenceImage.objects.create(pair=pair, file="x", sha256="0" * 64, width=160, height=160)
    after = next(one for one in windows_outlook(study) if one.name == before.name)
    assert after.shown == before.shown
    assert after.pair_seconds[4] == pytest.approx(1.5 * before.pair_seconds[4], abs=0.02)
