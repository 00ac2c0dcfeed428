"""The time-dependent classifier: ADM's half UNet with a pooling head."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from diffusion.blocks import AttentionPool2d, GroupNorm32, zero_init
from diffusion.encoder import Encoder
from diffusion.settings import ClassifierConfig

# Of the published classifiers with spatial pooling.
SPATIAL_HIDDEN = 2048


class Classifier(Encoder):
    """Classifier of noisy images, p(y | x_t, t)."""

    config: ClassifierConfig

    def __init__(self, config: ClassifierConfig):
        super().__init__(config)
        self.out = self._head(config.level_channels[-1])

    def _head(self, width: int) -> nn.Sequential:
        config = self.config
        side = config.image_size >> (len(config.level_channels) - 1)
        if config.pool == "attention":
            # The configuration refuses this pool without the width of a head.
            head = cast(int, config.num_head_channels)
            pool = AttentionPool2d(side, width, config.num_classes, head_channels=head)
            return nn.Sequential(GroupNorm32(width), nn.SiLU(), pool)
        if config.pool == "adaptive":
            projection = zero_init(nn.Conv2d(width, config.num_classes, 1))
            return nn.Sequential(GroupNorm32(width), nn.SiLU(), nn.AdaptiveAvgPool2d((1, 1)), projection, nn.Flatten())
        hidden = nn.Linear(sum(self.skip_channels) + width, SPATIAL_HIDDEN)
        between = [nn.ReLU()] if config.pool == "spatial" else [GroupNorm32(SPATIAL_HIDDEN), nn.SiLU()]
        return nn.Sequential(hidden, *between, nn.Linear(SPATIAL_HIDDEN, config.num_classes))

    def _encode(self, x: Tensor, t: Tensor) -> Tensor:
        """Return what the head reads: the last feature map, or all maps' means for the spatial heads."""
        self.check_input(x, t)
        emb = self.embed_time(t)
        h = x.to(self.torso_dtype)
        means = []
        for block in (*self.input_blocks, self.middle_block):
            h = block(h, emb)
            if self.config.pool.startswith("spatial"):
                # Pooled in the input's type: a mean over many pixels in half precision is a rough one.
                means.append(h.to(x.dtype).mean(dim=(2, 3)))
        return torch.cat(means, dim=-1) if means else h.to(x.dtype)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        x : Tensor (B, in_channels, H, W), float32
            Images x_t, scaled to [-1, 1] before noise was added.
        t : Tensor (B,), integer or float
            Timesteps of the original process.

        Returns
        -------
        Tensor (B, num_classes), float32
        """
        return self.out(self._encode(x, t))

    def features(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the penultimate features, what the last linear map reads: Tensor (B, F).

        Metrics use them as an image embedding; see `forward` for the arguments.
        """
        h = self._encode(x, t)
        if self.config.pool == "attention":
            *before, pool = self.out
            for layer in before:
                h = layer(h)
            return cast(AttentionPool2d, pool).pooled(h)
        if self.config.pool == "adaptive":
            return self.out[:3](h).flatten(1)
        return self.out[:-1](h)


def classifier_gradient(
    classifier: Callable[[Tensor, Tensor], Tensor], x_t: Tensor, network_t: Tensor, class_label: Tensor
) -> Tensor:
    """Gradient of log p(y | x_t, t) with respect to x_t, row by row.

    Parameters
    ----------
    classifier : callable (x_t, t) -> logits
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
    # Samplers run under no_grad; this gradient is wanted there too.
    with torch.enable_grad():
        x = x_t.detach().requires_grad_(True)
        logits = classifier(x, network_t)
        # Half-precision logits are taken up to float32; a float64 classifier keeps its precision.
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        log_probability = torch.log_softmax(logits, dim=-1)
        selected = log_probability.gather(1, class_label.view(-1, 1))
        # Rows do not see each other, so the gradient of the sum holds every row's own gradient.
        return torch.autograd.grad(selected.sum(), x)[0]
