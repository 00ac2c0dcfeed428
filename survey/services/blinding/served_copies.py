"""The copies that raters get: one encoder, no metadata, one length for the images that appear together.

What appears together is a pair with its spoilt copies. At each size their files have the same length, that of the
longest, rounded up to a coarse class: the length tells neither side nor kind of trial. See ``docs/decisions/0007``.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import Q, QuerySet
from PIL import Image

from analysis.pictures.colour import PIXEL_RULES, in_srgb
from survey.canonical import canonical_json
from survey.exceptions import BadImage, CopiesUnstored
from survey.models import ImagePair, PairImage, ReferenceImage, ServedCopies
from survey.renditions import rendition_sizes
from survey.selectors.copies import copies_folder, copy_file
from survey.services.blinding.file_times import file_date
from survey.services.blinding.near_lossless import near_lossless
from survey.services.blinding.scaling import scaled
from survey.services.blinding.webp import class_length, webp_file, webp_stream

__all__ = ["DEGRADED_IMAGES", "CopyPlan", "copies_build", "copy_store", "image_degraded", "image_pixels"]

# So many spoilt copies serve a version's checks, whatever its size.
DEGRADED_IMAGES = 400
# Stands in the setup, as the rules of reading pixels do: another encoder, filter or ladder is another.
_RENDERER = 1
# Pairs whose rows are written together; all their copies are in memory at once.
_PAIRS_A_BATCH = 16
# A spoilt copy keeps about this many blocks a side.
_MOSAIC_BLOCKS = 5

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class CopyPlan:
    """What decides the copies but the pixels."""

    least_px: int | None
    near_lossless: int = 0
    # All images of a pair share their lengths: an arm more changes them all.
    arms: tuple[int, ...] = ()

    @property
    def setup(self) -> str:
        """The name of the setup: 16 hexadecimal digits."""
        facts = {
            "renderer": _RENDERER,
            "pixels": PIXEL_RULES,
            "least_px": self.least_px,
            "near": self.near_lossless,
            "arms": self.arms,
        }
        return hashlib.sha256(canonical_json(facts)).hexdigest()[:16]


@dataclass(frozen=True)
class _Made:
    """One image's bit streams, a size each, and how far near-lossless pixels are off."""

    image: PairImage
    sizes: list[tuple[int, int]]
    streams: list[bytes]
    spoilt: list[bytes]
    difference: dict[str, int]


def image_pixels(image: PairImage | ReferenceImage) -> Image.Image:
    """Return the picture upright, in 8-bit RGB and the sRGB colour space, as every browser shows it.

    Raises
    ------
    BadImage
        If the file is missing or no readable image.
    """
    try:
        with default_storage.open(image.file) as file:
            return in_srgb(file.read())
    except (OSError, ValueError) as error:
        raise BadImage(f"{image.called}: {image.file} cannot be read ({error})") from None


def image_degraded(picture: Image.Image) -> Image.Image:
    """Return the picture as a coarse mosaic of its own colours: nobody who looks prefers it."""
    small = [max(2, min(_MOSAIC_BLOCKS, side // 2)) for side in picture.size]
    return picture.resize(small, Image.Resampling.BOX).resize(picture.size, Image.Resampling.NEAREST)


# --- what is missing -------------------------------------------------------------------------------------------------


def _to_degrade(images: QuerySet[PairImage], wanted: int) -> set[Any]:
    """Return the keys of the images that get a spoilt copy: random ones, as keys are random, and all for practice."""
    some = images.order_by("pk").values_list("pk", flat=True)
    return set(some[: min(wanted, DEGRADED_IMAGES)]) | set(some.filter(pair__kind=ImagePair.Kind.PRACTICE))


def _unmade(images: QuerySet[PairImage], setup: str, degraded: Collection[Any]) -> QuerySet[ImagePair]:
    """Return the pairs of which an image lacks its copies, in the order of keys."""
    made = ServedCopies.objects.filter(setup=setup)
    whole = Q(pk__in=made.values("image"))
    spoilt = ~Q(pk__in=degraded) | Q(pk__in=made.filter(has_spoilt=True).values("image"))
    return ImagePair.objects.filter(images__in=images.exclude(whole & spoilt)).distinct().order_by("pk")


def copies_build(
    images: QuerySet[PairImage], plan: CopyPlan, *, spoilt: int, on_progress: Progress = lambda done, total: None
) -> int:
    """Write the copies of every image at every size, on all cores; return the bytes of the longest.

    Each is encoded once. What a killed run has done is kept: the rows of a pair are written after its files.

    Parameters
    ----------
    images
        All images of the pairs that take part.
    spoilt
        How many images get spoilt copies as well, besides those made for practice.

    Raises
    ------
    BadImage
        If a file is missing or no readable image.
    CopiesUnstored
        If the storage does not take a file.
    """
    images, total = images.select_related("pair", "arm").order_by("pair", "pk"), images.count()
    degraded = _to_degrade(images, spoilt)
    pairs = list(_unmade(images, plan.setup, degraded).values_list("pk", flat=True))
    done = total - images.filter(pair__in=_unmade(images, plan.setup, degraded).order_by()).count()
    on_progress(done, total)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for start in range(0, len(pairs), _PAIRS_A_BATCH):
                groups = _groups(images.filter(pair__in=pairs[start : start + _PAIRS_A_BATCH]))
                rows: list[ServedCopies] = []
                for made in pool.map(lambda group: _pair_build(group, plan, degraded), groups):
                    rows += made
                    done += len(made)
                    on_progress(done, total)
                _keep(rows)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return _longest(images, plan.setup)


def _groups(images: QuerySet[PairImage]) -> list[list[PairImage]]:
    groups: dict[Any, list[PairImage]] = {}
    for image in images:
        groups.setdefault(image.pair_id, []).append(image)
    return list(groups.values())


def _keep(rows: list[ServedCopies]) -> None:
    ServedCopies.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["image", "setup"],
        update_fields=["has_spoilt", "lengths", "difference"],
    )


def _longest(images: QuerySet[PairImage], setup: str) -> int:
    rows = ServedCopies.objects.filter(setup=setup, image__in=images.order_by()).values_list("lengths", flat=True)
    return max((max(lengths) for lengths in rows.iterator(chunk_size=2000)), default=0)


# --- one pair --------------------------------------------------------------------------------------------------------


def _pair_build(images: Sequence[PairImage], plan: CopyPlan, degraded: Collection[Any]) -> list[ServedCopies]:
    """Encode and write the copies of images that appear together; return their rows, still to be stored."""
    made = [_made(image, plan, has_spoilt=image.pk in degraded) for image in images]
    lengths = [class_length(max(map(len, streams))) for streams in _by_size(made)]
    return [_written(one, plan.setup, lengths) for one in made]


def _by_size(made: Sequence[_Made]) -> Iterator[list[bytes]]:
    for size in range(len(made[0].sizes)):
        yield [streams[size] for one in made for streams in (one.streams, one.spoilt) if streams]


def _made(image: PairImage, plan: CopyPlan, *, has_spoilt: bool) -> _Made:
    picture = image_pixels(image)
    sizes = rendition_sizes(*picture.size, least_px=plan.least_px)
    made = _Made(image, sizes, [], [], {})
    for rendition in scaled(picture, sizes):
        shown = rendition
        if plan.near_lossless:
            before = np.asarray(rendition)
            after = near_lossless(before, plan.near_lossless)
            _add_difference(made.difference, before, after)
            shown = Image.fromarray(after)
        is_scaled = rendition.size != picture.size
        made.streams.append(webp_stream(shown, is_scaled=is_scaled))
        if has_spoilt:
            made.spoilt.append(webp_stream(image_degraded(shown), is_scaled=is_scaled))
    return made


def _add_difference(sums: dict[str, int], before: np.ndarray, after: np.ndarray) -> None:
    off = np.abs(before.astype(np.int32) - after)
    sums["largest"] = max(sums.get("largest", 0), int(off.max()))
    for name, value in (("absolute", off.sum()), ("squared", (off * off).sum()), ("count", off.size)):
        sums[name] = sums.get(name, 0) + int(value)


def _written(made: _Made, setup: str, lengths: list[int]) -> ServedCopies:
    stored = []
    for is_spoilt, streams in ((False, made.streams), (True, made.spoilt)):
        folder = copies_folder(setup, made.image.pk, is_spoilt=is_spoilt)
        for size, stream in enumerate(streams):
            width, height = made.sizes[size]
            content = webp_file(stream, width=width, height=height, length=lengths[size])
            copy_store(copy_file(folder, size), content)
            stored.append(len(content))
    return ServedCopies(
        image=made.image,
        setup=setup,
        has_spoilt=bool(made.spoilt),
        lengths=stored[: len(lengths)],
        difference=made.difference,
    )


def copy_store(name: str, content: bytes) -> None:
    """Store one copy, whole or not at all, at the time that all copies have."""
    try:
        default_storage.delete(name)
        default_storage.save(name, ContentFile(content))
        file_date(name)
    except OSError as error:
        _drop(name)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CopiesUnstored from None
        raise CopiesUnstored(
            f"The storage does not take the copy {name}: {error}. Fix it, then freeze again."
        ) from None


def _drop(name: str) -> None:
    # What cannot be deleted is a part of a file without a row: the next run writes it anew.
    with contextlib.suppress(OSError):
        default_storage.delete(name)
