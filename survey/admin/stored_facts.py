"""What a row stores as a mapping, read as a table of facts: names and values, not JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import JSONField, Model
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

__all__ = ["facts_shown", "fields_in_words"]

NOTHING = "–"


def fields_in_words(model: type[Model], names: list[Any]) -> list[Any]:
    """Return the fields of a read-only page; one that holds a mapping or a list is replaced by one that shows facts."""
    stored = {field.name: field for field in model._meta.fields if isinstance(field, JSONField)}
    return [_shown(stored[name]) if isinstance(name, str) and name in stored else name for name in names]


def _shown(field: JSONField) -> Callable[[Model], SafeString | str]:
    @admin.display(description=field.verbose_name)
    def shown(row: Model) -> SafeString | str:
        return facts_shown(getattr(row, field.name))

    return shown


def facts_shown(value: Any) -> SafeString | str:
    """Return a mapping as a table with a row a fact; anything else in words."""
    if not isinstance(value, dict) or not value:
        return in_words(value)
    rows = ((_name(key), in_words(fact)) for key, fact in value.items())
    return format_html("<table>{}</table>", format_html_join("", "<tr><th>{}</th><td>{}</td></tr>", rows))


def in_words(value: Any) -> str:
    """Return a stored value without brackets, braces and quotation marks."""
    if value is None or value in ("", [], {}):
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "; ".join(f"{_name(key)}: {in_words(fact)}" for key, fact in value.items())
    if isinstance(value, list):
        return ", ".join(map(in_words, value))
    return str(value)


def _name(key: str) -> str:
    return str(key).replace("_", " ")
