"""Studies of pictures with detail, in the sizes that generators make."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from survey.models import Study, StudyVersion
from survey.services.images.describing import pairs_describe
from survey.services.images.pairs import NewImage, NewPair, image_store, pairs_register
from tests.factories import make_running, make_study

__all__ = ["described_photos", "photo", "photo_draft", "photo_study"]


def photo(width: int, height: int, seed: int) -> Image.Image:
    """Return a picture of hills and light, with a little noise: neither flat nor rough."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    waves = [np.sin(2 * np.pi * (x * a + y * b + c)) for a, b, c in rng.uniform(0.5, 6, (9, 3))]
    channels = [sum(waves[start::3]) for start in range(3)]
    pixels = np.stack(channels, axis=-1) * 35 + 128 + rng.normal(0, 2, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8))


def _stored(picture: Image.Image) -> NewImage:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    file, sha256 = image_store(buffer.getvalue())
    return NewImage(file=file, sha256=sha256, width=picture.width, height=picture.height)


def photo_draft(*sizes: tuple[int, int], **draft: Any) -> Study:
    """Return a draft with one pair of each size; the second arm is the first's picture, softer."""
    fields = {"minimum_exposure_ms": 0, "trials_per_session": len(sizes), "target_raters": 2, "practice_trials": 1}
    study = make_study(pairs=0, **fields | draft)
    new = []
    for number, (width, height) in enumerate(sizes):
        sharp = photo(width, height, number)
        small = (max(1, width // 2), max(1, height // 2))
        soft = sharp.resize(small, Image.Resampling.BOX).resize(sharp.size, Image.Resampling.BILINEAR)
        images = {"vanilla": _stored(sharp), "robust": _stored(soft)}
        new.append(NewPair(key=f"{number:03d}", images=images, class_label="hill", class_name="hill"))
    pairs_register(study=study, pairs=new)
    return study


def photo_study(*sizes: tuple[int, int], **draft: Any) -> StudyVersion:
    """Return an open study of main trials alone, one pair of each size, unless the draft says otherwise."""
    plain = {"practice_trials": 0, "identical_trials": 0, "degraded_trials": 0, "repeat_trials": 0}
    return make_running(photo_draft(*sizes, **plain | draft))


def described_photos(
    *sizes: tuple[int, int],
    prompts: Sequence[str] = (),
    references: Sequence[tuple[int, int] | None] = (),
    **draft: Any,
) -> StudyVersion:
    """Return such a study whose pairs have these prompts, and references of these sizes."""
    plain = {"practice_trials": 0, "identical_trials": 0, "degraded_trials": 0, "repeat_trials": 0}
    study = photo_draft(*sizes, **plain | draft)
    for number, pair in enumerate(study.pairs.order_by("key")):
        size = references[number] if number < len(references) else None
        reference = _stored(photo(*size, seed=1000 + number)) if size else None
        prompt = prompts[number] if number < len(prompts) else ""
        pairs_describe(study=study, pairs=[NewPair(key=pair.key, images={}, prompt=prompt, reference=reference)])
    return make_running(study)
