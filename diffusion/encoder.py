"""The down-sampling half that the denoiser and the classifier share, and the settings both have."""

from typing import cast

import torch
from torch import Tensor, nn

from diffusion.blocks import (
    Downsample,
    ResBlock,
    SelfAttention2d,
    TimestepSequential,
    Upsample,
    timestep_embedding,
)
from diffusion.settings import EncoderConfig


def residual(config: EncoderConfig, channels: int, out_channels: int, *, resample: nn.Module | None = None) -> ResBlock:
    """Make a residual block with the network's common settings."""
    return ResBlock(
        channels,
        out_channels,
        emb_channels=config.emb_channels,
        dropout=config.dropout,
        scale_shift=config.use_scale_shift_norm,
        resample=resample,
    )


def attention(config: EncoderConfig, channels: int, *, heads: int | None = None) -> SelfAttention2d:
    """Make a self-attention layer with the network's common settings."""
    if config.num_head_channels:
        heads = channels // config.num_head_channels
    return SelfAttention2d(channels, heads=heads or config.num_heads, new_order=config.use_new_attention_order)


def down_layer(config: EncoderConfig, channels: int) -> nn.Module:
    """Make the layer that halves the side."""
    if config.resblock_updown:
        return residual(config, channels, channels, resample=Downsample(channels, learned=False))
    return Downsample(channels, learned=config.conv_resample)


def up_layer(config: EncoderConfig, channels: int) -> nn.Module:
    """Make the layer that doubles the side."""
    if config.resblock_updown:
        return residual(config, channels, channels, resample=Upsample(channels, learned=False))
    return Upsample(channels, learned=config.conv_resample)


class Encoder(nn.Module):
    """Time embedding, `input_blocks` and `middle_block`; the base of both networks.

    `skip_channels` lists the widths that `input_blocks` emit, in order.
    """

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.config = config
        self.time_embed = nn.Sequential(
            nn.Linear(config.model_channels, config.emb_channels),
            nn.SiLU(),
            nn.Linear(config.emb_channels, config.emb_channels),
        )
        width = config.level_channels[0]
        self.input_blocks = nn.ModuleList([TimestepSequential(nn.Conv2d(config.in_channels, width, 3, padding=1))])
        self.skip_channels = [width]
        side = config.image_size
        for level, level_width in enumerate(config.level_channels):
            for _ in range(config.num_res_blocks):
                layers: list[nn.Module] = [residual(config, width, level_width)]
                width = level_width
                if config.has_attention(side):
                    layers.append(attention(config, width))
                self._append(layers, width)
            if level < len(config.level_channels) - 1:
                self._append([down_layer(config, width)], width)
                side //= 2
        self.middle_block = TimestepSequential(
            residual(config, width, width), attention(config, width), residual(config, width, width)
        )

    def _append(self, layers: list[nn.Module], width: int) -> None:
        self.input_blocks.append(TimestepSequential(*layers))
        self.skip_channels.append(width)

    @property
    def torso(self) -> tuple[nn.Module, ...]:
        """The modules whose convolutions may run in half precision."""
        return (self.input_blocks, self.middle_block)

    @property
    def torso_dtype(self) -> torch.dtype:
        """Type of the torso's convolutions, float32 unless `cast_torso` changed it."""
        first = cast(TimestepSequential, self.input_blocks[0])[0]
        return cast(nn.Conv2d, first).weight.dtype

    def cast_torso(self, dtype: torch.dtype) -> "Encoder":
        """Cast the torso's convolutions to `dtype`, as the published fp16 mode does.

        Linear layers, group norms, embeddings and the output layers stay float32, so that this is not the same as
        autocast. Published checkpoints were sampled in this mode with float16.
        """
        for module in self.torso:
            for layer in module.modules():
                if isinstance(layer, nn.Conv1d | nn.Conv2d):
                    layer.to(dtype)
        return self

    def embed_time(self, t: Tensor) -> Tensor:
        """Embed timesteps (B,) as (B, 4 * model_channels)."""
        return self.time_embed(timestep_embedding(t, self.config.model_channels))

    def check_input(self, x: Tensor, t: Tensor) -> None:
        """Refuse a batch of another shape than the network was built for."""
        config = self.config
        expected = (config.in_channels, config.image_size, config.image_size)
        if x.ndim != 4 or tuple(x.shape[1:]) != expected:
            raise ValueError(f"x has shape {tuple(x.shape)}; this network takes (B, {', '.join(map(str, expected))})")
        if t.shape != x.shape[:1]:
            raise ValueError(f"t has shape {tuple(t.shape)}; it must be ({x.shape[0]},), one timestep per image")
