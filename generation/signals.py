"""The manifest of an order goes with the order: also where a deleted study takes it along, which knows no orders."""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_delete
from django.dispatch import receiver

from generation.models import GenerationRun
from survey.services.records.stored_files import files_forget_later


@receiver(post_delete, sender=GenerationRun)
def _forget(instance: GenerationRun, **kwargs: Any) -> None:
    # After the transaction, should it be rolled back: rows come back, files would not.
    if instance.manifest_file:
        files_forget_later([instance.manifest_file])
