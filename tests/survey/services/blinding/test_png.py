from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from survey.services.blinding.png import MINIMUM_PADDING, png_bytes, png_length, png_stream


@given(
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    padding=st.integers(MINIMUM_PADDING, 400),
    seed=st.integers(0, 9),
    is_flat=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_png_reads_back_exactly_at_the_length_asked_for(width, height, padding, seed, is_flat) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8) // (200 if is_flat else 1)
    stream = png_stream(pixels)
    content = png_bytes(stream, width=width, height=height, length=png_length(stream) + padding)
    assert len(content) == png_length(stream) + padding
    with Image.open(io.BytesIO(content)) as picture:
        assert np.array_equal(np.asarray(picture), pixels)
        assert (picture.mode, picture.info) == ("RGB", {})


def test_png_refuses_a_length_that_is_too_short() -> None:
    stream = png_stream(np.zeros((4, 4, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match="at least"):
        png_bytes(stream, width=4, height=4, length=png_length(stream))


def test_png_is_about_as_small_as_the_usual_encoder() -> None:
    pixels = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)[..., None].repeat(3, axis=2)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    assert png_length(png_stream(pixels)) < 1.5 * len(buffer.getvalue())
