"""Counts of attempts, kept in the database so that every web process sees the same ones."""

from __future__ import annotations

from django.db import models


class Attempts(models.Model):
    """How often one thing was tried in one span of time. ``key`` is a keyed hash: no address, no name."""

    key = models.CharField(max_length=64, unique=True)
    count = models.PositiveIntegerField(default=0)
    ends_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "attempts"

    def __str__(self) -> str:
        return f"{self.key[:8]}: {self.count}"
