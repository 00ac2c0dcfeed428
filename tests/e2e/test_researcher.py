"""A lab member who has never seen the code, from an idea to a report, in a real browser."""

from __future__ import annotations

import io
import os
import re
import zipfile
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core.management import call_command
from playwright.sync_api import Page, expect

from jobs.models import Job
from jobs.runner import job_run
from survey.models import Exclusion, RaterSession, Study, Vote
from tests.factories import make_png, make_visit
from tests.survey.reports.test_report import prefer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

READ = {
    "contact": "lab@example.org",
    "consent_text": "I take part of my own free will.",
    "instructions": "Say which image looks more real.",
    "question": "Which image looks more like {class_name}?",
}
PLAN = {"votes_per_pair": "4", "trials_per_session": "6"}
MORE_OF_PLAN = {"pixel_multiple": "8", "minimum_exposure_ms": "0"}


def archive() -> bytes:
    """Return a zip of two arms, twelve pairs of two classes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for place, arm in enumerate(("vanilla", "robust")):
            for number in range(12):
                label = ("cat", "dog")[number % 2]
                file.writestr(f"{arm}/{label}/{number:02d}.png", make_png(100 * place + number))
    return buffer.getvalue()


def run_jobs() -> None:
    for job in Job.objects.filter(state="queued"):
        done = job_run(job.pk)
        assert done.state == "succeeded", done.error


def picture(page: Page, name: str) -> None:
    """Keep a screenshot where somebody asked for them."""
    if folder := os.environ.get("BLINDPAIR_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"researcher-{name}.png", full_page=True)


def usable(page: Page) -> None:
    """Fail on what axe finds on a page of ours; Django's own frame around it is not looked at."""
    results = Axe().run(page, context="#content")
    assert results.violations_count == 0, results.generate_report()


def fill(page: Page, fields: dict[str, str]) -> None:
    for name, value in fields.items():
        page.fill(f"#id_{name}", value)


def send(page: Page, caption: str) -> None:
    """Press a button that sends a form, and wait for the page that answers: axe waits for nothing."""
    with page.expect_navigation():
        page.get_by_role("button", name=caption, exact=True).click()


def step(page: Page, caption: str, reason: str = "") -> None:
    page.get_by_role("link", name="Overview", exact=True).click()
    page.get_by_role("link", name=caption, exact=True).click()
    if reason:
        page.fill("#reason", reason)
    page.get_by_role("button", name=caption, exact=True).click()


def test_a_new_researcher_takes_a_study_from_idea_to_report(researcher: Page, live_server, tmp_path: Path) -> None:
    page = researcher
    # The idea: a draft, and what is still to do.
    expect(page.get_by_text("You have no study yet")).to_be_visible()
    usable(page)
    with page.expect_navigation():
        page.get_by_role("link", name="New study", exact=True).click()
    usable(page)
    picture(page, "1-compare")
    page.fill("#id_title", "Cats and dogs")
    page.set_input_files("#id_zip", {"name": "images.zip", "mimeType": "application/zip", "buffer": archive()})
    send(page, "Save and go on")
    expect(page.get_by_text("12 pairs of robust, vanilla")).to_be_visible()
    # What raters read: texts, and a question after the last pair, in rows.
    fill(page, READ)
    page.get_by_role("button", name="Add a question").click()
    expect(page.locator("[name=exit_questions-0-caption]")).to_be_focused()
    page.keyboard.type("How old are you?")
    page.select_option("[name=exit_questions-0-kind]", "number")
    expect(page.locator("[name=exit_questions-0-options]")).to_be_hidden()
    page.fill("[name=exit_questions-0-name]", "my age")
    send(page, "Save and go on")
    expect(page.get_by_text("it needs a name of at most 60 letters")).to_be_visible()
    usable(page)
    picture(page, "2-read")
    page.fill("[name=exit_questions-0-name]", "age")
    page.get_by_role("button", name="Add a question").click()
    page.get_by_label("Remove this question").last.check()
    send(page, "Save and go on")
    # The plan: votes, rules with their limits.
    fill(page, PLAN)
    page.get_by_text("More, with defaults").click()
    fill(page, MORE_OF_PLAN)
    page.check("[name=exclusion_rules-too_fast]")
    usable(page)
    picture(page, "3-plan")
    send(page, "Save and go on")
    usable(page)
    picture(page, "4-people")
    send(page, "Save and preview")
    # As a rater sees it, at both widths.
    for frame in page.locator("iframe").all():
        expect(frame.content_frame.get_by_role("button", name="Left", exact=True)).to_be_visible()
    picture(page, "5-preview")
    study = Study.objects.get(slug="cats-and-dogs")
    assert study.exit_questions == [{"name": "age", "caption": "How old are you?", "kind": "number"}]
    assert study.exclusion_rules == [{"rule": "too_fast"}]
    page.get_by_role("link", name="Images", exact=True).click()
    expect(page.locator(".bp-pair")).to_have_count(12)
    expect(page.locator(".bp-pair img").first).to_have_js_property("complete", True)
    picture(page, "6-images")
    # How much is enough?
    page.get_by_role("link", name="Planning", exact=True).click()
    expect(page.get_by_text("the most that 12 pairs can give")).to_be_visible()
    picture(page, "7-planning")
    # Frozen, rehearsed, piloted, opened.
    page.get_by_role("link", name="Overview", exact=True).click()
    page.get_by_role("link", name="Freeze the design").click()
    expect(page.get_by_text("the design can be frozen")).to_be_visible()
    picture(page, "8-freeze")
    page.get_by_role("button", name="Freeze the design").click()
    version = study.versions.get()
    expect(page.get_by_text(version.config_sha256).first).to_be_visible()
    call_command("simulate_raters", study=study.slug, raters=3, base_url=live_server.url, concurrency=2, verbosity=0)
    step(page, "Open for a pilot")
    make_visit(version, prefer("robust"))
    assert RaterSession.objects.filter(is_pilot=True).count() == 1
    step(page, "End the pilot")
    step(page, "Open recruitment")
    expect(page.get_by_text("is hidden until the study is closed")).to_be_visible()
    for _ in range(4):
        make_visit(version, prefer("robust"))
    hasty = make_visit(version, lambda trial: "left")
    Vote.objects.filter(trial__session=hasty).update(response_ms=50)
    page.reload()
    expect(page.get_by_role("row", name=re.compile("^main"))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("^pilot"))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("^simulated"))).to_be_visible()
    assert page.locator("svg.bp-plot").count() == 3
    picture(page, "9-running")
    usable(page)
    page.get_by_role("link", name="Reports", exact=True).click()
    expect(page.get_by_role("button", name="Report of the main study")).to_be_disabled()
    # Closed; the planned exclusion, the report.
    step(page, "Close for good", "all votes are in")
    page.get_by_role("link", name="Exclusions", exact=True).click()
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("Preview: 1 found")).to_be_visible()
    page.get_by_role("button", name="Apply: write them to the ledger").click()
    assert Exclusion.objects.get().session_id == hasty.pk
    page.get_by_role("link", name="Reports", exact=True).click()
    page.get_by_role("button", name="Report of the main study").click()
    expect(page.get_by_text("waiting for a worker")).to_be_visible()
    run_jobs()
    page.reload()
    picture(page, "10-report")
    usable(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download everything (zip)").click()
    target = tmp_path / "bundle.zip"
    download.value.save_as(target)
    with zipfile.ZipFile(target) as bundle:
        names = set(bundle.namelist())
        assert {"report.html", "votes.csv", "version-1.json", "manifest.jsonl", "data_dictionary.csv"} <= names
        votes = bundle.read("votes.csv").decode()
    assert str(hasty.pk) in votes
    page.get_by_role("link", name="Log", exact=True).click()
    expect(page.get_by_text("The hash chain is intact")).to_be_visible()
    picture(page, "11-log")
