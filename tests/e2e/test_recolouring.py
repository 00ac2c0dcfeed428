"""Browsers that darken every site recolour small pictures by what is on them: never one of a pair."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator

from tests import factories
from tests.browser import ARGUMENTS, installed_path
from tests.e2e.rater import Rater, plain_study

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

SIDES = ("left", "right")
FETCH = "async (box) => [...new Uint8Array(await (await fetch(box.querySelector('img').src)).arrayBuffer())]"


def drawing(seed: int, size: int = 16) -> bytes:
    """Return a picture of two kinds: the first arm's is dark on white, the other's a colourful gradient."""
    if seed % 1000 == 0:
        array = np.full((size, size, 3), 245, np.uint8)
        array[4:12, 5 + seed // 1000 % 4 : 9] = 30
    else:
        y, x = np.mgrid[0:size, 0:size]
        array = np.stack([60 + 10 * x, 80 + 9 * y, 220 - 8 * x], axis=-1).clip(0, 255).astype(np.uint8)
        array[0, 0] = seed % 255
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


@pytest.fixture(scope="module")
def darkening(browser: Browser) -> Iterator[Browser]:
    """A Chromium that darkens every page, as "Auto Dark Mode for Web Contents" does."""
    dark = ["--headless=new", "--enable-features=WebContentsForceDark"]
    path = installed_path()  # None: Playwright's own
    darkening = browser.browser_type.launch(executable_path=path, headless=True, args=[*ARGUMENTS, *dark])
    yield darkening
    darkening.close()


def test_the_browser_of_these_tests_does_recolour_an_image(darkening) -> None:
    page = darkening.new_page()
    page.set_content('<img style="inline-size: 64px; image-rendering: pixelated">')
    url = f"data:image/png;base64,{base64.b64encode(drawing(0)).decode()}"
    page.eval_on_selector("img", "(image, url) => { image.src = url; return image.decode() }", url)
    shown = pixels(page.locator("img").screenshot())
    page.close()
    assert shown.mean() < pixels(drawing(0)).mean() - 50


@pytest.mark.parametrize("multiple", [1, 2, 3, 4, 8], ids=lambda multiple: f"{16 * multiple}px")
def test_both_pictures_are_painted_as_they_were_served(darkening, live_server, monkeypatch, multiple: int) -> None:
    monkeypatch.setattr(factories, "make_png", drawing)
    one = Rater(darkening, live_server.url, plain_study(pixel_multiple=multiple))
    one.start_until("form[action$=begin]")
    examples = one.page.locator(".example .box").all()
    assert examples
    for box in examples:
        shows_what_was_served(one, box, multiple)
    one.primary()
    one.pass_cards()
    for side in SIDES:
        shows_what_was_served(one, one.page.locator(f"#{side}"), multiple)
    assert one.session.device["extra"]["forced_dark"] == "true"
    one.close()


def shows_what_was_served(one: Rater, box: Locator, multiple: int) -> None:
    box.scroll_into_view_if_needed()
    one.page.wait_for_function("(box) => box.querySelector('canvas')", arg=box.element_handle())
    served = pixels(bytes(box.evaluate(FETCH)))
    height, width = (side * multiple for side in served.shape[:2])
    place = box.bounding_box()
    clip = {"x": round(place["x"]), "y": round(place["y"]), "width": width, "height": height}
    wanted = served.repeat(multiple, axis=0).repeat(multiple, axis=1)
    assert np.array_equal(pixels(one.page.screenshot(clip=clip)), wanted)
