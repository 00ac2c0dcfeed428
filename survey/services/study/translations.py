"""Texts of a study in several languages: what a draft may hold, what is missing, and what is frozen of it."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from survey.models import Study
from survey.services.study.beyond import reason_problems, word_problems

__all__ = [
    "LONGEST",
    "TEXTS",
    "language_gaps",
    "language_problems",
    "languages_frozen",
    "questions_asked",
    "translation_problems",
]

# By the draft's field: the frozen name. Names and sums of money may stay as they are.
TEXTS = {
    "title": "title",
    "payment": "payment",
    "summary": "summary",
    "consent_text": "consent",
    "instructions": "instructions",
    "question": "question",
    "debrief": "debrief",
}
_OPTIONAL = {"title", "payment"}
LONGEST = {"title": 200, "payment": 200, "question": 300}
_LONGEST_OTHER = 20_000
_EXAMPLE = '{"de": {"question": "Welches Bild ...?", "consent_text": "...", "exit_questions": {"age": {...}}}}'


def language_problems(language: Any) -> list[str]:
    """Return what is wrong with the language that a study's own texts are in."""
    known = dict(settings.LANGUAGES)
    if language and language not in known:
        return [f"there are no pages in {language!r}; the languages are {', '.join(known)}, or none"]
    return []


def translation_problems(translations: Any) -> list[str]:
    """Return what is wrong with the shape of a draft's translations; what is missing, ``language_gaps`` says."""
    if not isinstance(translations, dict) or not all(isinstance(texts, dict) for texts in translations.values()):
        return [f"the translations are not texts by language; write {_EXAMPLE}"]
    problems = []
    for language, texts in translations.items():
        problems += language_problems(language) if language else ["a translation has no language"]
        for name, text in texts.items():
            problems += [f"{language}: {problem}" for problem in _text_problems(name, text)]
    return problems


def _text_problems(name: str, text: Any) -> list[str]:
    if name == "exit_questions":
        return _question_problems(text)
    if name in _OF_ANSWERS:
        return _OF_ANSWERS[name](text)
    if name == "criteria":
        return _criteria_problems(text)
    if name not in TEXTS:
        known = ", ".join([*TEXTS, "criteria", *_OF_ANSWERS, "exit_questions"])
        return [f"there is no text {name!r}; the texts are {known}"]
    longest = LONGEST.get(name, _LONGEST_OTHER)
    if not isinstance(text, str) or len(text) > longest:
        return [f"{name} is not a text of at most {longest} characters"]
    return []


def _question_problems(questions: Any) -> list[str]:
    if not isinstance(questions, dict):
        return ['exit_questions are not objects by the questions\' names; write {"age": {"caption": "..."}}']
    problems = []
    for name, said in questions.items():
        if not isinstance(said, dict) or set(said) - {"caption", "options"}:
            problems.append(f"exit question {name!r} is not an object with a caption and options")
            continue
        options = said.get("options", [])
        if not isinstance(said.get("caption", ""), str):
            problems.append(f"the caption of exit question {name!r} is not a text")
        if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
            problems.append(f"the options of exit question {name!r} are not a list of texts")
    return problems


def _criteria_problems(criteria: Any) -> list[str]:
    if not isinstance(criteria, dict):
        return ['criteria are not objects by their keys; write {"detail": {"question": "..."}}']
    return [
        f"criterion {key!r} is not an object with a question and a definition"
        for key, said in criteria.items()
        if not isinstance(said, dict)
        or set(said) - {"question", "definition"}
        or not all(isinstance(text, str) for text in said.values())
    ]


def _reason_problems(reasons: Any) -> list[str]:
    if not isinstance(reasons, dict) or not all(isinstance(text, str) and len(text) <= 40 for text in reasons.values()):
        return ['reasons are not captions of at most 40 characters by their keys; write {"anatomy": "Anatomie"}']
    return []


_OF_ANSWERS = {"answer_words": word_problems, "reasons": _reason_problems}


def language_gaps(study: Study) -> list[str]:
    """Return what keeps a draft's languages from being equal, each with its remedy; they must be before freezing.

    A page half in one language and half in another is no page; a text that one language alone has makes two studies.
    """
    problems = language_problems(study.language) + translation_problems(study.translations)
    if problems or not study.translations:
        return problems
    if not study.language:
        return ["it has translations, but does not say in which language its own texts are; choose it"]
    names = dict(settings.LANGUAGES)
    own = names[study.language]
    for language, texts in study.translations.items():
        if language == study.language:
            problems.append(f"{own} is the study's own language and cannot be a translation too; leave it out")
            continue
        problems += [
            f"{names[language]}: {gap}"
            for gap in (
                *_text_gaps(study, texts, own),
                *_criteria_gaps(study, texts),
                *_answer_gaps(study, texts),
                *_question_gaps(study, texts),
            )
        ]
    return problems


def _text_gaps(study: Study, texts: dict[str, Any], own: str) -> list[str]:
    gaps = []
    for name in TEXTS:
        if name == "question" and study.criteria:
            continue  # never shown
        here, there = texts.get(name, "").strip(), getattr(study, name).strip()
        called = name.replace("_", " ")
        if there and not here and name not in _OPTIONAL:
            gaps.append(f"no {called}; translate from {own}")
        if here and not there:
            gaps.append(f"there is a {called}, but none in {own}; add it there or leave it out here")
    return gaps


def _question_gaps(study: Study, texts: dict[str, Any]) -> list[str]:
    asked = {question["name"]: question for question in study.exit_questions if isinstance(question, dict)}
    said = texts.get("exit_questions", {})
    gaps = [f"exit question {name!r} is not one of the study; leave it out" for name in said if name not in asked]
    for name, question in asked.items():
        here, options = said.get(name, {}), question.get("options") or []
        if not here.get("caption", "").strip():
            gaps.append(f"exit question {name!r} has no caption; translate it")
        if len(translated := here.get("options") or []) != len(options) or not all(map(str.strip, translated)):
            gaps.append(f"exit question {name!r} has {len(options)} options; translate each, in the same order")
    return gaps


def _criteria_gaps(study: Study, texts: dict[str, Any]) -> list[str]:
    asked = {entry["key"]: entry for entry in study.criteria if isinstance(entry, dict) and "key" in entry}
    said = texts.get("criteria", {})
    gaps = [f"criterion {key!r} is not one of the study; leave it out" for key in said if key not in asked]
    for key, entry in asked.items():
        gaps += [
            f"criterion {key!r} has no {name}; translate it"
            for name in ("question", "definition")
            if entry.get(name) and not said.get(key, {}).get(name, "").strip()
        ]
    return gaps


def _answer_gaps(study: Study, texts: dict[str, Any]) -> list[str]:
    """Compare the wording of the answers and the reasons; a wording that a study leaves to the pages has none."""
    if word_problems(study.answer_words) or reason_problems(study.reasons):
        return []  # named already
    own = {
        "wording of": set(study.answer_words),
        "reason": {entry["key"] for entry in study.reasons},
    }
    said = {"wording of": texts.get("answer_words", {}), "reason": texts.get("reasons", {})}
    gaps = []
    for called, keys in own.items():
        gaps += [f"no {called} {key!r}; translate it" for key in sorted(keys) if not said[called].get(key, "").strip()]
        gaps += [f"{called} {key!r} is not one of the study; leave it out" for key in sorted(set(said[called]) - keys)]
    return gaps


def questions_asked(study: Study) -> dict[str, dict[str, str]]:
    """Return what raters are asked in each of a draft's languages, by what a message calls it."""
    translations = {} if translation_problems(study.translations) else study.translations
    if not study.criteria:
        said = {language: texts.get("question", "") for language, texts in translations.items()}
        return {"the question": _asked(study, study.question, said)}
    return {
        f"the question of criterion {entry['key']}": _asked(
            study,
            entry["question"],
            {
                language: texts.get("criteria", {}).get(entry["key"], {}).get("question", "")
                for language, texts in translations.items()
            },
        )
        for entry in study.criteria
    }


def _asked(study: Study, own: str, said: dict[str, str]) -> dict[str, str]:
    return {study.language: own} | {language: question for language, question in said.items() if question}


def languages_frozen(study: Study) -> dict[str, Any]:
    """Return what a version keeps of the languages: nothing where the study names none, as in versions before."""
    if not study.language:
        return {}
    translations = {
        language: {TEXTS[name]: texts[name] for name in TEXTS if texts.get(name, "").strip()}
        | {"exit_questions": texts.get("exit_questions", {})}
        | {name: texts[name] for name in ("criteria", *_OF_ANSWERS) if texts.get(name)}
        for language, texts in sorted(study.translations.items())
    }
    return {"language": study.language} | ({"translations": translations} if translations else {})
