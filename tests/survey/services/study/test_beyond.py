"""What a draft asks beyond the choice: off by default, named where it is wrong, frozen with its words."""

from __future__ import annotations

from typing import Any

import pytest

from survey.selectors.texts import reasons_in, words_in
from survey.services.study.beyond import beyond_config, reason_problems, word_problems
from survey.services.study.translations import language_gaps, translation_problems
from survey.services.study.version import version_config, version_problems
from tests.beyond import ASKED, REASONS, TWO_LANGUAGES, WORDS
from tests.factories import make_study, make_version

pytestmark = pytest.mark.django_db


def test_a_study_that_asks_nothing_more_is_frozen_as_before() -> None:
    assert beyond_config(make_study()) == {}
    assert "beyond" not in version_config(make_study())


def test_what_is_asked_is_frozen_with_its_words_in_every_language() -> None:
    version = make_version(**TWO_LANGUAGES)
    assert version.config["beyond"] == {
        "is_acceptable_asked": True,
        "strength_grades": 3,
        "reasons": REASONS,
        "words": WORDS,
    }
    assert words_in(version.config, "de")["tie"] == "Beide gleich"
    assert words_in(version.config, "en") == WORDS
    assert [entry["caption"] for entry in reasons_in(version.config, "de")] == ["Anatomie", "Farbe"]
    assert reasons_in(version.config, "en") == REASONS


@pytest.mark.parametrize(
    ("reasons", "named"),
    [
        ("anatomy", "not a list of objects"),
        ([{"key": "a b", "caption": "x"}], "needs a key"),
        ([{"key": "a"}], "needs a caption"),
        ([{"key": "a", "caption": "x" * 41}], "needs a caption of at most 40"),
        ([{"key": "a", "caption": "x", "text": True}], "has text"),
        ([{"key": "a", "caption": "x"}] * 2, "same key"),
        ([{"key": f"r{n}", "caption": "x"} for n in range(9)], "at most 8"),
    ],
)
def test_wrong_reasons_are_named(reasons: Any, named: str) -> None:
    assert any(named in problem for problem in reason_problems(reasons))


@pytest.mark.parametrize("words", [[], {"middle": "x"}, {"left": ""}, {"left": 1}, {"left": "x" * 41}])
def test_wrong_wordings_are_named(words: Any) -> None:
    assert word_problems(words)
    assert version_problems(make_study(answer_words=words))


def test_a_draft_whose_parts_do_not_fit_is_not_frozen() -> None:
    criteria = [{"key": key, "question": "Which?"} for key in ("detail", "style")]
    together = make_study(**ASKED, criteria=criteria, criteria_design="together")
    assert any("ask in blocks" in problem for problem in version_problems(together))
    assert not any("blocks" in problem for problem in version_problems(make_study(**ASKED, criteria=criteria)))
    required = make_study(are_reasons_required=True)
    assert any("reasons are required" in problem for problem in version_problems(required))


def test_a_language_without_the_wording_or_a_reason_is_named() -> None:
    german = TWO_LANGUAGES["translations"]["de"]
    bare = {name: text for name, text in german.items() if name not in {"answer_words", "reasons"}}
    gaps = language_gaps(make_study(**TWO_LANGUAGES | {"translations": {"de": bare}}))
    assert "Deutsch: no wording of 'left'; translate it" in gaps
    assert "Deutsch: no reason 'anatomy'; translate it" in gaps
    more = german | {"reasons": german["reasons"] | {"mood": "Stimmung"}}
    gaps = language_gaps(make_study(**TWO_LANGUAGES | {"translations": {"de": more}}))
    assert gaps == ["Deutsch: reason 'mood' is not one of the study; leave it out"]
    assert translation_problems({"de": {"reasons": ["x"]}})
    assert translation_problems({"de": {"answer_words": {"middle": "x"}}})
