from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser import ARGUMENTS, REMEDY, chromium_path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/e2e/" in str(item.path):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(autouse=True)
def _last_requests_answered(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let what a closing page still sends be answered before the database is emptied under it."""
    is_served = "live_server" in request.fixturenames
    if is_served:
        request.getfixturevalue("transactional_db")
    yield
    if is_served:
        time.sleep(0.5)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium. Where none is found the tests are skipped, except in CI, where that is a failure."""
    path = chromium_path()
    if path is None:
        if os.environ.get("BLINDPAIR_REQUIRE_BROWSER"):
            pytest.fail(f"no Chromium found; {REMEDY}")
        pytest.skip(f"no Chromium found; {REMEDY}")
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
