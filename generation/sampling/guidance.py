"""How a gradient of log p(y | x_t, t), or a second denoiser output, bends one reverse step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from diffusion.classifier import classifier_gradient
from diffusion.posterior import ReverseStep, predict_noise, predict_x_start
from diffusion.schedule import NoiseSchedule

__all__ = ["Classifier", "classifier_gradient", "combine_class_free", "is_guided", "shift_mean", "shift_score"]

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


def is_guided(interval: tuple[int, int] | None, timestep: int) -> bool:
    """Whether guidance acts at this timestep of the original process: both ends of the interval belong to it.

    References
    ----------
    Kynkäänniemi et al. 2024 (arXiv 2404.07724) show a gain for classifier-free guidance; for classifier guidance it is
    an experiment, and off unless a recipe asks for it.
    """
    return interval is None or interval[0] <= timestep <= interval[1]
