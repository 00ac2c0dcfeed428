"""The editors of what raters say beyond the choice: reasons in rows, the wording of the answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from survey.admin.nested import PartForm, RowForm, Rows
from survey.services.study.beyond import LONGEST_REASON, MOST_REASONS, WORDS, reason_faults

__all__ = ["AnswerWords", "Reasons"]

_CAPTIONS = {
    "left": "Left",
    "tie": "No preference",
    "right": "Right",
    "upper": "Upper, where images are stacked",
    "lower": "Lower, where images are stacked",
    "strength": "How much better: the question",
    "acceptable": "Good enough: the question",
    "acceptable_both": "Good enough: both",
    "acceptable_one": "Good enough: only the chosen one",
    "acceptable_neither": "Good enough: neither",
    "reasons": "Reasons: the question",
}


class ReasonForm(RowForm):
    caption = forms.CharField(max_length=LONGEST_REASON, label="What raters choose")
    key = forms.CharField(max_length=LONGEST_REASON, label="Name in files", help_text="letters, digits and _")

    @classmethod
    def normal(cls, entry: Mapping[str, Any]) -> dict[str, Any]:
        return {name: entry.get(name) for name in ("key", "caption")}

    def entry(self) -> dict[str, Any]:
        return self.normal(self.cleaned_data)

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if not self.errors:
            for field, text in reason_faults(self.entry()):
                self.add_error(field, text)
        return given


class Reasons(Rows):
    form = ReasonForm
    row_name, unique = "reason", "key"
    max_num = MOST_REASONS


class AnswerWords(PartForm):
    """A text for each answer; what is left empty, the pages say in the rater's language."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, longest in WORDS.items():
            caption = _CAPTIONS.get(name) or f"Grade {name.removeprefix('grade_')}"
            self.fields[name] = forms.CharField(required=False, max_length=longest, label=caption)

    @classmethod
    def initial_of(cls, value: Any) -> dict[str, Any]:
        return dict(value) if isinstance(value, Mapping) else {}

    def value(self) -> dict[str, Any]:
        return {name: text for name in WORDS if (text := self.cleaned_data[name])}
