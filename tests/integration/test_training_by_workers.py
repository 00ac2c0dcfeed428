"""A training run on real worker processes, one of which dies in the middle of a slice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from django.core.management import call_command

from diffusion.checkpoints import load_network
from jobs.models import Job
from jobs.services import jobs_reap
from tests.training.conftest import images, preset  # noqa: F401  fixtures
from tests.workers import ROOT, celery_worker, kill, process_environment, wait_until
from training.learning.state import RunFolder
from training.models import TrainingRun

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
ITERATIONS = 240
CHANGES = {"optimizer.iterations": ITERATIONS, "run.save_every": 20, "attack.steps": 1}


def training_undisturbed(preset: str, folder: Path) -> subprocess.Popen:  # noqa: F811
    """Start the same training in a process of its own, without workers or slices."""
    command = [sys.executable, "-m", "training", "--config", preset, "--out", str(folder)]
    command += [option for name, value in CHANGES.items() for option in ("--set", f"{name}={value}")]
    return subprocess.Popen(command, cwd=ROOT, env=process_environment(), stdout=subprocess.DEVNULL)


def is_frozen_in_mid_slice(worker: subprocess.Popen, folder: RunFolder) -> bool:
    """Stop the worker where it is; let it go on unless it has trained beyond what is saved."""
    os.killpg(worker.pid, signal.SIGSTOP)
    rows = folder.read_log()
    is_beyond = folder.has_state and bool(rows) and rows[-1]["iteration"] > saved_iteration(folder)
    if is_beyond and Job.objects.filter(state=Job.State.RUNNING).exists():
        return True
    os.killpg(worker.pid, signal.SIGCONT)
    return False


def saved_iteration(folder: RunFolder) -> int:
    return folder.read_state(torch.device("cpu"))["iteration"]


def test_run_of_a_killed_worker_ends_as_an_undisturbed_one(
    preset: str,  # noqa: F811
    broker_url: str,
    settings,
    tmp_path: Path,
) -> None:
    settings.DATA_DIR = tmp_path / "var"
    environment = {
        "BLINDPAIR_DATA_DIR": str(settings.DATA_DIR),
        "BLINDPAIR_DEVICE": "cpu",
        "BLINDPAIR_TRAINING_SLICE_SECONDS": "2",
    }
    undisturbed = training_undisturbed(preset, tmp_path / "undisturbed")
    try:
        changes = [option for name, value in CHANGES.items() for option in ("--set", f"{name}={value}")]
        call_command("train_classifier", "--config", preset, "--queue", *changes, verbosity=0)
        run = TrainingRun.objects.get()
        folder = RunFolder(run.folder)
        with celery_worker(broker_url, tmp_path / "first.log", environment=environment) as worker:
            wait_until(
                lambda: is_frozen_in_mid_slice(worker, folder), "the first worker is within a slice", seconds=180
            )
            kill(worker)
        saved, rows = saved_iteration(folder), folder.read_log()
        with celery_worker(broker_url, tmp_path / "second.log", environment=environment):
            is_over = lambda: jobs_reap() >= 0 and Job.objects.get(pk=run.job_id).is_over  # noqa: E731
            wait_until(is_over, "the second worker has finished", seconds=400)
        assert undisturbed.wait(timeout=400) == 0
    finally:
        undisturbed.kill()

    run.refresh_from_db()
    assert (run.state, run.iteration) == (TrainingRun.State.FINISHED, ITERATIONS), run.job.error
    # What was saved was not trained again: those rows still carry the first worker's timings, and each comes once.
    log = folder.read_log()
    assert log[:saved] == rows[:saved]
    assert [row["iteration"] for row in log if "loss" in row] == list(range(1, ITERATIONS + 1))
    ours, theirs = (
        load_network(path / "last.safetensors").network.state_dict()
        for path in (folder.folder, tmp_path / "undisturbed")
    )
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
