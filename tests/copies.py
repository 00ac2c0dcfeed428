"""Where a test finds the copies that raters get."""

from __future__ import annotations

import io

import numpy as np
from django.core.files.storage import default_storage
from PIL import Image

from survey.models import PairImage
from survey.selectors.copies import copies_folder, copy_file

__all__ = ["copy_bytes", "copy_folder", "copy_name", "pixels_of"]


def copy_folder(image: PairImage, *, is_spoilt: bool = False) -> str:
    """Return the folder of an image's newest copies."""
    return copies_folder(image.copies.latest("pk").setup, image.pk, is_spoilt=is_spoilt)


def copy_name(image: PairImage, size: int = 0, *, is_spoilt: bool = False) -> str:
    """Return the name of the copy of one size, of the original's unless said otherwise."""
    return copy_file(copy_folder(image, is_spoilt=is_spoilt), size)


def copy_bytes(image: PairImage, size: int = 0, *, is_spoilt: bool = False) -> bytes:
    with default_storage.open(copy_name(image, size, is_spoilt=is_spoilt)) as file:
        return file.read()


def pixels_of(content: bytes) -> np.ndarray:
    """Return what a file shows, as (H, W, 3) levels."""
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)
