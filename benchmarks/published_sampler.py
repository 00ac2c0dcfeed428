"""The published guided sampler, restated from its description, as the yardstick for results and speed.

Each arm alone; attention recomputed in every backward pass; parameters that ask for gradients although none are used;
contiguous layout; timestep tensors and tables made anew at every step.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from diffusion.schedule import NoiseSchedule


def published_sampling(
    denoiser, classifier, scale: float, schedule: NoiseSchedule, x: Tensor, label: Tensor, noise: Tensor
) -> Tensor:
    """Ancestral sampling of one arm with the mean shifted by the classifier.

    Parameters
    ----------
    denoiser, classifier : module
    scale : float
    schedule : NoiseSchedule
        Respaced.
    x : Tensor (B, C, H, W)
        x_T.
    label : Tensor (B,)
    noise : Tensor (steps, B, C, H, W)
    """

    def at(table: np.ndarray, t: Tensor) -> Tensor:
        values = torch.from_numpy(table).to(x.device)[t].float()
        return values.view(-1, 1, 1, 1).expand(x.shape)

    def gradient(state: Tensor, shown: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = state.detach().requires_grad_(True)
            log_probability = torch.log_softmax(classifier(leaf, shown), dim=-1)
            chosen = log_probability[range(len(label)), label]
            return torch.autograd.grad(chosen.sum(), leaf)[0] * scale

    with torch.no_grad():
        for index in reversed(range(schedule.num_timesteps)):
            t = torch.tensor([index] * len(label), device=x.device)
            shown = torch.tensor(schedule.timestep_map, device=x.device)[t]
            estimate, values = denoiser(x, shown, label).split(x.shape[1], dim=1)
            share = (values + 1) / 2
            log_variance = share * at(np.log(schedule.betas), t)
            log_variance = log_variance + (1 - share) * at(schedule.posterior_log_variance_clipped, t)
            start = at(schedule.sqrt_recip_alphas_cumprod, t) * x
            start = (start - at(schedule.sqrt_recipm1_alphas_cumprod, t) * estimate).clamp(-1, 1)
            mean = at(schedule.posterior_mean_coef1, t) * start + at(schedule.posterior_mean_coef2, t) * x
            mean = mean + torch.exp(log_variance) * gradient(x, shown)
            is_not_last = (t != 0).float().view(-1, 1, 1, 1)
            x = mean + is_not_last * torch.exp(0.5 * log_variance) * noise[index]
    return x
