"""One training loop for vanilla classifiers, robust classifiers and denoisers."""

import logging
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from diffusion.checkpoints import library_versions, save_state_dict
from training.config import TrainingConfig
from training.data import Batch, Batches, Dataset, evaluation_images, open_data
from training.distributed import Processes
from training.measures import classifier_measures, clean_images, denoiser_measures, noised_images
from training.meters import Meter
from training.objectives import ClassifierObjective, DenoiserObjective
from training.sources import DataError
from training.state import RunFolder
from training.streams import Purpose, torch_seed
from training.timesteps import SAMPLERS

log = logging.getLogger(__name__)
AUTOCAST = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Compiled code sees the attack's moving images padded to multiples of this, hence few shapes.
COMPILED_BUCKET = 16
State = Literal["finished", "paused"]


class TrainingDiverged(RuntimeError):
    """The loss is not a number; the message names the last good checkpoint."""


@dataclass(frozen=True)
class Progress:
    """How far a run is, given to `on_progress` at every log row."""

    iteration: int
    iterations: int
    images_per_second: float
    seconds_left: float
    metrics: dict[str, Any]

    def __str__(self) -> str:
        shown = {
            "loss": "{:.3f}",
            "accuracy": "{:.1%}",
            "clean_accuracy": "{:.1%}",
            "active_share": "{:.0%}",
            "mse": "{:.4f}",
        }
        parts = [f"{name} {form.format(self.metrics[name])}" for name, form in shown.items() if name in self.metrics]
        minutes, seconds = divmod(round(self.seconds_left), 60)
        return (
            f"{self.iteration}/{self.iterations} {' '.join(parts)} "
            f"{self.images_per_second:.0f} images/s {minutes}:{seconds:02d} left"
        )


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
        Folder of the run; see `training.state`.
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
        self.device = processes.device
        self.on_progress = on_progress
        self.schedule = config.schedule.build()
        self.autocast = AUTOCAST[config.run.precision]
        self.data = open_data(config.data, split="train", index_folder=folder.folder)
        self._check_classes(self.data)
        self._build_network()
        self._build_objective()
        self.timesteps = SAMPLERS[config.timestep_sampler](self.schedule.num_timesteps, config.run.seed)
        self.batches = Batches(
            self.data,
            config.data,
            batch_size=config.optimizer.batch_size,
            side=config.network.image_size,
            channels=config.network.in_channels,
            seed=config.run.seed,
            process=processes.rank,
            processes=processes.count,
        )
        self.meter = Meter(self.schedule.num_timesteps, processes)
        self.iteration = 0
        self.best_score = -math.inf
        self.metrics: dict[str, Any] = {}
        self._validation = None

    def _check_classes(self, data: Dataset) -> None:
        wanted, found = self.config.network.num_classes, len(data.source.class_names)
        if wanted is not None and wanted != found:
            raise DataError(f"the data has {found} classes, the network {wanted}; set network.num_classes = {found}")

    def _build_network(self) -> None:
        config, optimizer = self.config, self.config.optimizer
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(config.run.seed, Purpose.INITIAL_WEIGHTS))
            network = config.network.build()
        if config.run.channels_last:
            network = network.to(memory_format=torch.channels_last)
        self.network = network.to(self.device)
        self.forward = torch.compile(self.network) if config.run.compile else self.network
        self.parallel = self.processes.wrap(self.forward)
        self.averaged = None
        if optimizer.ema_decay:
            self.averaged = AveragedModel(self.network, multi_avg_fn=self._average)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=optimizer.learning_rate,
            betas=optimizer.betas,
            weight_decay=optimizer.weight_decay,
            fused=True,
        )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.run.precision == "float16")

    def _average(self, averaged: list[Tensor], current: list[Tensor], updates: Tensor) -> None:
        # A decay that starts small forgets the first weights, which matters for short runs alone.
        decay = min(self.config.optimizer.ema_decay, (1 + int(updates)) / (10 + int(updates)))
        get_ema_multi_avg_fn(decay)(averaged, current, updates)

    def _build_objective(self) -> None:
        config = self.config
        if config.task == "denoiser":
            self.objective = DenoiserObjective(
                self.schedule,
                config.network.learns_variance,
                config.network.num_classes is not None,
                self.autocast,
            )
        else:
            bucket = COMPILED_BUCKET if config.run.compile else 1
            self.objective = ClassifierObjective(self.schedule, config.attack, self.forward, self.autocast, bucket)

    def begin(self, *, resume: bool) -> None:
        """Continue the run in the folder, or start a fresh one."""
        if resume and self.folder.has_state:
            self.folder.check_config(self.config)
            self._load(self.folder.read_state(self.device))
            if self.processes.is_first:
                self.folder.cut_log(self.iteration)
        elif self.processes.is_first:
            self.folder.start(self.config)
        self.processes.wait()

    def run(self, *, should_stop: Callable[[], bool] | None, max_seconds: float | None) -> TrainingResult:
        """Train from the current iteration on."""
        settings, iterations = self.config.run, self.config.optimizer.iterations
        began, first = time.monotonic(), self.iteration
        row_began, row_first = began, first
        if first == iterations:
            return self._result("finished")
        for batch in self.batches.run(first, iterations):
            self.step(batch)
            finished = self.iteration == iterations
            overdue = max_seconds is not None and time.monotonic() - began >= max_seconds
            stopping = self.processes.agree(overdue or bool(should_stop and should_stop())) and not finished
            if self.iteration % settings.log_every == 0 or finished or stopping:
                self._report(time.monotonic() - row_began, self.iteration - row_first)
                row_began, row_first = time.monotonic(), self.iteration
            validate = settings.validate_every and self.iteration % settings.validate_every == 0
            if validate or finished:
                self.validate()
            if stopping or finished or self.iteration % settings.save_every == 0:
                self.save()
            if stopping:
                break
        return self._result("finished" if self.iteration == iterations else "paused")

    def step(self, batch: Batch) -> None:
        """Do one weight update with a batch (this process's part of it)."""
        settings = self.config.optimizer
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate_at(self.iteration)
        t, weights = self._draw_timesteps(batch)
        batch = batch.to(self.device)
        t, weights = t.to(self.device), weights.to(self.device)
        self.optimizer.zero_grad(set_to_none=True)
        size = settings.microbatch or len(batch.y)
        for start in range(0, len(batch.y), size):
            rows = slice(start, start + size)
            is_last = start + size >= len(batch.y)
            with nullcontext() if is_last or self.processes.count == 1 else self.parallel.no_sync():
                self._accumulate(batch, t, weights, rows)
        self.scaler.unscale_(self.optimizer)
        if settings.clip_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.averaged is not None:
            self.averaged.update_parameters(self.network)
        self.iteration += 1

    def _draw_timesteps(self, batch: Batch) -> tuple[Tensor, Tensor]:
        if self.config.noised:
            return self.timesteps.draw(batch.numbers)
        return torch.zeros(len(batch.y), dtype=torch.int64), torch.ones(len(batch.y))

    def _accumulate(self, batch: Batch, t: Tensor, weights: Tensor, rows: slice) -> None:
        """Add the gradients of some rows of the batch."""
        x, y, noise, t, weights = batch.x[rows], batch.y[rows], batch.noise[rows], t[rows], weights[rows]
        x_t = self.schedule.q_sample(x, t, noise) if self.config.noised else x
        if self.config.run.channels_last:
            x_t = x_t.contiguous(memory_format=torch.channels_last)
        with self._seeded(int(batch.numbers[rows.start])) as generator:
            losses = self.objective(self.parallel, x_t, y=y, t=t, x_start=x, noise=noise, generator=generator)
            share = len(y) / len(batch.y)
            self.scaler.scale((losses.loss * weights).mean() * share).backward()
        self.timesteps.observe(t, losses.loss, self.processes)
        self.meter.add(t, {"loss": losses.loss * weights, **losses.facts})

    def _seeded(self, number: int):
        """Make dropout and random starts belong to the sample's number, so that resuming repeats them."""
        return _Seeded(self.config.run.seed, number, uses_dropout=self.config.network.dropout > 0)

    def _report(self, seconds: float, iterations: int) -> None:
        """Write a log row; stop the run if the loss is not a number."""
        metrics = self.meter.flush()
        if not math.isfinite(metrics["loss"]):
            good = f"the last good checkpoint is {self.folder.last_path}" if self.folder.has_state else "none was saved"
            raise TrainingDiverged(
                f"the loss is {metrics['loss']} within {iterations} iterations before {self.iteration}; {good}. "
                "Lower optimizer.learning_rate, set optimizer.clip_norm, or use precision float32"
            )
        if not self.processes.is_first:
            return
        settings = self.config.optimizer
        rate = iterations * settings.batch_size / max(seconds, 1e-9)
        left = (settings.iterations - self.iteration) * seconds / max(iterations, 1)
        row = {
            "iteration": self.iteration,
            "learning_rate": settings.learning_rate_at(self.iteration - 1),
            "images_per_second": rate,
            **metrics,
        }
        self.folder.append_log(row)
        if self.on_progress:
            self.on_progress(Progress(self.iteration, settings.iterations, rate, left, metrics))

    def validate(self) -> None:
        """Measure the weights that a checkpoint would hold on held-out images; keep them if they are the best."""
        if not self.processes.is_first:
            return
        images = self._validation_images()
        if images is None:
            return
        network = self.averaged.module if self.averaged is not None else self.network
        network.eval()
        if self.config.task == "denoiser":
            self.metrics = denoiser_measures(self.objective, network, images, self.schedule, device=self.device)
            score = -self.metrics["loss"]
        else:
            self.metrics = classifier_measures(
                network, images, self.schedule, attack_config=self.config.attack, device=self.device
            )
            score = self.metrics.get("robust_accuracy", self.metrics["accuracy"])
        network.train()
        if self.processes.is_first:
            named = {f"validation_{name}": value for name, value in self.metrics.items()}
            self.folder.append_log({"iteration": self.iteration, **named})
        if score >= self.best_score:
            self.best_score = score
            self._write_weights(self.folder.best_path)

    def _validation_images(self):
        if self._validation is None:
            data = open_data(self.config.data, split="validation", index_folder=self.folder.folder)
            if len(data.indices) == 0:
                return None
            images, labels = evaluation_images(
                data,
                self.config.data,
                side=self.config.network.image_size,
                channels=self.config.network.in_channels,
                limit=self.config.run.validation_images or None,
            )
            noised = self.config.noised
            self._validation = noised_images(images, labels, self.schedule) if noised else clean_images(images, labels)
        return self._validation

    def save(self) -> None:
        """Write the state that continues the run, then the weights."""
        if self.processes.is_first:
            self.folder.write_state(self._state())
            self._write_weights(self.folder.last_path)
        self.processes.wait()

    def _write_weights(self, path: Path) -> None:
        network = self.averaged.module if self.averaged is not None else self.network
        facts = {
            "schedule": self.schedule.describe(),
            "class_names": self.data.source.class_names,
            "metrics": self.metrics,
            "provenance": {
                "training": self.config.to_dict(),
                "iteration": self.iteration,
                "data": self.data.source.describe(),
            },
        }
        save_state_dict(path, network.state_dict(), self.config.network, **facts)

    def _state(self) -> dict[str, Any]:
        return {
            "iteration": self.iteration,
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict() if self.averaged is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "timesteps": self.timesteps.state_dict(),
            "best_score": self.best_score,
            "metrics": self.metrics,
            "versions": library_versions(),
        }

    def _load(self, state: dict[str, Any]) -> None:
        self.iteration = state["iteration"]
        self.network.load_state_dict(state["network"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.timesteps.load_state_dict(state["timesteps"])
        self.best_score, self.metrics = state["best_score"], state["metrics"]

    def _result(self, state: State) -> TrainingResult:
        best = self.folder.best_path if self.folder.best_path.is_file() else None
        return TrainingResult(state, self.iteration, self.folder.last_path, best, self.metrics)


class _Seeded:
    """Seeds the draws of one microbatch: a CPU generator for the attack, and torch's own for dropout if it is used."""

    def __init__(self, seed: int, number: int, *, uses_dropout: bool):
        self.seed, self.number, self.uses_dropout = seed, number, uses_dropout

    def __enter__(self) -> torch.Generator:
        self._fork = torch.random.fork_rng() if self.uses_dropout else nullcontext()
        self._fork.__enter__()
        if self.uses_dropout:
            torch.manual_seed(torch_seed(self.seed, Purpose.DROPOUT, self.number))
        return torch.Generator().manual_seed(torch_seed(self.seed, Purpose.ATTACK, self.number))

    def __exit__(self, *error: object) -> None:
        self._fork.__exit__(*error)
