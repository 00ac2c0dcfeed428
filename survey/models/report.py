"""What was computed from a study: image metrics per arm, figures of its networks, counts of votes, built reports."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from survey.models.pair import LONGEST_CLASS
from survey.models.study import Arm, Study, StudyVersion


class ImageMetric(models.Model):
    """One metric of one arm, or of one class of it, as the report's ``M`` object."""

    arm = models.ForeignKey(Arm, on_delete=models.CASCADE, related_name="metrics")
    class_label = models.CharField(max_length=LONGEST_CLASS, blank=True, help_text="empty: all classes together")
    name = models.CharField(max_length=30)
    result = models.JSONField(help_text="value, ci95, n, n_reference, features, reason")
    reference = models.CharField(max_length=200, blank=True)
    computed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["arm", "class_label", "name"], name="one_metric_per_arm_class_and_name")
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.arm}" + (f", class {self.class_label}" if self.class_label else "")


class StudyFigure(models.Model):
    """A figure of the arms' images and networks. ``files`` maps format to {storage name, sha256, bytes}."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="figures")
    name = models.CharField(max_length=60)
    place = models.PositiveSmallIntegerField(help_text="from the top of the report's section")
    title = models.TextField()
    description = models.TextField()
    files = models.JSONField()
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["study_id", "place"]
        constraints = [models.UniqueConstraint(fields=["study", "name"], name="one_figure_per_study_and_name")]

    def __str__(self) -> str:
        return f"{self.name} of {self.study}"


class ReportBuild(models.Model):
    """A report of one state of the data. ``files`` maps file name to {storage name, sha256, bytes}."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="reports")
    version = models.ForeignKey(StudyVersion, null=True, on_delete=models.SET_NULL, related_name="+")
    is_pilot = models.BooleanField(default=False, help_text="of the pilot's votes: they never pool with the main ones")
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    ledger_revision = models.PositiveIntegerField(
        default=0, help_text="number of the last audit entry: which exclusions were in force"
    )
    # Not a foreign key: a report stays, whatever becomes of the job that built it.
    job = models.UUIDField(null=True, help_text="the jobs.Job that builds it")
    data_sha256 = models.CharField(max_length=64, blank=True)
    files = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"report of {self.study}"


class VoteTally(models.Model):
    """Counts of a version's votes up to one of them, so that a page counts what came since. Derived: safe to delete."""

    version = models.OneToOneField(StudyVersion, on_delete=models.CASCADE, related_name="tally")
    last_vote = models.BigIntegerField(help_text="key of the last vote that is counted")
    counts = models.JSONField(help_text="[phase, what is counted, value, how many], never which arm won")

    def __str__(self) -> str:
        return f"votes of {self.version} up to {self.last_vote}"
