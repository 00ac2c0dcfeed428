"""What is on the screen is the rendition, pixel by pixel, at every pixel ratio; and nothing moves between shapes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from survey.models import PairImage
from survey.renditions import rendition_sizes
from tests.browser import ARGUMENTS, chromium_path
from tests.copies import copy_bytes, pixels_of
from tests.e2e.rater import FRAMES, PHONE, Rater, no_violations
from tests.photos import photo_study

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
# Where a side's picture stands, in device pixels.
PLACE = """(side) => {
    const { x, y, width, height } = document.querySelector(`#${side} canvas`).getBoundingClientRect();
    return [x, y, width, height].map((length) => length * devicePixelRatio);
}"""
SHAPES = [(512, 512), (640, 480), (384, 512)]


@contextmanager
def screen(browser: Browser, width: int, height: int, ratio: float) -> Iterator[Browser]:
    """Another browser, on a screen of this pixel ratio: an emulated one moves edges to whole CSS pixels."""
    arguments = [
        *ARGUMENTS,
        f"--force-device-scale-factor={ratio}",
        f"--window-size={width},{height}",
        "--headless=new",
        "--hide-scrollbars",
    ]
    # A process can hold one Playwright: the tests' own launches this browser too.
    other = browser.browser_type.launch(executable_path=chromium_path(), headless=True, args=arguments)
    try:
        yield other
    finally:
        other.close()


class Screened(Rater):
    """A rater at a window whose inside has exactly this size."""

    def fill(self, width: int, height: int) -> None:
        session = self.context.new_cdp_session(self.page)
        window = session.send("Browser.getWindowForTarget")["windowId"]
        for _ in range(3):
            inner = self.page.evaluate("[innerWidth, innerHeight, outerWidth, outerHeight]")
            if inner[:2] == [width, height]:
                return
            bounds = {"width": inner[2] + width - inner[0], "height": inner[3] + height - inner[1]}
            session.send("Browser.setWindowBounds", {"windowId": window, "bounds": bounds})
            self.page.wait_for_timeout(100)
        found = self.page.evaluate("[innerWidth, innerHeight]")
        assert max(abs(found[0] - width), abs(found[1] - height)) <= 2  # whole device pixels are no whole CSS pixels


def on_screen(page: Any, side: str) -> np.ndarray:
    """Return the screen's pixels where the picture of a side stands."""
    shot = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)
    x, y, width, height = (round(length) for length in page.evaluate(PLACE, side))
    return shot[y : y + height, x : x + width]


def rendition_of(image: PairImage, width: int) -> np.ndarray:
    """Return the pixels that should be there: the copy that divides this width, each pixel as often as it goes."""
    sizes = rendition_sizes(image.width, image.height, least_px=256)
    index = next(place for place, size in enumerate(sizes) if width % size[0] == 0)
    times = width // sizes[index][0]
    return pixels_of(copy_bytes(image, index)).repeat(times, axis=0).repeat(times, axis=1)


@pytest.mark.parametrize("ratio", [1, 1.25, 1.5, 2, 3])
def test_the_screen_shows_the_rendition_pixel_by_pixel(browser, live_server, ratio: float) -> None:
    version = photo_study(*SHAPES, (1024, 1024), (1920, 1080))
    with screen(browser, 1366, 657, ratio) as scaled:
        one = Screened(scaled, live_server.url, version, viewport=None, no_viewport=True)
        one.fill(1366, 657)
        one.start()
        compared = 0
        places = set()
        for trial in one.session.trials.order_by("position"):
            one.pass_cards()
            one.page.wait_for_timeout(100)
            for side, image in (("left", trial.image_left), ("right", trial.image_right)):
                shown = on_screen(one.page, side)
                wanted = rendition_of(image, shown.shape[1])
                assert shown.shape == wanted.shape, (image.width, image.height)
                assert np.array_equal(shown, wanted), (image.width, image.height, np.abs(shown - wanted).max())
                compared += 1
            names = ("#question", "#left", "#right", "#choose-left", "#choose-right")
            places.add(str([one.page.locator(name).bounding_box() for name in names]))
            one.page.keyboard.press("ArrowLeft")
        assert compared == 10
        assert len(places) == 1, places
        one.page.wait_for_selector("#code")
        facts = [vote.presentation for vote in one.votes()]
        assert {fact["pixel_ratio"] for fact in facts} == {ratio}
        for fact in facts:
            assert fact["rendition"][0] * fact["scale"] > 0
            assert fact["layout"] == "row"
            assert fact["waited_ms"] >= 0
            assert all(one <= other for one, other in zip(fact["rendition"], fact["box"], strict=True))
        one.close()
    assert one.complaints == []


def test_pictures_stay_on_device_pixels_when_the_window_changes_by_a_little(browser, live_server) -> None:
    version = photo_study((512, 512))
    with screen(browser, 1366, 657, 1.1) as scaled:
        one = Screened(scaled, live_server.url, version, viewport=None, no_viewport=True)
        one.fill(1366, 657)
        one.start()
        one.pass_cards()
        trial = one.session.trials.get()
        for width in (1365, 1363, 1359, 1371):
            one.fill(width, 657)
            one.page.evaluate(FRAMES)
            for side, image in (("left", trial.image_left), ("right", trial.image_right)):
                shown = on_screen(one.page, side)
                assert np.array_equal(shown, rendition_of(image, shown.shape[1])), (width, side)
        one.close()


def test_what_fingers_magnify_is_stored_with_the_answer(rater) -> None:
    one = rater(photo_study((512, 512), (512, 512), (512, 512), narrow_screens="stack"), **PHONE)
    one.start()
    device = one.context.new_cdp_session(one.page)
    for scale in (1, 2.5, 1):
        one.pass_cards()
        device.send("Emulation.setPageScaleFactor", {"pageScaleFactor": scale})
        one.page.wait_for_function(f"visualViewport.scale === {scale}")
        one.page.evaluate(FRAMES)
        device.send("Emulation.setPageScaleFactor", {"pageScaleFactor": 1})
        one.page.wait_for_function("visualViewport.scale === 1")
        one.page.locator("#choose-left").tap()
    one.page.wait_for_selector("#code")
    assert [vote.presentation.get("page_scale") for vote in one.votes()] == [None, 2.5, None]


LONG = "Which of the two images looks more like a photograph of a real {class_name}, taken outside on a clear day?"


@pytest.mark.parametrize("language", ["en", "de", "ar"])
@pytest.mark.parametrize(
    ("profile", "layout"),
    [
        ({"viewport": {"width": 1366, "height": 657}}, "row"),
        (PHONE | {"viewport": {"width": 390, "height": 844}}, "stack"),
    ],
    ids=["laptop", "phone"],
)
def test_answers_are_on_screen_without_scrolling_under_a_question_of_two_lines(
    rater, profile, layout: str, language: str
) -> None:
    version = photo_study((512, 512), (640, 480), question=LONG, narrow_screens="stack")
    one = rater(version, locale=language, **profile)
    one.start()
    one.pass_cards()
    bottom = max(
        one.place(name)["y"] + one.place(name)["height"] for name in ("#choose-left", "#choose-right", "#undo")
    )
    assert one.place("#question")["y"] >= 0
    assert bottom <= profile["viewport"]["height"]
    assert one.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    assert (one.place("#left")["y"] == one.place("#right")["y"]) == (layout == "row")
    no_violations(one.page)


ENDLESS = (
    "Which image, of all that you can see in it, its colours, its light and the shapes of things, " * 3 + "is best?"
)
WORD = "Donaudampfschifffahrtsgesellschaftskapitänsmützenmacherlehrling"
DESIGNS = {
    "one": {"question": ENDLESS},
    "blocks": {"criteria": [{"key": "a", "question": ENDLESS}, {"key": "b", "question": "Better?"}]},
    "together": {
        "criteria": [
            {"key": "a", "question": ENDLESS, "definition": "So."},
            {"key": "b", "question": f"Better {WORD}?"},
        ],
        "criteria_design": "together",
    },
}


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("profile", [{"viewport": {"width": 1366, "height": 657}}, PHONE], ids=["laptop", "phone"])
def test_however_long_a_question_is_nothing_moves_and_all_of_it_can_be_read(rater, profile, design: str) -> None:
    plan = {"narrow_screens": "stack", "least_box_px": 96}
    one = rater(photo_study(*[(512, 512)] * 4, **plan | DESIGNS[design]), **profile)
    one.start()
    one.pass_cards()
    no_violations(one.page)
    places = set()
    for _ in range(4):
        one.pass_cards()
        places.add(str([one.place(name) for name in ("#left", "#right", "[data-choice=right] >> nth=-1", "#undo")]))
        assert one.place("#undo")["y"] + one.place("#undo")["height"] <= profile["viewport"]["height"]
        assert one.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
        for text in one.page.locator(".ask:visible, #question:not(.sr)").all():
            text.evaluate("one => one.scrollTop = 1e6")
            assert text.evaluate("one => one.scrollTop + one.clientHeight >= one.scrollHeight - 1")
        for row in one.page.locator(".choices:visible").all():
            row.locator("[data-choice=left]").click()
    assert len(places) == 1, places


def test_a_word_longer_than_a_phone_is_wide_leaves_pictures_at_their_size(rater) -> None:
    words = {"instructions": f"Look at the {WORD * 2}.", "contact": f"{WORD * 2}@example.org"}
    version = photo_study((512, 512), narrow_screens="stack", question=f"Which {WORD * 2} is better?", **words)
    one = rater(version, **PHONE)
    page = one.page

    def is_whole() -> None:
        assert page.evaluate("[innerWidth, visualViewport.scale, document.documentElement.scrollWidth]") == [
            390,
            1,
            390,
        ]

    one.land()
    is_whole()
    one.primary()
    page.wait_for_selector("[name=agreed]")
    is_whole()
    page.get_by_role("checkbox").check()
    one.primary()
    page.wait_for_selector("#device")
    is_whole()
    one.primary()
    page.wait_for_selector("form[action$=begin]")
    is_whole()
    one.primary()
    one.pass_cards()
    is_whole()
    assert round(one.place("#left canvas")["width"] * 3) == 512


@pytest.mark.parametrize("words", [{}, {"upper": "Gleichgewichtsverteilung", "tie": "Unentschieden/gleichwertig"}])
@pytest.mark.parametrize("width", [280, 320, 390])
def test_a_button_holds_what_it_says_on_the_smallest_phones(rater, width: int, words: dict[str, str]) -> None:
    version = photo_study((512, 512), narrow_screens="stack", least_box_px=64, answer_words=words)
    one = rater(version, **PHONE | {"viewport": {"width": width, "height": 720}})
    one.start()
    one.pass_cards()
    for button in one.page.locator(".choices button").all():
        assert button.evaluate("one => one.scrollWidth <= one.clientWidth && one.scrollHeight <= one.clientHeight")
        assert button.evaluate("""one => {
            const [caption, around] = [one.querySelector(".caption"), one].map((part) => part.getBoundingClientRect());
            return caption.left >= around.left && caption.right <= around.right;
        }""")


@pytest.mark.parametrize("language", ["en", "de", "ar"])
def test_a_window_without_room_is_told_before_consent_what_is_needed(rater, language: str) -> None:
    version = photo_study((512, 512), recruitment={"provider": "open", "codes": {"screen": "NOROOM"}})
    one = rater(version, locale=language, viewport={"width": 390, "height": 844})
    page = one.page
    one.land()
    for _ in range(2):  # the landing page, then the consent
        expect(page.locator("#gate")).to_contain_text("552")
        expect(page.locator("#gate")).to_contain_text("390")
        no_violations(page)
        if page.locator("[name=agreed]").count() == 0:
            one.primary()
            page.wait_for_selector("[name=consent_sha256]", state="attached")
    expect(page.locator("[name=agreed]")).to_be_hidden()
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(page.locator("[name=agreed]")).to_be_visible()
    expect(page.locator("#gate")).to_be_hidden()
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator("[name=agreed]")).to_be_hidden()
    one.primary()
    page.wait_for_selector("#code")
    assert page.text_content("#code") == "NOROOM"
    assert (one.session.outcome, one.session.consented_at, one.session.device) == ("screen", None, {})


def test_screen_check_and_examples_show_real_pictures_at_the_size_of_the_trials(rater) -> None:
    one = rater(
        photo_study((512, 512), (512, 512), practice_trials=1, degraded_trials=1),
        viewport={"width": 1100, "height": 900},
    )
    one.start_until("form[action$=begin]")
    page = one.page
    page.wait_for_function("document.querySelectorAll('.example canvas').length === 4")
    code = """() => [...document.querySelectorAll(".example .pair")].map((pair) =>
        [...pair.querySelectorAll(".box, canvas")].map((one) => {
            const { x, y, width, height } = one.getBoundingClientRect();
            return [x, y, width, height];
        }))"""
    for left, one_canvas, right, _ in page.evaluate(code):
        assert left[1] == right[1]
        assert left[0] + left[2] < right[0]
        assert one_canvas[2:] == [512, 512]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    no_violations(page)
    one.primary()
    one.pass_cards()
    assert one.place("#left canvas")["width"] == 512
