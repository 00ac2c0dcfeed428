"""Training in the admin: order a run, watch its curves, stop it, continue it. Thin: services write."""

from __future__ import annotations

import json
import re
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from jobs.job_page import WorkPage, error_shown
from jobs.registry import called
from training.curves import curves_svg
from training.models import Checkpoint, TrainingRun
from training.presets import ConfigError, parse_change, preset_names
from training.services import JOB_KIND, run_cancel, run_create, run_enqueue

__all__ = ["CheckpointAdmin", "TrainingRunAdmin"]

# Of a run's folder: what a page shows.
_SHOWN_FILES = re.compile(r"log\.csv|curves\.svg|examples\.png|samples/\d{8}\.png")
SHOWN_SAMPLES = 4
called({JOB_KIND: "Train a network"})
_UNDER_WAY = {TrainingRun.State.WAITING, TrainingRun.State.RUNNING}


class TrainingRunForm(forms.ModelForm):
    """An order, as the command takes it."""

    preset = forms.ChoiceField(choices=lambda: [(name, name) for name in preset_names()])
    data = forms.CharField(
        required=False, label="Images", help_text="Folder or file on the workers; empty where the preset needs none."
    )
    other_settings = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="One per line, such as optimizer.iterations=1000 or attack.epsilon=0.25.",
    )

    class Meta:
        model = TrainingRun
        fields = ["name", "processes"]

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def validate_unique(self) -> None:
        """Leave a name that exists to the service: the same order again is the same run."""

    def clean(self) -> dict[str, Any]:
        """Place the order: what it refuses is shown with the form."""
        cleaned = super().clean()
        if not self.errors:
            try:
                changes = dict(parse_change(line) for line in cleaned["other_settings"].splitlines() if line.strip())
                if cleaned["data"]:
                    changes["data.path"] = cleaned["data"]
                self.run = run_create(
                    name=cleaned["name"],
                    preset=cleaned["preset"],
                    changes=changes,
                    processes=cleaned["processes"],
                    actor=self.user,
                )
            except ConfigError as error:
                raise forms.ValidationError(str(error)) from error
        return cleaned


def _file_address(run: TrainingRun, name: str) -> str:
    return reverse("admin:training_run_file", args=[run.pk, name])


def _pictures(found: list[tuple[str, str]], none: str) -> SafeString:
    shown = [(address, caption, caption) for address, caption in found]
    form = '<figure><img src="{}" alt="{}"><figcaption>{}</figcaption></figure>'
    return format_html_join("", form, shown) or format_html("{}", none)


@admin.register(TrainingRun)
class TrainingRunAdmin(WorkPage, admin.ModelAdmin):
    """Runs are ordered here and trained by GPU workers; their settings do not change afterwards."""

    list_display = ["name", "preset", "shown_state", "progress", "note", "created_at", "finished_at"]
    list_filter = ["state"]
    list_select_related = ["created_by", "job"]
    search_fields = ["name", "preset"]
    actions = ["cancel", "continue_training"]
    fieldsets = [
        (None, {"fields": ["name", "preset", "shown_state", "progress", "note", "shown_error"]}),
        ("Learned so far", {"fields": ["curves", "samples", "examples", "checkpoints"]}),
        ("Order", {"fields": ["changes", "processes", "job"]}),
        ("All settings", {"fields": ["shown_config"], "classes": ["collapse"]}),
        ("Record", {"fields": ["created_by", "created_at", "finished_at"]}),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: TrainingRun | None = None) -> Any:
        if obj is None:
            return [(None, {"fields": ["name", "preset", "data", "other_settings", "processes"]})]
        return super().get_fieldsets(request, obj)

    def get_form(
        self, request: HttpRequest, obj: TrainingRun | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs)

        class FormOfUser(TrainingRunForm):
            def __init__(self, *args: Any, **inner: Any) -> None:
                super().__init__(*args, user=request.user, **inner)

        return FormOfUser

    def get_urls(self) -> list[URLPattern]:
        own = path("<int:pk>/files/<path:name>", self.admin_site.admin_view(self.file), name="training_run_file")
        return [own, *super().get_urls()]

    def file(self, request: HttpRequest, pk: int, name: str) -> FileResponse:
        """Give out a picture or the table of a run's folder, and nothing else that lies there."""
        run = get_object_or_404(TrainingRun, pk=pk)
        if not self.has_view_permission(request, run):
            raise PermissionDenied
        if not _SHOWN_FILES.fullmatch(name) or not (run.folder / name).is_file():
            raise Http404(f"{run.name} has no {name} on this machine")
        return FileResponse((run.folder / name).open("rb"), as_attachment=name == "log.csv")

    def has_change_permission(self, request: HttpRequest, obj: TrainingRun | None = None) -> bool:
        return obj is None and super().has_change_permission(request)

    def save_form(self, request: HttpRequest, form: TrainingRunForm, change: bool) -> TrainingRun:
        return form.run

    def save_model(self, request: HttpRequest, obj: TrainingRun, form: TrainingRunForm, change: bool) -> None:
        run_enqueue(obj, actor=request.user)

    def save_related(self, request: HttpRequest, form: TrainingRunForm, formsets: Any, change: bool) -> None:
        """Nothing is related: `run_create` has stored the order."""

    def is_at_work(self, row: TrainingRun) -> bool:
        return row.current_state in _UNDER_WAY

    def steps(self, request: HttpRequest, row: TrainingRun) -> list[tuple[str, str]]:
        if not self.has_add_permission(request) or row.current_state == TrainingRun.State.FINISHED:
            return []
        return [("cancel", "Cancel")] if self.is_at_work(row) else [("continue_training", "Continue")]

    @admin.display(description="state")
    def shown_state(self, run: TrainingRun) -> str:
        return run.current_state

    @admin.display(description="progress")
    def progress(self, run: TrainingRun) -> str:
        return f"{run.iteration} of {run.iterations}" if run.iterations else "not begun"

    @admin.display(description="curves")
    def curves(self, run: TrainingRun) -> SafeString:
        drawn = "".join(curves_svg(run.curve))
        # Escaped where it was drawn.
        if not drawn:
            return format_html("<p>{}</p>", "No row yet.")
        table = _file_address(run, "log.csv") if (run.folder / "log.csv").is_file() else ""
        link = format_html('<p><a href="{}">{}</a></p>', table, "All rows as CSV") if table else SafeString("")
        return SafeString(drawn) + link

    @admin.display(description="samples of one noise")
    def samples(self, run: TrainingRun) -> SafeString:
        made = sorted((run.folder / "samples").glob("*.png"))[-1 : -SHOWN_SAMPLES - 1 : -1]
        figures = [(_file_address(run, f"samples/{file.name}"), int(file.stem)) for file in made]
        none = "none: a denoiser makes some whenever it is measured on held-out images"
        return _pictures([(address, f"after {iteration} iterations") for address, iteration in figures], none)

    @admin.display(description="training images by class")
    def examples(self, run: TrainingRun) -> SafeString:
        found = [(_file_address(run, "examples.png"), "as the network gets them, a class a row")]
        return _pictures(found if (run.folder / "examples.png").is_file() else [], "none on this machine yet")

    @admin.display(description="error")
    def shown_error(self, run: TrainingRun) -> SafeString | str:
        return error_shown(
            run.error or (run.job.error if run.job else ""),
            remedy="Fix what the message names, then continue: training goes on from its last saved state.",
        )

    @admin.display(description="checkpoints")
    def checkpoints(self, run: TrainingRun) -> SafeString:
        rows = [
            (reverse("admin:training_checkpoint_change", args=[c.pk]), c.role, c.kind, c.sha256[:12])
            for c in run.checkpoints.all()
        ]
        return format_html_join("", '<div><a href="{}">{} {}</a>, SHA-256 {}…</div>', rows) or format_html(
            "{}", "none yet"
        )

    @admin.display(description="settings")
    def shown_config(self, run: TrainingRun) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(run.config, indent=2, sort_keys=True))

    @admin.action(description="Cancel the selected runs (what they learned is kept)", permissions=["add"])
    def cancel(self, request: HttpRequest, queryset: QuerySet) -> None:
        for run in queryset.select_related("job"):
            run_cancel(run)
            self.message_user(request, f"{run} stops at its next look; what it has learned is kept.")

    @admin.action(description="Continue the selected cancelled, paused or failed runs", permissions=["add"])
    def continue_training(self, request: HttpRequest, queryset: QuerySet) -> None:
        for run in queryset:
            if run.state == TrainingRun.State.FINISHED:
                self.message_user(request, f"{run} is finished; nothing to continue", messages.WARNING)
            else:
                run_enqueue(run, actor=request.user)
                self.message_user(request, f"{run} waits for a GPU worker.")


@admin.register(Checkpoint)
class CheckpointAdmin(admin.ModelAdmin):
    """What was trained, by run, role and digest: where it lies on the servers is nobody's business here."""

    list_display = ["__str__", "kind", "digest", "updated_at"]
    list_filter = ["kind", "role"]
    list_select_related = ["run"]
    fields = ["run", "role", "kind", "whole_digest", "shown_metrics", "updated_at"]

    @admin.display(description="SHA-256")
    def whole_digest(self, checkpoint: Checkpoint) -> str:
        return checkpoint.sha256

    @admin.display(description="SHA-256")
    def digest(self, checkpoint: Checkpoint) -> str:
        return f"{checkpoint.sha256[:12]}…"

    @admin.display(description="measured")
    def shown_metrics(self, checkpoint: Checkpoint) -> SafeString:
        metrics = checkpoint.card.get("metrics", {}).items()
        measured = [(name.replace("_", " "), value) for name, value in sorted(metrics) if isinstance(value, float)]
        rows = [(name, f"{value:.4g}") for name, value in measured]
        return format_html_join("", "<div>{}: {}</div>", rows) or format_html("{}", "nothing")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Checkpoint | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Checkpoint | None = None) -> bool:
        return False
