"""The copies that raters get: one encoder, no metadata, one length, so that bytes say nothing of the arm."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator

import numpy as np
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import Max, Q, QuerySet
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from survey.exceptions import BadImage
from survey.models import ImagePair, PairImage
from survey.services.blinding.png import MINIMUM_PADDING, png_bytes, png_length, png_stream

__all__ = ["DEGRADED_IMAGES", "image_degraded", "image_pixels", "served_images_build"]

# So many spoilt copies serve a version's checks, whatever its size.
DEGRADED_IMAGES = 400
# Images whose copies are encoded before their rows are written.
_BATCH = 250
# A spoilt copy keeps about this many blocks a side.
_MOSAIC_BLOCKS = 5


def image_pixels(image: PairImage) -> Image.Image:
    """Return the picture upright, in 8-bit RGB and the sRGB colour space, as every browser will show it.

    Raises
    ------
    BadImage
        If the file is missing or no readable image.
    """
    try:
        with default_storage.open(image.file) as file, Image.open(file) as picture:
            return _in_srgb(ImageOps.exif_transpose(picture))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise BadImage(f"{image.pair.key} of arm {image.arm.name}: {image.file} cannot be read ({error})") from None


def _in_srgb(picture: Image.Image) -> Image.Image:
    profile = picture.info.get("icc_profile")
    if "A" in picture.getbands() or "transparency" in picture.info:
        # What is see-through shows the page's neutral grey, in every arm.
        layer = picture.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (128, 128, 128, 255))
        picture = Image.alpha_composite(ground, layer).convert("RGB")
    if profile and picture.mode in {"RGB", "L", "CMYK"}:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            pass  # a damaged profile: browsers ignore it too
    if picture.mode.startswith("I"):
        wide = np.asarray(picture, dtype=np.float64)
        return Image.fromarray((wide / 257).round().clip(0, 255).astype(np.uint8)).convert("RGB")
    return picture.convert("RGB")


def image_degraded(picture: Image.Image) -> Image.Image:
    """Return the picture as a coarse mosaic of its own colours: nobody who looks prefers it."""
    small = [max(2, min(_MOSAIC_BLOCKS, side // 2)) for side in picture.size]
    return picture.resize(small, Image.Resampling.BOX).resize(picture.size, Image.Resampling.NEAREST)


def _stream(picture: Image.Image) -> tuple[bytes, bytes]:
    return png_stream(np.asarray(picture, dtype=np.uint8))


def _batches(images: QuerySet[PairImage]) -> Iterator[list[PairImage]]:
    """Yield the rows in the order of keys, a query a batch: no cursor stays open while the batch is written."""
    last = None
    while batch := list((images if last is None else images.filter(pk__gt=last))[:_BATCH]):
        last = batch[-1].pk
        yield batch


def _to_degrade(images: QuerySet[PairImage]) -> set:
    """Return the keys of the images that get a spoilt copy: random ones, as keys are random, and all for practice."""
    some = images.order_by("pk").values_list("pk", flat=True)
    return set(some[:DEGRADED_IMAGES]) | set(some.filter(pair__kind=ImagePair.Kind.PRACTICE))


def served_images_build(
    images: QuerySet[PairImage], *, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> int:
    """Write the served copy of every image; return the one length of all of them, in bytes.

    Two passes in constant memory: the first finds the longest encoding, the second pads to it. What a killed run has
    done is kept: rows remember the length of their encoding, and a copy's name holds the length it was brought to.
    """
    images = images.select_related("pair", "arm").order_by("pk")
    total = 2 * images.count()
    degraded = _to_degrade(images)
    unmeasured = images.filter(Q(encoded_bytes__isnull=True) | Q(pk__in=degraded, degraded=""))
    done = total // 2 - unmeasured.count()
    for batch in _batches(unmeasured):
        for image in batch:
            picture = image_pixels(image)
            image.encoded_bytes = max(
                png_length(_stream(picture)),
                png_length(_stream(image_degraded(picture))) if image.pk in degraded else 0,
            )
            done += 1
            on_progress(done, total)
        PairImage.objects.bulk_update(batch, ["encoded_bytes"])
    length = (images.aggregate(longest=Max("encoded_bytes"))["longest"] or 0) + MINIMUM_PADDING
    folder = f"served/{length}/"
    missing = ~Q(served__startswith=folder) | Q(pk__in=degraded) & ~Q(degraded__startswith=folder)
    unwritten = images.filter(missing)
    done = total - unwritten.count()
    for batch in _batches(unwritten):
        for image in batch:
            picture = image_pixels(image)
            image.served, image.served_sha256 = _write(picture, length)
            image.degraded = _write(image_degraded(picture), length)[0] if image.pk in degraded else ""
            done += 1
            on_progress(done, total)
        PairImage.objects.bulk_update(batch, ["served", "served_sha256", "degraded"])
    return length


def _write(picture: Image.Image, length: int) -> tuple[str, str]:
    content = png_bytes(_stream(picture), width=picture.width, height=picture.height, length=length)
    sha256 = hashlib.sha256(content).hexdigest()
    name = f"served/{length}/{sha256[:2]}/{sha256}.png"
    if not default_storage.exists(name):
        default_storage.save(name, ContentFile(content))
    return name, sha256
