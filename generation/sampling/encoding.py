"""From a sampler's state to stored image bytes and their digests."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from torch import Tensor

__all__ = ["encode_png", "pixels_sha256", "to_uint8", "write_manifest"]


def to_uint8(x: Tensor) -> np.ndarray:
    """Final states as images: ``(x + 1) * 127.5`` clamped to [0, 255] and truncated, as published.

    Parameters
    ----------
    x : Tensor (B, C, H, W), float32

    Returns
    -------
    ndarray (B, H, W, C), uint8

    Raises
    ------
    ValueError
        If a value is not finite: such a state must never become an image.
    """
    if not bool(x.isfinite().all()):
        bad = [row for row in range(x.shape[0]) if not bool(x[row].isfinite().all())]
        raise ValueError(
            f"sampling ended in numbers that are not finite (rows {bad}); "
            "lower classifier_scale, or use float32 if the arm runs in half precision"
        )
    return ((x.float() + 1) * 127.5).clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()


def encode_png(pixels: np.ndarray) -> bytes:
    """One image as PNG without any metadata.

    Parameters
    ----------
    pixels : ndarray (H, W, C), uint8, C of 1 or 3
    """
    buffer = io.BytesIO()
    # No metadata and one fixed level: the same pixels give the same bytes, hence the same digest.
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def pixels_sha256(pixels: np.ndarray) -> str:
    """Digest of shape and pixels: unlike that of a PNG it does not depend on the compressor."""
    # The shape first: the same bytes in other rows are another image.
    digest = hashlib.sha256(json.dumps(list(pixels.shape)).encode())
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def write_manifest(file: BinaryIO, records: Iterable[Mapping[str, Any]]) -> str:
    """Write a line of JSON per record into an open file, as they come; return the SHA-256 of what was written."""
    digest = hashlib.sha256()
    for record in records:
        # Sorted: the same records give the same bytes wherever they are written.
        line = json.dumps(record, sort_keys=True).encode() + b"\n"
        digest.update(line)
        file.write(line)
    return digest.hexdigest()
