"""The admin's guard: rows of the user's own studies, everything else as if it did not exist."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from survey.admin.page import head_context
from survey.admin.stored_facts import fields_in_words
from survey.selectors.access import of_studies, scoped, studies_visible_to

__all__ = ["BooleanFilter", "IdSearchAdmin", "StudyListFilter", "StudyScopedAdmin"]


class LargeTablePaginator(Paginator):
    """Count no further than a reader would page: a full count of 10^6 rows takes seconds on every page."""

    LIMIT = 10_000

    @cached_property
    def count(self) -> int:
        return self.object_list.order_by()[: self.LIMIT].count()


def study_number(text: str | None) -> int:
    """Return the key of a study that an address names; 0 for what is none."""
    # Nineteen digits may be more than a database key holds, which would end in an error of the database.
    return int(text) if text and text.isdecimal() and len(text) < 19 else 0


class StudyListFilter(admin.SimpleListFilter):
    """Filter by the studies the user may see."""

    title = "study"
    parameter_name = "of_study"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        # Cut: nobody chooses from a longer list, and each study's pages link to its own rows.
        rows = studies_visible_to(request.user).order_by("slug").values_list("pk", "slug")[:200]
        return [(str(pk), slug) for pk, slug in rows]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        number = study_number(self.value())
        return of_studies(queryset, self.path, [number]) if number else queryset

    def __init__(self, request: HttpRequest, params: dict, model: type[Model], model_admin: Any) -> None:
        self.path = model_admin.study_path
        super().__init__(request, params, model, model_admin)


class StudyScopedAdmin(admin.ModelAdmin):
    """Read-only list of rows that belong to studies. Django's model permissions play no part: roles decide."""

    study_path = "study"
    # Which of a study's tabs the list is, where it shows one study alone.
    study_tab = ""
    change_list_template = "admin/survey/change_list.html"
    # It would count the whole table beside the filtered one on every page.
    show_full_result_count = False
    # Counts beside every filter would read the whole table once for each.
    show_facets = admin.ShowFacets.NEVER
    paginator = LargeTablePaginator
    list_per_page = 50
    actions = None

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Show the list of one study as a page of that study: under its head, with its tabs."""
        number = study_number(request.GET.get(StudyListFilter.parameter_name))
        study = studies_visible_to(request.user).filter(pk=number).first() if number else None
        head = head_context(request, study) if study else {}
        return super().changelist_view(request, {"tab": self.study_tab} | head | (extra_context or {}))

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> list[Any]:
        return fields_in_words(self.model, list(super().get_fields(request, obj)))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return scoped(super().get_queryset(request), request.user, self.study_path)

    # Who has no study sees empty lists: that a study exists is told by none of them.
    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.is_staff

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if not (request.user.is_active and request.user.is_staff):
            return False
        # Asked of the scoped rows, so that a guessed key is answered as one that does not exist.
        return obj is None or self.get_queryset(request).filter(pk=obj.pk).exists()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow the filters that the page offers, no free lookups across relations."""
        # A filter stands there as a field, as a field with its class, or as a class.
        named = [item[0] if isinstance(item, tuple) else item for item in self.list_filter]
        offered = {item if isinstance(item, str) else getattr(item, "parameter_name", "") for item in named}
        # A filter across relations could be used to guess, answer by answer, what is hidden.
        return any(lookup == name or lookup.startswith(f"{name}__") for name in offered if name)


class BooleanFilter(admin.BooleanFieldListFilter):
    """A field that is or is not so, called without its "is"."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = str(self.title).removeprefix("is ")


class IdSearchAdmin(StudyScopedAdmin):
    """A list in which one searches by the beginning of an id: Django's own search reads every row of a joined table."""

    # Shows the search box; ``rows_like`` is what looks.
    search_fields = ["pk"]

    def rows_like(self, text: str) -> dict[str, list[Any]]:
        """Return {lookup: the values that it may have} for what was typed."""
        raise NotImplementedError

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        if search_term.strip():
            for lookup, values in self.rows_like(search_term).items():
                queryset = queryset.filter(**{f"{lookup}__in": values})
        # Nothing is joined, so no row can come twice.
        return queryset, False
