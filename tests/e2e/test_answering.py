"""What counts as an answer: keys, fingers, exposure, undo, breaks."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.rater import FRAMES, TIMERS, no_violations, plain_study, small_study

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def test_where_a_study_has_no_ties_none_can_be_chosen(rater) -> None:
    one = rater(small_study(practice_trials=0, are_ties_allowed=False))
    one.start()
    one.pass_cards()
    expect(one.page.locator("#choose-tie")).to_have_count(0)
    no_violations(one.page)
    one.page.keyboard.press("ArrowDown")
    one.vote("ArrowRight")
    one.expect_saved()
    assert [vote.choice for vote in one.votes()] == ["right"]


def test_keys_can_be_remapped_and_switched_off(rater) -> None:
    one = rater(small_study(practice_trials=0))
    one.start()
    page = one.page

    def choose(label: str) -> None:
        page.get_by_role("button", name="Help").click()
        page.get_by_label(label).check()
        page.get_by_role("button", name="Close").click()

    choose("J Right")
    expect(page.locator("#choose-right .glyph")).to_have_text("J")
    expect(page.locator("#choose-right")).to_have_attribute("aria-keyshortcuts", "J")
    page.keyboard.press("ArrowLeft")
    one.vote("KeyJ")
    one.expect_saved()
    assert [vote.choice for vote in one.votes()] == ["right"]
    choose("No keys")
    one.ready()
    expect(page.locator("#choose-right")).not_to_have_attribute("aria-keyshortcuts", re.compile(""))
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("KeyJ")
    page.get_by_role("button", name="No preference").click()
    one.expect_saved()
    assert [vote.choice for vote in one.votes()] == ["right", "tie"]


@pytest.mark.parametrize(
    ("window", "keys"),
    [
        ({"width": 1280, "height": 800}, "← Left · ↓ No preference · → Right · U Take back the last answer"),
        ({"width": 400, "height": 800}, "↑ Upper · → No preference · ↓ Lower · U Take back the last answer"),
    ],
    ids=["row", "stack"],
)
def test_the_help_names_the_keys_of_the_layout(rater, window, keys: str) -> None:
    one = rater(plain_study(pixel_multiple=12, narrow_screens="stack"), viewport=window)
    one.start()
    one.pass_cards()
    one.page.get_by_role("button", name="Help").click()
    expect(one.page.get_by_role("heading", name="Help")).to_be_focused()
    expect(one.page.get_by_label("U Take back").first).to_be_checked()
    expect(one.page.locator("fieldset label").first).to_have_text(keys)


def test_a_held_key_answers_one_trial_only(rater) -> None:
    one = rater(small_study(practice_trials=0))
    one.start()
    one.page.keyboard.down("ArrowLeft")
    for _ in range(10):
        one.page.keyboard.down("ArrowLeft")  # auto-repeat
        one.page.wait_for_timeout(60)
    one.page.keyboard.up("ArrowLeft")
    one.expect_saved()
    assert len(one.votes()) == 1


def test_no_answer_counts_before_the_minimum_exposure(rater) -> None:
    one = rater(small_study(practice_trials=0, minimum_exposure_ms=4000))
    one.start()
    one.pass_cards()
    first_pair = one.page.locator("#left img").element_handle()
    one.vote()
    one.page.wait_for_function("(before) => document.querySelector('#left img') !== before", arg=first_pair)
    one.page.evaluate(FRAMES)  # painted: from here on its time runs
    one.page.keyboard.press("ArrowRight")  # too early
    one.vote()
    one.expect_saved()
    first, second = one.votes()
    assert second.choice == "left"
    assert second.presentation["hurried"] == 1
    assert min(first.exposure_ms, second.exposure_ms) >= 4000


def test_time_on_a_hidden_page_is_no_exposure(rater) -> None:
    one = rater(small_study(practice_trials=0, minimum_exposure_ms=600))
    page = one.page
    page.add_init_script("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    one.start_until("form[action$=begin]")
    one.primary()
    page.wait_for_selector("#left img")
    page.evaluate(FRAMES)
    page.evaluate(TIMERS)
    page.evaluate(TIMERS)
    page.keyboard.press("ArrowRight")
    expect(page.locator("#choose-right")).to_have_attribute("aria-disabled", "true")
    page.evaluate(
        """() => {
            Object.defineProperty(document, 'hidden', { value: false });
            document.dispatchEvent(new Event('visibilitychange'));
        }"""
    )
    one.vote("ArrowLeft")
    one.expect_saved()
    [vote] = one.votes()
    assert (vote.choice, vote.presentation["hurried"]) == ("left", 1)
    assert vote.exposure_ms >= 600
    assert vote.response_ms >= vote.exposure_ms + 900


def test_undo_keeps_both_answers(rater) -> None:
    one = rater(small_study(practice_trials=0))
    one.start()
    before = one.shown()
    one.vote("ArrowLeft")
    one.pass_cards()
    one.page.keyboard.press("u")
    expect(one.page.locator("#notice")).to_contain_text("taken back")
    assert one.shown() == before
    one.vote("ArrowRight")
    one.expect_saved()
    assert [(vote.choice, vote.is_current) for vote in one.votes()] == [
        ("left", False),
        ("undo", False),
        ("right", True),
    ]
    one.finish_trials()
    assert len(one.voted_once_each()) == one.session.trials.count()


def test_breaks_come_where_the_study_wants_them(rater) -> None:
    one = rater(small_study(pairs=14, trials_per_session=12, break_every=5, practice_trials=0))
    one.start()
    for _ in range(5):
        one.vote()
    one.ready()
    expect(one.page.get_by_role("heading", name="Time for a break")).to_be_visible()
    no_violations(one.page)
    one.page.keyboard.press("Enter")
    one.vote()
    one.expect_saved()
    assert one.session.answered_count == 6
