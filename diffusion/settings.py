"""The settings of networks and noise schedules: plain values with their rules, read without torch.

A web process checks an order of training by these; only `build` loads what computes.
"""

import dataclasses
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, get_args

Pool = Literal["attention", "adaptive", "spatial", "spatial_v2"]
# Of every group norm, as in the published networks; a level's width is a multiple.
GROUPS = 32
# With 20 the last beta of the linear schedule is 1, which leaves nothing of the image to divide by.
LEAST_TIMESTEPS = {"linear": 21, "cosine": 2}
SCHEDULE_NAMES = tuple(LEAST_TIMESTEPS)


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
        is_side = all(side >= 1 for side in self.attention_resolutions)
        self._require(is_side, "attention_resolutions", "sides of feature maps, each at least 1")
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


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig(EncoderConfig):
    """Settings of a classifier; see `EncoderConfig` for the rest.

    Parameters
    ----------
    num_classes : int
        Number of logits.
    num_head_channels : int
        Width of one attention head (64 in every published classifier).
    pool : {"attention", "adaptive", "spatial", "spatial_v2"}
        Head; every published checkpoint uses "attention".
    """

    num_classes: int
    num_head_channels: int | None = 64
    pool: Pool = "attention"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.num_classes >= 1, "num_classes", "at least 1")
        self._require(self.pool in get_args(Pool), "pool", f"one of {get_args(Pool)}")
        needs_heads = self.pool == "attention" and not self.num_head_channels
        self._require(not needs_heads, "num_head_channels", "given when pool is 'attention'")

    def build(self) -> Any:
        """Make the network with fresh weights."""
        return _made("diffusion.classifier", "Classifier", self)


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig(EncoderConfig):
    """Settings of a denoiser; see `EncoderConfig` for the rest.

    Parameters
    ----------
    out_channels : int
        `in_channels` for predicted noise alone, twice that for noise and variance.
    num_classes : int or None
        Number of classes of a class-conditional network.
    num_heads_upsample : int or None
        Heads on the way up where they differ from `num_heads`.
    """

    out_channels: int = 6
    num_classes: int | None = None
    num_heads_upsample: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        allowed = (self.in_channels, 2 * self.in_channels)
        self._require(self.out_channels in allowed, "out_channels", f"one of {allowed}")
        self._require(self.num_classes is None or self.num_classes >= 1, "num_classes", "None or at least 1")

    @property
    def learns_variance(self) -> bool:
        """Whether the second half of the output channels is the variance."""
        return self.out_channels == 2 * self.in_channels

    def build(self) -> Any:
        """Make the network with fresh weights (its output is zero until trained)."""
        return _made("diffusion.unet", "Denoiser", self)


def _made(module: str, name: str, config: EncoderConfig) -> Any:
    # By name: an import here would load torch for whoever only checks settings.
    return getattr(import_module(module), name)(config)
