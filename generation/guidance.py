"""How a gradient of log p(y | x_t, t), or a second denoiser output, bends one reverse step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from diffusion.posterior import ReverseStep, predict_noise, predict_x_start
from diffusion.schedule import NoiseSchedule

__all__ = ["Classifier", "classifier_gradient", "combine_class_free", "is_guided", "shift_mean", "shift_score"]

Classifier = Callable[[Tensor, Tensor], Tensor]
"""Takes ``x_t (B, C, H, W)`` and the timesteps that networks are shown ``(B,)``; returns logits ``(B, classes)``."""


def classifier_gradient(classifier: Classifier, x_t: Tensor, network_t: Tensor, class_label: Tensor) -> Tensor:
    """Gradient of log p(y | x_t, t) with respect to x_t, row by row.

    Parameters
    ----------
    classifier : callable
        Its parameters should not require gradients: nothing but the gradient at ``x_t`` is wanted.
    x_t : Tensor (B, C, H, W), float32
    network_t : Tensor (B,)
        The timestep as networks are shown it.
    class_label : Tensor (B,), int64

    Returns
    -------
    Tensor (B, C, H, W), float32

    References
    ----------
    Dhariwal and Nichol 2021 (arXiv 2105.05233), algorithm 1; as in the published sampler the gradient is taken at x_t,
    not at the mean that the paper writes.
    """
    with torch.enable_grad():
        x = x_t.detach().requires_grad_(True)
        logits = classifier(x, network_t)
        # Half-precision logits are taken up to float32; a float64 classifier keeps its precision.
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        log_probability = torch.log_softmax(logits, dim=-1)
        selected = log_probability.gather(1, class_label.view(-1, 1))
        return torch.autograd.grad(selected.sum(), x)[0]


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
