"""Image bytes: the published conversion, files without metadata, manifests whole or not at all."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
import torch
from PIL import Image

from generation.sampling.encoding import encode_png, pixels_sha256, to_uint8, write_manifest


def test_states_become_pixels_by_truncation_after_clamping():
    values = torch.tensor([-2.0, -1.0, -0.999, 0.0, 0.999, 1.0, 3.0])
    pixels = to_uint8(values.view(1, 1, 1, 7))
    assert pixels.dtype == np.uint8
    assert pixels.shape == (1, 1, 7, 1)
    assert pixels.ravel().tolist() == [0, 0, 0, 127, 254, 255, 255]


def test_channels_go_last():
    state = torch.stack([torch.full((2, 5), value) for value in (-1.0, 0.0, 1.0)])[None]
    assert to_uint8(state)[0, 1, 4].tolist() == [0, 127, 255]


def test_state_that_is_not_finite_is_refused_by_row():
    state = torch.zeros(3, 1, 2, 2)
    state[1, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"not finite \(rows \[1\]\); lower classifier_scale"):
        to_uint8(state)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_png_gives_the_pixels_back_and_nothing_else(channels, mode):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, channels), dtype=np.uint8)
    content = encode_png(pixels)
    with Image.open(io.BytesIO(content)) as image:
        assert (image.mode, image.size, image.info) == (mode, (7, 9), {})
        np.testing.assert_array_equal(np.asarray(image).reshape(9, 7, channels), pixels)
    assert encode_png(pixels.copy()) == content


def test_pixel_digest_depends_on_shape_and_pixels_alone():
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert pixels_sha256(pixels) == pixels_sha256(np.asfortranarray(pixels))
    assert pixels_sha256(pixels) != pixels_sha256(pixels.reshape(4, 1, 3))


def test_manifest_has_a_line_a_record_and_its_digest_whatever_the_order_of_the_keys():
    one, other = io.BytesIO(), io.BytesIO()
    digest = write_manifest(one, [{"b": 1, "a": "\u00e9"}, {"c": 2}])
    assert one.getvalue() == b'{"a": "\\u00e9", "b": 1}\n{"c": 2}\n'
    assert digest == hashlib.sha256(one.getvalue()).hexdigest()
    assert write_manifest(other, iter([{"a": "\u00e9", "b": 1}, {"c": 2}])) == digest
