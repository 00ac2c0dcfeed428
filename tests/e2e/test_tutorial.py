"""docs/tutorial.md as somebody follows it: its images, clicks, report. ``make screenshots`` keeps what is seen.

On the way it looks at the pages whose pictures are in the guides of researchers and raters.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from jobs.models import Job
from jobs.runner import job_run
from survey.models import RaterSession, Study, StudyVersion, Trial, Vote
from tests.e2e.rater import PHONE, Rater
from tests.factories import make_visit
from tests.pages import picture
from tests.survey.reports.test_report import prefer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
ROOT = Path(__file__).parents[2]
READ = {
    "contact": "lab@example.org",
    "question": "Which photograph of a {class_name} looks better?",
    "instructions": "Look at both photographs, then choose the better one.",
    "consent_text": "I take part of my own free will. My answers are stored without my name.",
}


def two_folders(folder: Path) -> bytes:
    """Run the lines of the page; return the zip of what they made."""
    lines = re.search(r"```python\n(.*?)```", (ROOT / "docs/tutorial.md").read_text(encoding="utf-8"), re.S)[1]
    subprocess.run([sys.executable, "-c", lines], cwd=folder, check=True)
    subprocess.run([sys.executable, "-m", "zipfile", "-c", "images.zip", "images/"], cwd=folder, check=True)
    return (folder / "images.zip").read_bytes()


def mostly(arm: str, rng: random.Random) -> Callable[[Trial], str]:
    """Choose an arm's image in four of five main trials, and never a spoilt one."""
    choose, other = prefer(arm), {"left": "right", "right": "left", "tie": "tie"}

    def answer(trial: Trial) -> str:
        if trial.degraded_side:
            return other[trial.degraded_side]
        return choose(trial) if trial.check_kind or rng.random() < 0.8 else other[choose(trial)]

    return answer


def voted(session: RaterSession, rng: random.Random) -> None:
    """Give a visit's votes the times of somebody who looks."""
    for vote in Vote.objects.filter(trial__session=session):
        vote.response_ms = vote.exposure_ms = round(1000 * rng.lognormvariate(0.6, 0.4), 1)
        vote.save(update_fields=["response_ms", "exposure_ms"])


def on_a_phone(browser: Browser, address: str, version: StudyVersion) -> None:
    """Take part on a phone, where the images stand one above the other."""
    rater = Rater(browser, address, version, **PHONE)
    rater.land()
    picture(rater.page, "rater-welcome")
    rater.start()
    rater.skip_practice("ArrowUp")
    rater.pass_cards()
    picture(rater.page, "rater-phone")
    rater.finish_trials("ArrowUp")
    rater.close()


def test_the_tutorial_leads_from_two_folders_to_a_report(
    researcher: Page, browser: Browser, live_server, tmp_path
) -> None:
    page = researcher
    archive = two_folders(tmp_path)
    go_on = page.get_by_role("button", name="Save and go on")
    # Three steps and the fourth.
    page.get_by_role("link", name="New study", exact=True).click()
    page.fill("#id_title", "Photographs")
    page.set_input_files("#id_zip", {"name": "images.zip", "mimeType": "application/zip", "buffer": archive})
    picture(page, "tutorial-compare")
    go_on.click()
    expect(page.get_by_text("12 pairs of compressed, original")).to_be_visible()
    for name, value in READ.items():
        page.fill(f"#id_{name}", value)
    go_on.click()
    page.fill("#id_votes_per_pair", "10")
    page.fill("#id_trials_per_session", "6")
    page.fill("#id_target_raters", "20")
    page.get_by_text("More, with defaults").click()
    page.fill("#id_minimum_exposure_ms", "0")
    page.select_option("#id_narrow_screens", "stack")
    go_on.click()
    page.get_by_role("button", name="Save and preview").click()
    preview = page.locator("iframe").first
    expect(preview.content_frame.get_by_role("button", name="Left", exact=True)).to_be_visible()
    expect(preview.content_frame.locator("#left canvas")).to_be_visible()
    # As a phone shows it, whose pixels are finer than those of the screen that the preview stands on.
    phone = page.locator("iframe").nth(1).content_frame
    expect(phone.locator("#left canvas")).to_be_visible()
    picture(page, "tutorial-preview")
    page.get_by_role("link", name="Planning", exact=True).click()
    expect(page.get_by_text("the most that 12 pairs can give")).to_be_visible()
    picture(page, "researcher-planning")
    for caption in ("Freeze the design", "Open recruitment"):
        page.get_by_role("link", name="Overview", exact=True).click()
        page.get_by_role("link", name=caption).first.click()
        page.get_by_role("button", name=caption).click()
    study = Study.objects.get(slug="photographs")
    version = study.versions.get()
    # One person at a laptop, one on a phone, the others by the same services.
    rater = Rater(browser, live_server.url, version, viewport={"width": 1366, "height": 657})
    rater.start()
    rater.skip_practice()
    rater.pass_cards()
    picture(rater.page, "tutorial-trial")
    rater.finish_trials()
    rater.close()
    on_a_phone(browser, live_server.url, version)
    rng = random.Random(1)
    for number in range(18):
        voted(make_visit(version, mostly("original", rng)), rng)
        if number == 11:
            page.get_by_role("link", name="Overview", exact=True).click()
            expect(page.get_by_text("is hidden until the study is closed")).to_be_visible()
            picture(page, "researcher-study")
    page.get_by_role("link", name="Overview", exact=True).click()
    page.get_by_role("link", name="Close for good", exact=True).click()
    page.fill("#reason", "all votes are in")
    page.get_by_role("button", name="Close for good", exact=True).click()
    page.get_by_role("link", name="Reports", exact=True).click()
    page.get_by_role("button", name="Report of the main study").click()
    for job in Job.objects.filter(state="queued"):
        done = job_run(job.pk)
        assert done.state == "succeeded", done.error
    page.reload()
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Read the report").click()
    report = opened.value
    expect(report.get_by_text("original").first).to_be_visible()
    picture(report, "tutorial-report")
