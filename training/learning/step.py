"""One training step as a plain function, with everything that is random given."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusion.checkpoints import kind_of
from diffusion.classifier import Classifier
from diffusion.dropout import keyed_dropout
from diffusion.schedule import NoiseSchedule
from diffusion.unet import Denoiser
from training.attack.config import AttackConfig
from training.attack.threat_model import Generators
from training.learning.objectives import ClassifierObjective, DenoiserObjective, Losses

__all__ = ["objective_of", "training_step"]


def objective_of(
    network: Classifier | Denoiser, schedule: NoiseSchedule, attack: AttackConfig | None = None
) -> ClassifierObjective | DenoiserObjective:
    """Return the loss that a network is trained with: float32, not compiled."""
    config = network.config
    if kind_of(config) == "denoiser":
        if attack is not None:
            raise ValueError("a denoiser trains without attack; leave attack out")
        return DenoiserObjective(schedule, config.learns_variance, config.num_classes is not None)
    return ClassifierObjective(schedule, attack, config.num_classes, network)


def training_step(
    network: Classifier | Denoiser,
    optimizer: torch.optim.Optimizer,
    x_start: Tensor,
    y: Tensor,
    t: Tensor,
    noise: Tensor,
    *,
    schedule: NoiseSchedule,
    attack: AttackConfig | None = None,
    weights: Tensor | None = None,
    dropout_keys: Tensor | None = None,
    generators: Generators = None,
) -> Losses:
    """Do one weight update, as `training.learning.learner.Learner` does it in one process without microbatches.

    Parameters
    ----------
    network : Classifier or Denoiser
        In the mode that it is in.
    optimizer : torch optimizer
        Of the network's parameters.
    x_start : Tensor (B, C, H, W), float32 in [-1, 1]
    y : Tensor (B,), int64
        Class labels; not looked at by a denoiser without classes.
    t : Tensor (B,), int64
        Indexes `schedule`.
    noise : Tensor like x_start, standard normal
    schedule : NoiseSchedule
    attack : AttackConfig, optional
        Train the classifier on attacked images.
    weights : Tensor (B,), optional
        Of each image's loss; all 1 without them.
    dropout_keys : Tensor (B,), int64, optional
        What the images' dropout masks are drawn from; without them, torch's own generator.
    generators : torch.Generator, or one an image, optional
        Of random starts and targets.

    Returns
    -------
    Losses
        Each image's loss before the update.

    Raises
    ------
    ValueError
        Shapes that do not agree, a timestep out of range, or an attack on a denoiser.
    """
    objective = objective_of(network, schedule, attack)
    x_t = schedule.q_sample(x_start, t, noise)
    optimizer.zero_grad(set_to_none=True)
    keys = torch.zeros(0, dtype=torch.int64) if dropout_keys is None else dropout_keys
    with keyed_dropout(network if dropout_keys is not None else None, keys):
        losses = objective(network, x_t, y=y, t=t, x_start=x_start, noise=noise, generator=generators)
        (losses.loss if weights is None else losses.loss * weights).mean().backward()
    optimizer.step()
    return losses
