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
from config.management.demo.study import demo_study
from tests.pages import PICTURES, RECORD, digest_of_pages, picture, pictures_shown
from training.models import TrainingRun

# Long enough for a picture of something learned; otherwise for a curve.
ITERATIONS = 200 if os.environ.get("BLINDPAIR_SCREENSHOTS") else 4
HEAVIEST_BYTES = 120_000


def quietly(command: str, **options: object) -> None:
    call_command(command, stdout=StringIO(), stderr=StringIO(), **options)


@pytest.fixture
def networks(settings, tmp_path: Path, transactional_db) -> None:
    """The networks of the demo, trained for a moment."""
    settings.DATA_DIR, settings.TORCH_DEVICE = tmp_path / "var", "cpu"
    for command, preset in (
        ("train_denoiser", "digits_denoiser"),
        ("train_classifier", "digits_vanilla"),
        ("train_classifier", "digits_robust"),
    ):
        changes = [f"optimizer.iterations={ITERATIONS}", f"run.log_every={max(1, ITERATIONS // 20)}"]
        quietly(command, config=preset, set=changes)


@pytest.mark.slow
def test_an_engineer_watches_a_run_and_an_order(networks, researcher: Page, live_server) -> None:
    anna = get_user_model().objects.get(username="anna")
    anna.is_superuser = True
    anna.save()
    run = TrainingRun.objects.get(name="digits_robust")
    page = researcher
    page.goto(f"{live_server.url}/admin/training/trainingrun/{run.pk}/change/")
    expect(page.locator("svg polyline").first).to_be_visible()
    picture(page, "engineer-run")
    study = demo_study(anna)
    quietly("generate_pairs", study=study.slug, pairs=20)
    page.goto(f"{live_server.url}/admin/generation/generationrun/{study.generation_runs.get().pk}/change/")
    expect(page.get_by_text("20 of 20")).to_be_visible()
    picture(page, "engineer-order")


def test_a_statistician_reads_the_report_of_a_file(page: Page, tmp_path: Path, capsys) -> None:
    votes, out = str(tmp_path / "votes.csv"), str(tmp_path / "report")
    arms = ["--strength", "ours=0.7", "--strength", "flux=0.4", "--strength", "sdxl=0.1", "--strength", "base=-0.3"]
    assert main(["simulate", "--out", votes, "--raters", "40", "--pairs", "60", *arms, "--seed", "1"]) == 0
    assert main([votes, "--out", out]) == 0
    page.goto(f"file://{out}/report.html#arms")
    expect(page.locator("svg").first).to_be_visible()
    picture(page, "statistician-arms")


def test_the_pictures_of_the_guides_are_of_todays_pages() -> None:
    record = json.loads(RECORD.read_text())
    assert record["pages"] == digest_of_pages(), "pages have changed: take the pictures anew with make screenshots"
    assert pictures_shown() == set(record["pictures"]) == {path.name for path in PICTURES.glob("*.png")}
    assert len(record["pictures"]) >= 10
    for name in record["pictures"]:
        assert 10_000 < (PICTURES / name).stat().st_size < HEAVIEST_BYTES, name
