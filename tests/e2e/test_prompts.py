"""The prompt and the reference of a pair on the page: readable, in their places, and nothing moves."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from survey.models import Vote
from tests.e2e.rater import PHONE, no_violations
from tests.photos import described_photos

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
LONG = "Which of the two images looks more like a photograph of a real {class_name}, taken outside on a clear day?"
WORDS = "A lighthouse on a cliff at dusk, waves below, gulls in the wind, painted in oil on old canvas. "
LONGEST = (WORDS * 50)[:4000]
ARABIC = "قطة نائمة على كرسي قرب النافذة، ضوء الصباح. " * 20
JAPANESE = "窓辺の椅子で眠る猫、朝の光。" * 30
PROMPTS = ["a hill", LONGEST, "", ARABIC.strip(), JAPANESE]
REFERENCES = [(512, 512), (640, 480), None, (256, 256), (384, 512)]
SIZES = [(512, 512), (640, 480), (512, 512), (512, 512), (512, 512)]
LAPTOP = {"viewport": {"width": 1366, "height": 657}}
NAMES = ("#question", "#prompt", "#left", "#reference", "#right", "#choose-left", "#choose-right", "#undo")


def described(**draft):
    fields = {"question": LONG, "narrow_screens": "stack", "least_box_px": 96}
    return described_photos(*SIZES, prompts=PROMPTS, references=REFERENCES, **fields | draft)


@pytest.mark.parametrize("place", ["between", "above"])
@pytest.mark.parametrize("profile", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_answers_are_on_screen_and_nothing_moves_whatever_the_prompt_and_the_reference(rater, profile, place) -> None:
    one = rater(described(reference_place=place), **profile)
    one.start()
    places, seen = set(), set()
    for trial in one.session.trials.select_related("pair").order_by("position"):
        one.pass_cards()
        expect(one.page.locator("#prompt-text")).to_have_text(trial.pair.prompt)
        seen.add(trial.pair.prompt)
        # Whether there is a reference or not, and a prompt or not, what has its place keeps it.
        places.add(str([one.place(name) for name in NAMES]))
        bottom = max(one.place(name)["y"] + one.place(name)["height"] for name in NAMES[-3:])
        assert bottom <= profile["viewport"]["height"]
        assert one.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
        assert one.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        if trial.pair.prompt == LONGEST:
            no_violations(one.page)
        one.page.keyboard.press("ArrowLeft" if one.place("#left")["y"] == one.place("#right")["y"] else "ArrowUp")
    assert seen == set(PROMPTS)
    assert len(places) == 1, places


@pytest.mark.parametrize("place", ["between", "above"])
def test_the_reference_stands_where_the_study_says_at_the_scale_of_the_images(rater, place: str) -> None:
    version = described_photos((512, 512), references=[(512, 512)], reference_place=place, least_box_px=128)
    one = rater(version, viewport={"width": 1700, "height": 900})
    one.start()
    one.pass_cards()
    left, reference, right = (one.place(f"#{side} canvas") for side in ("left", "reference", "right"))
    assert left["width"] == reference["width"] == right["width"]
    assert left["height"] == reference["height"]
    if place == "between":
        assert left["x"] < reference["x"] < right["x"]
        assert left["y"] == reference["y"] == right["y"]
    else:
        assert reference["y"] < left["y"] == right["y"]
        middle = (left["x"] + right["x"] + right["width"]) / 2
        assert reference["x"] + reference["width"] / 2 == pytest.approx(middle, abs=1)
    assert one.page.get_by_role("img", name="Reference").count() == 1


def test_a_click_on_the_reference_is_no_answer(rater) -> None:
    one = rater(described_photos((512, 512), references=[(512, 512)], least_box_px=128))
    one.start()
    one.pass_cards()
    one.page.locator("#reference").click()
    one.page.wait_for_timeout(300)
    assert one.page.is_visible("#reference")
    assert not Vote.objects.exists()


def test_a_long_prompt_scrolls_by_keys_and_the_arrows_answer_again_outside(rater) -> None:
    one = rater(described_photos((512, 512), (512, 512), prompts=[LONGEST, LONGEST]))
    one.start()
    one.pass_cards()
    page, top = one.page, "() => document.querySelector('#prompt').scrollTop"
    page.keyboard.press("PageDown")
    page.wait_for_function(f"{top} > 40")
    page.keyboard.press("PageUp")
    page.wait_for_function(f"{top} === 0")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "prompt"
    page.keyboard.press("ArrowDown")
    page.wait_for_function(f"{top} > 0")
    page.keyboard.press("End")
    page.wait_for_function(f"{top} > 500")
    assert not Vote.objects.exists()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"{top} === 0")
    one.pass_cards()
    # The next pair takes the focus back: down is an answer once more.
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("#code")
    assert [vote.choice for vote in one.votes()] == ["left", "tie"]


def test_a_long_prompt_scrolls_by_touch_and_the_page_stays(rater) -> None:
    one = rater(described_photos((512, 512), prompts=[LONGEST], narrow_screens="stack"), **PHONE)
    one.start()
    one.pass_cards()
    box = one.place("#prompt")
    finger = one.context.new_cdp_session(one.page)

    def touch(kind: str, *points: dict) -> None:
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})

    x, y = box["x"] + 150, box["y"] + 60
    touch("touchStart", {"x": x, "y": y})
    for step in range(1, 13):
        touch("touchMove", {"x": x, "y": y - 10 * step})
        one.page.wait_for_timeout(16)
    touch("touchEnd")
    one.page.wait_for_function("() => document.querySelector('#prompt').scrollTop > 50")
    assert one.page.evaluate("scrollY") == 0


def test_prompts_are_left_aligned_each_in_its_own_direction_and_kept_from_translation_if_asked(rater) -> None:
    one = rater(described_photos((512, 512), prompts=[ARABIC], is_wording_kept=True))
    one.start()
    one.pass_cards()
    style = "getComputedStyle(document.querySelector('#prompt-text'))"
    assert one.page.evaluate(f"{style}.textAlign") == "start"
    assert one.page.evaluate(f"{style}.direction") == "rtl"
    for name in ("#question", "#prompt-text"):
        assert one.page.get_attribute(name, "translate") == "no"


def test_a_study_without_prompts_and_references_has_no_place_for_them(rater) -> None:
    one = rater(described_photos((512, 512)))
    one.start()
    one.pass_cards()
    assert one.page.locator("#prompt, #reference").count() == 0
    assert one.page.get_attribute("#question", "translate") is None
