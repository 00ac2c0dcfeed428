"""Compare stored image files with their digests, and make again what is missing or damaged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from django.core.files.storage import default_storage

from generation.models import GenerationRun
from generation.recipes.class_labels import class_number
from generation.recipes.noise import PairSpec
from generation.recipes.recipe import GUIDANCE_FACTORS, ArmRecipe
from generation.sampling.networks import NetworkStore
from generation.sampling.pairs import generate_pairs
from generation.selectors import run_complete_pairs
from survey.models import PairImage
from survey.services.images.pairs import image_store

__all__ = ["RepairReport", "files_damaged", "files_repair"]


@dataclass(frozen=True)
class RepairReport:
    """Names of files that were made again, and of those whose bytes came out otherwise than recorded."""

    repaired: tuple[str, ...]
    not_reproduced: tuple[str, ...]


def files_damaged(run: GenerationRun, *, progress: Callable[[int, int, str], None] | None = None) -> list[PairImage]:
    """Return the images of an order whose stored file is missing or has other bytes than its row says."""
    images = PairImage.objects.filter(pair__in=run_complete_pairs(run), arm__name__in=list(run.recipes))
    total, damaged = images.count(), []
    rows = images.select_related("pair", "arm").order_by("pair__key", "arm__name")
    for done, image in enumerate(rows.iterator(chunk_size=500), start=1):
        if _stored_sha256(image.file) != image.sha256:
            damaged.append(image)
        if progress is not None:
            progress(done, total, "files compared")
    return damaged


def _stored_sha256(name: str) -> str | None:
    try:
        with default_storage.open(name) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def files_repair(run: GenerationRun, damaged: list[PairImage], *, store: NetworkStore) -> RepairReport:
    """Make the images of damaged files again, and store those whose bytes are the recorded ones.

    On the kind of device and in the batch shape that made them the bytes come out the same; where they do not, nothing
    is replaced: a study's images never change silently.
    """
    wanted = {(image.pair.key, image.arm.name): image for image in damaged}
    by_key = {image.pair.key: image.pair for image in damaged}
    specs = [PairSpec(pair.seed, class_number(pair.class_label), pair.index) for pair in by_key.values()]
    recipes = [ArmRecipe.from_json(name, recipe) for name, recipe in run.recipes.items()]
    repaired, differing = [], []
    factors = [*GUIDANCE_FACTORS, *run.factors]
    for made in generate_pairs(recipes, specs, micro_batch=run.micro_batch, store=store, factors=factors):
        for name, image in made.images.items():
            row = wanted.get((made.spec.key, name))
            # All arms are made again, for batch and company decide the bits; only damaged files are replaced.
            if row is None:
                continue
            if image.sha256 != row.sha256:
                differing.append(row.file)
                continue
            # Files are named by their digest and stored once: a damaged one would pass for present.
            default_storage.delete(row.file)
            image_store(image.png)
            repaired.append(row.file)
    return RepairReport(tuple(repaired), tuple(differing))
