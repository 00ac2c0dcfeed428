"""The down-sampling half that the denoiser and the classifier share, and the settings both have."""

import dataclasses
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from diffusion.blocks import (
    GROUPS,
    Downsample,
    ResBlock,
    SelfAttention2d,
    TimestepSequential,
    Upsample,
    timestep_embedding,
)


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Settings of the ADM encoder; names follow the published flags.

    Parameters
    ----------
    image_size : int
        Height and width in pixels, divisible by `2 ** (len(channel_mult) - 1)`.
    model_channels : int
        Base width; level i has `channel_mult[i] * model_channels` channels, a multiple of 32.
    in_channels : int
        3 for colour, 1 for grey.
    channel_mult : tuple of float
        Widths of the levels as multiples of `model_channels`; every level but the first halves the sides.
    num_res_blocks : int
        Residual blocks per level.
    attention_resolutions : tuple of int
        Feature-map sides at which self-attention follows each residual block; the middle always has it.
    num_heads : int
        Attention heads, used where `num_head_channels` is None.
    num_head_channels : int or None
        Width of one head; overrides `num_heads`.
    use_new_attention_order : bool
        Reading order of the qkv channels (see `SelfAttention2d`).
    use_scale_shift_norm : bool
        Adaptive group norm.
    resblock_updown : bool
        Resample inside residual blocks; otherwise by separate layers.
    conv_resample : bool
        Whether those separate layers carry a convolution.
    dropout : float
        Dropout inside residual blocks, in [0, 1).
    """

    image_size: int
    model_channels: int
    in_channels: int = 3
    channel_mult: tuple[float, ...] = (1, 2, 3, 4)
    num_res_blocks: int = 2
    attention_resolutions: tuple[int, ...] = (32, 16, 8)
    num_heads: int = 4
    num_head_channels: int | None = None
    use_new_attention_order: bool = False
    use_scale_shift_norm: bool = True
    resblock_updown: bool = True
    conv_resample: bool = True
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("channel_mult", "attention_resolutions"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("image_size", "model_channels", "in_channels", "num_res_blocks", "num_heads"):
            self._require(getattr(self, name) >= 1, name, "at least 1")
        self._require(len(self.channel_mult) >= 1, "channel_mult", "at least one level")
        self._require(0 <= self.dropout < 1, "dropout", "in [0, 1)")
        factor = 2 ** (len(self.channel_mult) - 1)
        self._require(
            self.image_size % factor == 0, "image_size", f"a multiple of {factor} for {factor} levels' halving"
        )
        for channels in self.level_channels:
            allowed = f"such that every level's width is a positive multiple of {GROUPS} (found {channels})"
            self._require(channels > 0 and channels % GROUPS == 0, "model_channels", allowed)
        for channels in self.attention_channels:
            head = self.num_head_channels or channels // self.num_heads
            name = "num_head_channels" if self.num_head_channels else "num_heads"
            self._require(head > 0 and channels % head == 0, name, f"a divisor of the attention width {channels}")

    def _require(self, holds: bool, name: str, allowed: str) -> None:
        if not holds:
            raise ValueError(f"{type(self).__name__}.{name} is {getattr(self, name)!r}; it must be {allowed}")

    @property
    def level_channels(self) -> tuple[int, ...]:
        """Width of every level."""
        return tuple(int(mult * self.model_channels) for mult in self.channel_mult)

    @property
    def attention_channels(self) -> tuple[int, ...]:
        """Widths at which self-attention stands (levels with attention, and the middle)."""
        sides = [self.image_size >> level for level in range(len(self.channel_mult))]
        at_levels = [c for c, side in zip(self.level_channels, sides, strict=True) if self.has_attention(side)]
        return (*at_levels, self.level_channels[-1])

    @property
    def emb_channels(self) -> int:
        """Width of the time embedding."""
        return 4 * self.model_channels

    def has_attention(self, side: int) -> bool:
        """Whether a feature map of this side is followed by self-attention.

        The published code compares down-sampling factors obtained by integer division, hence the same here: at 512
        pixels a listed side of 32 means the factor 16.
        """
        return self.image_size // side in {self.image_size // r for r in self.attention_resolutions}

    def to_dict(self) -> dict:
        """Return the settings as JSON-ready values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}


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
