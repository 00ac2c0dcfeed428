"""Training runs and the checkpoints they made. The files lie in the run's folder; the rows say what is in them."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings as django_settings
from django.db import models

from diffusion.files import is_locked
from jobs.models import Job


class TrainingRun(models.Model):
    """One network being trained: its settings, how far it is, and its curves."""

    class State(models.TextChoices):
        WAITING = "waiting", "waiting"
        RUNNING = "running", "running"
        PAUSED = "paused", "paused"
        FINISHED = "finished", "finished"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    name = models.SlugField(
        max_length=100, unique=True, help_text="also the name of its folder; the same name continues the same run"
    )
    preset = models.CharField(max_length=300, help_text="a preset's name, or the path of a TOML file on the workers")
    settings = models.JSONField(
        default=dict, editable=False, help_text="what the preset or the file held when the run was made"
    )
    changes = models.JSONField(
        default=dict, blank=True, help_text='settings that differ from the preset, such as {"data.path": "/data/train"}'
    )
    processes = models.PositiveSmallIntegerField(default=1, help_text="GPUs of one machine; more than one use torchrun")
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING, editable=False)
    config = models.JSONField(default=dict, editable=False, help_text="all settings, filled in when training starts")
    iteration = models.PositiveBigIntegerField(default=0, editable=False)
    iterations = models.PositiveBigIntegerField(default=0, editable=False)
    curve = models.JSONField(default=list, editable=False, help_text="rows of the log, thinned out as they grow")
    note = models.CharField(max_length=200, blank=True, editable=False)
    error = models.TextField(blank=True, editable=False)
    job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL, related_name="training_run", editable=False)
    created_by = models.ForeignKey(
        django_settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=models.Q(processes__gte=1), name="a_training_run_has_a_process"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def current_state(self) -> str:
        """The state, as far as training could tell; the job's where that says more.

        A worker that was killed writes nothing, and between two slices of work a run is paused without anybody's wish.
        A process that was killed has let go of the run's folder, and of its lease after a while.
        """
        if self.state in {self.State.FINISHED, self.State.CANCELLED}:
            return self.state
        is_running = self.state == self.State.RUNNING
        if is_running and is_locked(self.folder):
            return self.state
        if self.job is not None and not self.job.is_over:
            # The next worker takes up what one that died has left behind.
            is_waiting = self.job.state == Job.State.QUEUED or self.job.is_abandoned
            return self.State.WAITING if is_waiting else self.state
        if self.job is not None and self.job.state == Job.State.FAILED:
            return self.State.FAILED
        return self.State.PAUSED if is_running else self.state

    @property
    def is_trained(self) -> bool:
        """Whether it is finished and its weights are there."""
        return self.state == self.State.FINISHED and (self.folder / "last.safetensors").is_file()

    @property
    def folder(self) -> Path:
        """Where the run's files lie, on storage that all workers share."""
        return Path(django_settings.DATA_DIR) / "training" / self.name


class Checkpoint(models.Model):
    """Weights that a run made, with what their card says."""

    class Role(models.TextChoices):
        LAST = "last", "last"
        BEST = "best", "best"

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="checkpoints")
    role = models.CharField(max_length=4, choices=Role.choices)
    path = models.CharField(max_length=500)
    kind = models.CharField(max_length=10, help_text="classifier or denoiser")
    sha256 = models.CharField(max_length=64)
    card = models.JSONField(default=dict)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["run", "role"]
        constraints = [models.UniqueConstraint(fields=["run", "role"], name="one_checkpoint_per_run_and_role")]

    def __str__(self) -> str:
        return f"{self.run.name} ({self.role})"
