"""A rater at a browser: the few moves that the tests are made of."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from survey.models import RaterSession, StudyVersion, Trial, Vote
from survey.tokens import session_id_of
from tests.factories import make_running

DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 3,
    "is_mobile": True,
    "has_touch": True,
}
QUESTIONS = [
    {"name": "age", "caption": "How old are you?", "options": ["under 30", "30 or more"]},
    {"name": "years", "caption": "Years with images?", "kind": "number", "minimum": 0, "maximum": 80},
    {"name": "screens", "caption": "Which screens do you use?", "kind": "multiple", "options": ["laptop", "phone"]},
    {"name": "remarks", "caption": "Any remarks?", "kind": "text", "length": 20},
]
READY = """() => document.querySelector('#trial:not([hidden]) [data-choice=left][aria-disabled=false]')
    || [...document.querySelectorAll('#continue, #ready, #pause, #block, #elsewhere')].some((one) => one.offsetParent)
    || (document.readyState === 'complete' && !document.querySelector('#trial'))"""

# What the page does in the next frames, and on timers as long as any of its own that run now, has happened after these.
FRAMES = (
    "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done))))"
)
TIMERS = "() => new Promise((done) => setTimeout(done, 450))"


def small_study(**fields) -> StudyVersion:
    """Return an open study with a little of everything."""
    return make_running(
        **{
            "pairs": 8,
            "pixel_multiple": 8,
            "practice_trials": 1,
            "trials_per_session": 4,
            "identical_trials": 1,
            "degraded_trials": 1,
            "repeat_trials": 1,
            "minimum_exposure_ms": 50,
            "exit_questions": QUESTIONS,
        }
        | fields
    )


def plain_study(**fields) -> StudyVersion:
    """Return an open study of eight main trials and nothing else."""
    plan = {"practice_trials": 0, "identical_trials": 0, "degraded_trials": 0, "repeat_trials": 0}
    return make_running(
        **{"pairs": 10, "pixel_multiple": 8, "trials_per_session": 8, "minimum_exposure_ms": 30} | plan | fields
    )


def eventually(is_so: Callable[[], bool], *, longest: float = 30.0) -> bool:
    """Return True as soon as something is so, False if it never is."""
    end = time.monotonic() + longest
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def no_violations(page: Page) -> None:
    # Colours on their way from disabled to enabled are nobody's colours.
    page.evaluate("() => Promise.allSettled(document.getAnimations().map(one => one.finished))")
    found = Axe().run(
        page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    )
    assert found.violations_count == 0, f"{page.url}: {found.generate_report()}"


def focus_is_visible(page: Page) -> None:
    """Walk over the page with the tab key: whatever has the focus has an outline."""
    shown = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        name, style, width = page.evaluate(
            """() => {
                const one = document.activeElement, { outlineStyle, outlineWidth } = getComputedStyle(one);
                return [one === document.body ? "" : one.outerHTML, outlineStyle, parseFloat(outlineWidth)];
            }"""
        )
        if name:
            assert style != "none", name
            assert width >= 2, name
            shown.add(name)
    assert len(shown) >= 3, shown


class Rater:
    """One person with one window."""

    def __init__(self, browser: Browser, base_url: str, version: StudyVersion, **profile: Any) -> None:
        self.context: BrowserContext = browser.new_context(**({"locale": "en"} | DESKTOP | profile))
        self.base_url, self.version = base_url, version
        self.complaints: list[str] = []
        self.page = self.new_page()

    def new_page(self) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self._note(message.type, message.text))
        return page

    def _note(self, kind: str, text: str) -> None:
        # A failed request is what several tests arrange; anything else on the console is a fault.
        if kind in {"error", "warning"} and "Failed to load resource" not in text:
            self.complaints.append(text)

    def close(self) -> None:
        self.context.close()

    # --- the way to the trials

    def land(self, query: str = "") -> None:
        self.page.goto(f"{self.base_url}/s/{self.version.study.slug}/{query}")

    def primary(self) -> None:
        self.page.locator(".primary:visible").click()

    def start_until(self, selector: str) -> None:
        """Go through the pages before the practice, up to the one that has this."""
        self.land()
        self.primary()
        self.page.get_by_role("checkbox").check()
        self.primary()
        self.page.wait_for_selector("#device")
        self.primary()
        self.page.wait_for_selector(selector)

    def start(self) -> None:
        self.start_until("form[action$=begin]")
        self.primary()
        self.ready()

    @property
    def session(self) -> RaterSession:
        token = re.search(r"/r/([^/]+)/", self.page.url)[1]
        return RaterSession.objects.get(pk=session_id_of(token))

    # --- trials

    def ready(self) -> None:
        """Wait until there is something to answer or to press."""
        self.page.wait_for_function(READY)

    def pass_cards(self) -> None:
        """Press what stands between two trials: feedback, the end of practice, breaks."""
        while True:
            self.ready()
            for name in ("#continue", "#ready-end", "#pause-end", "#block-end"):
                if self.page.is_visible(name):
                    self.page.click(name)
                    break
            else:
                return

    def vote(self, key: str = "ArrowLeft") -> None:
        self.pass_cards()
        self.page.keyboard.press(key)

    def skip_practice(self, key: str = "ArrowLeft") -> None:
        """Answer the practice pairs, up to the first main trial."""
        self.pass_cards()
        while self.session.trials.filter(check_kind="practice", state=Trial.State.OPEN).exists():
            self.vote(key)
            self.pass_cards()

    def finish_trials(self, key: str = "ArrowLeft") -> None:
        for _ in range(200):
            self.pass_cards()
            if not self.page.locator("#trial").count():
                return
            self.page.keyboard.press(key)
        raise AssertionError("the trials do not end")

    def shown(self) -> bytes:
        """Return the picture of the pair on screen."""
        self.pass_cards()
        return self.page.locator("#pair").screenshot()

    def place(self, selector: str = "#pair") -> dict[str, float]:
        """Return where something stands in the window."""
        return self.page.locator(selector).bounding_box()

    def expect_saved(self) -> None:
        expect(self.page.locator("#state")).to_have_attribute("data-state", "saved")

    def votes(self) -> list[Vote]:
        return list(Vote.objects.filter(trial__session=self.session).select_related("trial").order_by("pk"))

    def voted_once_each(self) -> set[uuid.UUID]:
        """Return the trials with a vote, having made sure that none has two."""
        trials = [vote.trial_id for vote in self.votes() if vote.is_current]
        assert len(trials) == len(set(trials))
        return set(trials)
