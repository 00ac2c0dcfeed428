"""The frozen texts in a rater's language."""

from __future__ import annotations

import hashlib

import pytest

from survey.selectors.texts import consent_digests, question_in, shown_language, text_languages, texts_in
from tests.factories import make_version
from tests.languages import THREE_LANGUAGES

pytestmark = pytest.mark.django_db


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_each_language_has_its_texts_and_the_digest_of_its_consent() -> None:
    version = make_version(**THREE_LANGUAGES)
    config = version.config
    assert text_languages(config) == ("en", "ar", "de")
    german = texts_in(config, "de")
    assert (german["title"], german["question"]) == ("Bildpaare", "Welches Bild ist besser?")
    age, remarks = german["exit_questions"]
    assert age["choices"] == [("under 30", "unter 30"), ("30 or more", "30 oder mehr")]
    assert (remarks["caption"], remarks["choices"]) == ("Sonst noch etwas?", [])
    assert texts_in(config, "ar")["title"] == version.study.title
    assert consent_digests(config)["de"] == digest("Ich nehme teil.")
    assert consent_digests(config)["en"] == version.consent_sha256


def test_any_other_language_reads_the_own_texts() -> None:
    config = make_version(**THREE_LANGUAGES).config
    assert texts_in(config, "fr") == texts_in(config, "en") == texts_in(config, "")
    assert question_in(config, "fr") == "Which image is better?"
    assert (shown_language(config, "fr"), shown_language(config, "ar")) == ("en", "ar")


def test_a_version_without_languages_has_its_texts_in_all() -> None:
    version = make_version()
    assert text_languages(version.config) == ()
    assert texts_in(version.config, "de")["consent"] == "I agree to take part."
    assert consent_digests(version.config) == {"": version.consent_sha256}
    assert shown_language(version.config, "de") == ""
