"""Raters and their visits. Who a rater is outside lives in a table of its own that can be emptied."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from survey.models.study import StudyVersion


class Rater(models.Model):
    """A pseudonym. ``provider_key`` is a keyed hash of the panel's id: it knows a returning person, no more."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    provider = models.CharField(max_length=20, default="open")
    provider_key = models.CharField(max_length=64, null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "provider_key"],
                # Anonymous and erased raters have no key and are many.
                condition=Q(provider_key__isnull=False),
                name="one_rater_per_provider_and_key",
            )
        ]

    def __str__(self) -> str:
        return f"rater {str(self.id)[:8]}"


class RaterIdentity(models.Model):
    """What a panel told us about a visit, hashed where a hash does. Erasing the row leaves the votes anonymous."""

    rater = models.OneToOneField(Rater, on_delete=models.CASCADE, related_name="identity")
    submission_key = models.CharField(max_length=64, help_text="keyed hash of the panel's submission id")
    return_url = models.URLField(max_length=500, blank=True, help_text="where the panel wants the visit to end")
    return_fields = models.JSONField(default=dict, help_text="what the panel wants posted there")

    def __str__(self) -> str:
        return f"identity of {self.rater}"


class RaterSession(models.Model):
    """One visit of one rater to one frozen version."""

    class State(models.TextChoices):
        ARRIVED = "arrived", "arrived"
        ACTIVE = "active", "active"
        COMPLETED = "completed", "completed"
        WITHDRAWN = "withdrawn", "withdrawn"
        REFUSED = "refused", "refused"
        EXPIRED = "expired", "expired"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    rater = models.ForeignKey(Rater, on_delete=models.PROTECT, related_name="sessions")
    version = models.ForeignKey(StudyVersion, on_delete=models.PROTECT, related_name="sessions")
    state = models.CharField(max_length=10, choices=State.choices, default=State.ARRIVED)
    step = models.CharField(
        max_length=20, default="consent", help_text="the step of the visit that the rater has reached"
    )
    outcome = models.CharField(max_length=30, blank=True, help_text="which completion code applies")
    is_pilot = models.BooleanField(default=False)
    is_simulated = models.BooleanField(default=False)
    is_entry_verified = models.BooleanField(
        default=False, help_text="the panel's signature on the entry link was checked"
    )
    seed = models.BigIntegerField(help_text="of the trial assignment")
    assignment = models.JSONField(default=dict, help_text="algorithm and parameters of the trial assignment")
    device = models.JSONField(default=dict, help_text="viewport, pixel ratio, as the browser reports them")
    answers = models.JSONField(default=dict, help_text="to the exit questions")
    consent_sha256 = models.CharField(max_length=64, blank=True, help_text="of the text that was shown")
    consent_language = models.CharField(
        max_length=10, blank=True, help_text="of that text; empty where the version names no language"
    )
    consented_at = models.DateTimeField(null=True)
    language = models.CharField(max_length=10, blank=True, help_text="of the pages; empty for the browser's")
    trial_count = models.PositiveIntegerField(default=0, help_text="trials to answer, practice left out")
    answered_count = models.PositiveIntegerField(default=0, help_text="of them answered")
    lease_expires_at = models.DateTimeField(null=True, help_text="until when the reserved trials are kept")
    tab = models.CharField(max_length=40, blank=True, help_text="the browser tab that may vote: the newest one")
    completion_code = models.CharField(max_length=40, blank=True)
    started_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)
    answered_until = models.DateTimeField(
        null=True, help_text="when the last answer can have been given at the earliest: answers' times laid end to end"
    )

    class Meta:
        # Two tabs that start at once must not give one person two sets of trials.
        constraints = [models.UniqueConstraint(fields=["rater", "version"], name="one_session_per_rater_and_version")]
        indexes = [models.Index(fields=["version", "state"])]

    def __str__(self) -> str:
        return f"session {str(self.id)[:8]}"
