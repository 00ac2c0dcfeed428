"""Studies in the admin: the list, the form of a draft, and the pages around a study."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join

from survey.admin import study_pages
from survey.admin.access import StudyScopedAdmin
from survey.admin.page import head_context
from survey.exceptions import StudyNotDeletable, SurveyError
from survey.models import Arm, Study
from survey.recruitment import recruitment_problems
from survey.selectors.access import may_change, may_manage
from survey.services.results.progress import studies_counted
from survey.services.study.criteria import criteria_problems
from survey.services.study.exit_questions import question_problems
from survey.services.study.plan import rule_captions, rule_problems
from survey.services.study.study import arm_add, arm_remove, arm_rename, study_create, study_delete, study_update
from survey.services.study.translations import language_problems, translation_problems

__all__ = ["StudyAdmin"]


GROUPS = [
    (None, "title slug seed"),
    (
        "What raters read",
        "organisation contact summary payment minutes consent_text instructions question criteria criteria_design "
        "debrief exit_questions language translations",
    ),
    (
        "How a trial looks",
        "are_ties_allowed minimum_exposure_ms display box_px least_box_px pixel_multiple narrow_screens near_lossless "
        "is_zoom_allowed",
    ),
    (
        "Trial plan",
        "comparisons votes_per_pair trials_per_session practice_trials repeat_trials identical_trials "
        "degraded_trials break_every lease_minutes",
    ),
    (
        "Analysis plan, fixed before the first vote",
        "baseline headline_criterion stopping_rule least_votes equivalence_margin class_adjustment target_raters "
        "exclusion_rules",
    ),
    (
        "What only people know, for the report and a release",
        "eligibility ethics funding preregistration is_publication_consented is_free_text_published",
    ),
    ("Recruitment", "recruitment"),
]


_ROWS = {
    "summary": 3,
    "consent_text": 8,
    "instructions": 8,
    "question": 2,
    "criteria": 4,
    "debrief": 4,
    "exit_questions": 3,
    "translations": 6,
    "exclusion_rules": 3,
    "recruitment": 3,
}


_RULES_HELP = (
    'for example [{"rule": "too_fast"}, {"rule": "failed_checks", "parameters": {"failures": 1}}]; the rules with '
    "their default limits:"
)


class StudyForm(forms.ModelForm):
    """A draft's fields; ``baseline`` offers the study's own arms alone."""

    class Meta:
        model = Study
        fields = [name for _, names in GROUPS for name in names.split()]
        widgets = {name: forms.Textarea(attrs={"rows": rows, "cols": 90}) for name, rows in _ROWS.items()}
        help_texts = {
            "criteria": "empty: the question above alone; for example "
            '[{"key": "detail", "question": "Which image has better detail?", "definition": "..."}]',
            "exit_questions": "for example "
            '[{"name": "age", "caption": "How old are you?", "options": ["under 30", "30 or more"]}]',
            "translations": "the same texts by language, for example "
            '{"de": {"question": "Welches Bild ...?", "consent_text": "...", '
            '"exit_questions": {"age": {"caption": "Wie alt sind Sie?", "options": ["unter 30", "30 oder mehr"]}}}}',
            "recruitment": "easier to set under Recruitment, once the study is saved",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "exclusion_rules" in self.fields:
            rules = format_html_join("", "<li>{}: {}</li>", rule_captions().items())
            self.fields["exclusion_rules"].help_text = format_html("{}<ul>{}</ul>", _RULES_HELP, rules)
        if "baseline" in self.fields:
            arms = self.instance.arms.all() if self.instance.pk else Arm.objects.none()
            # Arms of other studies are no baseline, and their names may not be the user's to see.
            self.fields["baseline"].queryset = arms

    def _checked(self, name: str, problems: Callable[[Any], list[str]]) -> Any:
        value = self.cleaned_data[name]
        if found := problems(value):
            raise forms.ValidationError(found)
        return value

    def clean_recruitment(self) -> Any:
        return self._checked("recruitment", recruitment_problems)

    def clean_exclusion_rules(self) -> Any:
        return self._checked("exclusion_rules", rule_problems)

    def clean_language(self) -> Any:
        return self._checked("language", language_problems)

    def clean_translations(self) -> Any:
        return self._checked("translations", translation_problems)

    def clean_criteria(self) -> Any:
        return self._checked("criteria", criteria_problems)

    def clean_exit_questions(self) -> Any:
        return self._checked("exit_questions", question_problems)


class ArmForm(forms.ModelForm):
    class Meta:
        model = Arm
        fields = ["name", "title", "description", "recipe"]
        widgets = {"recipe": forms.Textarea(attrs={"rows": 2, "cols": 36})}


class ArmInline(admin.TabularInline):
    """The arms of a draft; changes go through the services."""

    model = Arm
    form = ArmForm
    extra = 0

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
    # The slug stays editable: it becomes part of the address that raters see.
    prepopulated_fields = {"slug": ["title"]}
    fieldsets = [(caption, {"fields": names.split()}) for caption, names in GROUPS]

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

    # Writing: through the services alone --------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: Study, form: StudyForm, change: bool) -> None:
        if change:
            # What changed alone: the log shows the fields that somebody has touched.
            values = {name: form.cleaned_data[name] for name in form.changed_data}
            if values:
                study_update(study=obj, actor=request.user, **values)
            return
        created = study_create(owner=request.user, **form.cleaned_data)
        # The service has stored it: Django must take this object for that row.
        obj.pk, obj.state, obj._state.adding = created.pk, created.state, False

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
        head = head_context(request, study) | {"tab": "design", "is_nav_sidebar_enabled": False} if study else {}
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

    def response_add(self, request: HttpRequest, obj: Study, post_url_continue: str | None = None) -> HttpResponse:
        if "_continue" in request.POST or "_addanother" in request.POST or "_popup" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        return HttpResponseRedirect(reverse("admin:survey_study_page", args=[obj.pk]))

    def response_change(self, request: HttpRequest, obj: Study) -> HttpResponse:
        if "_continue" in request.POST or "_addanother" in request.POST:
            return super().response_change(request, obj)
        return HttpResponseRedirect(reverse("admin:survey_study_page", args=[obj.pk]))

    def get_urls(self) -> list[URLPattern]:
        return study_pages.urls(self) + super().get_urls()
