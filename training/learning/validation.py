"""Accuracy and loss on held-out images, at fixed timesteps and noise, clean and attacked."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from diffusion.schedule import NoiseSchedule
from training.attack.apgd import Apgd, apgd_attack
from training.attack.config import AttackConfig
from training.attack.pgd import attack, is_among_top
from training.data.streams import Purpose, sample_noise, sample_uniforms, torch_seed
from training.learning.distributed import Processes
from training.learning.meters import BANDS, Meter
from training.learning.objectives import Losses

Forward = Callable[[Tensor, Tensor], Tensor]
# Top-5 accuracy, as classifiers are reported.
TOP_FEW = 5


@dataclass(frozen=True)
class NoisedImages:
    """Images at given timesteps; `t` (N,) is int64, `x_t` and `noise` are like `x_start` (N, C, H, W)."""

    x_start: Tensor
    y: Tensor
    t: Tensor
    noise: Tensor
    x_t: Tensor

    def batches(self, size: int) -> list["NoisedImages"]:
        """Cut into batches of at most `size`."""
        return [
            NoisedImages(*(part[i : i + size] for part in vars(self).values())) for i in range(0, len(self.y), size)
        ]

    def to(self, device: torch.device) -> "NoisedImages":
        return NoisedImages(*(part.to(device) for part in vars(self).values()))


def noised_images(
    images: Tensor, labels: Tensor, schedule: NoiseSchedule, *, draws: int = 1, bands: int = BANDS, seed: int = 0
) -> NoisedImages:
    """Put images at timesteps spread evenly over the bands, the same ones for the same seed.

    Draw d of image i falls in band (i + d) modulo `bands`, so one draw per image already covers every band.
    """
    numbers = np.arange(len(images) * draws)
    # Images begin in turn at each band: with fewer draws than bands all bands still get their share.
    band = torch.from_numpy((numbers // draws + numbers % draws) % bands)
    uniforms = torch.from_numpy(sample_uniforms(seed, numbers, Purpose.VALIDATION))
    t = ((band + uniforms) / bands * schedule.num_timesteps).long()
    x_start, y = images.repeat_interleave(draws, 0), labels.repeat_interleave(draws, 0)
    noise = sample_noise(seed, numbers + len(numbers), tuple(images.shape[1:]), Purpose.VALIDATION)
    return NoisedImages(x_start, y, t, noise, schedule.q_sample(x_start, t, noise))


def clean_images(images: Tensor, labels: Tensor) -> NoisedImages:
    """Take images as they are, at t = 0."""
    t = torch.zeros(len(images), dtype=torch.int64)
    return NoisedImages(images, labels, t, torch.zeros_like(images), images)


@torch.no_grad()
def classifier_measures(
    classifier: Forward,
    images: NoisedImages,
    schedule: NoiseSchedule,
    *,
    attack_config: AttackConfig | Apgd | None = None,
    batch_size: int = 256,
    device: torch.device | str = "cpu",
    restarts: int = 1,
    seed: int = 0,
    bands: int = BANDS,
    with_top5: bool = False,
    on_progress: Callable[[float, int], None] | None = None,
    on_facts: Callable[[dict[str, Tensor]], None] | None = None,
) -> dict:
    """Return loss and accuracy, and under attack `robust_accuracy`, in total and by band.

    With several restarts an image counts as robust if no restart fooled it; starts are keyed by image. `with_top5` adds
    `robust_top5_accuracy`. The attack on the first place says little about the fifth: it stops once one class is ahead.
    So the top 5 gets an attack of its own, as many steps and restarts up the top-5 margin of `pgd`, and an image counts
    as robust only if its class is among the five most likely on the clean image, after every such attack, and after
    every attack on the first place. Up to five classes that is always so, and nothing is attacked. APGD attacks the
    first place alone.

    `on_progress` gets the images done, parts of a batch included, and their number; `on_facts` every batch's facts, a
    value an image.
    """
    device = torch.device(device)
    meter = Meter(schedule.num_timesteps, Processes(0, 1, device), bands=bands)
    done = 0
    shares = 0.0

    def told(share: float, size: int) -> None:
        nonlocal shares
        shares += share * size
        if on_progress:
            on_progress(min(shares, len(images.y)), len(images.y))

    # From where the pace is counted.
    told(0.0, 0)
    for batch in images.batches(batch_size):
        batch = batch.to(device)
        t = schedule.network_timesteps(batch.t)
        logits = classifier(batch.x_t, t).float()
        top = logits.topk(min(TOP_FEW, logits.shape[1]), dim=-1).indices.eq(batch.y[:, None])
        facts = {
            "loss": torch.nn.functional.cross_entropy(logits, batch.y, reduction="none"),
            "accuracy": top[:, 0].float(),
            "top5_accuracy": top.any(-1).float(),
        }
        if attack_config:
            numbers = range(done, done + len(batch.y))
            facts |= _withstood(
                classifier,
                batch,
                schedule,
                attack_config,
                top,
                restarts=restarts,
                starts=partial(_starts, seed, numbers),
                with_top5=with_top5,
                classes=logits.shape[1],
                on_run=partial(told, size=len(batch.y)),
            )
        else:
            told(1.0, len(batch.y))
        meter.add(batch.t, facts)
        done += len(batch.y)
        if on_facts:
            on_facts(facts)
    return meter.flush()


def _withstood(
    classifier: Forward,
    batch: NoisedImages,
    schedule: NoiseSchedule,
    config: AttackConfig | Apgd,
    top: Tensor,
    *,
    restarts: int,
    starts: Callable[[int], list[torch.Generator]],
    with_top5: bool,
    classes: int,
    on_run: Callable[[float], None],
) -> dict[str, Tensor]:
    """Return which images of a batch withstand an attack; `top` (B, k) says in which place the true class is."""
    if isinstance(config, Apgd):
        runs = restarts * config.aims(classes)
        withstood = apgd_attack(
            classifier,
            batch.x_t,
            batch.y,
            batch.t,
            config=config,
            schedule=schedule,
            generator=starts(1),
            restarts=restarts,
            on_run=lambda: on_run(1 / runs),
        )
        return {"robust_accuracy": withstood.float()}
    survives = {1: top[:, 0], TOP_FEW: top.any(-1)}
    goals = [1, TOP_FEW] if with_top5 and classes > TOP_FEW else [1]
    generators = {goal: starts(goal) for goal in goals}
    for goal in goals * restarts:
        result = attack(
            classifier,
            batch.x_t,
            batch.y,
            batch.t,
            config=config,
            schedule=schedule,
            classes=classes,
            generator=generators[goal],
            top_k=goal,
        )
        attacked = classifier(result.x_adv, schedule.network_timesteps(batch.t))
        # Judged for its own goal and wider ones: the top-1 figure is that of the attack on the first place.
        for k in survives:
            if k >= goal:
                survives[k] = survives[k] & is_among_top(attacked, batch.y, k)
        on_run(1 / (len(goals) * restarts))
    found = {"robust_accuracy": survives[1].float()}
    return found | ({"robust_top5_accuracy": survives[TOP_FEW].float()} if with_top5 else {})


def _starts(seed: int, numbers: range, goal: int) -> list[torch.Generator]:
    """Return each image's generator of random starts and targets: no batch size moves them, nor does the other goal."""
    indices = (2 * number + (goal != 1) for number in numbers)
    return [torch.Generator().manual_seed(torch_seed(seed, Purpose.ATTACK, index)) for index in indices]


@torch.no_grad()
def denoiser_measures(
    objective: Callable[..., Losses],
    denoiser: Callable,
    images: NoisedImages,
    schedule: NoiseSchedule,
    *,
    batch_size: int = 256,
    device: torch.device | str = "cpu",
) -> dict:
    """Return the denoiser's loss and its parts, in total and by band."""
    device = torch.device(device)
    meter = Meter(schedule.num_timesteps, Processes(0, 1, device))
    for batch in images.batches(batch_size):
        batch = batch.to(device)
        losses = objective(denoiser, batch.x_t, y=batch.y, t=batch.t, x_start=batch.x_start, noise=batch.noise)
        meter.add(batch.t, {"loss": losses.loss, **losses.facts})
    return meter.flush()
