"""A PNG encoder whose files differ in their pixels and in nothing else.

Every file is a header, one data chunk and an end, and all files of a version have one length. The length is reached
inside the compressed stream: empty deflate blocks, which decode to nothing, stand between the pixels and the checksum.
A padding chunk of its own would leave the length of the data chunk to tell the busier image from the smoother one.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

__all__ = ["MINIMUM_PADDING", "png_bytes", "png_length", "png_stream"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_AROUND_DATA = len(_SIGNATURE) + 25 + 12 + 12  # header chunk, frame of the data chunk, end chunk
# RFC 1951, byte-aligned at either end: a stored block of no bytes, and an empty block of the fixed code before one.
_EMPTY_5 = b"\x00\x00\x00\xff\xff"
_EMPTY_6 = b"\x02\x00\x00\x00\xff\xff"
# Every number from 20 on is a sum of fives and sixes.
MINIMUM_PADDING = 20


def _filtered(pixels: np.ndarray) -> bytes:
    """Return the scan lines, each under the filter (PNG 1.2, section 6) with the least sum of absolute differences."""
    height, width, channels = pixels.shape
    row = pixels.reshape(height, width * channels).astype(np.int16)
    left, up, corner = np.zeros_like(row), np.zeros_like(row), np.zeros_like(row)
    left[:, channels:] = row[:, :-channels]
    up[1:] = row[:-1]
    corner[1:, channels:] = row[:-1, :-channels]
    guess = left + up - corner
    to_left, to_up, to_corner = abs(guess - left), abs(guess - up), abs(guess - corner)
    paeth = np.where((to_left <= to_up) & (to_left <= to_corner), left, np.where(to_up <= to_corner, up, corner))
    candidates = np.stack([row, row - left, row - up, row - (left + up) // 2, row - paeth]).astype(np.uint8)
    best = np.abs(candidates.view(np.int8).astype(np.int16)).sum(axis=2, dtype=np.int64).argmin(axis=0)
    lines = np.empty((height, 1 + width * channels), dtype=np.uint8)
    lines[:, 0] = best
    lines[:, 1:] = candidates[best, np.arange(height)]
    return lines.tobytes()


def png_stream(pixels: np.ndarray) -> tuple[bytes, bytes]:
    """Compress (H, W, 3) uint8 pixels; return the stream up to a byte boundary, and its end."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, 15, 9)
    body = compressor.compress(_filtered(pixels)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return body, compressor.flush(zlib.Z_FINISH)


def png_length(stream: tuple[bytes, bytes]) -> int:
    """Return the length of the file that holds the stream without padding."""
    return _AROUND_DATA + len(stream[0]) + len(stream[1])


def _padding(length: int) -> bytes:
    sixes = length % 5
    return _EMPTY_6 * sixes + _EMPTY_5 * ((length - 6 * sixes) // 5)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_bytes(stream: tuple[bytes, bytes], *, width: int, height: int, length: int) -> bytes:
    """Return the file of exactly ``length`` bytes.

    Raises
    ------
    ValueError
        If the length leaves less than ``MINIMUM_PADDING`` bytes to fill.
    """
    missing = length - png_length(stream)
    if missing < MINIMUM_PADDING:
        raise ValueError(f"length is {length}; it must be at least {png_length(stream) + MINIMUM_PADDING}")
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = stream[0] + _padding(missing) + stream[1]
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
