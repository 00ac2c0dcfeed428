"""The losses: cross-entropy on (attacked) noisy images, and the denoiser's hybrid loss."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion.dropout import without_dropout
from diffusion.posterior import p_mean_variance, q_posterior
from diffusion.schedule import NoiseSchedule
from training.attack.config import AttackConfig
from training.attack.pgd import attack
from training.attack.threat_model import Generators

LN2 = math.log(2.0)
# Half the width of one of 256 grey levels in [-1, 1].
HALF_LEVEL = 1.0 / 255.0
LOG_FLOOR = 1e-12


@dataclass(frozen=True)
class Losses:
    """Per-image results of one forward pass: `loss` (B,) with its graph, `facts` (B,) without."""

    loss: Tensor
    facts: dict[str, Tensor]


@dataclass(frozen=True)
class ClassifierObjective:
    """Cross-entropy of the classifier on x_t, attacked at its own timestep if so configured.

    Parameters
    ----------
    schedule : NoiseSchedule
    attack : AttackConfig or None
    classes : int
    attacked : callable
        The network as the attack calls it (without gradient averaging over processes).
    autocast : torch.dtype or None
    bucket : int
        See `training.attack.pgd`.
    """

    schedule: NoiseSchedule
    attack: AttackConfig | None
    classes: int
    attacked: Callable[[Tensor, Tensor], Tensor]
    autocast: torch.dtype | None = None
    bucket: int = 1

    def __call__(
        self,
        network: Callable,
        x_t: Tensor,
        *,
        y: Tensor,
        t: Tensor,
        x_start: Tensor,
        noise: Tensor,
        generator: Generators = None,
    ) -> Losses:
        facts = {}
        if self.attack:
            # What moves an image must not depend on who else is in its batch.
            with without_dropout(self.attacked):
                result = attack(
                    self.attacked,
                    x_t,
                    y,
                    t,
                    config=self.attack,
                    schedule=self.schedule,
                    classes=self.classes,
                    generator=generator,
                    bucket=self.bucket,
                    autocast=self.autocast,
                )
            x_t = result.x_adv
            if result.clean_logits is not None:
                facts["clean_accuracy"] = result.clean_logits.argmax(-1).eq(y).float()
            if result.active:
                facts["active_share"] = torch.stack(result.active).float().sum(0) / self.attack.steps
        with autocast_in(x_t, self.autocast):
            logits = network(x_t, self.schedule.network_timesteps(t)).float()
        loss = F.cross_entropy(logits, y, reduction="none")
        top = logits.detach().topk(min(5, logits.shape[1]), dim=-1).indices.eq(y[:, None])
        facts["accuracy"] = top[:, 0].float()
        facts["top5_accuracy"] = top.any(-1).float()
        return Losses(loss, facts)


@dataclass(frozen=True)
class DenoiserObjective:
    """Noise regression, plus the variational bound where the variance is learned.

    With L_simple + (T / 1000) L_vlb per timestep this is L_hybrid of Nichol and Dhariwal 2021 (eq. 16): their 0.001
    multiplies a sum over T timesteps, of which one is drawn. The bound trains the variance only: the mean inside it is
    detached. It is in bits per dimension, as published.
    """

    schedule: NoiseSchedule
    learns_variance: bool
    is_conditional: bool
    autocast: torch.dtype | None = None

    def __call__(
        self,
        network: Callable,
        x_t: Tensor,
        *,
        y: Tensor,
        t: Tensor,
        x_start: Tensor,
        noise: Tensor,
        generator: Generators = None,
    ) -> Losses:
        labels = [y] if self.is_conditional else []
        with autocast_in(x_t, self.autocast):
            output = network(x_t, self.schedule.network_timesteps(t), *labels)
        output = output.float()
        pred_noise = output[:, : x_t.shape[1]]
        mse = (noise - pred_noise).square().flatten(1).mean(dim=1)
        facts = {"mse": mse.detach()}
        if not self.learns_variance:
            return Losses(mse, facts)
        # Detached as in Nichol and Dhariwal (2021), section 3.1: the bound trains the variance alone.
        variance_only = torch.cat([pred_noise.detach(), output[:, x_t.shape[1] :]], dim=1)
        bound = variational_bound(self.schedule, variance_only, x_start=x_start, x_t=x_t, t=t)
        facts["vlb"] = bound.detach()
        # Their lambda of 0.001 times the T terms of the bound, of which a batch draws one.
        return Losses(mse + bound * (self.schedule.num_timesteps / 1000), facts)


def autocast_in(x: Tensor, dtype: torch.dtype | None):
    """Return an autocast region for `x`'s device, or none."""
    return torch.autocast(x.device.type, dtype=dtype) if dtype else nullcontext()


def variational_bound(
    schedule: NoiseSchedule, network_output: Tensor, *, x_start: Tensor, x_t: Tensor, t: Tensor
) -> Tensor:
    """Return one term of the variational bound, in bits per dimension: Tensor (B,).

    The KL divergence of the posterior from the learned reverse step, or at t = 0 the negative log-likelihood of the
    grey levels under the reverse step's Gaussian.

    References
    ----------
    Ho et al. 2020, equations 5 and 13; Nichol and Dhariwal 2021, section 3.1.
    """
    true_mean, _, true_log_variance = q_posterior(schedule, x_start, x_t, t)
    step = p_mean_variance(schedule, network_output, x_t, t, clip_x_start=False)
    divergence = normal_kl(true_mean, true_log_variance, step.mean, step.log_variance)
    likelihood = -level_log_likelihood(x_start, step.mean, 0.5 * step.log_variance)
    first = (t == 0).view(-1, *[1] * (x_t.ndim - 1))
    return torch.where(first, likelihood, divergence).flatten(1).mean(dim=1) / LN2


def normal_kl(mean: Tensor, log_variance: Tensor, other_mean: Tensor, other_log_variance: Tensor) -> Tensor:
    """Return KL(N(mean, .) || N(other_mean, .)) per value, in nats."""
    distance = (mean - other_mean).square() * torch.exp(-other_log_variance)
    return 0.5 * (other_log_variance - log_variance + torch.exp(log_variance - other_log_variance) - 1.0 + distance)


def level_log_likelihood(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Return the log-probability of 256 grey levels in [-1, 1] under a Gaussian, per value, in nats.

    The outermost levels take the tails.
    """
    inverse = torch.exp(-log_scale)
    upper = torch.special.ndtr(inverse * (x - mean + HALF_LEVEL))
    lower = torch.special.ndtr(inverse * (x - mean - HALF_LEVEL))
    upper = torch.where(x > 1 - HALF_LEVEL, torch.ones_like(upper), upper)
    lower = torch.where(x < -1 + HALF_LEVEL, torch.zeros_like(lower), lower)
    return (upper - lower).clamp(min=LOG_FLOOR).log()
