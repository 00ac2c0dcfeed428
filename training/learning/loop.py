"""One training loop for vanilla classifiers, robust classifiers and denoisers: when to log, measure, save and stop."""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from diffusion.checkpoints import library_versions, save_state_dict
from training.data.batches import Batches, Dataset, evaluation_images, open_data
from training.data.image_sets import DataError
from training.learning.config import TrainingConfig
from training.learning.distributed import Processes
from training.learning.learner import Learner
from training.learning.meters import Meter
from training.learning.progress import Progress
from training.learning.samples import denoiser_samples, example_grid
from training.learning.start import start_from
from training.learning.state import RunFolder, StateError
from training.learning.validation import (
    NoisedImages,
    classifier_measures,
    clean_images,
    denoiser_measures,
    noised_images,
)

State = Literal["finished", "paused"]

# Often enough for somebody who watches; seldom enough to cost nothing.
_PULSE_SECONDS = 1.0


class TrainingDiverged(RuntimeError):
    """The loss is not a number; the message names the last good checkpoint."""


@dataclass(frozen=True)
class TrainingResult:
    """How a call of `train` ended.

    Parameters
    ----------
    state : {"finished", "paused"}
        "paused": asked to stop or out of time; calling `train` again continues.
    iteration : int
        Weight updates done so far.
    checkpoint : Path
        The latest weights with their card.
    best : Path or None
        The weights of the best measurement on held-out images.
    metrics : dict
        Measurements of the latest weights on held-out images; empty where there are none.
    """

    state: State
    iteration: int
    checkpoint: Path
    best: Path | None
    metrics: dict[str, Any] = field(default_factory=dict)


def train(
    config: TrainingConfig,
    *,
    out_dir: Path | str,
    resume: bool = True,
    on_progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    max_seconds: float | None = None,
    device: str = "cpu",
) -> TrainingResult:
    """Train until done, out of time or asked to stop; continue an earlier call where it stopped.

    On a CPU an interrupted and continued run gives the same bits as an uninterrupted one. Started by torchrun, the
    processes share every batch.

    Parameters
    ----------
    config : TrainingConfig
    out_dir : path
        Folder of the run; see `training.learning.state`.
    resume : bool
        Continue what the folder holds; false starts afresh and removes it.
    on_progress : callable, optional
        Called with a `Progress` at every log row.
    should_stop : callable, optional
        Asked after every iteration; true saves and pauses.
    max_seconds : float, optional
        Save and pause once this time has gone by.
    device : str
        "cpu", "cuda" or "cuda:N".

    Returns
    -------
    TrainingResult

    Raises
    ------
    StateError
        The folder holds a run with other settings, or a damaged state.
    DataError
        The images cannot be used.
    TrainingDiverged
        The loss is not a number; nothing of it is saved.
    OSError
        A file could not be written; the older one is unchanged.
    """
    trainer = Trainer(config, RunFolder(out_dir), Processes.join(device), on_progress=on_progress)
    trainer.begin(resume=resume)
    return trainer.run(should_stop=should_stop, max_seconds=max_seconds)


def check_classes(config: TrainingConfig, data: Dataset) -> None:
    """Refuse images that have another number of classes than the network.

    Raises
    ------
    DataError
        Saying which number the network should have.
    """
    wanted, found = config.network.num_classes, len(data.source.class_names)
    labels = found + (config.label_dropout > 0)
    if wanted is not None and wanted != labels:
        raise DataError(
            f"the data has {found} classes, the network {wanted}; set network.num_classes = {labels}"
            + (' (the last label is "no class", for label_dropout)' if labels > found else "")
        )


class Trainer:
    """A run in progress; `train` is the plain door to it."""

    def __init__(
        self,
        config: TrainingConfig,
        folder: RunFolder,
        processes: Processes,
        *,
        on_progress: Callable[[Progress], None] | None = None,
    ):
        self.config, self.folder, self.processes = config, folder, processes
        self.on_progress = on_progress
        self.data = open_data(config.data, split="train", index_folder=folder.folder)
        check_classes(config, self.data)
        self.learner = Learner(config, processes)
        self.schedule = self.learner.schedule
        self.batches = Batches(
            self.data,
            config.data,
            batch_size=config.optimizer.batch_size,
            **self._takes,
            seed=config.run.seed,
            process=processes.rank,
            processes=processes.count,
            pin=processes.device.type == "cuda",
        )
        self.meter = Meter(self.schedule.num_timesteps, processes)
        # What the weights began with: the checkpoint's facts, for every card of the run.
        self.init: dict[str, Any] = {}
        self.best_score = -math.inf
        self.metrics: dict[str, Any] = {}
        self._row: dict[str, Any] = {}
        self._told_at = -math.inf
        self._began, self._rate = (time.monotonic(), 0), 0.0
        self._validation: NoisedImages | None = None

    @property
    def iteration(self) -> int:
        """Weight updates done so far."""
        return self.learner.iteration

    def begin(self, *, resume: bool) -> None:
        """Continue the run in the folder, or start a fresh one."""
        if resume and self.folder.has_state:
            self.folder.check_config(self.config)
            self._load(self.folder.read_state(self.processes.device))
            if self.iteration > self.config.optimizer.total:
                raise StateError(
                    f"{self.folder.folder} holds a run of {self.iteration} iterations, more than the "
                    f"{self.config.optimizer.total} that are asked for; raise optimizer.extension (--extend)"
                )
            if self.processes.is_first:
                self.folder.write_config(self.config)
                self.folder.cut_log(self.iteration)
        else:
            if self.config.init:
                self.init = start_from(self.learner, self.config, self.data.source.class_names)
            if self.processes.is_first:
                self.folder.start(self.config)
                self.folder.write_examples(example_grid(self.data, self.config.data, **self._takes))
        self.processes.wait()

    @property
    def _takes(self) -> dict[str, int]:
        """What images the network takes."""
        network = self.config.network
        return {"side": network.image_size, "channels": network.in_channels}

    def run(self, *, should_stop: Callable[[], bool] | None, max_seconds: float | None) -> TrainingResult:
        """Train from the current iteration on."""
        settings, iterations = self.config.run, self.config.optimizer.total
        began, first = time.monotonic(), self.iteration
        self._began = (began, first)
        # Apart from `began`: a row tells the speed since the row before, and a slow start colours the first alone.
        row_began, row_first = began, first
        if first == iterations:
            return self._result("finished")
        for batch in self.batches.run(first, iterations):
            self.learner.step(batch, self.meter)
            finished = self.iteration == iterations
            overdue = max_seconds is not None and time.monotonic() - began >= max_seconds
            stopping = self.processes.agree(overdue or bool(should_stop and should_stop())) and not finished
            saving = stopping or finished or self.iteration % settings.save_every == 0
            # What is saved has been reported just before: a loss that is no number and a lost lease stop here.
            if saving or self.iteration % settings.log_every == 0:
                self._report(time.monotonic() - row_began, self.iteration - row_first)
                row_began, row_first = time.monotonic(), self.iteration
            elif self.on_progress and time.monotonic() - self._told_at >= _PULSE_SECONDS:
                self._rate = self._images_per_second(time.monotonic() - row_began, self.iteration - row_first)
                self._tell(self._row, is_row=False)
            validating = settings.validate_every and self.iteration % settings.validate_every == 0
            if (saving or validating) and not self.learner.is_finite:
                raise self._diverged(f"weights are not numbers at iteration {self.iteration}")
            if validating or finished:
                self.sample()
                self.validate()
            if saving:
                self.save()
            if stopping:
                break
        return self._result("finished" if self.iteration == iterations else "paused")

    def _report(self, seconds: float, iterations: int) -> None:
        """Write a log row; stop the run if the loss is not a number."""
        metrics = self.meter.flush()
        if not math.isfinite(metrics["loss"]):
            raise self._diverged(
                f"the loss is {metrics['loss']} within {iterations} iterations before {self.iteration}"
            )
        if not self.processes.is_first:
            return
        self._row = metrics
        self._rate = self._images_per_second(seconds, iterations)
        self.folder.append_log(
            {
                "iteration": self.iteration,
                "learning_rate": self.config.optimizer.learning_rate_at(self.iteration - 1),
                "images_per_second": self._rate,
                **metrics,
            }
        )
        self._tell(metrics, is_row=True)

    def _images_per_second(self, seconds: float, iterations: int) -> float:
        return iterations * self.config.optimizer.batch_size / max(seconds, 1e-9)

    def _tell(self, metrics: dict[str, Any], *, is_row: bool) -> None:
        """Say how far the run is; between rows without a look at the device."""
        if not self.on_progress or not self.processes.is_first:
            return
        self._told_at = time.monotonic()
        wanted, (began, first) = self.config.optimizer.total, self._began
        # By the pace of the whole call: measuring and saving, which come now and then, will come again.
        left = (wanted - self.iteration) * (self._told_at - began) / max(self.iteration - first, 1)
        self.on_progress(Progress(self.iteration, wanted, self._rate, left, metrics, is_row))

    def _diverged(self, what: str) -> TrainingDiverged:
        good = f"the last good checkpoint is {self.folder.last_path}" if self.folder.has_state else "none was saved"
        return TrainingDiverged(
            f"{what}; {good}. Lower optimizer.learning_rate, set optimizer.clip_norm, or use precision float32"
        )

    def sample(self) -> None:
        """Keep a grid of what a denoiser makes of the same noise as before; a classifier makes nothing."""
        if not self.processes.is_first or self.config.task != "denoiser":
            return
        network = self.learner.result
        network.eval()
        classes, names = self.config.network.num_classes, self.data.source.class_names
        made = denoiser_samples(
            network,
            self.schedule,
            shape=(self._takes["channels"], self._takes["side"], self._takes["side"]),
            class_names=None if classes is None else names,
            seed=self.config.run.seed,
            device=self.processes.device,
        )
        network.train()
        self.folder.write_samples(self.iteration, made)

    def validate(self) -> None:
        """Measure the weights that a checkpoint would hold on held-out images; keep them if they are the best."""
        if not self.processes.is_first:
            return
        images = self._validation_images()
        if images is None:
            return
        learner, device = self.learner, self.processes.device
        network = learner.result
        network.eval()
        if self.config.task == "denoiser":
            self.metrics = denoiser_measures(learner.objective, network, images, self.schedule, device=device)
            # Higher is better for every task.
            score = -self.metrics["loss"]
        else:
            self.metrics = classifier_measures(
                network, images, self.schedule, attack_config=self.config.attack, device=device
            )
            score = self.metrics.get("robust_accuracy", self.metrics["accuracy"])
        network.train()
        named = {f"validation_{name}": value for name, value in self.metrics.items()}
        self.folder.append_log({"iteration": self.iteration, **named})
        self._tell(named, is_row=True)
        self.folder.write_curves()
        # Of equals the later one, which has learned longer.
        if score >= self.best_score:
            self.best_score = score
            self._write_weights(self.folder.best_path)

    def _validation_images(self) -> NoisedImages | None:
        if self._validation is None:
            data = open_data(
                self.config.data,
                split="validation",
                index_folder=self.folder.folder,
                class_names=self.data.source.class_names,
            )
            if len(data.indices) == 0:
                return None
            images, labels = evaluation_images(
                data,
                self.config.data,
                **self._takes,
                limit=self.config.run.validation_images or None,
            )
            noised = self.config.noised
            self._validation = noised_images(images, labels, self.schedule) if noised else clean_images(images, labels)
        return self._validation

    def save(self) -> None:
        """Write the state that continues the run, then the weights."""
        if self.processes.is_first:
            # State first: after a crash in between, the weights are older than the state and never ahead of it.
            self.folder.write_state(self._state())
            self._write_weights(self.folder.last_path)
            self.folder.write_curves()
        self.processes.wait()

    def _write_weights(self, path: Path) -> None:
        facts = {
            "schedule": self.schedule.describe(),
            "class_names": self.data.source.class_names,
            "metrics": self.metrics,
            "provenance": {
                "training": self.config.to_dict(),
                "iteration": self.iteration,
                "data": self._images(),
                **({"init": self.init} if self.init else {}),
            },
        }
        save_state_dict(path, self.learner.result.state_dict(), self.config.network, **facts)

    def _state(self) -> dict[str, Any]:
        return {
            **self.learner.state_dict(),
            "best_score": self.best_score,
            "metrics": self.metrics,
            "versions": library_versions(),
            "images": self._images(),
            "init": self.init,
        }

    def _images(self) -> dict[str, Any]:
        """Return what tells this set of images, and the labels they have, from another."""
        labels = np.ascontiguousarray(self.data.source.labels, dtype="<i8")
        named = {"class_names": list(self.data.source.class_names), "labels_sha256": hashlib.sha256(labels).hexdigest()}
        return {**self.data.source.describe(), **named}

    def _load(self, state: dict[str, Any]) -> None:
        self.folder.check_images(state.get("images"), self._images())
        self.learner.load_state_dict(state)
        self.best_score, self.metrics = state["best_score"], state["metrics"]
        self.init = state.get("init", {})

    def _result(self, state: State) -> TrainingResult:
        best = self.folder.best_path if self.folder.best_path.is_file() else None
        return TrainingResult(state, self.iteration, self.folder.last_path, best, self.metrics)
