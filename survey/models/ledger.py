"""What was decided about data and studies: exclusions that can be taken back, and an audit log that cannot."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from survey.models.rater import RaterSession
from survey.models.study import Study


class Exclusion(models.Model):
    """A session kept out of the headline by a rule or a person. Revoking sets ``revoked_at``; nothing is deleted."""

    session = models.ForeignKey(RaterSession, on_delete=models.CASCADE, related_name="exclusions")
    rule = models.CharField(max_length=40, help_text="the rule's name, or 'hand'")
    rule_version = models.PositiveSmallIntegerField(default=1)
    reason = models.CharField(max_length=300)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    made_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    revoke_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            # One in force at a time; those taken back stay beside it.
            models.UniqueConstraint(
                fields=["session", "rule"], condition=Q(revoked_at__isnull=True), name="one_live_exclusion_per_rule"
            )
        ]

    def __str__(self) -> str:
        return f"{self.session}: {self.rule}"


class AuditEntry(models.Model):
    """Who did what to a study. Each row holds the hash of the one before it, so that a change shows."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="audit_entries")
    number = models.PositiveIntegerField()
    actor = models.CharField(max_length=150, help_text="user name, kept when the user is deleted")
    action = models.CharField(max_length=60)
    detail = models.JSONField(default=dict)
    at = models.DateTimeField()
    previous_sha256 = models.CharField(max_length=64, blank=True)
    sha256 = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["study", "number"], name="one_audit_entry_per_number")]
        ordering = ["study", "number"]
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.number}. {self.action}"


class DeletedStudy(models.Model):
    """What is left of a draft that was deleted: that it was there, who deleted it, and its log to the last entry."""

    slug = models.SlugField(max_length=60)
    title = models.CharField(max_length=200)
    log = models.TextField(help_text="the hash chain as JSON lines, as the log's export gives it")
    last_sha256 = models.CharField(max_length=64, help_text="of the last entry: the deletion")
    deleted_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    deleted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-deleted_at"]
        verbose_name_plural = "deleted studies"

    def __str__(self) -> str:
        return self.slug
