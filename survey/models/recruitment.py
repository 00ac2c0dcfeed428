"""How raters are found: personal links, what a panel says about its submissions, and proofs of erasure."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from survey.models.rater import RaterSession
from survey.models.study import Study


class PersonalLink(models.Model):
    """A link for one person. Its address is sealed from the id, so that a batch can be printed again."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="personal_links")
    batch = models.PositiveIntegerField()
    number = models.PositiveIntegerField(help_text="position in its batch")
    is_revoked = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["study", "batch", "number"], name="one_link_per_number")]
        ordering = ["study", "batch", "number"]

    def __str__(self) -> str:
        return f"link {self.batch}-{self.number}"


class PanelSubmission(models.Model):
    """What a panel says about one submission. Ids are keyed hashes: the table holds no person."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="panel_submissions")
    provider = models.CharField(max_length=20)
    submission_key = models.CharField(max_length=64, help_text="keyed hash of the panel's submission id")
    session = models.ForeignKey(RaterSession, null=True, on_delete=models.SET_NULL, related_name="panel_submissions")
    status = models.CharField(max_length=40)
    code = models.CharField(max_length=40, blank=True, help_text="the completion code the panel was given")
    synced_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["study", "provider", "submission_key"], name="one_row_per_panel_submission")
        ]

    def __str__(self) -> str:
        return f"{self.provider}: {self.status}"


class Erasure(models.Model):
    """Proof that a person's identity was erased: when, by whom, and a digest that a later request can be held against.

    ``identity_digest`` is a keyed hash of the panel and its id. It proves that this id was erased and finds nobody.
    """

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="erasures")
    identity_digest = models.CharField(max_length=64)
    votes_kept = models.PositiveIntegerField(help_text="anonymous votes that stay")
    erased_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    erased_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"erasure of {self.erased_at:%Y-%m-%d}"
