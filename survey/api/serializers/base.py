"""What every shape of the researchers' API rests on: strict fields, filters, checked JSON, examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

# Longer than any consent text; a body of megabytes is no text that a rater reads.
MOST_TEXT = 20_000


def example(value: dict[str, Any]) -> Callable[[type], type]:
    """Show a body in the document and on the docs page; the tests call the operation with it."""
    return extend_schema_serializer(examples=[OpenApiExample("Example", value=value, request_only=True)])


def _no_null_bytes(value: Any) -> Any:
    """PostgreSQL stores no NUL in text or JSON: refuse it here, with a message, on every database."""
    if isinstance(value, str) and "\x00" in value:
        raise serializers.ValidationError("Null characters are not allowed.")
    if isinstance(value, dict):
        for key, inner in value.items():
            _no_null_bytes(key)
            _no_null_bytes(inner)
    if isinstance(value, list):
        for inner in value:
            _no_null_bytes(inner)
    return value


class CheckedJSON(serializers.JSONField):
    """A JSON value that a function finds no problems in."""

    def __init__(self, problems: Callable[[Any], list[str]] | None = None, **kwargs: Any) -> None:
        self.problems = problems
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> Any:
        value = _no_null_bytes(super().to_internal_value(data))
        if self.problems and (found := self.problems(value)):
            raise serializers.ValidationError(found)
        return value


class StrictSerializer(serializers.Serializer):
    """Refuse fields that the operation does not know: a misspelt one must not be lost in silence."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := sorted(set(map(str, data)) - set(self.fields))):
            raise serializers.ValidationError({name: ["There is no such field."] for name in unknown})
        return super().to_internal_value(data)


class QuerySerializer(serializers.Serializer):
    """The filters that a list offers, and no others."""

    cursor = serializers.CharField(required=False, help_text="where the page begins, as the answer before gave it")
    page_size = serializers.IntegerField(required=False, min_value=1, max_value=500)

    def to_internal_value(self, data: Any) -> Any:
        if unknown := sorted(set(data) - set(self.fields)):
            raise serializers.ValidationError({name: ["There is no such filter."] for name in unknown})
        return super().to_internal_value(data)
