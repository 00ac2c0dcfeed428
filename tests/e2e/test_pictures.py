"""What engineers and statisticians see, as their guides show it; and that the pictures of all guides are of today."""

from __future__ import annotations

import json
import os
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from playwright.sync_api import Page, expect

from analysis.__main__ import main
from tests.pages import PICTURES, RECORD, digest_of_pages, picture, pictures_shown
from training.models import TrainingRun

# Long enough for a picture of something learned; otherwise for a curve.
ITERATIONS = 120 if os.environ.get("BLINDPAIR_SCREENSHOTS") else 4
HEAVIEST_BYTES = 120_000


@pytest.mark.slow
def test_an_engineer_watches_a_run(researcher: Page, live_server, settings, tmp_path: Path) -> None:
    settings.DATA_DIR, settings.TORCH_DEVICE = tmp_path / "var", "cpu"
    get_user_model().objects.filter(username="anna").update(is_superuser=True)
    changes = [f"optimizer.iterations={ITERATIONS}", f"run.log_every={max(1, ITERATIONS // 20)}"]
    call_command("train_classifier", config="digits_vanilla", set=changes, stdout=StringIO(), stderr=StringIO())
    run = TrainingRun.objects.get(name="digits_vanilla")
    page = researcher
    page.goto(f"{live_server.url}/admin/training/trainingrun/{run.pk}/change/")
    page.locator("#toggle-nav-sidebar").click()
    expect(page.locator("svg polyline").first).to_be_visible()
    picture(page, "engineer-run")


def test_a_statistician_reads_the_report_of_a_file(page: Page, tmp_path: Path, capsys) -> None:
    votes, out = str(tmp_path / "votes.csv"), str(tmp_path / "report")
    arms = ["--strength", "ours=0.7", "--strength", "flux=0.4", "--strength", "sdxl=0.1", "--strength", "base=-0.3"]
    assert main(["simulate", "--out", votes, "--raters", "40", "--pairs", "60", *arms, "--seed", "1"]) == 0
    assert main([votes, "--out", out]) == 0
    page.goto(f"file://{out}/report.html")
    expect(page.get_by_text("ours").first).to_be_visible()
    picture(page, "statistician-arms")


def test_the_pictures_of_the_guides_are_of_todays_pages() -> None:
    record = json.loads(RECORD.read_text())
    assert record["pages"] == digest_of_pages(), "pages have changed: take the pictures anew with make screenshots"
    assert pictures_shown() == set(record["pictures"]) == {path.name for path in PICTURES.glob("*.png")}
    assert len(record["pictures"]) >= 10
    for name in record["pictures"]:
        assert 10_000 < (PICTURES / name).stat().st_size < HEAVIEST_BYTES, name
