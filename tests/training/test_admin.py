from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse
from django.utils import timezone

from diffusion.files import folder_locked
from jobs.models import Job
from jobs.runner import job_run
from training.models import TrainingRun
from training.services import MAXIMUM_CURVE_ROWS, checkpoint_record, run_create, run_enqueue, run_progress

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client):
    client.force_login(get_user_model().objects.create_superuser("lead", password="lead"))
    return client


def order(**fields):
    return {"name": "a-run", "preset": "digits_robust", "data": "", "other_settings": "", "processes": 1} | fields


def test_run_is_ordered_and_queued(admin, django_capture_on_commit_callbacks):
    answer = admin.post(
        reverse("admin:training_trainingrun_add"), order(other_settings="attack.epsilon=0.25\noptimizer.iterations=9")
    )

    assert answer.status_code == 302, answer.content
    run = TrainingRun.objects.get()
    assert run.changes == {"attack.epsilon": 0.25, "optimizer.iterations": 9}
    assert run.created_by.username == "lead"
    assert run.job.queue == "gpu"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"other_settings": "epsilon"}, "write section.name=value"),
        ({"preset": "none"}, "not one of the available choices"),
        ({"name": "two words"}, "valid"),
        ({"other_settings": "data.flip=False"}, "data.flip is the text &#x27;False&#x27;; write false"),
        ({"other_settings": "attack.random_start=no"}, "attack.random_start is the text &#x27;no&#x27;; write false"),
        ({"other_settings": "optimizer.batch_size=64.5"}, "optimizer.batch_size is 64.5; it must be a whole number"),
        ({"other_settings": "optimizer.learning_rate=inf"}, "optimizer.learning_rate is inf; it must be a finite"),
        ({"other_settings": "optimizer.iterations=true"}, "optimizer.iterations is True; it must be a whole number"),
        ({"other_settings": "optimizer.iterations=1e3"}, "optimizer.iterations is 1000.0; write the whole number 1000"),
        ({"other_settings": "optimizer.learnin_rate=1"}, "did you mean &#x27;learning_rate&#x27;"),
        ({"other_settings": "network.model_channels=20"}, "model_channels is 20"),
        ({"other_settings": "schedule.timesteps=20"}, "schedule.timesteps is 20; it must be at least 2"),
        ({"other_settings": "data.kind=video"}, "data.kind is &#x27;video&#x27;; it must be one of"),
        ({"other_settings": "attack.norm=l3"}, "attack.norm is &#x27;l3&#x27;; it must be one of l2, linf"),
    ],
)
def test_bad_order_is_shown_with_the_form(admin, fields, message):
    answer = admin.post(reverse("admin:training_trainingrun_add"), order(**fields))

    assert answer.status_code == 200
    assert message in answer.content.decode()
    assert not TrainingRun.objects.exists()


def test_run_page_draws_its_curves(admin):
    run = run_create(name="a-run", preset="digits_robust")
    for iteration in (10, 20, 30):
        row = {"iteration": iteration, "loss": 2.0 - iteration / 50, "accuracy": 0.1, "clean_accuracy": 0.2}
        run_progress(run, row=row, note=f"{iteration}/100")

    page = admin.get(reverse("admin:training_trainingrun_change", args=[run.pk])).content.decode()

    assert page.count("<polyline") == 3
    assert "30/100" in page
    assert "style=" not in "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))


def test_checkpoints_are_shown_by_run_role_and_digest_and_never_by_where_they_lie(admin):
    run = run_create(name="a-run", preset="digits_robust")
    card = {"sha256": "ab" * 32, "kind": "classifier", "metrics": {"clean_accuracy": 0.97}}
    checkpoint = checkpoint_record(run, role="best", path="/srv/secret/training/a-run/best.safetensors", card=card)
    pages = {
        name: admin.get(reverse(f"admin:training_{name}", args=args)).content.decode()
        for name, args in (
            ("trainingrun_change", [run.pk]),
            ("checkpoint_changelist", []),
            ("checkpoint_change", [checkpoint.pk]),
        )
    }
    for name, page in pages.items():
        assert "/srv/secret" not in page, name
        assert "abababababab" in page, name
        assert "best" in page, name
    assert "a-run (best)" in pages["checkpoint_changelist"]
    assert "clean accuracy: 0.97" in pages["checkpoint_change"]


def test_cancel_and_continue_from_the_list(admin):
    run = run_create(name="a-run", preset="digits_robust")
    address = reverse("admin:training_trainingrun_changelist")

    def act(action):
        admin.post(address, {"action": action, "_selected_action": [run.pk]})
        run.refresh_from_db()
        return run.state, Job.objects.get().state

    admin.post(address, {"action": "continue_training", "_selected_action": [run.pk]})
    assert act("cancel") == ("cancelled", "cancelled")
    assert act("continue_training") == ("waiting", "queued")


def test_a_run_is_watched_cancelled_and_continued_on_its_own_page(admin):
    run = run_create(name="a-run", preset="digits_robust")
    run_enqueue(run)
    address = reverse("admin:training_trainingrun_change", args=[run.pk])

    def press(action):
        assert f'name="action" value="{action}"' in admin.get(address).content.decode()
        answer = admin.post(
            reverse("admin:training_trainingrun_changelist"),
            {"action": action, "_selected_action": [run.pk], "one": "1"},
        )
        assert (answer.status_code, answer.url) == (302, address)
        run.refresh_from_db()
        return run.state

    assert admin.get(address)["Refresh"] == "10"
    assert press("cancel") == "cancelled"
    assert "Refresh" not in admin.get(address)
    assert press("continue_training") == "waiting"


def test_a_run_whose_workers_died_is_shown_as_failed_with_what_to_do(admin):
    run = run_create(name="a-run", preset="digits_robust")
    job = run_enqueue(run)
    TrainingRun.objects.update(state="running")
    Job.objects.update(state="running", attempt=job.max_attempts, lease_expires_at=timezone.now() - timedelta(hours=1))
    assert job_run(job.pk) is None
    address = reverse("admin:training_trainingrun_change", args=[run.pk])
    page = admin.get(address)
    assert "Refresh" not in page
    text = page.content.decode()
    assert "The worker died on every attempt" in text
    assert "goes on from its last saved state" in text
    assert 'value="continue_training"' in text
    assert "failed" in admin.get(reverse("admin:training_trainingrun_changelist")).content.decode()


def test_a_dead_run_never_reads_running(admin):
    run = run_create(name="a-run", preset="digits_robust")
    job = run_enqueue(run)
    TrainingRun.objects.update(state="running")
    address = reverse("admin:training_trainingrun_change", args=[run.pk])

    def shown(**changes):
        Job.objects.filter(pk=job.pk).update(**changes)
        found = TrainingRun.objects.get()
        assert found.current_state in admin.get(address).content.decode()
        return found.current_state

    hour = timedelta(hours=1)
    assert shown(state="running", lease_expires_at=timezone.now() + hour) == "running"
    # Its worker was killed, and no other has come yet.
    assert shown(lease_expires_at=timezone.now() - hour) == "waiting"
    # The order was cancelled, the command went on with it and was killed.
    assert shown(state="cancelled", lease_expires_at=None) == "paused"
    with folder_locked(run.folder):
        assert shown() == "running"
        assert shown(state="failed") == "running"
    assert shown() == "failed"


def test_stranger_sees_nothing(client):
    client.force_login(get_user_model().objects.create_user("rater", is_staff=True))
    assert client.get(reverse("admin:training_trainingrun_changelist")).status_code == 403


def test_curve_is_thinned_but_keeps_its_ends():
    run = run_create(name="a-run", preset="digits_robust")
    run.curve = [{"iteration": i, "loss": 1.0} for i in range(1, MAXIMUM_CURVE_ROWS + 1)]
    run_progress(run, row={"iteration": MAXIMUM_CURVE_ROWS + 1, "loss": 0.5}, note="")

    assert len(run.curve) <= MAXIMUM_CURVE_ROWS // 2 + 1
    assert (run.curve[0]["iteration"], run.curve[-1]["iteration"]) == (1, MAXIMUM_CURVE_ROWS + 1)


def test_held_out_rows_join_their_iteration_and_outlast_the_others():
    run = run_create(name="a-run", preset="digits_robust")
    run_progress(run, row={"iteration": 5, "loss": 1.0}, note="")
    run_progress(run, row={"iteration": 5, "validation_loss": 2.0}, note="")
    assert run.curve == [{"iteration": 5, "loss": 1.0, "validation_loss": 2.0}]

    run.curve += [{"iteration": i, "loss": 1.0} for i in range(6, MAXIMUM_CURVE_ROWS + 5)]
    run_progress(run, row={"iteration": MAXIMUM_CURVE_ROWS + 5, "validation_loss": 1.0}, note="")
    assert [row["iteration"] for row in run.curve if "validation_loss" in row] == [5, MAXIMUM_CURVE_ROWS + 5]
    assert len(run.curve) < MAXIMUM_CURVE_ROWS


def test_run_page_shows_pictures_and_gives_out_nothing_else_of_the_folder(admin, settings, tmp_path):
    settings.DATA_DIR = tmp_path
    run = run_create(name="a-run", preset="digits_robust")
    run_progress(run, row={"iteration": 5, "loss": 1.0}, note="")
    page = admin.get(reverse("admin:training_trainingrun_change", args=[run.pk])).content.decode()
    assert "none on this machine yet" in page

    (run.folder / "samples").mkdir(parents=True)
    for name in ("examples.png", "samples/00000005.png", "log.csv", "state.pt"):
        (run.folder / name).write_bytes(b"content")
    page = admin.get(reverse("admin:training_trainingrun_change", args=[run.pk])).content.decode()
    assert "after 5 iterations" in page
    for name in ("examples.png", "samples/00000005.png", "log.csv"):
        address = reverse("admin:training_run_file", args=[run.pk, name])
        assert address in page
        assert b"".join(admin.get(address).streaming_content) == b"content"
    for name in ("state.pt", "../a-run/state.pt", "samples/00000006.png"):
        assert admin.get(f"/admin/training/trainingrun/{run.pk}/files/{name}").status_code == 404


def test_a_runs_files_need_the_permission_to_see_it(client):
    run = run_create(name="a-run", preset="digits_robust")
    client.force_login(get_user_model().objects.create_user("rater", is_staff=True))
    assert client.get(reverse("admin:training_run_file", args=[run.pk, "log.csv"])).status_code == 403


def test_curves_without_rows_say_so(admin):
    run = run_create(name="a-run", preset="digits_robust")
    assert "No row yet" in admin.get(reverse("admin:training_trainingrun_change", args=[run.pk])).content.decode()
