"""Networks, tabs, devices and fingers that misbehave: no answer is lost, none counts twice."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.core.files.storage import default_storage
from playwright.sync_api import Route, expect

from survey.models import FaultReport, RaterSession, SessionEvent, Trial
from tests.copies import copy_name
from tests.e2e.rater import FRAMES, PHONE, TIMERS, eventually, no_violations, plain_study
from tests.photos import photo_study

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

VOTES = "**/api/votes"
IMAGES = "**/i/*"  # of both images of a trial, or of one where these did not come


def test_offline_answers_are_kept_and_sent_when_the_network_is_back(rater) -> None:
    one = rater()
    one.start()
    one.vote()
    one.expect_saved()
    one.context.set_offline(True)
    for _ in range(3):
        one.vote("ArrowRight")
    expect(one.page.locator("#state")).to_have_attribute("data-state", "offline")
    no_violations(one.page)
    assert len(one.votes()) == 1
    one.context.set_offline(False)
    one.expect_saved()
    one.finish_trials()
    assert len(one.voted_once_each()) == 8
    assert [vote.choice for vote in one.votes()][:4] == ["left", "right", "right", "right"]


@pytest.mark.parametrize("language", ["en", "de", "ar"])
def test_going_offline_moves_nothing_on_a_phone(rater, language: str) -> None:
    one = rater(plain_study(pixel_multiple=16, narrow_screens="stack"), locale=language, **PHONE)
    one.start()
    one.pass_cards()
    before = one.place(), one.place("#choose-tie")
    one.context.set_offline(True)
    one.vote("ArrowUp")
    expect(one.page.locator("#state")).to_have_attribute("data-state", "offline")
    one.pass_cards()
    assert (one.place(), one.place("#choose-tie")) == before
    assert one.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    one.context.set_offline(False)
    one.expect_saved()


def test_no_new_pair_comes_while_too_many_answers_wait(rater) -> None:
    one = rater()
    one.page.route(VOTES, lambda route: route.abort())
    one.start()
    for _ in range(4):
        one.vote()
    expect(one.page.get_by_text("Waiting for the connection")).to_be_visible()
    expect(one.page.get_by_text("are kept here and sent")).to_be_visible()
    assert one.page.locator("#trial").is_hidden()
    no_violations(one.page)
    one.page.unroute(VOTES)
    one.finish_trials()
    assert len(one.voted_once_each()) == 8


def test_a_reload_while_answers_wait_loses_nothing(rater) -> None:
    one = rater()
    one.page.route(VOTES, lambda route: route.abort())
    one.start()
    one.vote("ArrowLeft")
    one.vote("ArrowRight")
    expect(one.page.locator("#state")).to_have_attribute("data-state", "offline")
    one.page.unroute(VOTES)
    one.page.reload()
    one.expect_saved()
    assert [vote.choice for vote in one.votes()] == ["left", "right"]
    one.finish_trials()
    assert len(one.voted_once_each()) == 8


def test_an_answer_whose_confirmation_was_lost_counts_once(rater) -> None:
    one = rater()
    lost = []

    def lose_first_reply(route: Route) -> None:
        if lost:
            return route.fallback()
        lost.append(route.fetch())  # it arrives
        return route.abort()  # and the browser never hears of it

    one.page.route(VOTES, lose_first_reply)
    one.start()
    one.vote()
    one.vote()
    one.expect_saved()
    assert lost[0].status == 200
    assert len(one.votes()) == len(one.voted_once_each()) == 2


def test_reload_shows_the_same_pair_on_the_same_sides(rater) -> None:
    one = rater()
    one.start()
    one.vote()
    one.expect_saved()
    before, trial = one.shown(), one.page.locator("#count").inner_text()
    one.page.reload()
    assert one.shown() == before
    assert one.page.locator("#count").inner_text() == trial


def test_of_two_tabs_the_newer_wins_and_the_older_says_so(rater) -> None:
    one = rater()
    one.start()
    one.vote()
    one.expect_saved()
    older, newer = one.page, one.new_page()
    newer.goto(older.url)
    expect(older.get_by_text("Opened somewhere else")).to_be_visible()
    no_violations(older)
    one.page = newer
    newer.bring_to_front()
    one.vote()
    one.expect_saved()
    one.page = older
    older.bring_to_front()
    older.get_by_role("button", name="Continue here").click()
    expect(newer.get_by_text("Opened somewhere else")).to_be_visible()
    one.finish_trials()
    assert len(one.voted_once_each()) == 8


def test_a_visit_goes_on_on_another_device_after_a_pause(rater) -> None:
    version = plain_study()
    one, other = rater(version), rater(version, viewport={"width": 1600, "height": 900})
    one.start()
    one.vote()
    one.expect_saved()
    before = one.shown()
    Trial.objects.filter(session=one.session).first().session.slots.update(lease_expires_at="2020-01-01T00:00Z")
    other.page.goto(one.page.url)
    assert other.shown() == before
    one.vote()  # the first device does not know yet
    expect(one.page.get_by_text("Opened somewhere else")).to_be_visible()
    other.finish_trials()
    assert len(other.voted_once_each()) == 8


@pytest.fixture
def panel() -> Iterator[ThreadingHTTPServer]:
    """Serve pages that frame the address that they are asked with; under another name, so another site to browsers."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f'<iframe src="{self.path[2:]}" width="1200" height="760"></iframe>'.encode())

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_visit_runs_in_a_panels_frame_where_the_browser_keeps_nothing(rater, panel) -> None:
    site = f"http://127.0.0.1:{panel.server_port}"
    one = rater(plain_study(trials_per_session=3, recruitment={"provider": "open", "frame_ancestors": [site]}))
    page = one.page
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    page.add_init_script(
        """if (self !== top) {
            const refuse = () => { throw new DOMException('storage is blocked', 'SecurityError'); };
            for (const name of ['localStorage', 'sessionStorage', 'indexedDB', 'BroadcastChannel'])
                Object.defineProperty(window, name, { get: refuse });
        }"""
    )
    page.goto(f"{site}/?{one.base_url}/s/{one.version.study.slug}/")
    frame = page.frame_locator("iframe")
    frame.get_by_role("button", name="Start").click()
    frame.get_by_role("checkbox").check()
    frame.get_by_role("button", name="Continue").click()
    frame.locator("#device button").click()
    frame.get_by_role("button", name="Start").click()
    for number in (1, 2, 3):
        expect(frame.locator("#count")).to_have_text(f"{number} of 3")
        frame.locator("#choose-left[aria-disabled=false]").click()
    expect(frame.locator("#code")).not_to_be_empty()
    session = RaterSession.objects.get()
    assert session.state == RaterSession.State.COMPLETED
    assert session.device["extra"]["framed"] == "true"
    assert one.context.cookies() == []


def test_double_clicks_answer_one_trial(rater) -> None:
    # So long that the second click cannot be an answer to the next pair, however slow the machine.
    one = rater(plain_study(minimum_exposure_ms=2000))
    one.start()
    for _ in range(3):
        one.pass_cards()
        one.page.locator("#choose-left").dblclick()
    one.expect_saved()
    assert len(one.votes()) == len(one.voted_once_each()) == 3


def test_the_back_button_changes_nothing(rater) -> None:
    one = rater()
    one.start()
    one.vote()
    one.expect_saved()
    before, place = one.shown(), one.page.url
    one.page.go_back()
    one.page.wait_for_load_state()
    one.page.goto(place)
    assert one.shown() == before
    assert len(one.votes()) == 1


def test_images_that_come_late_are_waited_for(rater) -> None:
    one = rater()

    def late(route: Route) -> None:
        time.sleep(0.15)
        route.continue_()

    one.page.route(IMAGES, late)
    one.start()
    for _ in range(3):
        one.vote()
        one.page.keyboard.press("ArrowRight")  # nothing is on screen yet, or not for long enough
    one.expect_saved()
    assert all(vote.exposure_ms >= 30 for vote in one.votes())
    assert len(one.votes()) == len(one.voted_once_each())


def test_an_image_that_fails_once_is_tried_again(rater) -> None:
    one = rater()
    failed: set[str] = set()

    def fail_first(route: Route) -> None:
        if route.request.url in failed or len(failed) >= 2:
            return route.continue_()
        failed.add(route.request.url)
        return route.abort()

    one.page.route(IMAGES, fail_first)
    one.start()
    one.vote()
    one.expect_saved()
    assert len(failed) == 2
    assert not FaultReport.objects.exists()


def test_an_image_that_never_loads_is_a_fault_and_another_pair_comes(rater) -> None:
    one = rater()
    one.start()
    session = one.session
    broken = Trial.objects.filter(session=session).order_by("position")[5]
    default_storage.delete(copy_name(broken.image_left))
    one.finish_trials()
    voted = one.voted_once_each()
    assert broken.pk not in voted
    assert len(voted) == 8
    assert FaultReport.objects.get().trial_id == broken.pk
    broken.refresh_from_db()
    assert broken.state == Trial.State.FAULTY


def test_the_rater_can_say_that_an_image_does_not_show(rater) -> None:
    one = rater()
    one.start()
    one.pass_cards()
    one.page.get_by_role("button", name="An image does not load").click()
    expect(one.page.get_by_text("Here is another pair")).to_be_visible()
    one.finish_trials()
    assert len(one.voted_once_each()) == 8
    assert FaultReport.objects.get().kind == "display"


def test_what_happens_around_the_trials_is_logged(rater) -> None:
    one = rater()
    one.start()
    one.pass_cards()
    one.page.set_viewport_size({"width": 1000, "height": 700})
    one.page.wait_for_function("innerWidth === 1000")
    one.page.evaluate(FRAMES)  # the event comes with the next frame,
    one.page.evaluate(TIMERS)  # and is noted once the window has kept its size for a while
    one.page.evaluate("dispatchEvent(new Event('blur')), dispatchEvent(new Event('focus'))")
    one.vote()
    assert eventually(lambda: SessionEvent.objects.count() >= 3)
    kinds = list(SessionEvent.objects.order_by("pk").values_list("kind", flat=True))
    assert kinds == ["resize", "blur", "focus"]
    resize = SessionEvent.objects.get(kind="resize")
    assert (resize.detail["width"], resize.detail["height"]) == (1000, 700)


def test_a_window_made_too_small_hides_the_pair_until_it_fits_again(rater) -> None:
    one = rater(plain_study(pixel_multiple=16))
    one.start()
    one.pass_cards()
    one.page.set_viewport_size({"width": 400, "height": 700})
    expect(one.page.get_by_role("heading", name="The window is too small")).to_be_visible()
    no_violations(one.page)
    one.page.keyboard.press("ArrowLeft")
    one.page.set_viewport_size({"width": 1280, "height": 800})
    one.vote("ArrowRight")
    one.expect_saved()
    assert [vote.choice for vote in one.votes()] == ["right"]


def test_the_times_of_an_answer_go_on_while_a_phone_is_turned(rater) -> None:
    one = rater(photo_study((512, 512), (512, 512), narrow_screens="stack"), **PHONE)
    one.start()
    one.pass_cards()
    page = one.page
    page.wait_for_timeout(800)
    page.set_viewport_size({"width": 844, "height": 300})
    expect(page.locator("#narrow")).to_be_visible()
    page.wait_for_timeout(500)
    page.set_viewport_size({"width": 390, "height": 844})
    for _ in range(2):
        one.pass_cards()
        page.locator("#choose-left").tap()
    page.wait_for_selector("#code")
    turned, next_one = one.votes()
    assert turned.response_ms >= 1300
    assert 800 <= turned.exposure_ms <= turned.response_ms - 400
    assert next_one.response_ms < 800


def test_a_filter_that_answers_in_the_servers_place_loses_no_answer(rater) -> None:
    one = rater()
    one.start()
    one.pass_cards()
    page, loads = one.page, []
    page.on("load", lambda: loads.append(1))
    calls = re.compile(r"/api/")
    page.route(calls, lambda route: route.fulfill(status=403, content_type="text/html", body="<h1>Blocked</h1>"))
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#state")).to_have_attribute("data-state", "offline")
    page.wait_for_timeout(1500)
    assert loads == []
    page.unroute(calls)
    page.evaluate("dispatchEvent(new Event('online'))")
    one.expect_saved()
    assert [vote.choice for vote in one.votes()] == ["left"]


def test_linked_zoom_moves_both_images_alike_and_its_use_is_stored(rater) -> None:
    one = rater(plain_study(is_zoom_allowed=True))
    one.start()
    one.pass_cards()
    one.page.hover("#left")
    one.page.mouse.wheel(0, -100)
    one.page.wait_for_function("document.querySelector('#pair img').style.transform")
    styles = one.page.eval_on_selector_all("#pair img", "images => images.map(image => image.style.transform)")
    assert styles == ["scale(2)", "scale(2)"]
    one.vote()
    one.vote()
    one.pass_cards()
    for _ in range(2):
        one.page.keyboard.press("+")
    styles = one.page.eval_on_selector_all("#pair img", "images => images.map(image => image.style.transform)")
    assert styles == ["scale(4)", "scale(4)"]
    one.vote()
    one.expect_saved()
    by_wheel, without, by_key = one.votes()
    assert by_wheel.presentation["zoom"] == {"uses": 1, "largest": 2}
    assert "zoom" not in without.presentation
    assert by_key.presentation["zoom"] == {"uses": 2, "largest": 4}


def test_the_keys_of_the_zoom_are_switched_off_with_the_others(rater) -> None:
    one = rater(plain_study(is_zoom_allowed=True))
    one.start()
    one.pass_cards()
    page = one.page
    page.get_by_role("button", name="Help").click()
    page.keyboard.press("+")
    page.get_by_label("No keys").check()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("+")
    assert page.eval_on_selector("#left img", "image => image.style.transform") == ""
    page.locator("#left").dblclick()
    assert page.eval_on_selector("#left img", "image => image.style.transform") == "scale(4)"
    page.get_by_role("button", name="Left").click()
    one.expect_saved()
    assert one.votes()[0].presentation["zoom"] == {"uses": 1, "largest": 4}


def test_after_a_vote_the_next_pair_is_on_screen_within_two_frames(rater) -> None:
    one = rater()
    one.start()
    one.pass_cards()
    # The four pairs that the page was given are loaded and decoded.
    given = "performance.getEntriesByType('resource').map((entry) => entry.name).filter((name) => name.includes('/i/'))"
    one.page.wait_for_function(f"{given}.length >= 4")
    one.page.evaluate(
        f"""() => Promise.all({given}.map(async (name) => {{
            const both = await (await fetch(name)).blob();
            const image = new Image();
            image.src = URL.createObjectURL(both.slice(0, both.size / 2, "image/webp"));
            return image.decode();
        }}))"""
    )
    one.page.evaluate(FRAMES)
    frames = one.page.evaluate(
        """() => new Promise((resolve) => {
            const before = document.querySelector('#left img');
            let frames = 0;
            const look = () => document.querySelector('#left img') !== before
                ? resolve(frames) : ((frames += 1), requestAnimationFrame(look));
            document.querySelector('#choose-left').click();
            requestAnimationFrame(look);
        })"""
    )
    assert frames <= 2
