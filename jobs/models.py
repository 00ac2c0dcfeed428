"""One table for all long work. The row is the truth; a broker's message only says that there is one."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone


def time_in_words(seconds: float | None) -> str:
    """Return a time that is left, as people say it; nothing where it cannot be told."""
    if seconds is None:
        return ""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute left"
    return f"about {minutes} min left" if minutes < 90 else f"about {round(minutes / 60)} hours left"


class Job(models.Model):
    """A piece of work that a worker claims, proves to be alive on, and finishes or gives back.

    ``lease_token`` is the fencing token: whoever writes a result must still hold it.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        SUCCEEDED = "succeeded", "succeeded"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=60, help_text="app.verb; the handler is registered in the app's tasks.py")
    parameters = models.JSONField(default=dict)
    queue = models.CharField(max_length=20, default="default")
    dedupe_key = models.CharField(max_length=200, null=True, unique=True, help_text="one job for one piece of work")
    # Null, not empty, where a job works on nothing in particular: a process of an older version writes no value.
    subject = models.CharField(
        max_length=100, null=True, help_text="path of what it works on, such as study/12/; parts lie below their whole"
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField()
    lease_token = models.UUIDField(null=True)
    lease_owner = models.CharField(max_length=120, blank=True)
    lease_expires_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    not_before = models.DateTimeField(null=True, help_text="a queued job waits until then")
    announced_at = models.DateTimeField(null=True, help_text="when the broker was last told")
    progress_done = models.PositiveBigIntegerField(default=0)
    progress_total = models.PositiveBigIntegerField(default=0)
    progress_note = models.CharField(max_length=200, blank=True)
    # Of the part of the work that runs: what an earlier attempt had done took no time of this one.
    progress_at = models.DateTimeField(null=True, help_text="when it was last told how far the work is")
    progress_began_at = models.DateTimeField(null=True)
    progress_began_done = models.PositiveBigIntegerField(default=0)
    is_cancel_requested = models.BooleanField(default=False)
    result = models.JSONField(null=True)
    error = models.TextField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["state", "queue", "created_at"]),
            models.Index(fields=["state", "lease_expires_at"]),
            models.Index(fields=["subject", "-created_at"]),
        ]
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.kind} {str(self.id)[:8]}"

    @property
    def is_over(self) -> bool:
        return self.state in {self.State.SUCCEEDED, self.State.FAILED, self.State.CANCELLED}

    @property
    def is_abandoned(self) -> bool:
        """Whether it was at work when its worker died: nobody has renewed its lease."""
        ends = self.lease_expires_at
        return self.state == self.State.RUNNING and ends is not None and ends < timezone.now()

    @property
    def reason(self) -> str:
        """What went wrong, without the place in the code."""
        return self.error.partition("\n\n")[0]

    @property
    def pace(self) -> float | None:
        """What is done in a second by this attempt; None while that cannot be told."""
        if self.state != self.State.RUNNING or not self.progress_at or not self.progress_began_at:
            return None
        since = self.progress_done - self.progress_began_done
        took = (self.progress_at - self.progress_began_at).total_seconds()
        return since / took if since > 0 and took > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """About how long the work will take yet, by its pace so far; None while that cannot be told."""
        pace, left = self.pace, self.progress_total - self.progress_done
        if pace is None or self.progress_at is None or left <= 0:
            return None
        return max(0.0, left / pace - (timezone.now() - self.progress_at).total_seconds())

    @property
    def time_left(self) -> str:
        """How long it will take yet, in words; empty while that cannot be told."""
        return time_in_words(self.seconds_left)

    @property
    def progress_percent(self) -> float | None:
        return 100.0 * self.progress_done / self.progress_total if self.progress_total else None
