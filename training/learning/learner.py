"""What learns: a network with its optimizer, its average and its loss, and one weight update of them.

When to log, measure, save and stop is the business of `training.learning.loop`.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from diffusion.dropout import keyed_dropout
from training.data.batches import Batch
from training.data.streams import Purpose, sample_uniforms, torch_seed
from training.learning.config import TrainingConfig
from training.learning.distributed import Processes
from training.learning.meters import Meter
from training.learning.objectives import ClassifierObjective, DenoiserObjective
from training.learning.timesteps import SAMPLERS

AUTOCAST = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Compiled code sees the attack's moving images padded to multiples of this, hence few shapes.
COMPILED_BUCKET = 16


class Learner:
    """The network of a run and everything that changes it.

    Parameters
    ----------
    config : TrainingConfig
    processes : Processes
        Among which every batch is shared; also names the device.
    """

    def __init__(self, config: TrainingConfig, processes: Processes):
        self.config, self.processes = config, processes
        self.device = processes.device
        self.schedule = config.schedule.build()
        self.autocast = AUTOCAST[config.run.precision]
        # Group norm is several times slower channels-last on a CPU, more than convolutions gain.
        is_channels_last = config.run.channels_last and self.device.type != "cpu"
        self.layout = torch.channels_last if is_channels_last else torch.contiguous_format
        self._build_network()
        self.objective = self._objective()
        self.timesteps = SAMPLERS[config.timestep_sampler](self.schedule.num_timesteps, config.run.seed)
        self.iteration = 0

    def _build_network(self) -> None:
        config, optimizer = self.config, self.config.optimizer
        # Initial weights belong to the run's seed; whoever calls keeps the generator as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(config.run.seed, Purpose.INITIAL_WEIGHTS))
            network = config.network.build()
        self.network = network.to(self.device, memory_format=self.layout)
        self.forward = torch.compile(self.network) if config.run.compile else self.network
        # Attacks call `forward` instead: their backward passes make no gradients of weights that could be averaged.
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

    def _objective(self) -> ClassifierObjective | DenoiserObjective:
        config = self.config
        if config.task == "denoiser":
            is_conditional = config.network.num_classes is not None
            return DenoiserObjective(self.schedule, config.network.learns_variance, is_conditional, self.autocast)
        bucket = COMPILED_BUCKET if config.run.compile else 1
        return ClassifierObjective(
            self.schedule, config.attack, config.network.num_classes, self.forward, self.autocast, bucket
        )

    @property
    def result(self) -> nn.Module:
        """The network that a checkpoint holds: the average where there is one."""
        return self.averaged.module if self.averaged is not None else self.network

    @property
    def is_finite(self) -> bool:
        """Whether every weight is a number; all processes hold the same ones."""
        return all(bool(parameter.isfinite().all()) for parameter in self.network.parameters())

    def step(self, batch: Batch, meter: Meter) -> None:
        """Do one weight update with a batch (this process's part of it); the meter counts its losses."""
        settings = self.config.optimizer
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate_at(self.iteration)
        t, weights = self._draw_timesteps(batch)
        batch = self._drop_labels(batch).to(self.device)
        t, weights = t.to(self.device), weights.to(self.device)
        self.optimizer.zero_grad(set_to_none=True)
        size = settings.microbatch or len(batch.y)
        seen = []
        for start in range(0, len(batch.y), size):
            rows = slice(start, start + size)
            is_last = start + size >= len(batch.y)
            # Gradients add up locally; averaging them over processes once per batch is enough.
            with nullcontext() if is_last or self.processes.count == 1 else self.parallel.no_sync():
                seen.append(self._accumulate(batch, t, weights, rows, meter))
        # Once a batch, in the samples' order, however they are spread over processes and microbatches.
        self.timesteps.observe(t, torch.cat(seen), self.processes)
        # Before clipping: the norm to clip is that of the true gradients.
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

    def _drop_labels(self, batch: Batch) -> Batch:
        """Replace some labels by the last one, "no class": the denoiser then learns both scores."""
        share = self.config.label_dropout
        if not share:
            return batch
        dropped = sample_uniforms(self.config.run.seed, batch.numbers, Purpose.LABEL) < share
        return batch._replace(y=batch.y.masked_fill(torch.from_numpy(dropped), self.config.network.num_classes - 1))

    def _accumulate(self, batch: Batch, t: Tensor, weights: Tensor, rows: slice, meter: Meter) -> Tensor:
        """Add the gradients of some rows of the batch; return their unweighted losses."""
        x, y, noise, t, weights = batch.x[rows], batch.y[rows], batch.noise[rows], t[rows], weights[rows]
        x_t = self.schedule.q_sample(x, t, noise) if self.config.noised else x
        x_t = x_t.contiguous(memory_format=self.layout)
        generators = self._generators(batch.numbers[rows])
        with self._dropout(batch.numbers[rows]):
            losses = self.objective(self.parallel, x_t, y=y, t=t, x_start=x, noise=noise, generator=generators)
            # Means of microbatches, weighted by their sizes, add up to the mean of the batch.
            share = len(y) / len(batch.y)
            self.scaler.scale((losses.loss * weights).mean() * share).backward()
        meter.add(t, {"loss": losses.loss * weights, **losses.facts})
        return losses.loss.detach()

    def _dropout(self, numbers: np.ndarray) -> AbstractContextManager:
        """Let the dropout masks of samples belong to their numbers."""
        if not self.config.network.dropout:
            return nullcontext()
        keys = torch.tensor([torch_seed(self.config.run.seed, Purpose.DROPOUT, int(number)) for number in numbers])
        return keyed_dropout(self.network, keys.to(self.device))

    def _generators(self, numbers: np.ndarray) -> list[torch.Generator] | None:
        """Return a generator for each sample's random start and target, where the attack draws any."""
        attack = self.config.attack
        if attack is None or not (attack.random_start or attack.targeted):
            return None
        seeds = (torch_seed(self.config.run.seed, Purpose.ATTACK, int(number)) for number in numbers)
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    def begin_with(self, weights: dict[str, Tensor]) -> None:
        """Take weights as the start; an average of weights begins with them too."""
        self.network.load_state_dict(weights)
        if self.averaged is not None:
            self.averaged.module.load_state_dict(weights)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that continues the learning bit for bit on a CPU: tensors and numbers."""
        return {
            "iteration": self.iteration,
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict() if self.averaged is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "timesteps": self.timesteps.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned; other entries are left alone."""
        self.iteration = state["iteration"]
        self.network.load_state_dict(state["network"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.timesteps.load_state_dict(state["timesteps"])
