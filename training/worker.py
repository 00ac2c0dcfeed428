"""The worker's side of a run: settings to network, one slice of training, what comes out. Torch included."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from django.conf import settings

from diffusion.checkpoints import read_card
from diffusion.device import chosen_device
from diffusion.files import FolderInUse, folder_locked, write_atomically
from jobs.exceptions import JobError, PermanentJobError
from training.learning.config import TrainingConfig, config_from_dict
from training.learning.loop import TrainingDiverged, TrainingResult, train
from training.learning.progress import Progress
from training.learning.state import RunFolder
from training.models import Checkpoint, TrainingRun
from training.services import (
    State,
    checkpoint_record,
    run_begin,
    run_errors_recorded,
    run_finish,
    run_progress,
    run_settings,
)

__all__ = ["RunInUse", "TrainingFailed", "train_run"]

Fence = Callable[[], AbstractContextManager]


class TrainingFailed(PermanentJobError):
    """Training stopped for a reason that trying again does not fix; the message says what to change."""


class RunInUse(JobError):
    """Another process trains the run; one process at a time writes into its folder."""


# A worker looks at its lease several times in this time (jobs renew at a quarter of it).
_RELEASE_SECONDS = 60.0


def train_run(
    run: TrainingRun,
    *,
    config: TrainingConfig | None = None,
    resume: bool = True,
    max_seconds: float | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    fence: Fence = nullcontext,
) -> TrainingResult:
    """Train a run until done, out of time or asked to stop, and keep its row up to date.

    Parameters
    ----------
    run : TrainingRun
    config : TrainingConfig, optional
        The run's settings, if read already.
    resume, max_seconds, should_stop, on_progress
        See `training.learning.loop.train`.
    fence : callable
        Opens the transaction of every write to the database, which fails once another worker has the run.

    Raises
    ------
    TrainingFailed
        The loss is not a number; the message names the last good checkpoint.
    RunInUse
        Another process trains the run at the moment.
    ValueError
        Settings, device or data cannot be used.
    """

    def report(progress: Progress) -> None:
        if progress.is_row:
            row = {"iteration": progress.iteration, **_scalars(progress.metrics)}
            with fence():
                run_progress(run, row=row, note=str(progress))
        if on_progress:
            on_progress(progress)

    options = {"resume": resume, "max_seconds": max_seconds, "should_stop": should_stop, "on_progress": report}
    # Outside the recording of errors: that another process trains the run is no failure of the run.
    with _alone(run), run_errors_recorded(run, fence=fence):
        config = config or config_from_dict(run_settings(run))
        with fence():
            run_begin(run, config=config.to_dict(), iterations=config.optimizer.total)
        result = _trained(run, config, **options)
        with fence():
            _record(run, result)
    return result


@contextmanager
def _alone(run: TrainingRun) -> Iterator[None]:
    """Keep other processes out of the run's folder: two that train one run would interleave its states."""
    try:
        with folder_locked(run.folder):
            yield
    except FolderInUse as error:
        # A worker that has lost its lease may need a moment to notice: the next attempt comes after that.
        raise RunInUse(f"{run.name} is being trained already: {error}", wait_seconds=_RELEASE_SECONDS) from error


def _trained(run: TrainingRun, config: TrainingConfig, **options: Any) -> TrainingResult:
    if run.processes > 1:
        return _train_in_processes(run, config, **options)
    try:
        return train(config, out_dir=run.folder, device=str(chosen_device(settings.TORCH_DEVICE)), **options)
    except TrainingDiverged as error:
        raise TrainingFailed(str(error)) from error


def _record(run: TrainingRun, result: TrainingResult) -> None:
    run_finish(run, State.FINISHED if result.state == "finished" else State.PAUSED, iteration=result.iteration)
    for role, path in ((Checkpoint.Role.LAST, result.checkpoint), (Checkpoint.Role.BEST, result.best)):
        if path is not None and path.is_file():
            checkpoint_record(run, role=role, path=str(path), card=read_card(path).to_dict())


def _scalars(metrics: dict) -> dict:
    return {name: round(value, 6) for name, value in metrics.items() if isinstance(value, float)}


def _train_in_processes(
    run: TrainingRun,
    config: TrainingConfig,
    *,
    resume: bool,
    max_seconds: float | None,
    should_stop: Callable[[], bool] | None,
    on_progress: Callable[[Progress], None],
) -> TrainingResult:
    """Train with one process per GPU under torchrun, passing its progress on and its end signals down."""
    folder = RunFolder(run.folder)
    order = run.folder / "order.json"
    # In a file: settings on a command line would show in the list of processes and can be too long.
    write_atomically(order, [json.dumps(config.to_dict()).encode()])
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={run.processes}"]
    command += ["-m", "training", "--config", str(order), "--out", str(run.folder), "--json"]
    command += ["--device", chosen_device(settings.TORCH_DEVICE).type]
    command += [] if resume else ["--no-resume"]
    command += [] if max_seconds is None else ["--max-seconds", str(max_seconds)]
    root = str(Path(__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        try:
            end = _follow(process, should_stop, on_progress)
        except BaseException:
            # The group: torchrun's children would go on training in a folder that another may take.
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode or end is None:
        raise TrainingFailed(f"torchrun ended with code {process.returncode}: {end or 'see the log of the worker'}")
    best = folder.best_path if folder.best_path.is_file() else None
    metrics = read_card(folder.last_path).metrics
    return TrainingResult(end["state"], end["iteration"], folder.last_path, best, metrics)


def _follow(
    process: subprocess.Popen, should_stop: Callable[[], bool] | None, on_progress: Callable[[Progress], None]
) -> dict | None:
    """Read torchrun's lines until it ends; return the result line."""
    end = None
    for line in process.stdout:
        if not line.startswith("{"):
            continue
        values = json.loads(line)
        if "progress" not in values:
            end = values
            continue
        values["progress"].pop("note")
        on_progress(Progress(**values["progress"]))
        if should_stop and should_stop():
            os.killpg(process.pid, signal.SIGTERM)
            # One signal is enough: what follows is the saving, whose lines are still read.
            should_stop = None
    return end
