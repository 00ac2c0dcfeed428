from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from diffusion.checkpoints import load_network
from jobs.lease import job_claim
from jobs.models import Job
from jobs.runner import job_run
from training.learning.config import read_config
from training.learning.loop import train
from training.learning.state import RunFolder
from training.models import TrainingRun
from training.services import run_cancel, run_create, run_enqueue
from training.tasks import train_slice

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path / "var"
    settings.TORCH_DEVICE = "cpu"


@pytest.fixture
def run(preset) -> TrainingRun:
    run = run_create(name="tiny", preset=preset)
    run_enqueue(run)
    return run


def test_job_trains_in_slices_to_the_same_bits_as_one_run(run, preset, settings, tmp_path):
    settings.TRAINING_SLICE_SECONDS = 0
    states = []
    while (job := job_run(run.job.pk)).state == "queued":
        states.append((TrainingRun.objects.get().state, job.attempt))

    run.refresh_from_db()
    assert states == [("paused", 0)] * 5
    assert (job.state, run.state, run.iteration) == ("succeeded", "finished", 6)
    whole = train(read_config(preset), out_dir=tmp_path / "whole")
    ours = load_network(run.folder / "last.safetensors").network.state_dict()
    theirs = load_network(whole.checkpoint).network.state_dict()
    assert all((tensor == theirs[name]).all() for name, tensor in ours.items())
    assert job.result["metrics"] == whole.metrics
    assert run.checkpoints.count() == 2


def test_cancelled_run_keeps_what_it_learned_and_continues(run, monkeypatch):
    lease = job_claim(run.job.pk)
    seen = []

    def cancel_after_two(self, done, total, note="", *, force=False):
        seen.append(done)
        if done == 2:
            run_cancel(run)
            self._is_cancelled = True
        self.check()

    monkeypatch.setattr(type(lease), "progress", cancel_after_two)
    with pytest.raises(Exception, match="cancelled on request"):
        train_slice(lease, run="tiny")
    lease.finish(Job.State.CANCELLED)
    run.refresh_from_db()
    assert (run.state, run.iteration) == ("cancelled", 3)
    assert RunFolder(run.folder).has_state

    monkeypatch.undo()
    run_enqueue(run)
    assert job_run(run.job.pk).state == "succeeded"
    run.refresh_from_db()
    assert (run.state, run.iteration) == ("finished", 6)


def test_worker_that_lost_its_lease_writes_nothing_more(run, monkeypatch):
    lease = job_claim(run.job.pk)

    def lose_after_three(self, done, total, note="", *, force=False):
        if done == 3:
            Job.objects.filter(pk=run.job.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
            assert job_claim(run.job.pk) is not None
            self._is_lost = True

    monkeypatch.setattr(type(lease), "progress", lose_after_three)
    with pytest.raises(Exception, match="went to another worker"):
        train_slice(lease, run="tiny")

    run.refresh_from_db()
    assert run.iteration == 3
    assert run.state == "running"
    assert not run.checkpoints.exists()
    assert RunFolder(run.folder).read_log()[-1]["iteration"] == 3


def test_bad_data_fails_for_good_and_says_why(preset):
    run = run_create(name="broken", preset=preset, changes={"data.path": "/nowhere.npz"})
    job = job_run(run_enqueue(run).pk)

    run.refresh_from_db()
    assert job.state == run.state == "failed"
    assert "no file at /nowhere.npz" in run.error


def test_device_that_does_not_exist_fails_the_run_at_once_and_says_what_to_give(run, settings):
    settings.TORCH_DEVICE = "gpu"
    job = job_run(run.job.pk)

    run.refresh_from_db()
    assert (job.state, job.attempt, run.state) == ("failed", 1, "failed")
    assert run.error == "BLINDPAIR_DEVICE is 'gpu'; give auto, cpu, cuda, or cuda:N for one of several GPUs"


def test_fault_that_nobody_foresaw_is_recorded_on_the_run_too(run, monkeypatch):
    def break_down(*args, **kwargs):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr("training.worker.train", break_down)
    job_run(run.job.pk)

    run.refresh_from_db()
    assert (run.state, run.error) == ("failed", "RuntimeError: CUDA error: an illegal memory access was encountered")


def test_settings_that_cannot_be_read_any_more_are_recorded_on_the_run(run, preset):
    TrainingRun.objects.update(settings={})  # as runs of 0.1, which know their file by name alone
    Path(preset).unlink()
    assert job_run(run.job.pk).state == "failed"

    run.refresh_from_db()
    assert run.state == "failed"
    assert "tiny" in run.error


def test_same_run_is_one_job(run):
    assert run_enqueue(run).pk == run.job.pk
    assert Job.objects.count() == 1


@pytest.mark.slow
def test_two_processes_train_one_run_under_torchrun(preset):
    run = run_create(name="both", preset=preset, changes={"attack": None}, processes=2)
    job = job_run(run_enqueue(run).pk)

    run.refresh_from_db()
    assert (job.state, run.state, run.iteration) == ("succeeded", "finished", 6), job.error
    assert [row["iteration"] for row in run.curve] == [1, 2, 3, 4, 5, 6]
