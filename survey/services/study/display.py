"""How a draft's images will be shown: the mode, the room that their shapes need, the disk that their copies take."""

from __future__ import annotations

import itertools
import math
import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import FileSystemStorage, default_storage
from django.db.models import Count, QuerySet

from survey.exceptions import BadImage
from survey.geometry import Room
from survey.models import PairImage, ReferenceImage, ServedCopies, Study
from survey.renditions import least_size, rendition_sizes
from survey.services.blinding.served_copies import DEGRADED_IMAGES, CopyPlan, image_pixels
from survey.services.blinding.webp import webp_stream
from survey.services.study.beyond import beyond_config
from survey.services.study.criteria import criteria_config

__all__ = [
    "PIXELS_UP_TO",
    "bytes_a_pixel",
    "copies_bytes",
    "copies_facts",
    "copy_plan",
    "disk_problems",
    "display_mode",
    "display_problems",
    "images_of",
    "ladder_pixels",
    "references_of",
    "room_facts",
    "room_of",
    "spoilt_wanted",
    "words_frozen",
]

# The longer side of images that are shown pixel by pixel unless the study says otherwise.
PIXELS_UP_TO = 128
# Images whose encoding is tried to say how much disk the copies will take.
_TRIED = 2


def images_of(study: Study) -> QuerySet[PairImage]:
    """Return the images that take part."""
    return PairImage.objects.filter(pair__study=study, pair__is_selected=True)


def references_of(study: Study) -> QuerySet[ReferenceImage]:
    """Return the references of the pairs that take part."""
    return ReferenceImage.objects.filter(pair__study=study, pair__is_selected=True)


def _sizes(study: Study) -> list[tuple[int, int, int]]:
    """Return (width, height, images) of each size there is."""
    rows = images_of(study).order_by().values("width", "height").annotate(n=Count("pk"))
    return list(rows.values_list("width", "height", "n"))


def display_mode(study: Study) -> str:
    """Return ``fit`` or ``pixels``: what the study says, or what suits its images."""
    if study.display != Study.Display.AUTO:
        return str(study.display)
    longest = max((max(width, height) for width, height, _ in _sizes(study)), default=0)
    return str(Study.Display.FIT if longest > PIXELS_UP_TO else Study.Display.PIXELS)


def least_box(study: Study) -> int:
    """Return the least box in device pixels; one that nobody has chosen asks small images for no more than they have.

    A single small image among larger ones stays a problem: it would let in windows that are too small for the others.
    """
    sides = [min(width, height) for width, height, _ in _sizes(study)]
    is_chosen = study.display != Study.Display.AUTO or display_mode(study) != Study.Display.FIT
    return study.least_box_px if is_chosen or max(sides) >= study.least_box_px else min(sides)


def _least_px(study: Study) -> int | None:
    return least_box(study) if display_mode(study) == Study.Display.FIT else None


def room_facts(study: Study) -> dict[str, Any]:
    """Return what the page and the gate know of all images together: the largest sides, the shapes, the least size."""
    sizes = [(width, height) for width, height, _ in _sizes(study)] or [(1, 1)]
    least = [least_size(*size, least_px=least_box(study)) for size in sizes]
    shapes = [width / height for width, height in sizes]
    return {
        "frame": [max(width for width, _ in sizes), max(height for _, height in sizes)],
        "least": [max(width for width, _ in least), max(height for _, height in least)],
        "narrowest": min(shapes),
        "widest": max(shapes),
    }


def words_frozen(study: Study) -> dict[str, Any]:
    """Return what a version keeps of prompts and references: nothing where it has none, as in versions before."""
    frozen: dict[str, Any] = {}
    if study.are_prompts_shown and study.pairs.filter(is_selected=True).exclude(prompt="").exists():
        frozen["are_prompts_shown"] = True
    if references_of(study).exists():
        frozen["reference_place"] = study.reference_place
    if study.is_wording_kept:
        frozen["is_wording_kept"] = True
    return frozen


def room_of(study: Study) -> Room:
    """Return what a draft asks of a window."""
    trial = {
        "display": display_mode(study),
        "box_px": study.box_px,
        "pixel_multiple": study.pixel_multiple,
        "narrow_screens": study.narrow_screens,
        **words_frozen(study),
    }
    return Room.of(
        {"trial": trial, "images": room_facts(study)} | criteria_config(study) | beyond_config(study), frame=(0, 0)
    )


def copy_plan(study: Study) -> CopyPlan:
    """Return what decides the copies of a draft."""
    arms = tuple(study.arms.order_by("pk").values_list("pk", flat=True))
    return CopyPlan(least_px=_least_px(study), near_lossless=study.near_lossless, arms=arms)


def spoilt_wanted(study: Study) -> int:
    """Return how many spoilt copies the plan can show: one a check and practice of each rater, one in the example."""
    return max(1, study.target_raters * (study.practice_trials + study.degraded_trials))


def display_problems(study: Study) -> list[str]:
    """Return what keeps the images from being shown as the plan says, each with its remedy."""
    problems = []
    if display_mode(study) == Study.Display.FIT:
        least = least_box(study)
        small = images_of(study).filter(width__lt=least) | images_of(study).filter(height__lt=least)
        if first := small.select_related("pair").order_by("pair__key").first():
            problems.append(
                f"{small.count()} image(s) are smaller than the least box of {least} pixels, first in "
                f"pair {first.pair.key} ({first.width}x{first.height}); lower the least box, or show pixels"
            )
        if least > 4 * study.box_px:
            problems.append(f"no screen shows {least} device pixels in a box of {study.box_px}; lower the least box")
    return problems


# --- the disk --------------------------------------------------------------------------------------------------------


def bytes_a_pixel(study: Study) -> float:
    """Return the bytes of a copy for each of its pixels, tried on some images; 0 where there are none to try.

    Smaller sizes take more bytes a pixel, as they hold more detail: the size tried is one in the middle of the ladder.
    """
    total = pixels = 0
    tried = images_of(study).select_related("pair", "arm").order_by("pair", "arm")[:_TRIED]
    # Whole pairs: their files all get the length of the longest, and one arm's images may be far lighter.
    for _, images in itertools.groupby(tried, key=lambda image: image.pair_id):
        lengths = []
        for image in images:
            try:
                picture = image_pixels(image)
            except BadImage:
                continue
            lengths.append(len(webp_stream(picture)))
            pixels += picture.width * picture.height
        total += max(lengths, default=0) * len(lengths)
    return total / pixels if pixels else 0.0


def ladder_pixels(study: Study) -> int:
    """Return the pixels of all copies of all images, spoilt ones left out: they take next to nothing."""
    least = _least_px(study)
    return sum(
        count * sum(w * h for w, h in rendition_sizes(width, height, least_px=least))
        for width, height, count in _sizes(study)
    )


def copies_bytes(study: Study) -> int:
    """Return about how many bytes the copies will take; each pair's files have the length of the longest."""
    images = images_of(study).count()
    spoilt = min(images, spoilt_wanted(study), DEGRADED_IMAGES) / images if images else 0
    # A reference takes about what an image of its pair takes.
    beside = references_of(study).count() / images if images else 0
    return round(bytes_a_pixel(study) * ladder_pixels(study) * (1 + spoilt + beside) * 1.1)


def disk_problems(study: Study) -> list[str]:
    """Return that the copies will not fit the disk, and how much they take. Tries some images: not for every page."""
    if not isinstance(default_storage, FileSystemStorage) or not images_of(study).exists():
        return []
    plan = copy_plan(study)
    made = ServedCopies.objects.filter(setup=plan.setup, image__in=images_of(study)).count()
    left = 1 - made / images_of(study).count()
    needed = round(copies_bytes(study) * left) if left else 0
    free = shutil.disk_usage(_existing(settings.MEDIA_ROOT)).free
    if needed <= free:
        return []
    return [
        f"the copies that raters get will take about {needed / 1e9:.1f} GB, and the disk has {free / 1e9:.1f} GB left; "
        "free some space, leave out pairs, or raise the least box"
    ]


def _existing(folder: Any) -> Any:
    path = Path(folder)
    while not path.exists():
        path = path.parent
    return path


# --- what is frozen --------------------------------------------------------------------------------------------------


def copies_facts(study: Study) -> dict[str, Any]:
    """Return what a version says of its copies; of near-lossless ones how far each arm's are off."""
    plan = copy_plan(study)
    facts: dict[str, Any] = {"setup": plan.setup, "format": "lossless WebP", "near_lossless": study.near_lossless}
    if study.near_lossless:
        facts["differences"] = {arm.name: _difference(study, arm.pk, plan.setup) for arm in study.arms.order_by("name")}
    return facts


def _difference(study: Study, arm: int, setup: str) -> dict[str, float | None]:
    """Return the largest and the mean difference of an arm's copies in levels of 255, and their PSNR in decibels."""
    rows = ServedCopies.objects.filter(setup=setup, image__in=images_of(study).filter(arm=arm))
    sums = {"largest": 0, "absolute": 0, "squared": 0, "count": 0}
    for one in rows.values_list("difference", flat=True).iterator(chunk_size=2000):
        sums["largest"] = max(sums["largest"], one.get("largest", 0))
        for name in ("absolute", "squared", "count"):
            sums[name] += one.get(name, 0)
    squared = sums["squared"] / sums["count"] if sums["count"] else 0
    return {
        "largest": sums["largest"],
        "mean": round(sums["absolute"] / sums["count"], 4) if sums["count"] else 0.0,
        "psnr_db": round(10 * math.log10(255**2 / squared), 2) if squared else None,
    }
