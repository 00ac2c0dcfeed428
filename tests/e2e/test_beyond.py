"""What follows a choice, in a browser: keys, fingers, taking back, a dead network, and a pair that does not move."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from survey.models import Vote
from tests.beyond import ASKED, REASONS, TWO_LANGUAGES
from tests.e2e.rater import PHONE, TIMERS, eventually, no_violations, plain_study, small_study
from tests.languages import ENGLISH, THREE_LANGUAGES
from tests.photos import photo_study

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

LAPTOP = {"viewport": {"width": 1366, "height": 657}}
EIGHT = [{"key": f"reason_{n}", "caption": f"Reason number {n}"} for n in range(1, 9)]


def said(vote: Vote) -> tuple[str, str, int | None, str]:
    return vote.choice, vote.acceptable, vote.strength, vote.reasons


def follow(one, *keys: str) -> None:
    for key in keys:
        one.page.keyboard.press(key)


def test_keys_answer_every_step_and_each_trial_is_sent_once(rater) -> None:
    one = rater(plain_study(**ASKED))
    one.start()
    one.vote("ArrowLeft")
    expect(one.page.locator("#follow-strength")).to_be_visible()
    expect(one.page.locator("#follow-strength [data-chosen]")).to_have_text("Left")
    no_violations(one.page)
    assert one.votes() == []
    follow(one, "Digit2", "Digit2")
    expect(one.page.locator("#follow-reasons")).to_be_visible()
    no_violations(one.page)
    follow(one, "Digit2", "Digit1", "Digit0")
    one.vote("ArrowDown")
    expect(one.page.locator("#follow-acceptable")).to_be_visible()
    expect(one.page.get_by_role("button", name="Only the chosen one")).to_be_hidden()
    follow(one, "Digit2", "Digit3")  # what is hidden is no answer
    one.vote("ArrowRight")
    follow(one, "Numpad3", "Digit1", "Digit0")
    one.expect_saved()
    assert [said(vote) for vote in one.votes()] == [
        ("left", "left", 2, "anatomy|colour"),
        ("tie", "neither", None, ""),
        ("right", "both", 3, ""),
    ]
    one.voted_once_each()


def test_a_choice_is_made_again_and_an_answer_taken_back(rater) -> None:
    one = rater(plain_study(**ASKED))
    one.start()
    one.vote("ArrowLeft")
    follow(one, "Digit1", "KeyU")
    expect(one.page.locator("#choose-left")).to_be_visible()
    one.vote("ArrowRight")
    follow(one, "Digit3")
    one.page.get_by_role("button", name="Choose again").and_(one.page.locator(":visible")).click()
    one.vote("ArrowLeft")
    follow(one, "Digit2", "Digit1", "Digit0")
    one.expect_saved()
    assert [said(vote) for vote in one.votes()] == [("left", "both", 2, "")]
    one.pass_cards()
    one.page.keyboard.press("KeyU")
    one.vote("ArrowDown")
    follow(one, "Digit1")
    one.expect_saved()
    current = [vote for vote in one.votes() if vote.is_current]
    assert [said(vote) for vote in current] == [("tie", "both", None, "")]


def test_fingers_answer_and_a_required_reason_holds_the_rater(rater) -> None:
    one = rater(small_study(practice_trials=1, are_reasons_required=True, reasons=REASONS), **PHONE)
    one.start()
    one.page.locator("#choose-right").tap()
    on = one.page.locator("#follow-reasons [data-on]")
    expect(on).to_have_attribute("aria-disabled", "true")
    on.tap(force=True)
    expect(one.page.locator("#follow-reasons")).to_be_visible()
    one.page.get_by_role("button", name="Colour").tap()
    on.tap()
    expect(one.page.locator("#continue")).to_be_visible()  # practice says how it went, after the last step
    one.expect_saved()
    assert [vote.reasons for vote in one.votes()] == ["colour"]


def test_answers_given_without_a_network_are_sent_whole(rater) -> None:
    one = rater(plain_study(**ASKED))
    one.start()
    one.pass_cards()
    one.context.set_offline(True)
    for _ in range(2):
        one.vote("ArrowLeft")
        follow(one, "Digit3", "Digit3", "Digit1", "Digit0")
    assert one.votes() == []
    one.context.set_offline(False)
    assert eventually(lambda: len(one.votes()) == 2)
    assert {said(vote) for vote in one.votes()} == {("left", "neither", 3, "anatomy")}


@pytest.mark.parametrize("profile", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_nothing_moves_between_the_steps_and_all_of_it_fits(rater, profile) -> None:
    asked = ASKED | {"strength_grades": 5, "reasons": EIGHT}
    one = rater(plain_study(**asked, narrow_screens="stack", pixel_multiple=6), **profile)
    one.start()
    one.pass_cards()
    before = one.place()
    steps = []
    one.page.keyboard.press("ArrowUp" if one.page.locator("#pair.stacked").count() else "ArrowLeft")
    for name, key in (("strength", "Digit5"), ("acceptable", "Digit1"), ("reasons", "Digit8")):
        expect(one.page.locator(f"#follow-{name}")).to_be_visible()
        steps.append(one.place(f"#follow-{name}"))
        assert one.place() == before
        one.page.keyboard.press(key)
    height = one.page.viewport_size["height"]
    assert all(place["y"] + place["height"] <= height + 0.5 for place in steps), (steps, height)
    assert one.page.evaluate("document.documentElement.scrollHeight <= innerHeight"), "the page scrolls"


REASONS_IN = {
    "en": [
        "Anatomy",
        "Text in the image",
        "Follows the prompt",
        "Colour",
        "Light",
        "Sharpness",
        "Composition",
        "Style",
    ],
    "de": ["Anatomie", "Schrift im Bild", "Folgt dem Prompt", "Farbe", "Licht", "Schärfe", "Komposition", "Stil"],
    "ar": ["التشريح", "النص في الصورة", "مطابقة الوصف", "الألوان", "الإضاءة", "الحدة", "التكوين", "الأسلوب"],
}
KEYS = ["anatomy", "text", "prompt", "colour", "light", "sharpness", "composition", "style"]


def captions(language: str) -> dict[str, str]:
    return dict(zip(KEYS, REASONS_IN[language], strict=True))


THREE = THREE_LANGUAGES | {
    "exit_questions": [],
    "reasons": [{"key": key, "caption": caption} for key, caption in captions("en").items()],
    "translations": {
        language: {name: text for name, text in texts.items() if name != "exit_questions"}
        | {"reasons": captions(language)}
        for language, texts in THREE_LANGUAGES["translations"].items()
    },
}


def picture(one, name: str) -> None:
    """Keep a screenshot where somebody wants to look at it."""
    if folder := os.environ.get("TEST_SCREENSHOTS"):
        one.page.evaluate("() => Promise.allSettled(document.getAnimations().map((one) => one.finished))")
        one.page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.mark.parametrize("language", ["en", "de", "ar"])
@pytest.mark.parametrize(("profile", "name"), [(LAPTOP, "laptop"), (PHONE, "phone")], ids=["laptop", "phone"])
def test_each_step_stands_below_photographs_in_every_language(rater, profile, name: str, language: str) -> None:
    draft = THREE | {"is_acceptable_asked": True, "strength_grades": 3}
    version = photo_study((512, 512), (640, 480), **draft, narrow_screens="stack", least_box_px=128)
    one = rater(version, locale=language, **profile)
    one.start_until("form[action$=begin]")
    picture(one, f"instructions-{name}-{language}")
    one.primary()
    one.pass_cards()
    before, height = one.place(), profile["viewport"]["height"]
    picture(one, f"choice-{name}-{language}")
    one.page.locator("#choose-left").click()
    for step, key in (("strength", "Digit2"), ("acceptable", "Digit1"), ("reasons", "Digit2")):
        place = one.place(f"#follow-{step}")
        assert place["y"] + place["height"] <= height + 0.5
        assert one.place() == before
        if step == "reasons":
            one.page.keyboard.press("Digit4")
        picture(one, f"{step}-{name}-{language}")
        no_violations(one.page)
        one.page.keyboard.press(key)
    assert one.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    assert one.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_window_that_changes_asks_for_the_choice_again(rater) -> None:
    one = rater(plain_study(**ASKED))
    one.start()
    one.vote("ArrowLeft")
    expect(one.page.locator("#follow-strength")).to_be_visible()
    one.page.set_viewport_size({"width": 200, "height": 300})
    expect(one.page.locator("#narrow")).to_be_visible()
    follow(one, "Digit1")
    one.page.set_viewport_size({"width": 1280, "height": 800})
    one.vote("ArrowRight")
    follow(one, "Digit1", "Digit1", "Digit0")
    one.expect_saved()
    assert [vote.choice for vote in one.votes()] == ["right"]


def test_keys_switched_off_are_off_for_what_follows_too(rater) -> None:
    one = rater(plain_study(**ASKED))
    one.start()
    one.pass_cards()
    one.page.get_by_role("button", name="Help").click()
    one.page.get_by_label("No keys").check()
    one.page.get_by_role("button", name="Close").click()
    one.page.locator("#choose-left").click()
    follow(one, "Digit1", "KeyU")
    one.page.evaluate(TIMERS)
    expect(one.page.locator("#follow-strength")).to_be_visible()
    one.page.get_by_role("button", name="Slightly").click()
    expect(one.page.locator("#follow-acceptable")).to_be_visible()


def test_the_wording_of_the_study_is_read_in_the_raters_language(rater) -> None:
    one = rater(plain_study(**TWO_LANGUAGES), locale="de")
    one.start_until("form[action$=begin]")
    expect(one.page.locator(".keys")).to_contain_text("Bild A")
    one.primary()
    one.ready()
    for name, text in (("left", "Bild A"), ("tie", "Beide gleich"), ("right", "Bild B")):
        expect(one.page.locator(f"#choose-{name} .caption")).to_have_text(text)
    one.vote("ArrowLeft")
    expect(one.page.get_by_role("button", name="Deutlich")).to_be_visible()
    follow(one, "Digit1", "Digit1")
    expect(one.page.get_by_role("button", name="Farbe")).to_be_visible()


def test_a_study_that_asks_for_the_choice_alone_has_no_steps(rater) -> None:
    one = rater(plain_study(**ENGLISH | {"exit_questions": []}))
    one.start()
    one.vote("ArrowLeft")
    one.expect_saved()
    expect(one.page.locator(".beyond")).to_have_count(0)
    assert len(one.votes()) == 1
