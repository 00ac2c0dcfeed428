from django.contrib import admin

from jobs.models import Job
from jobs.services import job_cancel, job_retry


@admin.register(Job)
class JobAdmin(admin.ModelAdmin):
    """Watch, cancel and retry; jobs are made by the pages of what they work on."""

    list_display = ["__str__", "state", "progress", "attempt", "lease_owner", "created_at", "finished_at"]
    list_filter = ["state", "kind", "queue"]
    show_full_result_count = False
    actions = ["cancel", "retry"]

    @admin.display(description="progress")
    def progress(self, job: Job) -> str:
        percent = "" if job.progress_percent is None else f"{job.progress_percent:.0f} % "
        return f"{percent}{job.progress_note}".strip()

    @admin.action(description="Cancel the selected jobs")
    def cancel(self, request, queryset) -> None:
        for job in queryset:
            job_cancel(job)

    @admin.action(description="Retry the selected failed or cancelled jobs")
    def retry(self, request, queryset) -> None:
        for job in queryset:
            job_retry(job)

    def has_add_permission(self, request) -> bool:
        return False

    def has_change_permission(self, request, obj=None) -> bool:
        return request.method in {"GET", "HEAD", "POST"} and super().has_change_permission(request) and obj is None

    def has_delete_permission(self, request, obj=None) -> bool:
        return False
