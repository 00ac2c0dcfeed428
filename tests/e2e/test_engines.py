"""Visits in Firefox and in WebKit: what Chromium's tests show of one engine holds in all."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from survey.models import PairImage, RaterSession, StudyVersion, Vote
from survey.renditions import rendition_sizes
from survey.services.blinding.scaling import scaled
from survey.services.blinding.served_copies import image_pixels
from tests.beyond import ASKED
from tests.e2e.engines import ENGINES, Engine, started
from tests.e2e.rater import READY, eventually, plain_study, small_study
from tests.e2e.switch import Switch
from tests.photos import photo_study
from tests.programs import missing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

DWELL_MS = 350
SHOWN = "!!document.getElementById('{}')?.offsetParent"
ON = "getComputedStyle(document.getElementById('follow-{}')).visibility === 'visible'"
SAVED = "document.getElementById('state').dataset.state === 'saved'"


@pytest.fixture(scope="module", params=ENGINES, ids=lambda kind: kind.name)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    kind = request.param
    with started(kind, kind.program() or missing(kind.name, remedy=kind.remedy)) as engine:
        yield engine


@pytest.fixture
def switch(live_server) -> Iterator[Switch]:
    with Switch(urlsplit(live_server.url).port) as switch:
        yield switch


class Visitor:
    """One person at an engine's window."""

    def __init__(self, engine: Engine, switch: Switch, version: StudyVersion) -> None:
        self.engine, self.switch, self.version = engine, switch, version

    def start(self) -> None:
        """Go from the landing page to the first pair."""
        self.engine.goto(f"http://localhost:{self.switch.port}/s/{self.version.study.slug}/")
        for button, agrees in (("start", False), ("consent", True), ("device", False), ("begin", False)):
            form = f"form[action*='/{button}']"
            self.engine.wait(f"document.querySelector(`{form} .primary:not([disabled])`)?.offsetParent?.nodeName")
            if agrees:
                self.engine.click("[name=agreed]")
            self.engine.click(f"{form} .primary")
        self.engine.wait("!!document.getElementById('trial')")
        self.ready()

    def ready(self) -> None:
        self.engine.wait(f"!!({READY})()")  # an element itself does not travel

    def vote(self, key: str) -> None:
        self.ready()
        self.engine.press(key)

    def shown(self, identity: str) -> bool:
        return self.engine.run(f"return {SHOWN.format(identity)}")

    def finish_trials(self) -> None:
        for _ in range(50):
            self.ready()
            if not self.engine.run("return !!document.getElementById('trial')"):
                return
            self.engine.press("ArrowRight")
        raise AssertionError("the trials do not end")

    @property
    def session(self) -> RaterSession:
        return RaterSession.objects.get(version=self.version)

    def votes(self) -> list[Vote]:
        return list(Vote.objects.filter(trial__session=self.session).select_related("trial").order_by("pk"))

    def count(self) -> str:
        return self.engine.run("return document.getElementById('count').textContent")

    def picture(self, side: str) -> tuple[np.ndarray, np.ndarray]:
        """Return one picture's pixels, as painted and as served, the latter enlarged to the size on the screen."""
        content, place = self.engine.run(
            f"""const box = document.getElementById({side!r});
            const answer = await fetch(box.querySelector("img").src);
            const {{ x, y, width, height }} = box.querySelector("canvas").getBoundingClientRect();
            return [[...new Uint8Array(await answer.arrayBuffer())], [x, y, width, height]]"""
        )
        served = np.asarray(Image.open(io.BytesIO(bytes(content))).convert("RGB"))
        x, y, width, height = map(round, place)
        painted = self.engine.screenshot()[y : y + height, x : x + width]
        assert (height % served.shape[0], width % served.shape[1]) == (0, 0)
        return painted, served.repeat(height // served.shape[0], 0).repeat(width // served.shape[1], 1)


def paints_what_was_served(one: Visitor) -> None:
    for side in ("left", "right"):
        painted, served = one.picture(side)
        assert np.array_equal(painted, served)
        assert served.std() > 0  # a picture indeed


def test_photographs_are_decoded_and_painted_number_by_number(engine, switch) -> None:
    """Lossless WebP with a profile: what either engine decodes and paints is the rendition, to the last bit."""
    one = Visitor(engine, switch, photo_study((512, 512), (640, 480), (384, 512)))
    one.start()
    renditions = [
        np.asarray(rendition)
        for image in PairImage.objects.filter(pair__study=one.version.study)
        for rendition in scaled(image_pixels(image), rendition_sizes(image.width, image.height, least_px=256))
    ]
    for _ in range(3):
        one.ready()
        paints_what_was_served(one)
        for side in ("left", "right"):
            painted, _ = one.picture(side)
            assert any(np.array_equal(painted, rendition) for rendition in renditions), painted.shape
        engine.press("ArrowLeft")


def test_a_whole_visit(engine, switch) -> None:
    one = Visitor(engine, switch, small_study())
    engine.complaints.clear()
    one.start()
    engine.press("ArrowLeft")
    engine.wait(SHOWN.format("continue"))
    engine.press("Enter")
    engine.wait(SHOWN.format("ready-end"))
    engine.click("#ready-end")
    one.ready()
    paints_what_was_served(one)
    time.sleep(DWELL_MS / 1000)
    # Before the key: on a slow machine the next pair is up before the driver answers.
    start = time.monotonic()
    engine.press("ArrowLeft")
    one.ready()
    time.sleep(DWELL_MS / 1000)
    engine.click("#choose-right")
    longest_ms = (time.monotonic() - start) * 1000
    one.vote("u")
    engine.wait("document.getElementById('notice').textContent.includes('taken back')")
    one.vote("ArrowDown")
    one.ready()
    engine.click("#help-open")
    engine.press("ArrowRight")  # nothing is answered below the help
    engine.click("#help-close")
    engine.click("#left")
    one.finish_trials()
    engine.wait("document.querySelector('form.questions .primary')?.form.action")
    engine.click("form.questions .primary")
    code = engine.wait("document.getElementById('code')?.textContent")
    assert code == one.session.completion_code
    assert one.session.state == RaterSession.State.COMPLETED
    votes = [vote for vote in one.votes() if vote.trial.check_kind != "practice"]
    assert [vote.choice for vote in votes][:5] == ["left", "right", "undo", "tie", "left"]
    inputs = [vote.presentation["input"] for vote in votes if vote.choice != "undo"]
    assert inputs[:4] == ["key", "mouse", "key", "mouse"]
    for vote in votes[:2]:
        assert vote.response_ms >= vote.exposure_ms >= DWELL_MS
    assert votes[1].response_ms <= longest_ms
    assert sum(vote.is_current for vote in one.votes()) == one.session.trials.count()
    device = one.session.device["extra"]
    assert device["engine"] == {"firefox": "gecko", "webkit": "webkit"}[engine.name]
    assert 0.9 <= float(device["clock_ms"]) <= 1.1
    assert engine.complaints == []


def test_nothing_is_lost_by_a_reload_or_without_a_network(engine, switch) -> None:
    one = Visitor(engine, switch, plain_study())
    one.start()
    one.vote("ArrowLeft")
    one.ready()
    engine.wait(SAVED)
    before, count = one.picture("left")[0], one.count()
    engine.reload()
    one.ready()
    assert (one.count(), np.array_equal(one.picture("left")[0], before)) == (count, True)
    switch.cut()
    one.vote("ArrowRight")
    one.vote("ArrowDown")
    engine.wait("document.getElementById('state').dataset.state === 'offline'")
    assert len(one.votes()) == 1
    switch.restore()
    engine.reload()  # the answers outlive the page
    engine.wait(SAVED)
    assert [vote.choice for vote in one.votes()] == ["left", "right", "tie"]
    one.finish_trials()
    assert len(one.votes()) == 8


def test_what_follows_a_choice_is_answered_by_keys(engine, switch) -> None:
    one = Visitor(engine, switch, plain_study(**ASKED))
    one.start()
    one.vote("ArrowLeft")
    for step, key in (("strength", "2"), ("acceptable", "u")):
        engine.wait(ON.format(step))
        engine.press(key)  # the last one takes back the choice
    one.vote("ArrowRight")
    for step, key in (("strength", "3"), ("acceptable", "2"), ("reasons", "1")):
        engine.wait(ON.format(step))
        engine.press(key)
    engine.press("0")
    engine.wait(SAVED)
    assert eventually(lambda: len(one.votes()) == 1)
    (vote,) = one.votes()
    assert (vote.choice, vote.acceptable, vote.strength, vote.reasons) == ("right", "right", 3, "anatomy")


def test_of_two_windows_the_newer_wins(engine, switch) -> None:
    one = Visitor(engine, switch, plain_study())
    one.start()
    one.vote("ArrowLeft")
    engine.wait(SAVED)
    older, address = engine.window, engine.run("return location.href")
    newer = engine.open_window()
    engine.goto(address)
    one.vote("ArrowRight")
    assert eventually(lambda: len(one.votes()) == 2)
    engine.turn_to(older)
    engine.wait(SHOWN.format("elsewhere"))
    engine.click("#take-over")
    engine.wait(SHOWN.format("trial"))
    one.vote("ArrowDown")
    engine.close_window(newer)
    engine.turn_to(older)
    one.finish_trials()
    assert [vote.choice for vote in one.votes()][:3] == ["left", "right", "tie"]
    assert len(one.votes()) == 8
