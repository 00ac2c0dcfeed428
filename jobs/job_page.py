"""What the admin's pages of long work share: live while it runs, its steps as buttons, an error with what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import quote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    _Mixed = ModelAdmin[Any]
else:
    _Mixed = object

__all__ = ["WorkPage", "error_shown"]

# People wait for it; a request every ten seconds costs nothing.
REFRESH_SECONDS = 10


def error_shown(error: str, *, remedy: str) -> SafeString | str:
    """Return what went wrong and what to do, the place in the code folded away; "none" where nothing did."""
    if not error:
        return "none"
    reason, _, place = error.partition("\n\n")
    details = format_html("<details><summary>Where it stopped</summary><pre>{}</pre></details>", place) if place else ""
    return format_html("<pre>{}</pre><p>{}</p>{}", reason, remedy, details)


class WorkPage(_Mixed):
    """Mixed into the admin of a table whose rows are pieces of work. Subclasses say what can be done with a row."""

    change_form_template = "admin/jobs/work.html"

    def steps(self, request: HttpRequest, row: Any) -> list[tuple[str, str]]:
        """Return (action of the list, caption of its button) for each step that is possible now."""
        raise NotImplementedError

    def is_at_work(self, row: Any) -> bool:
        """Return whether the page has to be asked for again."""
        raise NotImplementedError

    def _address(self, name: str, *args: Any) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{name}", args=args)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context = {"list_address": self._address("changelist"), "steps": self.steps(request, row) if row else []}
        answer = super().change_view(request, object_id, form_url, context | (extra_context or {}))
        if row is not None and self.is_at_work(row):
            answer["Refresh"] = str(REFRESH_SECONDS)
        return answer

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        """Go back to the page of the row where the step was taken there."""
        answer = super().response_action(request, queryset, *args, **kwargs)
        row = request.POST.get(ACTION_CHECKBOX_NAME, "")
        return HttpResponseRedirect(self._address("change", quote(row))) if row and "one" in request.POST else answer
