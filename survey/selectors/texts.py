"""The frozen texts of a version in a rater's language.

A version that names no language has one set of texts, shown as they are whatever language the pages are in. One that
does is shown in its own languages alone, each whole: ``survey/services/study/translations.py`` sees to that.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import Any, Protocol

from survey.criteria import Criterion, criteria_of, design_of, headline_of

__all__ = [
    "consent_digests",
    "criteria_in",
    "instructed",
    "question_filled",
    "question_in",
    "reasons_in",
    "shown_language",
    "text_languages",
    "texts_in",
    "words_in",
]


class Pair(Protocol):
    """What the placeholders of a question stand for."""

    class_name: str
    prompt: str


_PLACEHOLDER = re.compile(r"\{\w+\}")


def text_languages(config: dict[str, Any]) -> tuple[str, ...]:
    """Return the languages that a frozen version has texts in, its own first; none where it names none."""
    own = config.get("language")
    return (own, *config.get("translations", {})) if own else ()


def shown_language(config: dict[str, Any], language: str) -> str:
    """Return the language in which a rater with this one reads the texts; empty where the version names none."""
    languages = text_languages(config)
    return language if language in languages else languages[0] if languages else ""


def texts_in(config: dict[str, Any], language: str) -> dict[str, Any]:
    """Return what raters read in this language, ``title`` included; the version's own texts for any other language.

    Each exit question has ``choices``: the stored value and the words of each of its options.
    """
    said = config.get("translations", {}).get(language, {})
    own = config["texts"] | {"title": config["study"]["title"]}
    translated = said.get("exit_questions", {})
    questions = [_question(entry, translated.get(entry["name"], {})) for entry in own["exit_questions"]]
    return own | {name: text for name, text in said.items() if name in own and text} | {"exit_questions": questions}


def _question(own: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    options = own.get("options") or []
    # What is stored is the option in the version's own language: a table of raters must not have each group twice.
    choices = list(zip(options, said.get("options") or options, strict=True))
    return own | {"caption": said.get("caption") or own["caption"], "choices": choices}


def criteria_in(config: dict[str, Any], language: str) -> tuple[Criterion, ...]:
    """Return what a version asks in this language, placeholders still to be filled in."""
    said = config.get("translations", {}).get(language, {})
    listed = [entry["key"] for entry in config.get("criteria", {}).get("list", [])]
    texts = [said.get("criteria", {}).get(key, {}) for key in listed] or [{"question": said.get("question")}]
    return tuple(
        replace(
            criterion,
            question=own.get("question") or criterion.question,
            definition=own.get("definition") or criterion.definition,
        )
        for criterion, own in zip(criteria_of(config), texts, strict=True)
    )


def instructed(config: dict[str, Any], language: str) -> dict[str, Any]:
    """Return the criteria as the instructions list them, where there are several: of no pair yet."""
    listed = [replace(one, question=_PLACEHOLDER.sub("…", one.question)) for one in criteria_in(config, language)]
    return {"design": design_of(config), "list": listed} if len(listed) > 1 else {}


def question_in(config: dict[str, Any], language: str) -> str:
    """Return the question in this language, of several criteria the headline's; its placeholders to be filled in."""
    headline = headline_of(config)
    return next(one.question for one in criteria_in(config, language) if one.key == headline)


def words_in(config: dict[str, Any], language: str) -> dict[str, str]:
    """Return the version's own wording of the answers in this language; what it does not say, the pages do."""
    said = config.get("translations", {}).get(language, {}).get("answer_words", {})
    return config.get("beyond", {}).get("words", {}) | said


def reasons_in(config: dict[str, Any], language: str) -> list[dict[str, str]]:
    """Return key and caption of the reasons that a rater may choose from, in the order of the plan."""
    said = config.get("translations", {}).get(language, {}).get("reasons", {})
    listed = config.get("beyond", {}).get("reasons", [])
    return [{"key": entry["key"], "caption": said.get(entry["key"]) or entry["caption"]} for entry in listed]


def question_filled(question: str, pair: Pair) -> str:
    """Return a question as it is read of one pair."""
    return question.format(class_name=pair.class_name, prompt=pair.prompt)


def consent_digests(config: dict[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of the consent text by language; under an empty one where the version names none."""
    languages = text_languages(config) or ("",)
    texts = {language: texts_in(config, language)["consent"] for language in languages}
    return {language: hashlib.sha256(text.encode()).hexdigest() for language, text in texts.items()}
