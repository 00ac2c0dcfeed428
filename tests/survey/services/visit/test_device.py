from __future__ import annotations

import pytest

from survey.exceptions import BadSubmission
from survey.services.visit.device import Device, css_size, engine_of, layout_of

FRAME = (128, 128)


def layout(width: int, height: int, *, ratio: float = 1.0, multiple: int = 1, narrow: str = "stack") -> str | None:
    device = Device(width=width, height=height, pixel_ratio=ratio)
    return layout_of(device, trial={"pixel_multiple": multiple, "narrow_screens": narrow}, frame=FRAME)


@pytest.mark.parametrize("ratio", [1.0, 1.25, 1.5, 2.0, 2.625, 3.0])
@pytest.mark.parametrize("multiple", [1, 2, 3])
def test_an_image_pixel_is_a_whole_number_of_screen_pixels_near_the_size_asked_for(ratio, multiple) -> None:
    size = css_size(128, pixel_multiple=multiple, pixel_ratio=ratio)
    screen_pixels = size * ratio / 128
    assert screen_pixels == pytest.approx(round(screen_pixels))
    assert abs(size / 128 - multiple) <= 0.5 / ratio + 1e-9


def test_two_images_stand_in_a_row_exactly_where_they_fit() -> None:
    assert layout(2 * 128 + 16 + 24, 128 + 250) == "row"
    assert layout(2 * 128 + 16 + 23, 128 + 250) is None
    assert layout(2 * 128 + 16 + 24, 128 + 249) is None


def test_images_are_stacked_on_narrow_screens_only_where_the_study_allows() -> None:
    assert layout(390, 844, multiple=2) == "stack"
    assert layout(390, 844, multiple=2, narrow="refuse") is None
    assert layout(844, 390, multiple=2) is None
    assert layout(390, 844, multiple=3) is None


@pytest.mark.parametrize("wrong", [{"width": 0}, {"height": -1}, {"width": 10**6}, {"pixel_ratio": 0.0}])
def test_impossible_windows_are_refused(wrong) -> None:
    with pytest.raises(BadSubmission):
        Device(**({"width": 100, "height": 100} | wrong))


@pytest.mark.parametrize(
    ("agent", "engine"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "gecko"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36", "blink"),
        ("Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15", "webkit"),
        ("Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile Safari/604.1", "webkit"),
        ("Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/140.0 Mobile Safari/605.1", "webkit"),
        ("", ""),
    ],
)
def test_the_engine_is_told_from_what_browsers_call_themselves(agent: str, engine: str) -> None:
    assert engine_of(agent) == engine
