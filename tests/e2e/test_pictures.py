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
from jobs.models import Job
from jobs.runner import job_run
from jobs.services import job_enqueue
from survey.selectors.jobs import study_subject
from survey.services.results.report_build import report_request
from survey.services.study.study import arm_add, study_create, study_transition
from tests.factories import make_running
from tests.pages import PICTURES, RECORD, digest_of_pages, picture, pictures_shown
from training.models import Checkpoint, TrainingRun

# Long enough for a picture of something learned; otherwise for a curve.
IS_KEPT = bool(os.environ.get("BLINDPAIR_SCREENSHOTS"))
ITERATIONS = 120 if IS_KEPT else 4
#: (command, preset, iterations): enough for digits that one can read, or for files of the right kind.
DIGITS = [
    ("train_denoiser", "digits_denoiser", 350 if IS_KEPT else 2),
    ("train_classifier", "digits_vanilla", ITERATIONS),
]
SPACING = "50" if IS_KEPT else "4"
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
    expect(page.locator("svg polyline").first).to_be_visible()
    picture(page, "engineer-run")


@pytest.mark.slow
def test_an_engineer_orders_pairs_and_measures_them(researcher: Page, live_server, settings, tmp_path: Path) -> None:
    settings.DATA_DIR, settings.TORCH_DEVICE = tmp_path / "var", "cpu"
    anna = get_user_model().objects.get(username="anna")
    files = {}
    for command, preset, iterations in DIGITS:
        changes = [f"optimizer.iterations={iterations}"]
        call_command(command, config=preset, set=changes, stdout=StringIO(), stderr=StringIO())
        files[preset] = {"path": Checkpoint.objects.get(run__name=preset, role="last").path}
    study = study_create(owner=anna, slug="digits", title="Guidance of digits", consent_text="I agree.", seed=7)
    for name, scale in (("strong", 25.0), ("weak", 2.0)):
        guidance = {"classifier": files["digits_vanilla"], "classifier_scale": scale, "spacing": SPACING}
        arm_add(study=study, name=name, recipe={"denoiser": files["digits_denoiser"], **guidance}, actor=anna)
    page = researcher
    page.goto(f"{live_server.url}/admin/generation/generationrun/add/?study={study.pk}")
    page.fill("#id_pairs", "20")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".bp-pill.bp-planning")).to_be_visible()
    assert job_run(Job.objects.get(kind="generation.plan").pk).state == "succeeded"
    for job in Job.objects.filter(kind="generation.make_shard"):
        assert job_run(job.pk).state == "succeeded"
    page.reload()
    expect(page.locator(".field-newest img").first).to_be_visible()
    picture(page, "engineer-order")
    options = {"features": "classifier", "weights": files["digits_vanilla"]["path"], "minimum": 10}
    call_command("evaluate_images", study="digits", reference="digits", stdout=StringIO(), stderr=StringIO(), **options)
    page.goto(f"{live_server.url}/admin/survey/imagemetric/?of_study={study.pk}")
    expect(page.get_by_text("KID", exact=True).first).to_be_visible()
    picture(page, "engineer-metrics")


@pytest.mark.slow
def test_an_operator_watches_the_jobs(researcher: Page, live_server) -> None:
    anna = get_user_model().objects.get(username="anna")
    get_user_model().objects.filter(pk=anna.pk).update(is_superuser=True)
    study = make_running(slug="photographs", owner=anna).study
    study_transition(study=study, name="close", actor=anna, reason="enough")
    report_request(study=study, actor=anna)
    assert job_run(Job.objects.get().pk).state == "succeeded"
    missing = {"study": study.slug, "samples": {}, "reference": "photographs/", "features": "dinov2"}
    work = {"kind": "generation.evaluate_images", "parameters": missing, "subject": study_subject(study)}
    failed = job_enqueue(**work, max_attempts=1)
    assert job_run(failed.pk).state == "failed"
    report_request(study=study, actor=anna)
    page = researcher
    page.goto(f"{live_server.url}/admin/jobs/job/")
    expect(page.get_by_text("queued", exact=True).first).to_be_visible()
    picture(page, "operator-jobs")


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
    assert len(record["pictures"]) >= 13
    for name in record["pictures"]:
        assert 10_000 < (PICTURES / name).stat().st_size < HEAVIEST_BYTES, name
