"""Exit questions: their four kinds, what a researcher may ask, and which answers fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from survey.selectors.rater import question_kind

__all__ = ["FIELDS", "KINDS", "LONGEST_TEXT", "ExitQuestion", "question_faults", "question_problems"]

KINDS = {
    "single": "one of several answers",
    "multiple": "any of several answers",
    "number": "a number",
    "text": "a short text",
}
LONGEST_TEXT = 2000
MOST_OPTIONS = 100
# Between the answers to one question in the raters' table, so that no option may hold it.
SEPARATOR = "|"
# What a question of each kind has beside its name, caption and kind.
FIELDS = {
    "single": ("options",),
    "multiple": ("options",),
    "number": ("minimum", "maximum"),
    "text": ("length",),
}
_OF_ALL = ("name", "caption", "kind")


@dataclass(frozen=True, kw_only=True)
class ExitQuestion:
    """One question after the last trial. An answer of ``multiple`` is a list, of ``number`` a number, else a text."""

    name: str
    caption: str
    kind: str
    options: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    length: int = LONGEST_TEXT

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> ExitQuestion:
        """Read a question as studies and versions store it."""
        return cls(
            name=entry["name"],
            caption=entry["caption"],
            kind=question_kind(entry),
            options=tuple(entry.get("options") or ()),
            minimum=entry.get("minimum"),
            maximum=entry.get("maximum"),
            length=entry.get("length") or LONGEST_TEXT,
        )

    def answer(self, given: Sequence[str]) -> str | list[str] | float | int | None:
        """Return what to store of what a form sent; None for no answer. Raises ValueError if it does not fit."""
        # Browsers send line ends as two characters and count one towards the length.
        texts = [text for text in (text.replace("\r\n", "\n").strip() for text in given) if text]
        return _ANSWERS[self.kind](self, texts) if texts else None

    def _chosen(self, texts: list[str]) -> list[str]:
        if unknown := set(texts) - set(self.options):
            raise ValueError(f"{self.name}: {unknown.pop()!r} is not one of the options")
        return [option for option in self.options if option in texts]

    def _one(self, texts: list[str]) -> str:
        chosen = self._chosen(texts)
        if len(chosen) > 1:
            raise ValueError(f"{self.name} takes one answer, not {len(chosen)}")
        return chosen[0]

    def _number(self, texts: list[str]) -> float | int:
        try:
            value = float(texts[0])
        except ValueError:
            value = math.nan
        low, high = self.minimum, self.maximum
        if not math.isfinite(value) or (low is not None and value < low) or (high is not None and value > high):
            raise ValueError(f"{self.name}: {texts[0][:40]!r} is no number in its range")
        return int(value) if value.is_integer() else value

    def _text(self, texts: list[str]) -> str:
        if len(texts[0]) > self.length or "\x00" in texts[0]:
            raise ValueError(f"{self.name} takes at most {self.length} characters")
        return texts[0]


_ANSWERS: dict[str, Callable[[ExitQuestion, list[str]], Any]] = {
    "single": ExitQuestion._one,
    "multiple": ExitQuestion._chosen,
    "number": ExitQuestion._number,
    "text": ExitQuestion._text,
}


# --- what a researcher may ask ---------------------------------------------------------------------------------------


def question_faults(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (field, what is wrong and its remedy) for one question."""
    kind = question_kind(entry)
    if not isinstance(kind, str) or kind not in FIELDS:
        return [("kind", f"there is no kind {kind!r}; the kinds are {', '.join(KINDS)}")]
    faults = []
    if not (isinstance(entry.get("name"), str) and entry["name"].isidentifier() and len(entry["name"]) <= 60):
        faults.append(("name", "it needs a name of at most 60 letters, digits and _, such as age"))
    if not (isinstance(entry.get("caption"), str) and entry["caption"].strip()):
        faults.append(("caption", "it needs a caption: what raters are asked"))
    if unknown := sorted(set(entry) - {*_OF_ALL, *FIELDS[kind]}):
        # An empty list of options says the same as none.
        faults += [(name, f"{name} is nothing that a question of kind {kind} has") for name in unknown if entry[name]]
    return faults + _FAULTS[kind](entry)


def _option_faults(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    options = entry.get("options")
    if not (isinstance(options, list) and all(isinstance(option, str) and option.strip() for option in options)):
        return [("options", "its options are a list of texts, such as under 30, 30 or more")]
    kept = {option.strip() for option in options}
    if not kept or len(kept) < len(options) or len(kept) > MOST_OPTIONS:
        return [("options", f"it needs up to {MOST_OPTIONS} options, each of them once")]
    if entry.get("kind") == "multiple" and any(SEPARATOR in option for option in options):
        return [("options", f"no option may hold {SEPARATOR}, which stands between several answers in files")]
    return []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e12


def _number_faults(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    ends = [entry.get(name) for name in ("minimum", "maximum")]
    for name, value in zip(("minimum", "maximum"), ends, strict=True):
        if value is not None and not _is_number(value):
            return [(name, f"its {name} is a number, or left out")]
    if None not in ends and ends[0] >= ends[1]:
        return [("maximum", "its maximum is above its minimum")]
    return []


def _text_faults(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    length = entry.get("length")
    if length is None or (isinstance(length, int) and not isinstance(length, bool) and 1 <= length <= LONGEST_TEXT):
        return []
    return [("length", f"its length is a whole number of characters from 1 to {LONGEST_TEXT}")]


_FAULTS: dict[str, Callable[[Mapping[str, Any]], list[tuple[str, str]]]] = {
    "single": _option_faults,
    "multiple": _option_faults,
    "number": _number_faults,
    "text": _text_faults,
}


def question_problems(questions: Any) -> list[str]:
    """Return what is wrong with the exit questions, each with its remedy."""
    example = (
        '[{"name": "age", "caption": "How old are you?", "kind": "single", "options": ["under 30", "30 or more"]}]'
    )
    if not isinstance(questions, list) or not all(isinstance(question, dict) for question in questions):
        return [f"the exit questions are not a list of objects; write {example}"]
    problems = [
        f"exit question {number}: {text}"
        for number, question in enumerate(questions, start=1)
        for _, text in question_faults(question)
    ]
    names = [question.get("name") for question in questions if isinstance(question.get("name"), str)]
    if len(set(names)) < len(names):
        problems.append("two exit questions have the same name")
    return problems
