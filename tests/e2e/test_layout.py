"""Where things stand on the screen: zoomed, in forced colours, from right to left."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from playwright.sync_api import expect

from survey.geometry import CONTROLS_PX, GUTTER_PX, SIDE_PX
from survey.models import Trial
from tests.e2e.rater import PHONE, no_violations, plain_study, small_study

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.mark.parametrize("language", ["en", "de", "ar"])
@pytest.mark.parametrize(("layout", "multiple"), [("row", 16), ("row", 8), ("stack", 16)])
def test_pair_and_answers_stand_together_in_the_smallest_window_that_is_let_in(
    rater, layout: str, multiple: int, language: str
) -> None:
    side = 16 * multiple
    row = {"width": 2 * side + GUTTER_PX + 2 * SIDE_PX, "height": side + CONTROLS_PX}
    stack = {"width": 360, "height": 2 * side + GUTTER_PX + CONTROLS_PX}
    is_row = layout == "row"
    one = rater(
        plain_study(pixel_multiple=multiple, narrow_screens="stack"),
        locale=language,
        **PHONE | {"viewport": row if is_row else stack},
    )
    one.start()
    one.pass_cards()
    bottoms = [one.place(f"#choose-{choice}") for choice in ("left", "tie", "right")]
    assert one.place("#question")["y"] >= 0
    assert max(place["y"] + place["height"] for place in bottoms) <= (row if is_row else stack)["height"]
    assert (one.place("#left")["y"] == one.place("#right")["y"]) == is_row
    assert one.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    one.page.locator("#choose-left").tap()
    one.expect_saved()
    assert [vote.presentation["layout"] for vote in one.votes()] == [layout]


@pytest.mark.parametrize("profile", [{}, PHONE], ids=["desktop", "phone"])
def test_how_practice_went_moves_nothing_and_needs_no_scrolling(rater, profile) -> None:
    one = rater(small_study(practice_trials=2, pixel_multiple=16, narrow_screens="stack"), **profile)
    one.start()
    one.pass_cards()
    page, before = one.page, one.place()
    page.locator("#choose-left").click()
    expect(page.locator("#continue")).to_be_focused()
    expect(page.locator("#feedback")).to_contain_text("image")
    expect(page.locator("#choose-left")).to_be_hidden()
    expect(page.locator("#continue")).to_be_in_viewport(ratio=1)
    assert one.place() == before
    no_violations(page)
    page.locator("#continue").click()
    one.ready()
    expect(page.locator("#choose-left")).to_be_visible()
    assert one.place() == before


def test_every_page_stays_inside_a_window_zoomed_to_200_percent(rater) -> None:
    one = rater(small_study(pixel_multiple=4), viewport={"width": 640, "height": 400})
    page = one.page

    def fits() -> None:
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    one.land()
    fits()
    one.primary()
    fits()
    page.get_by_role("checkbox").check()
    one.primary()
    page.wait_for_selector("#device")
    fits()
    one.primary()
    page.wait_for_selector("form[action$=begin]")
    fits()
    one.primary()
    one.ready()
    fits()


@pytest.mark.parametrize(
    "media", [{"forced_colors": "active"}, {"reduced_motion": "reduce"}], ids=["forced", "reduced"]
)
def test_a_trial_works_in_forced_colours_and_with_reduced_motion(rater, media) -> None:
    one = rater(small_study(practice_trials=0), **media)
    one.start()
    no_violations(one.page)
    one.vote()
    one.expect_saved()
    assert Trial.objects.filter(session=one.session, state=Trial.State.ANSWERED).count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_ground_of_a_pair_stays_grey_in_forced_colours_and_they_are_noted(rater, scheme: str) -> None:
    one = rater(plain_study(pixel_multiple=16), forced_colors="active", color_scheme=scheme)
    one.start()
    one.pass_cards()
    pair = one.place()
    shot = Image.open(io.BytesIO(one.page.screenshot())).convert("RGB")
    between = (round(pair["x"] + pair["width"] / 2), round(pair["y"] + pair["height"] / 2))
    assert shot.getpixel(between) == shot.getpixel((round(pair["x"]) - 4, between[1])) == (0xA3, 0xA3, 0xA3)
    assert one.session.device["extra"]["forced_colors"] == "true"


def test_right_to_left_pages_keep_the_images_on_their_sides(rater) -> None:
    one = rater(small_study(practice_trials=0), locale="ar")
    page = one.page
    one.start()
    assert page.locator("html").get_attribute("dir") == "rtl"
    no_violations(page)
    for left, right in (("#left", "#right"), ("#choose-left", "#choose-right")):
        assert page.locator(left).bounding_box()["x"] < page.locator(right).bounding_box()["x"]
    one.vote("ArrowLeft")
    one.expect_saved()
    assert [vote.choice for vote in one.votes()] == ["left"]
