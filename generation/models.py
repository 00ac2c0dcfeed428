"""Orders of matched pairs and the shards that workers take. The images themselves belong to ``survey``."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from generation.recipes.class_labels import class_texts
from generation.recipes.noise import PairSpec
from jobs.models import Job
from survey.models import Study


class GenerationRun(models.Model):
    """What somebody ordered: so many pairs of a study, of these classes, with the arms' recipes as they were then.

    Position p of a run is the pair of class ``classes[p % len(classes)]`` with index ``p // len(classes)``: an order
    for more pairs begins with the same pairs.
    """

    class State(models.TextChoices):
        PLANNING = "planning", "planning"
        GENERATING = "generating", "generating"
        COMPLETE = "complete", "complete"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="generation_runs")
    pairs = models.PositiveIntegerField(help_text="number of pairs over all classes")
    classes = models.JSONField(null=True, blank=True, help_text="class labels; empty for all that the networks know")
    seed = models.BigIntegerField(help_text="of the images' noise; one for all pairs of a study")
    micro_batch = models.PositiveIntegerField(help_text="pairs worked on at once; part of what decides the bytes")
    shard_pairs = models.PositiveIntegerField(help_text="pairs a worker makes before it reports: some minutes of work")
    factors = models.JSONField(default=list, help_text="fields of a recipe in which the arms may differ")
    minimum_distance = models.FloatField(
        null=True, blank=True, help_text="pairs whose images differ less are kept out of the study"
    )
    recipes = models.JSONField(default=dict, help_text="by arm, files pinned by digest once the run is planned")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PLANNING, editable=False)
    error = models.TextField(blank=True)
    plan_job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    manifest_file = models.CharField(max_length=200, blank=True, help_text="JSON Lines in the storage, a line an image")
    manifest_sha256 = models.CharField(max_length=64, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(pairs__gte=1), name="a_run_orders_pairs"),
            models.CheckConstraint(condition=Q(micro_batch__gte=1), name="a_micro_batch_holds_pairs"),
            models.CheckConstraint(condition=Q(shard_pairs__gte=1), name="a_shard_holds_pairs"),
        ]

    def __str__(self) -> str:
        return f"{self.pairs} pairs of {self.study.slug}"

    def spec_at(self, position: int) -> PairSpec:
        """Return the pair at a position of the order; the run must be planned."""
        # Classes in turn: any prefix of the order, and a larger order later, has all classes about alike.
        return PairSpec(self.seed, self.classes[position % len(self.classes)], position // len(self.classes))

    @property
    def wanted(self) -> Q:
        """The pairs of this order among a study's pairs."""
        # The same turn-taking as a condition of the database: it tells an order's pairs without listing them.
        whole, rest = divmod(self.pairs, len(self.classes))
        labels = class_texts(self.classes)
        return Q(seed=self.seed, class_label__in=labels) & (
            Q(index__lt=whole) | Q(index=whole, class_label__in=labels[:rest])
        )


class GenerationShard(models.Model):
    """Positions ``number * shard_pairs`` up to the next shard's, and the job that makes them."""

    run = models.ForeignKey(GenerationRun, on_delete=models.CASCADE, related_name="shards")
    number = models.PositiveIntegerField()
    job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL, related_name="generation_shard")

    class Meta:
        ordering = ["run", "number"]
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="one_shard_per_run_and_number")]

    def __str__(self) -> str:
        return f"shard {self.number} of {self.run}"

    @property
    def positions(self) -> range:
        """The positions of the order that this shard makes."""
        start = self.number * self.run.shard_pairs
        return range(start, min(start + self.run.shard_pairs, self.run.pairs))
