"""Studies in the admin: the list, the form of a draft, and the pages around a study."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html

from survey.admin import setup_pages, study_pages
from survey.admin.access import StudyScopedAdmin
from survey.admin.page import head_context
from survey.admin.recipes import recipe_table
from survey.admin.study_form import STEPS, ArmForm, StudyForm
from survey.exceptions import StudyNotDeletable, SurveyError
from survey.models import Arm, Study
from survey.selectors.access import may_change, may_manage
from survey.services.results.progress import studies_counted
from survey.services.study.study import arm_add, arm_remove, arm_rename, study_delete, study_update

__all__ = ["StudyAdmin"]


def _fieldsets() -> list[tuple[str, dict[str, Any]]]:
    """Return the steps as the form shows them: what most studies decide, the rest folded below it."""
    found = []
    for step in STEPS:
        found.append((step.caption, {"fields": step.fields.split()}))
        found.append((f"{step.caption}: more", {"fields": step.more.split(), "classes": ["collapse"]}))
    return found


class ArmInline(admin.StackedInline):
    """The arms of a draft; changes go through the services."""

    model = Arm
    form = ArmForm
    fields = [("name", "title"), "description", "recipe"]
    extra = 0

    def get_fields(self, request: HttpRequest, obj: Study | None = None) -> Any:
        """Show a recipe that cannot be edited as a table: its text names folders of the server."""
        is_edited = self._may(request, obj)
        return self.fields if is_edited else [("name", "title"), "description", "shown_recipe"]

    def get_readonly_fields(self, request: HttpRequest, obj: Study | None = None) -> Any:
        return [] if self._may(request, obj) else ["shown_recipe"]

    @admin.display(description="recipe")
    def shown_recipe(self, arm: Arm) -> str:
        if not arm.recipe:
            return "none: the images are imported"
        return render_to_string("admin/survey/_recipes.html", {"recipes": recipe_table([arm.recipe])})

    def _may(self, request: HttpRequest, study: Study | None) -> bool:
        if study is None:
            return request.user.is_staff
        return study.state == Study.State.DRAFT and may_change(request.user, study)

    def has_view_permission(self, request: HttpRequest, obj: Study | None = None) -> bool:
        return True

    has_add_permission = has_change_permission = has_delete_permission = lambda self, request, obj=None: self._may(
        request, obj
    )


class StudyChangeList(ChangeList):
    """One page of studies with their counts, from a constant number of queries."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        counts = studies_counted([study.pk for study in self.result_list])
        for study in self.result_list:
            study.counts = counts[study.pk]


@admin.register(Study)
class StudyAdmin(StudyScopedAdmin):
    """The way in: each study's own page hangs below this list."""

    form = StudyForm
    inlines = [ArmInline]
    study_path = "pk"
    list_display = ["page", "state_pill", "arm_count", "pair_count", "votes", "created"]
    # The study's page is the way in; Django's own link would open the form.
    list_display_links = None
    list_filter = ["state"]
    search_fields = ["slug", "title"]
    ordering = ["-created_at"]
    fieldsets = _fieldsets()

    class Media:
        css = {"all": ["survey/css/admin.css"]}

    # Roles --------------------------------------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.is_staff

    def has_change_permission(self, request: HttpRequest, obj: Study | None = None) -> bool:
        if obj is None:
            return self.has_module_permission(request)
        return obj.state == Study.State.DRAFT and may_change(request.user, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Study | None = None) -> bool:
        return obj is not None and obj.state == Study.State.DRAFT and may_manage(request.user, obj)

    # List ---------------------------------------------------------------------------------------------------------

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return StudyChangeList

    @admin.display(description="study", ordering="title")
    def page(self, study: Study) -> str:
        address = reverse("admin:survey_study_page", args=[study.pk])
        return format_html('<a href="{}">{}</a><div class="bp-muted">{}</div>', address, study.title, study.slug)

    @admin.display(description="state", ordering="state")
    def state_pill(self, study: Study) -> str:
        return format_html('<span class="bp-pill bp-{0}">{0}</span>', study.state)

    @admin.display(description="arms")
    def arm_count(self, study: Study) -> int:
        return study.counts.arms

    @admin.display(description="pairs")
    def pair_count(self, study: Study) -> int:
        return study.counts.pairs

    @admin.display(description="votes given")
    def votes(self, study: Study) -> str:
        if not study.counts.wanted:
            return "–"
        return format_html(
            '<progress class="bp-progress" max="{}" value="{}"></progress> {} of {}',
            study.counts.wanted,
            study.counts.answered,
            study.counts.answered,
            study.counts.wanted,
        )

    @admin.display(description="created", ordering="created_at")
    def created(self, study: Study) -> str:
        return f"{timezone.localtime(study.created_at):%Y-%m-%d}"

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """A study begins with the first of its steps; its whole form is for later."""
        return setup_pages.start(request)

    # Writing: through the services alone --------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: Study, form: StudyForm, change: bool) -> None:
        # What changed alone: the log shows the fields that somebody has touched.
        if values := {name: form.cleaned_data[name] for name in form.changed_data}:
            study_update(study=obj, actor=request.user, **values)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        study = form.instance
        # Django reads these lists afterwards for its own messages.
        formset.new_objects, formset.changed_objects, formset.deleted_objects = [], [], []
        for row in formset.forms:
            if row in formset.deleted_forms:
                if row.instance.pk:
                    arm_remove(arm=row.instance, actor=request.user)
                    formset.deleted_objects.append(row.instance)
            elif row.has_changed():
                fields = {name: row.cleaned_data[name] for name in ("title", "description", "recipe")}
                name = row.cleaned_data["name"]
                # Renamed first: adding by the new name would make a second arm.
                if row.instance.pk and "name" in row.changed_data:
                    arm_rename(arm=row.instance, name=name, actor=request.user)
                arm = arm_add(study=study, name=name, actor=request.user, **fields)
                formset.new_objects.append(arm)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        study = self.get_object(request, object_id) if object_id else None
        head = head_context(request, study) | {"tab": "design"} if study else {}
        try:
            return super().changeform_view(request, object_id, form_url, head | (extra_context or {}))
        except SurveyError as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(request.path)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list, dict, set, list]:
        """Say what goes with a draft in counts: a list of ten thousand images helps nobody."""
        counts = {"arms": 0, "pairs": 0, "versions": 0}
        for study in objs:
            for name in counts:
                counts[name] += getattr(study, name).count()
        return [f"{study.title} ({study.slug})" for study in objs], counts, set(), []

    def delete_model(self, request: HttpRequest, obj: Study) -> None:
        study_delete(study=obj, actor=request.user)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except StudyNotDeletable as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(reverse("admin:survey_study_page", args=[object_id]))

    def response_change(self, request: HttpRequest, obj: Study) -> HttpResponse:
        if "_continue" in request.POST or "_addanother" in request.POST:
            return super().response_change(request, obj)
        return HttpResponseRedirect(reverse("admin:survey_study_page", args=[obj.pk]))

    def get_urls(self) -> list[URLPattern]:
        return study_pages.urls(self) + super().get_urls()
