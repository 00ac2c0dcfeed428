"""The report in a browser: nothing refused by its content policy, nothing fetched, nothing cut off on a phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from analysis.report import build_report, write_report
from analysis.votes.reading import votes_from_rows
from tests.analysis.vote_rows import study_rows


@pytest.fixture(scope="module")
def page_address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser") / "out"
    table = votes_from_rows(study_rows(arms=("robust", "vanilla", "<b>third</b> & a name of some length"))).table
    write_report(build_report(table), table, folder, formats=["html"])
    return (folder / "report.html").as_uri()


@pytest.mark.parametrize("width", [360, 1200])
def test_page_fits_its_window_and_asks_for_nothing(browser, page_address, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page_address)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("svg").count() > 8
    assert page.evaluate("[...document.querySelectorAll('svg')].every(s => s.getBoundingClientRect().height > 40)")
    page.close()
    assert said == []
    assert asked == [page_address]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_has_no_accessibility_violation(browser, page_address, scheme):
    # The page forbids scripts, axe's own included, unless the test steps around its policy.
    context = browser.new_context(bypass_csp=True, color_scheme=scheme)
    page = context.new_page()
    page.goto(page_address)
    results = Axe().run(page)
    context.close()
    assert results.violations_count == 0, results.generate_report()
