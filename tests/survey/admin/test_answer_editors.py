"""Reasons in rows and the wording of the answers, typed in the form of a draft."""

from __future__ import annotations

import pytest

from survey.admin.answer_editors import AnswerWords, Reasons
from survey.admin.study_form import StudyForm
from tests.beyond import ASKED, REASONS, WORDS
from tests.factories import make_study

pytestmark = pytest.mark.django_db


def rows(*entries: dict[str, str]) -> dict[str, str]:
    sent = {"reasons-TOTAL_FORMS": str(len(entries)), "reasons-INITIAL_FORMS": "0"}
    for place, entry in enumerate(entries):
        sent |= {f"reasons-{place}-{name}": text for name, text in entry.items()}
        sent[f"reasons-{place}-ORDER"] = str(place + 1)
    return sent


def test_reasons_are_typed_in_rows() -> None:
    editor = Reasons.read(rows(*REASONS), "reasons")
    assert editor.is_valid()
    assert editor.value() == REASONS


@pytest.mark.parametrize(
    ("entries", "field"),
    [([{"key": "a b", "caption": "x"}], "key"), ([{"key": "a", "caption": ""}], "caption"), (REASONS[:1] * 2, "key")],
)
def test_a_wrong_reason_is_marked_in_its_row(entries: list[dict[str, str]], field: str) -> None:
    editor = Reasons.read(rows(*entries), "reasons")
    assert not editor.is_valid()
    assert field in editor.forms[-1].errors


def test_more_than_eight_reasons_are_refused() -> None:
    assert not Reasons.read(rows(*({"key": f"r{n}", "caption": "x"} for n in range(9))), "reasons").is_valid()


def test_words_that_are_left_empty_are_not_stored() -> None:
    editor = AnswerWords.read({f"answer_words-{name}": text for name, text in WORDS.items()}, "answer_words")
    assert editor.is_valid()
    assert editor.value() == WORDS
    assert not AnswerWords.read({"answer_words-left": "x" * 41}, "answer_words").is_valid()
    assert AnswerWords.of(WORDS, "answer_words")["left"].value() == "Image A"


def test_the_form_of_a_draft_shows_what_is_asked() -> None:
    page = str(StudyForm(instance=make_study(**ASKED, answer_words=WORDS)))
    for text in ("Anatomy", "Image A", "Ask how much better it is", "Ask which images are good enough"):
        assert text in page
