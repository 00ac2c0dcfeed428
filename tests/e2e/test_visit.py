"""Whole visits in a real browser, on a desktop and on a phone, and every way in which they end."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.urls import reverse
from playwright.sync_api import Route, expect

from config.throttle import Limit
from survey.models import RaterSession, Slot
from survey.services.study.study import study_transition
from survey.tokens import session_token
from tests.e2e.rater import PHONE, focus_is_visible, no_violations, plain_study, small_study
from tests.factories import make_visit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def test_whole_visit_by_keyboard_alone_with_every_page_accessible(rater) -> None:
    version = small_study(debrief="The images came from two generators.", contact="lab@example.org")
    one = rater(version)
    page = one.page
    one.land()
    no_violations(page)
    focus_is_visible(page)
    page.get_by_role("button", name="Start").press("Enter")
    page.wait_for_selector("input[name=agreed]")
    no_violations(page)
    focus_is_visible(page)
    page.get_by_role("checkbox").press("Space")
    page.get_by_role("button", name="Continue").press("Enter")
    page.wait_for_selector("#device")
    no_violations(page)
    page.get_by_role("button", name="Continue").press("Enter")
    page.wait_for_selector("form[action$=begin]")
    no_violations(page)
    expect(page.locator(".example")).to_have_count(2)
    page.get_by_role("button", name="Start practice").press("Enter")
    one.ready()
    no_violations(page)
    focus_is_visible(page)
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#continue")).to_be_focused()
    no_violations(page)
    page.keyboard.press("Enter")
    expect(page.locator("#ready-end")).to_be_focused()
    no_violations(page)
    page.keyboard.press("Enter")
    for key in ("ArrowLeft", "ArrowRight", "ArrowDown"):
        one.vote(key)
    one.finish_trials("ArrowRight")
    expect(page.get_by_role("heading", level=1)).to_have_text("A few questions")
    no_violations(page)
    page.get_by_label("30 or more").press("Space")
    page.get_by_label("Years with images?").fill("81")
    page.get_by_role("button", name="Finish").press("Enter")
    expect(page.get_by_label("Years with images?")).to_be_focused()  # the browser says what does not fit
    page.get_by_label("Years with images?").fill("2.5")
    page.get_by_label("laptop").press("Space")
    page.get_by_label("phone").press("Space")
    page.get_by_label("Any remarks?").press_sequentially("no more than twenty characters")
    page.get_by_role("button", name="Finish").press("Enter")
    expect(page.locator("#code")).to_have_text(one.session.completion_code)
    expect(page.get_by_text("two generators")).to_be_visible()
    no_violations(page)
    session = one.session
    assert (session.state, session.outcome) == (RaterSession.State.COMPLETED, "complete")
    assert session.answers == {
        "age": "30 or more",
        "years": 2.5,
        "screens": ["laptop", "phone"],
        "remarks": "no more than twenty",
    }
    votes = one.votes()
    assert len(one.voted_once_each()) == session.trials.count() == 8
    assert [vote.choice for vote in votes[1:4]] == ["left", "right", "tie"]
    for vote in votes:
        assert vote.exposure_ms >= 50
        assert vote.response_ms >= vote.exposure_ms
        assert vote.presentation["width_px"] == vote.presentation["height_px"] == 128
        assert vote.presentation["layout"] == "row"
        assert vote.presentation["input"] == "key"
    assert session.device["width"] == 1280


def test_whole_visit_on_a_phone_stacks_images_where_the_study_allows(rater) -> None:
    version = small_study(pixel_multiple=13, narrow_screens="stack", exit_questions=[])
    one = rater(version, **PHONE)
    page = one.page

    def large_enough() -> None:
        targets = page.locator("button:visible, dialog a:visible, dialog label:visible").all()
        assert len(targets) >= 5
        for target in targets:
            assert min(target.bounding_box()[side] for side in ("width", "height")) >= 44, target

    one.start_until("form[action$=begin]")
    expect(page.get_by_text("The upper image is spoilt")).to_be_visible()
    no_violations(page)
    one.primary()
    one.ready()
    no_violations(page)
    page.get_by_role("button", name="Help").tap()
    large_enough()
    page.get_by_role("button", name="Close").tap()
    for _ in range(30):
        one.pass_cards()
        if not page.locator("#trial").count():
            break
        upper, lower = (page.locator(box).bounding_box() for box in ("#left", "#right"))
        assert upper["x"] == lower["x"]
        assert upper["y"] + upper["height"] < lower["y"]
        large_enough()
        page.get_by_role("button", name="Upper").tap()
    expect(page.get_by_role("heading", level=1)).to_have_text("Thank you")
    assert {vote.presentation["layout"] for vote in one.votes()} == {"stack"}
    assert {vote.presentation["input"] for vote in one.votes()} == {"touch"}


def test_a_narrow_screen_is_refused_with_its_own_code_and_may_try_again(rater) -> None:
    one = rater(small_study(pixel_multiple=13), **PHONE)
    page = one.page
    one.land()
    one.primary()
    expect(page.get_by_role("checkbox")).to_be_hidden()
    one.primary()
    expect(page.get_by_role("heading", level=1)).to_have_text("The window is too small")
    no_violations(page)
    session = one.session
    assert (session.state, session.outcome) == (RaterSession.State.REFUSED, "screen")
    expect(page.locator("#code")).to_have_text(session.completion_code)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("checkbox").check()
    one.primary()
    page.wait_for_selector("#device")
    one.primary()
    expect(page.get_by_role("heading", level=1)).to_have_text("Instructions")


def test_withdrawing_is_explained_and_ends_the_visit(rater) -> None:
    one = rater(small_study())
    one.start()
    one.skip_practice()
    one.vote()
    one.expect_saved()
    one.page.get_by_role("button", name="Help").click()
    no_violations(one.page)
    one.page.get_by_role("link", name="Withdraw").click()
    expect(one.page.get_by_text("are not used")).to_be_visible()
    no_violations(one.page)
    one.page.get_by_role("button", name="Withdraw").click()
    expect(one.page.get_by_role("heading", level=1)).to_have_text("You have withdrawn")
    assert one.session.state == RaterSession.State.WITHDRAWN
    assert not one.session.slots.filter(is_answered=False).exists()


def test_pages_that_refuse_are_accessible(rater, settings, monkeypatch) -> None:
    # No hour ends while the test runs.
    monkeypatch.setattr(Limit, "_span", lambda limit: (1, datetime(2100, 1, 1, tzinfo=UTC)))
    one = rater(small_study())
    page = one.page

    def says(text: str) -> None:
        expect(page.locator("main")).to_contain_text(text)
        no_violations(page)

    page.goto(f"{one.base_url}/s/nowhere/")
    says("No study is open at this address")
    page.goto(f"{one.base_url}/nothing/at/all")
    says("There is nothing at this address")
    page.goto(f"{one.base_url}/r/forged/")
    says("This address is not valid")
    Slot.objects.update(is_answered=True)
    one.start_until("form[action$=begin]")
    visit = page.url
    page.evaluate("document.querySelector('form').action = location.pathname + 'consent'")
    one.primary()
    says("This visit takes no votes at its present step")
    page.get_by_role("link", name="Continue your visit").click()
    assert page.url == visit
    one.primary()
    says("The study is full")
    settings.STARTS_PER_HOUR = 1
    one.land()
    one.primary()
    says("Too many tries from here")
    study_transition(study=one.version.study, name="pause", actor=None)
    one.land()
    says("No study is open at this address")


@pytest.mark.parametrize("stays", [False, True], ids=["goes", "stays"])
def test_a_finished_visit_goes_back_to_the_panel_by_itself_unless_told_to_stay(rater, stays: bool) -> None:
    back = {"provider": "open", "completion_url": "https://panel.example/done?cc={code}"}
    version = small_study(recruitment=back)
    session = make_visit(version)
    one = rater(version)
    page = one.page
    page.route("https://panel.example/**", lambda route: route.fulfill(body="back at the panel"))
    page.clock.install()
    page.goto(one.base_url + reverse("survey:visit", args=[session_token(session.pk)]))
    one.primary()
    expect(page.locator("#leaving")).to_be_visible()
    no_violations(page)
    session.refresh_from_db()
    if stays:
        page.get_by_role("button", name="Stay here").click()
    page.clock.fast_forward(31_000)
    if stays:
        expect(page.locator("#code")).to_have_text(session.completion_code)
        expect(page.locator("#return")).to_be_focused()
    else:
        page.wait_for_url(f"https://panel.example/done?cc={session.completion_code}")


def test_the_page_says_nothing_of_arms_checks_or_files(rater) -> None:
    one = rater(small_study())
    bodies: list[str] = []
    one.page.on(
        "response",
        lambda response: "/i/" in response.url or bodies.append(response.text()),
    )
    one.start()
    one.finish_trials()
    text = " ".join(bodies).lower()
    for word in ("vanilla", "robust", "degraded", "identical", "repeat_of", "served/", "check_kind"):
        assert word not in text, word
    cookies = one.context.cookies()
    assert cookies == []


def test_the_first_pair_loads_while_the_page_asks_for_its_trials_and_no_pair_loads_twice(rater) -> None:
    one = rater(plain_study())
    one.start_until("form[action$=begin]")
    asked: list[str] = []
    held: list[Route] = []
    one.page.on("request", lambda request: asked.append(request.url))
    one.page.route("**/window", lambda route: held.append(route))
    one.primary()
    one.page.wait_for_function(
        "() => performance.getEntriesByType('resource').filter(({ name }) => name.includes('/i/')).length === 1"
    )
    assert one.page.locator("#trial").is_hidden()
    held[0].continue_()
    one.page.unroute("**/window")
    one.finish_trials()
    images = [url for url in asked if "/i/" in url]
    assert len(images) == len(set(images)) == 8
    assert all(url.endswith(".pair") for url in images)
    assert len(one.voted_once_each()) == 8
