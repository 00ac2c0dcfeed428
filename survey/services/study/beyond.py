"""What a draft asks beyond the choice, and in which words: what is wrong with it, and what is frozen of it."""

from __future__ import annotations

from typing import Any

from survey.models import Study

__all__ = [
    "LONGEST_REASON",
    "MOST_REASONS",
    "WORDS",
    "beyond_config",
    "beyond_plan_problems",
    "reason_faults",
    "reason_problems",
    "word_problems",
]

MOST_REASONS = 8
# More would not fit below two images.
LONGEST_REASON = 40
# What the buttons say and what is asked with them, and how long it may be; what a study does not say, the pages do.
_BUTTON, _QUESTION = 40, 80
WORDS = {
    **dict.fromkeys(("left", "tie", "right", "upper", "lower"), _BUTTON),
    **dict.fromkeys(("acceptable_both", "acceptable_one", "acceptable_neither"), _BUTTON),
    **{f"grade_{grade}": _BUTTON for grade in range(1, 6)},
    **dict.fromkeys(("acceptable", "strength", "reasons"), _QUESTION),
}


def reason_problems(reasons: Any) -> list[str]:
    """Return what is wrong with a draft's reasons, each with its remedy."""
    example = '[{"key": "anatomy", "caption": "Anatomy"}, {"key": "text", "caption": "Text in the image"}]'
    if not isinstance(reasons, list) or not all(isinstance(entry, dict) for entry in reasons):
        return [f"the reasons are not a list of objects; write {example}"]
    problems = [
        f"reason {number} {text}" for number, entry in enumerate(reasons, start=1) for _, text in reason_faults(entry)
    ]
    if len(reasons) > MOST_REASONS:
        problems.append(f"{len(reasons)} reasons are more than a rater reads; offer at most {MOST_REASONS}")
    keys = [entry["key"] for entry in reasons if isinstance(entry.get("key"), str)]
    if len(set(keys)) < len(keys):
        problems.append("two reasons have the same key")
    return problems


def reason_faults(entry: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (field, what is wrong and its remedy) for one reason."""
    faults = []
    key, caption = entry.get("key"), entry.get("caption")
    if not (isinstance(key, str) and key.isidentifier() and len(key) <= LONGEST_REASON):
        faults.append(("key", f"needs a key of at most {LONGEST_REASON} letters, digits and _, such as anatomy"))
    if not (isinstance(caption, str) and 0 < len(caption.strip()) <= LONGEST_REASON):
        faults.append(("caption", f"needs a caption of at most {LONGEST_REASON} characters: what raters choose"))
    if unknown := sorted(set(map(str, entry)) - {"key", "caption"}):
        faults.append((unknown[0], f"has {', '.join(unknown)}; it may have key and caption"))
    return faults


def word_problems(words: Any) -> list[str]:
    """Return what is wrong with a draft's wording of the answers."""
    if not isinstance(words, dict):
        return ['the wording of the answers is not an object; write {"left": "Image A", "right": "Image B"}']
    problems = []
    for name, text in words.items():
        if name not in WORDS:
            problems.append(f"there is no answer {name!r} to word; there are {', '.join(WORDS)}")
        elif not isinstance(text, str) or not 0 < len(text.strip()) <= WORDS[name]:
            problems.append(f"the wording of {name!r} is a text of 1 to {WORDS[name]} characters, or left out")
    return problems


def beyond_plan_problems(study: Study) -> list[str]:
    """Return where what is asked beyond the choice does not fit the rest of a draft."""
    problems = reason_problems(study.reasons) + word_problems(study.answer_words)
    asks = study.is_acceptable_asked or study.strength_grades or study.reasons
    if asks and len(study.criteria) > 1 and study.criteria_design == Study.CriteriaDesign.TOGETHER:
        problems.append(
            "several criteria together leave no room for strength, acceptable images or reasons; ask in blocks"
        )
    if study.are_reasons_required and not study.reasons:
        problems.append("reasons are required, but there are none to choose from; add some or make them optional")
    return problems


def beyond_config(study: Study) -> dict[str, Any]:
    """Return what is frozen: nothing of what a study does not ask, so that its digest stays as it was."""
    asked = {
        "is_acceptable_asked": study.is_acceptable_asked,
        "strength_grades": study.strength_grades,
        "reasons": study.reasons,
        "are_reasons_required": study.are_reasons_required,
        "words": study.answer_words,
    }
    kept = {name: value for name, value in asked.items() if value}
    return {"beyond": kept} if kept else {}
