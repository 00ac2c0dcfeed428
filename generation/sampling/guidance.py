"""How a gradient of log p(y | x_t, t), or a second denoiser output, bends one reverse step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from diffusion.classifier import classifier_gradient
from diffusion.posterior import ReverseStep, predict_noise, predict_x_start
from diffusion.schedule import NoiseSchedule

__all__ = [
    "Classifier",
    "GradientAverage",
    "classifier_gradient",
    "combine_class_free",
    "is_guided",
    "lead_away",
    "scale_factor",
    "shift_mean",
    "shift_score",
]

Classifier = Callable[[Tensor, Tensor], Tensor]
"""Takes ``x_t (B, C, H, W)`` and the timesteps that networks are shown ``(B,)``; returns logits ``(B, classes)``."""


def shift_mean(step: ReverseStep, scaled_gradient: Tensor) -> ReverseStep:
    """Ancestral guidance: ``mean + variance * scale * gradient``, given ``scale * gradient``.

    References
    ----------
    Dhariwal and Nichol 2021, algorithm 1. The estimate of x_0 was clipped before; the shifted mean is not.
    """
    return replace(step, mean=step.mean + step.variance * scaled_gradient.float())


def shift_score(
    schedule: NoiseSchedule, pred_x_start: Tensor, x_t: Tensor, t: Tensor, scaled_gradient: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Guidance for solvers that follow the noise estimate: ``noise - sqrt(1 - alphas_cumprod) * scale * gradient``.

    Parameters
    ----------
    pred_x_start : Tensor (B, C, H, W)
        Estimate of x_0, clipped where clipping is on.
    scaled_gradient : Tensor (B, C, H, W) or None
        ``scale * gradient``; None leaves the estimate unguided.

    Returns
    -------
    pred_noise, pred_x_start : Tensor (B, C, H, W)
        The guided noise estimate and the x_0 it implies, which is not clipped again.

    References
    ----------
    Dhariwal and Nichol 2021, algorithm 2; Song et al. 2021 (arXiv 2011.13456), section 5.
    """
    pred_noise = predict_noise(schedule, x_t, t, pred_x_start)
    if scaled_gradient is None:
        return pred_noise, pred_x_start
    # The root is taken of the rounded table in float32, as the published sampler does.
    pred_noise = pred_noise - (1 - schedule.at("alphas_cumprod", t, x_t)).sqrt() * scaled_gradient.float()
    return pred_noise, predict_x_start(schedule, x_t, t, pred_noise)


def combine_class_free(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance: ``unconditional + scale * (conditional - unconditional)``; 1 is the plain condition.

    References
    ----------
    Ho and Salimans 2022 (arXiv 2207.12598), equation 6 with ``scale = 1 + w``.
    """
    return unconditional + scale * (conditional - unconditional)


def lead_away(strong: Tensor, weak: Tensor, scale: float) -> Tensor:
    """Autoguidance: ``weak + scale * (strong - weak)``, both given the same class; 1 is the plain denoiser.

    References
    ----------
    Karras et al. 2024 (arXiv 2406.02507), equation 3. It is linear in the estimate of x_0, hence the same in the noise.
    """
    return weak + scale * (strong - weak)


class GradientAverage:
    """Moving average of guidance gradients over the steps of one trajectory, corrected for its start at zero.

    Parameters
    ----------
    decay : float in [0, 1)
        Weight of the past.

    References
    ----------
    Vaeth et al. 2025 (arXiv 2507.00687), who steady non-robust classifiers so; the correction is that of Kingma and Ba
    2015 (arXiv 1412.6980), section 3.
    """

    def __init__(self, decay: float) -> None:
        self.decay, self._sum, self._steps = decay, None, 0

    def __call__(self, gradient: Tensor) -> Tensor:
        """Take in the gradient of a step; return the average up to it."""
        past = 0.0 if self._sum is None else self.decay * self._sum
        self._sum = past + (1 - self.decay) * gradient
        self._steps += 1
        return self._sum / (1 - self.decay**self._steps)


def scale_factor(schedule: str, index: int, steps: int) -> float:
    """What multiplies the classifier scale at a step, growing towards the end; the mean over all steps is 1.

    Parameters
    ----------
    schedule : {"constant", "linear", "cosine"}
    index : int
        Timestep of the respaced process, from ``steps - 1`` down to 0.
    steps : int

    References
    ----------
    Wang et al. 2024 (arXiv 2404.13040), whose monotone schedules for classifier-free guidance these are, at equal mean
    weight; for classifier guidance they are an experiment.
    """
    if schedule == "constant" or steps < 2:
        return 1.0
    share = index / (steps - 1)
    return 2.0 * (1.0 - share) if schedule == "linear" else 1.0 + math.cos(math.pi * share)


def is_guided(interval: tuple[int, int] | None, timestep: int) -> bool:
    """Whether guidance acts at this timestep of the original process: both ends of the interval belong to it.

    References
    ----------
    Kynkäänniemi et al. 2024 (arXiv 2404.07724) show a gain for classifier-free guidance; for classifier guidance it is
    an experiment, and off unless a recipe asks for it.
    """
    return interval is None or interval[0] <= timestep <= interval[1]
