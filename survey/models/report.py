"""What was computed from a study: image metrics per arm, figures of its networks, counts of votes, built reports."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from analysis.metric_names import metric_name
from survey.models.pair import LONGEST_CLASS
from survey.models.study import Arm, Study, StudyVersion


class ImageMetric(models.Model):
    """One metric of one arm, or of one class of it, as the report's ``M`` object.

    With a baseline it is the arm's metric less that of the baseline over the same pairs.
    """

    arm = models.ForeignKey(Arm, on_delete=models.CASCADE, related_name="metrics")
    baseline = models.ForeignKey(
        Arm, null=True, blank=True, on_delete=models.CASCADE, related_name="+", help_text="of a difference"
    )
    is_of_pairs_seen = models.BooleanField(default=False, help_text="of the pairs that raters saw, not of all images")
    class_label = models.CharField(max_length=LONGEST_CLASS, blank=True, help_text="empty: all classes together")
    name = models.CharField(max_length=30)
    result = models.JSONField(
        help_text="value, ci95, n, n_reference, features, reason; of a difference the number of seeds too"
    )
    reference = models.CharField(max_length=200, blank=True)
    computed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["arm", "is_of_pairs_seen", "class_label", "name"],
                condition=models.Q(baseline__isnull=True),
                name="one_metric_per_arm_pairs_class_and_name",
            ),
            models.UniqueConstraint(
                fields=["arm", "baseline", "is_of_pairs_seen", "class_label", "name"],
                condition=models.Q(baseline__isnull=False),
                name="one_difference_per_arms_pairs_class_and_name",
            ),
        ]

    def __str__(self) -> str:
        arms = f"{self.arm}" if self.baseline is None else f"{self.arm} less {self.baseline.name}"
        return f"{metric_name(self.name)} of {arms}" + (f", class {self.class_label}" if self.class_label else "")


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
        return f"{self.title} of {self.study}"


class ReportBuild(models.Model):
    """A report of one state of the data. ``files`` maps file name to {storage name, sha256, bytes}."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="reports")
    version = models.ForeignKey(StudyVersion, null=True, on_delete=models.SET_NULL, related_name="+")
    is_pilot = models.BooleanField(default=False, help_text="of the pilot's votes: they never pool with the main ones")
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    is_look = models.BooleanField(default=False, help_text="taken while votes came in, as the plan allows")
    looks_taken = models.JSONField(
        default=list,
        help_text="share of the planned raters at every look up to this one, if the plan has several",
    )
    ledger_revision = models.PositiveIntegerField(
        default=0, help_text="number of the last audit entry: which exclusions were in force"
    )
    verdict = models.JSONField(default=dict, help_text="what the report concludes: kind, text, look")
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
