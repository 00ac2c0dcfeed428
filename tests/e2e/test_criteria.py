"""Several criteria of a pair: a row each below it, or a block of trials each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from survey.geometry import GUTTER_PX, controls_px
from survey.models import Trial, Vote
from tests.e2e.rater import PHONE, Rater, no_violations, plain_study, small_study
from tests.factories import CRITERIA
from tests.photos import photo_study

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

LAPTOP = {"viewport": {"width": 1366, "height": 657}}
TOGETHER = {"criteria": CRITERIA, "criteria_design": "together"}


def order(one: Rater) -> list[str]:
    return one.session.assignment["criteria"]


def row(one: Rater, key: str, choice: str):
    return one.page.locator(f"#choose-{choice}-{key}")


def picture(one: Rater, name: str) -> None:
    """Keep a screenshot where somebody wants to look at it."""
    if folder := os.environ.get("TEST_SCREENSHOTS"):
        one.page.screenshot(path=Path(folder) / f"{name}.png")


def choices(one: Rater) -> list[dict[str, str]]:
    """Return the current choices of each trial by criterion, in the order in which the trials were shown."""
    found: dict[int, dict[str, str]] = {}
    for vote in sorted(one.votes(), key=lambda vote: vote.trial.position):
        if vote.is_current:
            found.setdefault(vote.trial.position, {})[vote.criterion] = vote.choice
    return list(found.values())


@pytest.mark.parametrize("language", ["en", "de", "ar"])
@pytest.mark.parametrize(("profile", "name"), [(LAPTOP, "laptop"), (PHONE, "phone")], ids=["laptop", "phone"])
def test_three_criteria_and_the_pair_stand_in_a_window_without_scrolling(rater, profile, name, language) -> None:
    version = photo_study((512, 512), (640, 480), **TOGETHER | {"narrow_screens": "stack", "least_box_px": 128})
    one = rater(version, locale=language, **profile)
    one.start()
    page, height = one.page, profile["viewport"]["height"]
    for key in order(one):
        for choice in ("left", "right"):
            place = one.place(f"#choose-{choice}-{key}")
            assert place["y"] + place["height"] <= height
            assert place["height"] >= 44
    assert one.place("#pair")["y"] >= 0
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    no_violations(page)
    picture(one, f"together-{name}-{language}")
    row(one, order(one)[0], "left").click()
    picture(one, f"together-{name}-{language}-answered")


@pytest.mark.parametrize("language", ["en", "de", "ar"])
@pytest.mark.parametrize(("layout", "wide"), [("row", 830), ("row", 700), ("row", 400), ("stack", 360)])
def test_rows_and_pair_stand_together_in_the_smallest_window_that_is_let_in(rater, layout, wide, language) -> None:
    side = 256 if layout == "stack" else 128
    high = controls_px(wide, is_fit=False, rows=3) + (2 * side + GUTTER_PX if layout == "stack" else side)
    version = plain_study(**TOGETHER, pixel_multiple=side // 16, narrow_screens="stack")
    one = rater(version, locale=language, **PHONE | {"viewport": {"width": wide, "height": high}})
    one.start()
    assert (one.place("#left")["y"] == one.place("#right")["y"]) == (layout != "stack")
    assert one.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    bottoms = [one.place(f"#choose-right-{key}") for key in order(one)] + [one.place("#undo")]
    assert max(place["y"] + place["height"] for place in bottoms) <= high
    assert one.place("#pair")["y"] >= one.place(".bar")["height"]
    assert one.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    assert one.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_keys_answer_the_criterion_in_focus_and_one_submission_takes_all(rater) -> None:
    one = rater(plain_study(**TOGETHER))
    sent = []
    one.page.on("request", lambda request: sent.append(request.url) if request.url.endswith("/votes") else None)
    one.start()
    for number, key in enumerate(order(one)):
        expect(one.page.locator(f".criterion[data-focused] #choose-left-{key}")).to_have_count(1)
        one.page.keyboard.press("ArrowLeft" if number != 1 else "ArrowRight")
    one.expect_saved()
    first, second, third = order(one)
    assert choices(one) == [{first: "left", second: "right", third: "left"}]
    assert len(sent) == 1
    one.ready()
    # The next pair begins afresh, in the same order.
    expect(one.page.locator(f".criterion[data-focused] #choose-left-{first}")).to_have_count(1)
    expect(one.page.locator("[aria-pressed=true]")).to_have_count(0)


def test_a_criterion_without_ties_takes_none(rater) -> None:
    one = rater(plain_study(**TOGETHER))
    one.start()
    expect(row(one, "overall", "tie")).to_have_count(0)
    row(one, "realism", "tie").click()
    row(one, "detail", "tie").click()
    one.page.keyboard.press("ArrowDown")  # in focus is the one without ties
    assert Vote.objects.count() == 0
    one.page.keyboard.press("ArrowRight")
    one.expect_saved()
    assert choices(one) == [{"realism": "tie", "detail": "tie", "overall": "right"}]


def test_undo_takes_back_one_answer_of_an_open_trial_and_then_the_whole_last_trial(rater) -> None:
    one = rater(plain_study(**TOGETHER))
    one.start()
    first = order(one)[0]
    for _ in range(3):
        one.page.keyboard.press("ArrowLeft")
    one.expect_saved()
    one.ready()
    one.page.keyboard.press("ArrowLeft")
    expect(row(one, first, "left")).to_have_attribute("aria-pressed", "true")
    one.page.keyboard.press("KeyU")
    expect(row(one, first, "left")).to_have_attribute("aria-pressed", "false")
    assert len(choices(one)) == 1
    one.page.keyboard.press("KeyU")
    one.expect_saved()
    one.ready()
    assert choices(one) == []
    for _ in range(3):
        one.page.keyboard.press("ArrowRight")
    one.expect_saved()
    assert [set(said.values()) for said in choices(one)] == [{"right"}]


def test_answers_given_offline_and_over_a_reload_are_stored_once_each(rater) -> None:
    one = rater(plain_study(**TOGETHER))
    one.start()
    one.context.set_offline(True)
    for trial in range(2):
        one.ready()
        for _ in range(3):
            one.page.keyboard.press("ArrowLeft" if trial else "ArrowRight")
    expect(one.page.locator("#state")).to_have_attribute("data-state", "offline")
    assert Vote.objects.count() == 0
    one.context.set_offline(False)
    one.page.reload()
    one.ready()
    one.expect_saved()
    assert [set(said.values()) for said in choices(one)] == [{"right"}, {"left"}]
    assert Vote.objects.count() == 6


def test_blocks_ask_one_criterion_at_a_time_and_announce_the_next(rater) -> None:
    plan = {"practice_trials": 1, "trials_per_session": 6, "pairs": 8, "criteria": CRITERIA}
    one = rater(small_study(**plan, identical_trials=0, degraded_trials=0, repeat_trials=0, exit_questions=[]))
    one.start()
    page = one.page
    seen: list[str] = []
    for _ in range(40):
        one.ready()
        if page.is_visible("#block"):
            seen.append(page.locator("#block-count").inner_text())
            picture(one, f"block-{len(seen)}")
            no_violations(page)
            page.click("#block-end")
        elif page.is_visible("#continue") or page.is_visible("#ready-end"):
            one.pass_cards()
        elif not page.locator("#trial").count():
            break
        else:
            expect(page.locator("#choose-left")).to_be_visible()
            page.keyboard.press("ArrowLeft")
    assert seen == ["Part 2 of 3", "Part 3 of 3"]
    trials = one.session.trials.filter(state=Trial.State.ANSWERED).exclude(check_kind="practice").order_by("position")
    assert [trial.criterion for trial in trials] == [key for key in order(one) for _ in range(2)]
    assert [vote.criterion for vote in one.votes()][1:] == [trial.criterion for trial in trials]


def test_a_definition_is_shown_on_demand_and_keys_rest_meanwhile(rater) -> None:
    one = rater(plain_study(**TOGETHER))
    one.start()
    page = one.page
    page.get_by_role("button", name="What does this mean?").click()
    expect(page.locator("#definition")).to_be_visible()
    expect(page.locator("#definition")).to_contain_text("Sharp where it should be.")
    no_violations(page)
    page.keyboard.press("ArrowLeft")
    page.locator("#definition-close").click()
    expect(page.locator("[aria-pressed=true]")).to_have_count(0)
