from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from django.core.signals import request_finished, request_started
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from survey.models import StudyVersion
from tests.browser import ARGUMENTS, REMEDY, chromium_path
from tests.e2e.rater import Rater, plain_study
from tests.factories import make_user
from tests.programs import missing


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/e2e/" in str(item.path):
            item.add_marker(pytest.mark.e2e)


class Traffic:
    """Counts the live server's requests, so that a test can wait for the last one to be answered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open, self._changed_at = 0, time.monotonic()

    def started(self, **kwargs: object) -> None:
        self._change(1)

    def finished(self, **kwargs: object) -> None:
        self._change(-1)

    def _change(self, step: int) -> None:
        with self._lock:
            self._open += step
            self._changed_at = time.monotonic()

    def settle(self, *, quiet: float = 0.3, longest: float = 30.0) -> None:
        """Return once nothing has been asked or answered for a moment."""
        end = time.monotonic() + longest
        while time.monotonic() < end:
            with self._lock:
                if self._open <= 0 and time.monotonic() - self._changed_at > quiet:
                    return
            time.sleep(0.02)


@pytest.fixture(autouse=True)
def _last_requests_answered(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let what a closing page still sends be answered before the database is emptied under it."""
    if "live_server" not in request.fixturenames:
        yield
        return
    request.getfixturevalue("transactional_db")
    traffic = Traffic()
    request_started.connect(traffic.started)
    request_finished.connect(traffic.finished)
    yield
    traffic.settle()
    request_started.disconnect(traffic.started)
    request_finished.disconnect(traffic.finished)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium. Where none is found the tests are skipped, except in CI, where that is a failure."""
    path = chromium_path()
    if path is None:
        missing("Chromium", remedy=REMEDY)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    page = context.new_page()
    page.set_default_timeout(15_000)
    return page


@pytest.fixture
def rater(browser: Browser, live_server) -> Iterator[Callable[..., Rater]]:
    """Make raters; none of their pages may have complained by the end."""
    made: list[Rater] = []

    def make(version: StudyVersion | None = None, **profile) -> Rater:
        made.append(Rater(browser, live_server.url, version or plain_study(), **profile))
        return made[-1]

    yield make
    for one in made:
        one.close()
    assert [complaint for one in made for complaint in one.complaints] == []


@pytest.fixture
def researcher(browser: Browser, live_server, settings) -> Iterator[Page]:
    """A page of a researcher who has just logged in; the console must stay silent."""
    settings.PUBLIC_URL = live_server.url
    make_user("anna")
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    expect.set_options(timeout=30_000)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    page.goto(f"{live_server.url}/admin/")
    page.fill("#id_username", "anna")
    page.fill("#id_password", "anna")
    page.click("[type=submit]")
    yield page
    context.close()
    assert said == [], "no page may break its content policy or miss a file"
