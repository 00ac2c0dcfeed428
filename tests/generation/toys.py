"""Small networks for sampling tests: exact ones of known distributions, and tiny real ones with random weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diffusion.classifier import Classifier, ClassifierConfig
from diffusion.schedule import NoiseSchedule
from diffusion.unet import Denoiser, DenoiserConfig

NUM_CLASSES = 4


def randomised(network: nn.Module, seed: int) -> nn.Module:
    """Random weights everywhere: a fresh denoiser returns zero and would make every comparison pass."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            spread = torch.randn(parameter.shape, generator=generator)
            is_gain = parameter.ndim == 1 and name.endswith("weight")
            parameter.copy_(1 + 0.1 * spread if is_gain else 0.08 * spread)
    return network.eval().requires_grad_(False)


def tiny_denoiser(seed: int = 0, *, num_classes: int | None = NUM_CLASSES, in_channels: int = 1) -> Denoiser:
    config = DenoiserConfig(
        image_size=8,
        model_channels=32,
        in_channels=in_channels,
        out_channels=2 * in_channels,
        channel_mult=(1, 2),
        num_res_blocks=1,
        attention_resolutions=(4,),
        num_heads=2,
        num_classes=num_classes,
    )
    return randomised(config.build(), seed)


def tiny_classifier(seed: int = 1, *, in_channels: int = 1) -> Classifier:
    config = ClassifierConfig(
        image_size=8,
        model_channels=32,
        in_channels=in_channels,
        channel_mult=(1, 2),
        num_res_blocks=1,
        attention_resolutions=(4,),
        num_head_channels=32,
        num_classes=NUM_CLASSES,
    )
    return randomised(config.build(), seed)


class GaussianMixture:
    """Exact denoiser and classifier of a two-dimensional mixture of equal round Gaussians, as (B, 2, 1, 1) images.

    At noise level ``abar`` component k is ``N(sqrt(abar) mean_k, (abar spread^2 + 1 - abar) I)``, so the score, and the
    probability of every class, are known in closed form.
    """

    def __init__(self, schedule: NoiseSchedule, means: Tensor, spread: float):
        self.alphas_cumprod = torch.from_numpy(schedule.alphas_cumprod)
        self.timesteps = {int(original): index for index, original in enumerate(schedule.timestep_map)}
        self.means = means
        self.spread = spread

    def _level(self, network_t: Tensor) -> tuple[Tensor, Tensor]:
        indices = torch.tensor([self.timesteps[int(t)] for t in network_t.unique()])
        assert len(indices) == 1, "all rows are at one timestep"
        alphas_cumprod = self.alphas_cumprod[indices].float()
        return alphas_cumprod, alphas_cumprod * self.spread**2 + 1 - alphas_cumprod

    def _differences(self, x: Tensor, alphas_cumprod: Tensor) -> Tensor:
        return x.flatten(1)[:, None, :] - alphas_cumprod.sqrt() * self.means[None]

    def classifier(self, x: Tensor, network_t: Tensor) -> Tensor:
        alphas_cumprod, variance = self._level(network_t)
        return -(self._differences(x, alphas_cumprod) ** 2).sum(-1) / (2 * variance)

    def denoiser(self, x: Tensor, network_t: Tensor, label: Tensor | None) -> Tensor:
        """Noise estimate ``-sqrt(1 - abar) * score``: of the mixture, or of one component where a label says which."""
        alphas_cumprod, variance = self._level(network_t)
        weights = torch.softmax(self.classifier(x, network_t), dim=-1)
        if label is not None:
            # Label K means "no class", as in a denoiser trained with dropped labels.
            chosen = nn.functional.one_hot(label, len(self.means) + 1)[:, :-1].float()
            weights = torch.where((label == len(self.means))[:, None], weights, chosen)
        score = -(weights[..., None] * self._differences(x, alphas_cumprod)).sum(1) / variance
        return (-(1 - alphas_cumprod).sqrt() * score)[:, :, None, None]
