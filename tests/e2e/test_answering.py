"""What counts as an answer: keys, fingers, exposure, undo, breaks."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.rater import FRAMES, no_violations, small_study

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

    choose("Letters")
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


def test_undo_keeps_both_answers(rater) -> None:
    one = rater(small_study(practice_trials=0))
    one.start()
    before = one.shown()
    one.vote("ArrowLeft")
    one.pass_cards()
    one.page.keyboard.press("u")
    expect(one.page.locator("#feedback")).to_contain_text("taken back")
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
