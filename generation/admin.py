"""Orders of pairs in the admin: place one, watch it, stop it, try again. Thin: services write, selectors read."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from generation.models import GenerationRun
from generation.recipes.class_labels import class_text
from generation.recipes.recipe import GUIDANCE_FACTORS, recipe_fields
from generation.selectors import RunProgress, run_classes, run_complete_pairs, run_progress
from generation.services.order import (
    DEFAULT_MICRO_BATCH,
    classes_asked,
    run_cancel,
    run_create,
    run_enqueue_plan,
    run_retry,
    study_class_names,
)
from jobs.job_page import WorkPage, error_shown
from jobs.registry import called
from survey.admin.access import StudyListFilter, StudyScopedAdmin
from survey.admin.page import head_context
from survey.admin.recipes import recipe_table
from survey.exceptions import SurveyError
from survey.models import PairImage, Study
from survey.selectors.access import may_change, studies_visible_to

__all__ = ["GenerationRunAdmin"]

# Enough to see at a glance that images come out, few enough to load at once.
NEWEST_PAIRS = 12
# Of the thousand classes of ImageNet a few show how they are written.
LISTED_CLASSES = 20
called(
    {
        "generation.plan": "Plan an order of images",
        "generation.make_shard": "Make image pairs",
        "generation.evaluate_images": "Measure the images",
    }
)
_BROKEN_OFF = {GenerationRun.State.FAILED, GenerationRun.State.CANCELLED}


class GenerationRunForm(forms.ModelForm):
    """An order, as the command takes it."""

    class_labels = forms.CharField(
        required=False,
        label="Classes",
        help_text="Names or numbers, such as Ankle boot, Bag or 0-9; empty for all classes.",
    )
    noise_seed = forms.IntegerField(
        required=False, min_value=0, label="Seed", help_text="Of the noise; empty for the study's own seed."
    )
    other_factors = forms.MultipleChoiceField(
        required=False,
        label="Arms may also differ in",
        choices=[(name, name.replace("_", " ")) for name in recipe_fields() if name not in GUIDANCE_FACTORS],
        widget=forms.CheckboxSelectMultiple,
        help_text="Guidance may always differ. Tick a field only if it is what the study compares.",
    )

    class Meta:
        model = GenerationRun
        fields = ["study", "pairs", "micro_batch", "minimum_distance"]

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A frozen study takes no more pairs; offering it would only end in a refusal.
        drafts = studies_visible_to(user).filter(state=Study.State.DRAFT)
        self.fields["study"].queryset = drafts
        if not drafts.exists():
            self.fields["study"].help_text = "Only a draft takes pairs, and you have none: begin with New study."
        self.fields["micro_batch"].initial = DEFAULT_MICRO_BATCH
        self.user = user
        chosen = str(self.data.get("study") or self.initial.get("study") or "")
        if known := _names_listed(drafts.filter(pk=chosen).first() if chosen.isdecimal() else None):
            self.fields["class_labels"].help_text += f" The networks know {known}."

    def clean_study(self) -> Study:
        study = self.cleaned_data["study"]
        if not may_change(self.user, study):
            raise forms.ValidationError("You may look at this study but not change it. Ask its owner.")
        return study

    def clean(self) -> dict[str, Any]:
        """Place the order: what it refuses is shown with the form."""
        cleaned = super().clean()
        if not self.errors:
            text, study = cleaned["class_labels"].strip(), cleaned["study"]
            try:
                cleaned["class_labels"] = classes_asked(study, text, cleaned["other_factors"]) if text else None
            except ValueError as error:
                self.add_error("class_labels", str(error))
        if not self.errors:
            try:
                # Placed while the form is checked: what the service refuses can then stand beside the fields.
                self.run = run_create(
                    study=cleaned["study"],
                    pairs=cleaned["pairs"],
                    classes=cleaned["class_labels"],
                    seed=cleaned["noise_seed"],
                    micro_batch=cleaned["micro_batch"],
                    factors=cleaned["other_factors"],
                    minimum_distance=cleaned["minimum_distance"],
                    actor=self.user,
                )
            except (SurveyError, ValueError) as error:
                raise forms.ValidationError(str(error)) from error
        return cleaned


def _names_listed(study: Study | None) -> str:
    """Return the classes that an order of the study can name, with their numbers; empty where nobody can tell yet."""
    try:
        names = study_class_names(study) if study else ()
    except ValueError:
        return ""
    shown = ", ".join(f"{label} {name}" for label, name in enumerate(names[:LISTED_CLASSES]))
    return shown + (f" and {len(names) - LISTED_CLASSES} more" if len(names) > LISTED_CLASSES else "")


@admin.register(GenerationRun)
class GenerationRunAdmin(WorkPage, StudyScopedAdmin):
    """Progress is read from the pairs that are there and the jobs that work on them."""

    study_tab = "images"
    change_form_template = "admin/generation/order.html"
    list_display = ["__str__", "shown_state", "progress", "created_by", "created_at", "finished_at"]
    list_filter = [StudyListFilter]
    list_select_related = ["study", "created_by", "plan_job"]
    ordering = ["-created_at"]
    actions = ["cancel", "retry"]
    fieldsets = [
        (None, {"fields": ["study", "shown_state", "progress", "shards_at_work", "shown_error", "newest"]}),
        (
            "Order",
            {"fields": ["pairs", "shown_classes", "seed", "micro_batch", "shard_pairs", "factors", "minimum_distance"]},
        ),
        ("Arms", {"fields": ["shown_recipes"], "classes": ["collapse"]}),
        (
            "Record",
            {"fields": ["manifest_file", "manifest_sha256", "created_by", "created_at", "started_at", "finished_at"]},
        ),
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_module_permission(request)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        return super().add_view(request, form_url, {"title": "Generate pairs"} | (extra_context or {}))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show an order as a page of its study, under its head."""
        run = self.get_object(request, object_id)
        head = head_context(request, run.study) if run else {}
        return super().change_view(request, object_id, form_url, {"tab": self.study_tab} | head | (extra_context or {}))

    def get_fieldsets(self, request: HttpRequest, obj: GenerationRun | None = None) -> Any:
        fields = ["study", "pairs", "class_labels", "noise_seed", "micro_batch", "minimum_distance", "other_factors"]
        return self.fieldsets if obj else [(None, {"fields": fields})]

    def get_form(self, request: HttpRequest, obj: GenerationRun | None = None, **kwargs: Any) -> Any:
        if obj is not None:
            return super().get_form(request, obj, **kwargs)
        # Django makes the form itself: only a class can carry the user to it.
        user = request.user

        class FormForUser(GenerationRunForm):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, user=user, **kwargs)

        return FormForUser

    def is_at_work(self, row: GenerationRun) -> bool:
        return self._progress(row).state in {row.State.PLANNING, row.State.GENERATING}

    def steps(self, request: HttpRequest, row: GenerationRun) -> list[tuple[str, str]]:
        if not may_change(request.user, row.study):
            return []
        state = self._progress(row)
        steps = [("cancel", "Cancel")] if self.is_at_work(row) else []
        return steps + ([("retry", "Try again")] if state.failed or state.state in _BROKEN_OFF else [])

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, str]:
        return {"study": request.GET.get("study", "")}

    # Writing: through the services alone --------------------------------------------------------------------------

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> GenerationRun:
        return form.run

    def save_model(self, request: HttpRequest, obj: GenerationRun, form: Any, change: bool) -> None:
        run_enqueue_plan(obj, actor=request.user)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """An order has no rows of others to save."""

    def response_add(
        self, request: HttpRequest, obj: GenerationRun, post_url_continue: str | None = None
    ) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:generation_generationrun_change", args=[obj.pk]))

    @admin.action(description="Cancel the selected orders")
    def cancel(self, request: HttpRequest, queryset: QuerySet[GenerationRun]) -> None:
        self._each(request, queryset, run_cancel, "cancelled")

    @admin.action(description="Retry what failed or was cancelled")
    def retry(self, request: HttpRequest, queryset: QuerySet[GenerationRun]) -> None:
        self._each(request, queryset, run_retry, "queued again")

    def _each(self, request: HttpRequest, queryset: QuerySet[GenerationRun], service: Any, done: str) -> None:
        for run in queryset.select_related("study", "plan_job"):
            if may_change(request.user, run.study):
                service(run, actor=request.user)
                messages.success(request, f"{run}: {done}.")
            else:
                messages.error(request, f"{run}: you may look at this study but not change it.")

    # Reading ------------------------------------------------------------------------------------------------------

    @staticmethod
    def _progress(run: GenerationRun) -> RunProgress:
        """Read once per row and request."""
        # Each reading costs several queries, and every column of the list asks for one.
        if not hasattr(run, "shown_progress"):
            run.shown_progress = run_progress(run)
        return run.shown_progress

    @admin.display(description="state")
    def shown_state(self, run: GenerationRun) -> SafeString:
        return format_html('<span class="bp-pill bp-{0}">{0}</span>', self._progress(run).state)

    @admin.display(description="pairs")
    def progress(self, run: GenerationRun) -> SafeString:
        state = self._progress(run)
        return format_html(
            '<progress class="bp-progress" max="{}" value="{}"></progress> {} of {}{}',
            state.total,
            state.done,
            state.done,
            state.total,
            f", {state.time_left}" if state.time_left else "",
        )

    @admin.display(description="shards")
    def shards_at_work(self, run: GenerationRun) -> str:
        state = self._progress(run)
        made = f" ({state.under_way} pairs made, to be stored with their shard)" if state.under_way else ""
        return f"{state.active} waiting or at work{made}, {state.failed} failed"

    @admin.display(description="error")
    def shown_error(self, run: GenerationRun) -> SafeString | str:
        return error_shown(
            self._progress(run).error,
            remedy="Fix what the message names, then try again: what is made stays, and only what is missing is made.",
        )

    @admin.display(description="newest pairs")
    def newest(self, run: GenerationRun) -> SafeString | str:
        if not run.classes:
            return "none yet"
        pairs = list(
            # Complete pairs alone: an image without its counterparts cannot be compared.
            run_complete_pairs(run).order_by("-created_at", "-key").values_list("pk", flat=True)[:NEWEST_PAIRS]
        )
        images = (
            PairImage.objects.filter(pair__in=pairs).select_related("pair", "arm").order_by("pair__key", "arm__name")
        )
        return (
            format_html_join(
                "",
                '<img src="{}" alt="{} by {}" title="{} by {}" width="72" height="72" loading="lazy">',
                (
                    (
                        reverse("admin:survey_study_image", args=[run.study_id, row.pk]),
                        *2 * (row.pair.key, row.arm.name),
                    )
                    for row in images
                ),
            )
            or "none yet"
        )

    @admin.display(description="classes")
    def shown_classes(self, run: GenerationRun) -> str:
        # The digits are called by their labels; a class of two words has both.
        classes = [(class_text(label), name) for label, name in run_classes(run)]
        return (
            ", ".join(text if name in {"", text} else f"{text} {name}" for text, name in classes)
            or "all that the networks know"
        )

    @admin.display(description="recipes")
    def shown_recipes(self, run: GenerationRun) -> SafeString:
        table = {"recipe_arms": run.recipes, "recipes": recipe_table(list(run.recipes.values()))}
        return render_to_string("admin/survey/_recipes.html", table)
