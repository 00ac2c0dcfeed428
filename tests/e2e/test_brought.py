"""Pictures are read as a browser shows them, whatever their format, turn and marks: Chromium's canvas is the judge."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from playwright.sync_api import Browser

from analysis.pictures.colour import in_srgb
from tests.brought.images import Brought, whole_images
from tests.e2e.test_colour import CANVAS


@pytest.mark.e2e
def test_pictures_are_those_of_a_browser_whatever_their_format_turn_and_marks(browser: Browser) -> None:
    page = browser.new_page()

    @settings(max_examples=120, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(whole_images())
    def one(brought: Brought) -> None:
        kind = brought.what.split()[0]
        if kind == "TIFF" or brought.refusal is not None or brought.is_damaged:
            return
        ours = np.asarray(in_srgb(brought.content)).astype(int)
        url = f"data:image/{kind.lower()};base64,{base64.b64encode(brought.content).decode()}"
        theirs = np.asarray(page.evaluate(CANVAS, url)).reshape(*ours.shape[:2], 4)[..., :3]
        assert abs(ours - theirs).max() <= 2, brought.what

    one()
