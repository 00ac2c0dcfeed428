from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from jobs.job_page import WorkPage, error_shown
from jobs.models import Job
from jobs.registry import caption_of
from jobs.services import job_cancel, job_retry


class KindFilter(admin.AllValuesFieldListFilter):
    """Kinds by what people call them."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield choice | {"display": caption_of(str(choice["display"]))}


@admin.register(Job)
class JobAdmin(WorkPage, admin.ModelAdmin):
    """Watch, cancel and retry; jobs are made by the pages of what they work on."""

    list_display = ["what", "state", "progress", "attempt", "lease_owner", "created_at", "finished_at"]
    list_filter = ["state", ("kind", KindFilter), "queue"]
    show_full_result_count = False
    actions = ["cancel", "retry"]
    fieldsets = [
        (None, {"fields": ["what", "kind", "state", "progress", "shown_error", "attempt", "max_attempts"]}),
        ("Work", {"fields": ["subject", "parameters", "result", "queue", "dedupe_key", "created_by"]}),
        ("Worker", {"fields": ["lease_owner", "heartbeat_at", "lease_expires_at", "not_before", "announced_at"]}),
        ("Times", {"fields": ["created_at", "started_at", "finished_at"]}),
    ]

    @admin.display(description="what", ordering="kind")
    def what(self, job: Job) -> str:
        return caption_of(job.kind)

    def is_at_work(self, row: Job) -> bool:
        return not row.is_over

    def steps(self, request: HttpRequest, row: Job) -> list[tuple[str, str]]:
        if not self.has_change_permission(request):
            return []
        if row.state in {Job.State.FAILED, Job.State.CANCELLED}:
            return [("retry", "Try again")]
        return [] if row.is_over else [("cancel", "Cancel")]

    @admin.display(description="progress")
    def progress(self, job: Job) -> str:
        percent = "" if job.progress_percent is None else f"{job.progress_percent:.0f} % "
        return ", ".join(filter(None, [f"{percent}{job.progress_note}".strip(), job.time_left]))

    @admin.display(description="error")
    def shown_error(self, job: Job) -> SafeString | str:
        return error_shown(job.error, remedy="Fix what the message names, then try again.")

    @admin.action(description="Cancel the selected jobs", permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        for job in queryset:
            job_cancel(job)

    @admin.action(description="Retry the selected failed or cancelled jobs", permissions=["change"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        for job in queryset:
            job_retry(job)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # The list's actions ask for it; a job itself is never changed.
        return obj is None and super().has_change_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
