"""The denoiser: ADM's UNet, which also covers the improved-diffusion network of the CIFAR-10 experiments."""

import torch
from torch import Tensor, nn

from diffusion.blocks import GroupNorm32, PassingSiLU, TimestepSequential, zero_init
from diffusion.encoder import Encoder, attention, residual, up_layer
from diffusion.settings import DenoiserConfig


class Denoiser(Encoder):
    """UNet that predicts the noise in x_t, and the variance of the reverse step where it learns one."""

    config: DenoiserConfig

    def __init__(self, config: DenoiserConfig):
        super().__init__(config)
        if config.num_classes is not None:
            self.label_emb = nn.Embedding(config.num_classes, config.emb_channels)
        # A copy: the widths are popped below, and the encoder's own list stays.
        skips = list(self.skip_channels)
        width = config.level_channels[-1]
        side = config.image_size >> (len(config.level_channels) - 1)
        self.output_blocks = nn.ModuleList()
        for level, level_width in reversed(list(enumerate(config.level_channels))):
            for block in range(config.num_res_blocks + 1):
                layers: list[nn.Module] = [residual(config, width + skips.pop(), level_width)]
                width = level_width
                if config.has_attention(side):
                    layers.append(attention(config, width, heads=config.num_heads_upsample))
                if level and block == config.num_res_blocks:
                    layers.append(up_layer(config, width))
                    side *= 2
                self.output_blocks.append(TimestepSequential(*layers))
        self.out = nn.Sequential(
            GroupNorm32(width), PassingSiLU(), zero_init(nn.Conv2d(width, config.out_channels, 3, padding=1))
        )

    @property
    def torso(self) -> tuple[nn.Module, ...]:
        return (*super().torso, self.output_blocks)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """Predict noise (and variance).

        Parameters
        ----------
        x : Tensor (B, in_channels, H, W), float32
            Noisy images x_t.
        t : Tensor (B,), integer or float
            Timesteps of the original process.
        y : Tensor (B,), int64, optional
            Class labels; given exactly when the network is class-conditional.

        Returns
        -------
        Tensor (B, out_channels, H, W), float32

        Raises
        ------
        ValueError
            A shape differs from the configuration, or labels are missing or not wanted.
        """
        self.check_input(x, t)
        emb = self.embed_time(t)
        if (y is None) != (self.config.num_classes is None):
            state = "missing but the denoiser is" if y is None else "given but the denoiser is not"
            raise ValueError(f"y (class labels) is {state} class-conditional")
        if y is not None:
            emb = emb + self.label_emb(y)
        h = x.to(self.torso_dtype)
        skips = []
        for block in self.input_blocks:
            h = block(h, emb)
            skips.append(h)
        h = self.middle_block(h, emb)
        for block in self.output_blocks:
            # Popped: a map is free as soon as it is used, the largest one last.
            h = block(torch.cat([h, skips.pop()], dim=1), emb)
        return self.out(h.to(x.dtype))
