"""Where things stand on the screen: zoomed, in forced colours, from right to left."""

from __future__ import annotations

import pytest

from survey.models import Trial
from tests.e2e.rater import no_violations, small_study

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


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
