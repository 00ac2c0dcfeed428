"""Texts in several languages: each whole before freezing, all in one version, and nothing of it where none is named."""

from __future__ import annotations

from typing import Any

import pytest

from survey.exceptions import StudyNotReady
from survey.services.study.translations import language_gaps, language_problems, translation_problems
from survey.services.study.version import version_config, version_freeze, version_problems
from survey.services.study.weaknesses import version_weaknesses
from tests.factories import make_study, make_version
from tests.languages import ARABIC, ENGLISH, GERMAN, THREE_LANGUAGES

pytestmark = pytest.mark.django_db


def with_german(**changes: Any) -> dict[str, Any]:
    """Return the draft's fields with some German texts changed; None takes one away."""
    german = {name: text for name, text in (GERMAN | changes).items() if text is not None}
    return {**ENGLISH, "translations": {"de": german}}


def test_a_study_that_names_no_language_is_frozen_as_before() -> None:
    config = version_config(make_study())
    assert not {"language", "translations"} & set(config)


def test_every_language_is_frozen_in_one_version_and_changes_its_digest() -> None:
    version = make_version(slug="one", **THREE_LANGUAGES)
    config = version.config
    assert config["language"] == "en"
    assert config["translations"]["de"]["consent"] == "Ich nehme teil."
    assert config["translations"]["ar"]["question"] == ARABIC["question"]
    other = version_config(make_study(slug="other", **with_german(question="Welches ist besser?")))
    assert other["translations"]["de"]["question"] == "Welches ist besser?"
    with_two = make_version(slug="two", **with_german())
    assert len({version.config_sha256, with_two.config_sha256}) == 2


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"consent_text": None}, "Deutsch: no consent text; translate from English"),
        ({"question": " "}, "Deutsch: no question"),
        ({"instructions": None}, "Deutsch: no instructions"),
        ({"debrief": None}, "Deutsch: no debrief"),
        ({"exit_questions": {"age": GERMAN["exit_questions"]["age"]}}, "exit question 'remarks' has no caption"),
        (
            {"exit_questions": GERMAN["exit_questions"] | {"age": {"caption": "Alter?", "options": ["jung"]}}},
            "exit question 'age' has 2 options",
        ),
        (
            {"exit_questions": GERMAN["exit_questions"] | {"sex": {"caption": "Geschlecht?"}}},
            "exit question 'sex' is not one of the study",
        ),
    ],
)
def test_the_dry_run_names_what_a_language_lacks(changes: dict[str, Any], named: str) -> None:
    study = make_study(**with_german(**changes))
    assert any(named in problem for problem in version_problems(study)), version_problems(study)
    with pytest.raises(StudyNotReady):
        version_freeze(study=study)


def test_a_text_that_one_language_alone_has_is_named() -> None:
    study = make_study(**with_german() | {"debrief": ""})
    assert language_gaps(study) == [
        "Deutsch: there is a debrief, but none in English; add it there or leave it out here"
    ]


def test_names_and_payment_may_stay_as_they_are() -> None:
    assert language_gaps(make_study(payment="5 EUR", **with_german(title=None))) == []


def test_translations_need_the_language_of_the_own_texts() -> None:
    assert "choose it" in language_gaps(make_study(**with_german() | {"language": ""}))[0]
    assert "own language" in language_gaps(make_study(**with_german() | {"language": "de"}))[0]


@pytest.mark.parametrize(
    "translations",
    [
        [],
        {"de": "Welches?"},
        {"xx": {}},
        {"": {}},
        {"de": {"wording": "?"}},
        {"de": {"question": 1}},
        {"de": {"question": "?" * 301}},
        {"de": {"exit_questions": []}},
        {"de": {"exit_questions": {"age": {"options": "jung"}}}},
        {"de": {"exit_questions": {"age": {"caption": None}}}},
        {"de": {"exit_questions": {"age": {"text": "Alter?"}}}},
    ],
)
def test_what_is_no_translation_is_named_where_it_is_typed(translations: Any) -> None:
    assert translation_problems(translations)
    assert version_problems(make_study(language="en", translations=translations))
    assert version_weaknesses(make_study(language="en", translations=translations))


def test_only_languages_with_pages_can_be_named() -> None:
    assert "en, de, ar" in language_problems("fr")[0]
    assert language_problems("") == language_problems("ar") == []


def test_a_placeholder_is_checked_in_every_language() -> None:
    study = make_study(**with_german(question="Welches ist {prompt.upper}?"))
    assert any("placeholder" in problem for problem in version_problems(study))


def test_weaknesses_look_at_every_language() -> None:
    found = version_weaknesses(make_study(**with_german(instructions="robust ist besser")))
    assert "the instructions in de names the arm 'robust'; raters read it" in found
    asks = ENGLISH["question"] + " {class_name}"
    found = version_weaknesses(make_study(**with_german() | {"question": asks}))
    assert "the question names the class, but not in de: raters there are asked something else" in found
    both = with_german(question="Welches {class_name}?") | {"question": asks}
    assert any("class names are in one" in weakness for weakness in version_weaknesses(make_study(**both)))
