"""The losses: cross-entropy on (attacked) noisy images, and the denoiser's hybrid loss."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion.classifier import Classifier
from diffusion.posterior import p_mean_variance, q_posterior
from diffusion.schedule import NoiseSchedule
from training.attack import AttackConfig, AttackResult, TrainingInPassing, attack
from training.row_gradients import RowGradients

LN2 = math.log(2.0)
# Half the width of one of 256 grey levels in [-1, 1].
HALF_LEVEL = 1.0 / 255.0
LOG_FLOOR = 1e-12
# Compiled code sees the attack's moving images padded to so many sizes of a batch.
COMPILED_SHAPES = 8


@dataclass(frozen=True)
class Losses:
    """What training on a batch gives, detached.

    Parameters
    ----------
    loss : Tensor (B,)
    facts : dict of Tensor (B,)
    x : Tensor (B, C, H, W)
        What was trained on: attacked images where there is an attack.
    image_passes : int
        Images sent forward through the network, over all passes.
    """

    loss: Tensor
    facts: dict[str, Tensor]
    x: Tensor
    image_passes: int


@dataclass(frozen=True)
class ClassifierObjective:
    """Cross-entropy of the classifier on x_t, attacked at its own timestep if so configured.

    Parameters
    ----------
    schedule : NoiseSchedule
    attack : AttackConfig or None
    classes : int
    plain : callable
        The network as it is called wherever gradients are not to be averaged over processes.
    autocast : torch.dtype or None
    bucket : int
        See `training.attack.pgd`.
    gradients : RowGradients, optional
        Of the plain network; with it an image that the attack leaves is trained on in the pass that shows it wrong.
    """

    schedule: NoiseSchedule
    attack: AttackConfig | None
    classes: int
    plain: Callable[[Tensor, Tensor], Tensor]
    autocast: torch.dtype | None = None
    bucket: int = 1
    gradients: RowGradients | None = None

    def __call__(
        self,
        network: Callable,
        x_t: Tensor,
        *,
        y: Tensor,
        t: Tensor,
        x_start: Tensor,
        noise: Tensor,
        weights: Tensor,
        generator: torch.Generator | None = None,
    ) -> Losses:
        """Add the gradient of the sum of losses times `weights` (B,) to the parameters'; return the losses.

        The training pass, the last one, goes through `network`: there processes may average what has been added up.
        """
        facts, logits = {}, x_t.new_empty(len(y), self.classes)
        left, passes = slice(None), 0
        if self.attack:
            trained = TrainingInPassing(self.gradients, y, weights, logits) if self.gradients else None
            result = self._attacked(x_t, y, t, generator, trained)
            x_t, facts = result.x_adv, attack_facts(result, y, self.attack)
            left = (~trained.done).nonzero().flatten() if trained else left
            passes = result.image_passes
        with autocast_in(x_t, self.autocast):
            found = network(x_t[left], self.schedule.network_timesteps(t[left])).to(logits.dtype)
        (F.cross_entropy(found, y[left], reduction="none") * weights[left]).sum().backward()
        logits[left] = found.detach()
        top = logits.topk(min(5, self.classes), dim=-1).indices.eq(y[:, None])
        facts["accuracy"] = top[:, 0].float()
        facts["top5_accuracy"] = top.any(-1).float()
        return Losses(F.cross_entropy(logits, y, reduction="none"), facts, x_t, passes + len(found))

    def _attacked(
        self,
        x_t: Tensor,
        y: Tensor,
        t: Tensor,
        generator: torch.Generator | None,
        trained: TrainingInPassing | None,
    ) -> AttackResult:
        return attack(
            self.plain,
            x_t,
            y,
            t,
            config=self.attack,
            schedule=self.schedule,
            classes=self.classes,
            generator=generator,
            bucket=self.bucket,
            autocast=self.autocast,
            trained=trained,
        )


def attack_facts(result: AttackResult, y: Tensor, config: AttackConfig) -> dict[str, Tensor]:
    """Return what the attack's passes tell of every image: right before the attack, and share of steps in play."""
    facts = {}
    if result.clean_logits is not None:
        facts["clean_accuracy"] = result.clean_logits.argmax(-1).eq(y).float()
    if result.active:
        facts["active_share"] = torch.stack(result.active).float().sum(0) / config.steps
    return facts


def classifier_objective(
    network: Classifier,
    schedule: NoiseSchedule,
    attack: AttackConfig | None,
    *,
    autocast: torch.dtype | None = None,
    compiled: Callable[[Tensor, Tensor], Tensor] | None = None,
    batch_size: int,
) -> ClassifierObjective:
    """Return the objective of a classifier with passes of the kind that is fastest where it lies.

    Parameters
    ----------
    network : Classifier
    schedule : NoiseSchedule
    attack : AttackConfig or None
    autocast : torch.dtype, optional
    compiled : callable, optional
        The network by torch.compile.
    batch_size : int
        Images that the objective will be given at once.
    """
    config = network.config
    options = {}
    if compiled is not None:
        options["bucket"] = max(1, batch_size // COMPILED_SHAPES)
    elif next(network.parameters()).device.type == "cpu":
        # With dropout no pass is like another.
        options["gradients"] = None if config.dropout else RowGradients(network)
    plain = network if compiled is None else compiled
    return ClassifierObjective(schedule, attack, config.num_classes, plain, autocast, **options)


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
        weights: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Losses:
        """Return the losses; with `weights` (B,) add the gradient of their weighted sum to the parameters'."""
        labels = [y] if self.is_conditional else []
        with autocast_in(x_t, self.autocast):
            output = network(x_t, self.schedule.network_timesteps(t), *labels)
        output = output.float()
        pred_noise = output[:, : x_t.shape[1]]
        mse = (noise - pred_noise).square().flatten(1).mean(dim=1)
        loss, facts = mse, {"mse": mse.detach()}
        if self.learns_variance:
            variance_only = torch.cat([pred_noise.detach(), output[:, x_t.shape[1] :]], dim=1)
            bound = variational_bound(self.schedule, variance_only, x_start=x_start, x_t=x_t, t=t)
            facts["vlb"] = bound.detach()
            loss = mse + bound * (self.schedule.num_timesteps / 1000)
        if weights is not None:
            (loss * weights).sum().backward()
        return Losses(loss.detach(), facts, x_t, len(x_t))


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
