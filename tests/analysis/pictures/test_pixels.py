import io
import struct
import warnings

import numpy as np
import pytest
from PIL import Image

from analysis.pictures.errors import PictureError
from analysis.pictures.jpeg import precision_of, profile_of
from analysis.pictures.pixels import read_picture
from tests.architecture.test_image_sets import PICTURE, chunk, encoded

PLAIN = encoded("JPEG")


def with_parts(*parts: tuple[int, int, bytes]) -> bytes:
    """A JPEG with parts of a profile: number, how many there are, bytes."""
    bodies = [b"ICC_PROFILE\0" + bytes([number, total]) + body for number, total, body in parts]
    marks = [b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body for body in bodies]
    return PLAIN[:2] + b"".join(marks) + PLAIN[2:]


@pytest.mark.parametrize(
    ("parts", "profile"),
    [
        ([(1, 1, b"all")], b"all"),
        ([(2, 2, b"end"), (1, 2, b"begin ")], b"begin end"),
        ([(1, 1, b"first"), (1, 1, b"second")], b"first"),
        ([(1, 2, b"begin ")], b""),
        ([(0, 1, b"all")], b""),
        ([], b""),
    ],
)
def test_a_profile_in_parts_is_that_of_chromium(parts: list[tuple[int, int, bytes]], profile: bytes) -> None:
    content = with_parts(*parts)
    assert (profile_of(content), precision_of(content)) == (profile, 8)
    assert read_picture(content).profile == profile


def test_a_gif_that_covers_a_part_of_its_picture_is_see_through() -> None:
    content = bytearray(encoded("GIF"))
    struct.pack_into("<HH", content, 6, PICTURE.width + 4, PICTURE.height)
    with pytest.raises(PictureError, match="is see-through"):
        read_picture(bytes(content))


def test_a_palette_with_an_opaque_alpha_is_read_without_a_warning() -> None:
    palette = PICTURE.quantize(16, dither=Image.Dither.NONE)
    content = encoded("PNG", palette)
    at = content.index(b"IDAT") - 4
    buffer = io.BytesIO(content[:at] + chunk(b"tRNS", b"\xff" * 4) + content[at:])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = read_picture(buffer.getvalue())
    np.testing.assert_array_equal(np.asarray(picture.image), np.asarray(palette.convert("RGB")))
