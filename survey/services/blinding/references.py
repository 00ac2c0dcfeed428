"""The copies of references: the encoder, the colours and the sizes of the images that they stand beside.

A reference belongs to a pair and to none of its arms. Its copies have lengths of their own, rounded up to the same
coarse classes: they tell the pair, which its pixels tell as well, and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from django.db.models import Min, QuerySet
from PIL import Image

from survey.models import ReferenceImage
from survey.renditions import fitted_sizes, rendition_sizes
from survey.selectors.copies import copies_folder, copy_file
from survey.services.blinding.near_lossless import near_lossless
from survey.services.blinding.scaling import scaled
from survey.services.blinding.served_copies import CopyPlan, copy_store, image_pixels
from survey.services.blinding.webp import class_length, webp_file, webp_stream

__all__ = ["reference_sizes", "references_build"]

_A_BATCH = 32


def reference_sizes(
    reference: ReferenceImage, frame: tuple[int, int], *, least_px: int | None
) -> list[tuple[int, int]]:
    """Return the sizes of a reference's copies, one for each size of its pair's images."""
    return fitted_sizes(reference.width, reference.height, rendition_sizes(*frame, least_px=least_px))


def references_build(
    references: QuerySet[ReferenceImage],
    plan: CopyPlan,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write the copies of every reference, on all cores. Those that are there stay.

    Raises
    ------
    BadImage
        If a file is missing or no readable image.
    CopiesUnstored
        If the storage does not take a file.
    """
    # All images of a pair have one size: the dry run sees to that.
    rows = references.select_related("pair").annotate(wide=Min("pair__images__width"), high=Min("pair__images__height"))
    wanted = [row for row in rows.order_by("pair__key") if plan.setup not in row.setups]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(wanted), _A_BATCH):
            batch = wanted[start : start + _A_BATCH]
            for row, lengths in zip(batch, pool.map(lambda row: _written(row, plan), batch), strict=True):
                row.setups[plan.setup] = lengths
            ReferenceImage.objects.bulk_update(batch, ["setups"])
            on_progress(start + len(batch), len(wanted))


def _written(reference: ReferenceImage, plan: CopyPlan) -> list[int]:
    picture = image_pixels(reference)
    folder = copies_folder(plan.setup, reference.pk)
    lengths = []
    sizes = reference_sizes(reference, (reference.wide, reference.high), least_px=plan.least_px)
    for size, rendition in enumerate(scaled(picture, sizes)):
        shown = rendition
        if plan.near_lossless:
            shown = Image.fromarray(near_lossless(np.asarray(rendition), plan.near_lossless))
        stream = webp_stream(shown, is_scaled=rendition.size != picture.size)
        width, height = rendition.size
        content = webp_file(stream, width=width, height=height, length=class_length(len(stream)))
        copy_store(copy_file(folder, size), content)
        lengths.append(len(content))
    return lengths
