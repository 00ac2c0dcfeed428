"""Forms within a form: a JSON value of a study that people edit field by field, or row by row.

An editor is made from a stored value (``of``) or from what a page sent (``read``), says whether that is valid, and
gives the value to store. Django's own forms and formsets do the work; this is the seam between them and a field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from django import forms
from django.forms.formsets import DELETION_FIELD_NAME, ORDERING_FIELD_NAME
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

__all__ = ["NestedField", "PartForm", "RowForm", "Rows", "TextArea"]


class TextArea(forms.Textarea):
    """A text whose lines end as they do in the API and in files: browsers send two characters for each end."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        value = super().value_from_datadict(data, files, name)
        return value.replace("\r\n", "\n") if isinstance(value, str) else value


class PartForm(forms.Form):
    """A form that stands for one JSON object of a larger form."""

    template: ClassVar[str] = "admin/survey/nested/part.html"

    @classmethod
    def initial_of(cls, value: Any) -> dict[str, Any]:
        """Return what the fields show for a stored value."""
        raise NotImplementedError

    def value(self) -> Any:
        """Return what to store; after ``is_valid`` alone."""
        raise NotImplementedError

    @classmethod
    def normal(cls, value: Any) -> Any:
        """Return a stored value as this form would store it: what is not said and what goes without saying are one."""
        return value

    @classmethod
    def of(cls, value: Any, prefix: str) -> Self:
        return cls(initial=cls.initial_of(value), prefix=prefix)

    @classmethod
    def read(cls, data: Mapping[str, Any], prefix: str) -> Self:
        return cls(data, prefix=prefix)


class RowForm(forms.Form):
    """One row of a list of JSON objects."""

    @classmethod
    def initial_of(cls, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the fields show for a stored entry."""
        return dict(entry)

    @classmethod
    def normal(cls, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return a stored entry as this row would store it."""
        return dict(entry)

    def entry(self) -> dict[str, Any]:
        """Return what to store for the row; after ``is_valid`` alone."""
        raise NotImplementedError


class Rows(forms.BaseFormSet):
    """Rows to add, to remove and to put in order. A subclass names its ``form`` and what a row is called."""

    template: ClassVar[str] = "admin/survey/nested/rows.html"
    row_name: ClassVar[str] = "row"
    # By this field rows must differ.
    unique: ClassVar[str] = ""

    form: type[RowForm]
    renderer = None
    extra, min_num, max_num, absolute_max = 0, 0, 50, 60
    can_order, can_delete, can_delete_extra = True, True, True
    validate_min, validate_max = False, True
    edit_only = False

    @classmethod
    def of(cls, value: Any, prefix: str) -> Self:
        entries = [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []
        return cls(initial=[cls.form.initial_of(entry) for entry in entries], prefix=prefix)

    @classmethod
    def read(cls, data: Mapping[str, Any], prefix: str) -> Self:
        return cls(data, prefix=prefix)

    @classmethod
    def normal(cls, value: Any) -> Any:
        return [cls.form.normal(entry) for entry in value] if isinstance(value, list) else value

    def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
        # A row that is there and left empty is a fault, not a row that nobody wanted: those are removed.
        return super().get_form_kwargs(index) | ({} if index is None else {"empty_permitted": False})

    def add_fields(self, form: forms.Form, index: int | None) -> None:
        super().add_fields(form, index)
        form.fields[ORDERING_FIELD_NAME].label = "Place"
        form.fields[ORDERING_FIELD_NAME].widget.attrs |= {"min": 1}
        form.fields[DELETION_FIELD_NAME].label = f"Remove this {self.row_name}"

    def clean(self) -> None:
        """Mark rows that repeat an earlier one."""
        seen = set()
        for row in self.forms:
            name = getattr(row, "cleaned_data", {}).get(self.unique)
            if not name or self._should_delete_form(row):
                continue
            if name in seen:
                row.add_error(self.unique, f"Another {self.row_name} has this {self.unique} already.")
            seen.add(name)

    def value(self) -> list[dict[str, Any]]:
        """Return the rows that stay, in their order; after ``is_valid`` alone."""
        return [row.entry() for row in self.ordered_forms]


class NestedWidget(forms.Widget):
    """Shows an editor: of the stored value, or as it was sent with what is wrong in it."""

    use_fieldset = True

    def __init__(self, editor: type[PartForm] | type[Rows]) -> None:
        self.editor = editor
        super().__init__()

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> PartForm | Rows:
        return self.editor.read(data, name)

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        return not any(key.startswith(f"{name}-") for key in data)

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        editor = value if isinstance(value, PartForm | Rows) else self.editor.of(value, name)
        return render_to_string(editor.template, {"editor": editor, "name": name})

    def id_for_label(self, id_: str) -> str:
        # The label names the whole; each field inside has its own.
        return ""


class NestedField(forms.Field):
    """A JSON value that is edited in a form of its own."""

    def __init__(self, editor: type[PartForm] | type[Rows], **kwargs: Any) -> None:
        self.editor = editor
        super().__init__(required=False, widget=NestedWidget(editor), **kwargs)

    def clean(self, value: PartForm | Rows) -> Any:
        if not value.is_valid():
            raise forms.ValidationError("Correct what is marked below.")
        return value.value()

    def has_changed(self, initial: Any, data: PartForm | Rows) -> bool:
        """Return whether the page sent something else than it had shown."""
        return not data.is_valid() or data.value() != self.editor.normal(initial)
