"""The editor of translations: a row a language, with a field for each text that the study has in its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from django import forms
from django.conf import settings

from survey.admin.nested import RowForm, Rows, TextArea
from survey.models import Study
from survey.services.study.translations import LONGEST, TEXTS

__all__ = ["translations_editor"]

# Of the study's own text, shown beside the field.
_SHOWN = 300


@dataclass(frozen=True)
class Text:
    """One text to translate: where it lies in a translation, and what the study says itself."""

    path: tuple[str, ...]
    caption: str
    own: str
    rows: int = 1
    longest: int | None = None
    is_list: bool = False

    @property
    def field_name(self) -> str:
        return "__".join(self.path)

    def field(self) -> forms.CharField:
        more = "; one a line, in the same order" if self.is_list else ""
        widget = TextArea(attrs={"rows": self.rows, "cols": 60})
        own = self.own.replace("\n", " · ")
        shown = own if len(own) <= _SHOWN else f"{own[:_SHOWN]} …"
        return forms.CharField(
            required=False, label=self.caption, help_text=f"{shown}{more}", max_length=self.longest, widget=widget
        )

    def found_in(self, entry: Mapping[str, Any]) -> str:
        value: Any = entry
        for name in self.path:
            value = value.get(name, "") if isinstance(value, Mapping) else ""
        return "\n".join(map(str, value)) if isinstance(value, list) else str(value)

    def put_into(self, entry: dict[str, Any], text: str) -> None:
        *above, name = self.path
        for step in above:
            entry = entry.setdefault(step, {})
        entry[name] = [line.strip() for line in text.splitlines() if line.strip()] if self.is_list else text


def _texts(study: Study) -> Iterator[Text]:
    """Yield what a draft says to raters in its own language."""
    for name in TEXTS:
        # Never shown where there are criteria.
        if (own := getattr(study, name).strip()) and not (name == "question" and study.criteria):
            rows = min(8, 1 + own.count("\n") + len(own) // 80)
            yield Text((name,), name.replace("_", " ").capitalize(), own, rows, LONGEST.get(name))
    for entry in study.criteria:
        for part in ("question", "definition"):
            if own := entry.get(part):
                yield Text(("criteria", entry["key"], part), f"Criterion {entry['key']}: {part}", own, 2)
    for name, own in study.answer_words.items():
        if own:
            yield Text(("answer_words", name), f"Answer: {name.replace('_', ' ')}", own)
    for entry in study.reasons:
        yield Text(("reasons", entry["key"]), f"Reason {entry['key']}", entry["caption"], longest=40)
    for entry in study.exit_questions:
        name = entry["name"]
        yield Text(("exit_questions", name, "caption"), f"Exit question {name}", entry["caption"], 2)
        if options := entry.get("options"):
            rows = len(options)
            yield Text(
                ("exit_questions", name, "options"), f"Answers to {name}", "\n".join(options), rows, is_list=True
            )


class TranslationForm(RowForm):
    """The texts in one language; ``texts`` are those of the study at hand."""

    texts: ClassVar[list[Text]]

    language = forms.ChoiceField(choices=settings.LANGUAGES)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields |= {text.field_name: text.field() for text in self.texts}

    @classmethod
    def initial_of(cls, entry: Mapping[str, Any]) -> dict[str, Any]:
        return {"language": entry["language"]} | {text.field_name: text.found_in(entry) for text in cls.texts}

    @classmethod
    def normal(cls, entry: Mapping[str, Any]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for text in cls.texts:
            if said := text.found_in(entry).strip():
                text.put_into(kept, said)
        return kept

    def entry(self) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for text in self.texts:
            if said := self.cleaned_data[text.field_name]:
                text.put_into(kept, said)
        return kept


class Translations(Rows):
    row_name, unique = "translation", "language"

    @classmethod
    def of(cls, value: Any, prefix: str) -> Self:
        known = value.items() if isinstance(value, Mapping) else ()
        rows = [{**texts, "language": language} for language, texts in known if isinstance(texts, Mapping)]
        return super().of(rows, prefix)

    @classmethod
    def normal(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {language: cls.form.normal(texts) for language, texts in value.items()}

    def value(self) -> dict[str, Any]:
        return {row.cleaned_data["language"]: row.entry() for row in self.ordered_forms}


def translations_editor(study: Study) -> type[Translations]:
    """Return the editor for the texts that a draft has."""
    form = type("StudyTranslationForm", (TranslationForm,), {"texts": list(_texts(study))})
    return type("StudyTranslations", (Translations,), {"form": form})
