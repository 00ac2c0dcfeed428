from __future__ import annotations

import pytest

from survey.exceptions import BadSubmission
from survey.services.visit.device import Device, engine_of


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
