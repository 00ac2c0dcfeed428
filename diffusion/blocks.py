"""Building blocks of the ADM networks, with the published parameter names.

Attribute names (`in_layers`, `emb_layers`, `qkv_proj`, ...) and the positions inside each `nn.Sequential` are part of
the checkpoint format: published state dicts load key for key.

References
----------
Dhariwal and Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis", section 3 and appendix A.
Nichol and Dhariwal 2021, "Improved Denoising Diffusion Probabilistic Models".
"""

import math
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffusion.cpu_convolutions import DoublingConv2d, PackedConv2d, has_packed_kernels
from diffusion.dropout import KeyedDropout
from diffusion.settings import GROUPS

# As in the published networks, whose weights these must take.
MAX_PERIOD = 10_000


def timestep_embedding(t: Tensor, dim: int) -> Tensor:
    """Embed timesteps as cosines, then sines, of geometrically spaced frequencies.

    Parameters
    ----------
    t : Tensor (B,), integer or float
        Timesteps in the units of the ORIGINAL process (0..T-1); may be fractional.
    dim : int
        Width of the embedding; an odd width gets a trailing zero.

    Returns
    -------
    Tensor (B, dim), float32
    """
    half = dim // 2
    # This order of the operations is the published one: at large t a last bit of a frequency is seen in the angle.
    exponents = -math.log(MAX_PERIOD) * torch.arange(half, dtype=torch.float32, device=t.device) / half
    angles = t[:, None].float() * torch.exp(exponents)[None]
    embedding = torch.cat([angles.cos(), angles.sin()], dim=-1)
    return F.pad(embedding, (0, dim % 2))


Layer = TypeVar("Layer", bound=nn.Module)


def zero_init(module: Layer) -> Layer:
    """Set every parameter of `module` to zero: the layer then starts as a no-op of its residual branch."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


class GroupNorm32(nn.GroupNorm):
    """Group normalisation in 32 groups, computed in float32 and cast back to the input's type."""

    def __init__(self, channels: int):
        super().__init__(GROUPS, channels)

    def forward(self, x: Tensor) -> Tensor:
        # Sums over many half-precision values overflow or lose their last digits, hence float32 inside.
        if x.dtype == torch.float32:
            return super().forward(x)
        return super().forward(x.float()).to(x.dtype)


class PassingSiLU(nn.Module):
    """SiLU of what nobody else reads, such as a norm's result: in place wherever no gradient can be asked for."""

    def forward(self, x: Tensor) -> Tensor:
        # In place saves one map per layer; with gradients, the backward pass still needs the input.
        return F.silu(x, inplace=not torch.is_grad_enabled())


class TimestepSequential(nn.Sequential):
    """A sequence that hands the time embedding to the layers that take one."""

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:  # type: ignore[override]  # one argument more, on purpose
        for layer in self:
            x = layer(x, emb) if isinstance(layer, ResBlock) else layer(x)
        return x


class HalvingMean(nn.Module):
    """Mean of 2x2 pixels, without parameters."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or x.dtype != torch.float32:
            return F.avg_pool2d(x, 2)
        # On a CPU the same sums run four times as fast as a convolution of every channel by itself.
        kernel = x.new_full((x.shape[1], 1, 2, 2), 0.25)
        return F.conv2d(x, kernel, stride=2, groups=x.shape[1])


class Downsample(nn.Module):
    """Halve height and width with a strided convolution (`op`) or a 2x2 mean."""

    def __init__(self, channels: int, *, learned: bool):
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1) if learned else HalvingMean()

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Upsample(nn.Module):
    """Double height and width by repeating pixels, then an optional convolution (`conv`)."""

    def __init__(self, channels: int, *, learned: bool):
        super().__init__()
        self.conv: nn.Module = nn.Conv2d(channels, channels, 3, padding=1) if learned else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.conv, DoublingConv2d):
            return self.conv(x)
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class ResBlock(nn.Module):
    """Residual block conditioned on the time embedding, optionally resampling its input.

    Parameters
    ----------
    channels, out_channels, emb_channels : int
        Widths of input, output and time embedding.
    scale_shift : bool
        Apply the embedding as `norm(h) * (1 + scale) + shift` (adaptive group norm) instead of adding it.
    resample : nn.Module, optional
        Parameter-free resampling applied to both branches before the first convolution.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        emb_channels: int,
        dropout: float = 0.0,
        scale_shift: bool = True,
        resample: nn.Module | None = None,
    ):
        super().__init__()
        self.scale_shift = scale_shift
        self.resample = resample
        self.in_layers = nn.Sequential(
            GroupNorm32(channels), PassingSiLU(), nn.Conv2d(channels, out_channels, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(
            nn.SiLU(), nn.Linear(emb_channels, 2 * out_channels if scale_shift else out_channels)
        )
        self.out_layers = nn.Sequential(
            GroupNorm32(out_channels),
            PassingSiLU(),
            KeyedDropout(dropout),
            zero_init(nn.Conv2d(out_channels, out_channels, 3, padding=1)),
        )
        same_width = out_channels == channels
        self.skip_connection = nn.Identity() if same_width else nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        norm, activation, conv = self.in_layers
        h = activation(norm(x))
        if self.resample is not None:
            # Such a convolution doubles by itself; doubling before it too would give four times the side.
            h, x = h if isinstance(conv, DoublingConv2d) else self.resample(h), self.resample(x)
        h = conv(h)
        condition = self.emb_layers(emb).to(h.dtype)[:, :, None, None]
        norm, *rest = self.out_layers
        if self.scale_shift:
            scale, shift = condition.chunk(2, dim=1)
            # Not addcmul: it rounds once where the published two operations round twice.
            h = norm(h).mul_(1 + scale).add_(shift)
        else:
            h = norm(h + condition)
        for layer in rest:
            h = layer(h)
        return h.add_(self.skip_connection(x))


def attention_weights(q: Tensor, k: Tensor) -> Tensor:
    """Return the softmax of scaled products: Tensor (N, T, S), float32.

    Both factors are scaled by width^(-1/4), as published, which keeps half-precision products in range.

    Parameters
    ----------
    q, k : Tensor (N, width, T), (N, width, S)
        Channels first.
    """
    # The root of 1/sqrt(d) on each factor, as published: in half precision the bare product may overflow.
    scale = q.shape[1] ** -0.25
    return torch.bmm((q * scale).mT, k * scale).float().softmax(dim=-1)


class SelfAttention2d(nn.Module):
    """Residual multi-head self-attention over the pixels of a feature map.

    Parameters
    ----------
    heads : int
        Number of heads; must divide `channels`.
    new_order : bool
        How the 3C channels of `qkv` are read: `(3, heads, width)` if true, `(heads, 3, width)` (legacy) if false.
        The two are different networks for the same weights.
    """

    def __init__(self, channels: int, *, heads: int, new_order: bool):
        super().__init__()
        self.heads = heads
        self.new_order = new_order
        self.is_fused = False
        self.norm = GroupNorm32(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out: nn.Conv1d = zero_init(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        attend = self._attend_fused if _is_fused(self, x) else self._attend
        return attend(self.norm(x)).view(x.shape).add_(x)

    def _attend(self, x: Tensor) -> Tensor:
        """Attend by the published operations in their order: on a CPU results are then the published ones."""
        batch, channels, tokens = x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
        qkv = self.qkv(x.reshape(batch, channels, tokens))
        if self.new_order:
            q, k, v = (a.reshape(batch * self.heads, -1, tokens) for a in qkv.chunk(3, dim=1))
        else:
            q, k, v = qkv.reshape(batch * self.heads, -1, tokens).chunk(3, dim=1)
        # The softmax was taken in float32; the product with the values goes on in the torso's type.
        weights = attention_weights(q, k).to(v.dtype)
        return self.proj_out(torch.bmm(weights, v.mT).mT.reshape(batch, channels, tokens))

    def _attend_fused(self, x: Tensor) -> Tensor:
        # Tokens as rows: each head's features are then adjacent, which the fused attention kernels require.
        qkv = F.linear(x.flatten(2).mT, self.qkv.weight[:, :, 0], self.qkv.bias)
        if self.new_order:
            q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        else:
            q, k, v = qkv.unflatten(-1, (self.heads, 3, -1)).permute(3, 0, 2, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return F.linear(attended, self.proj_out.weight[:, :, 0], self.proj_out.bias).mT


class AttentionPool2d(nn.Module):
    """Pool a square feature map by attention from its mean, then project to `out_channels`.

    The mean is prepended as token 0 and is the only query whose output is used. The three projections are read in the
    new order (see `SelfAttention2d`).
    """

    def __init__(self, side: int, channels: int, out_channels: int, *, head_channels: int):
        super().__init__()
        self.heads = channels // head_channels
        self.is_fused = False
        self.positional_embedding = nn.Parameter(torch.randn(channels, side**2 + 1) / channels**0.5)
        self.qkv_proj = nn.Conv1d(channels, 3 * channels, 1)
        self.c_proj = nn.Conv1d(channels, out_channels, 1)

    def pooled(self, x: Tensor) -> Tensor:
        """Return the attended mean token, the features under the last projection: (B, channels)."""
        return self._attend_fused(x) if _is_fused(self, x) else self._attend(x)[:, :, 0]

    def forward(self, x: Tensor) -> Tensor:
        if _is_fused(self, x):
            return F.linear(self._attend_fused(x), self.c_proj.weight[:, :, 0], self.c_proj.bias)
        return self.c_proj(self._attend(x))[:, :, 0]

    def _tokens(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2)
        tokens = torch.cat([tokens.mean(dim=-1, keepdim=True), tokens], dim=-1)
        return tokens + self.positional_embedding.to(tokens.dtype)

    def _attend(self, x: Tensor) -> Tensor:
        """Attend by the published operations: all tokens are queries, so that each product rounds as published."""
        batch, channels = x.shape[:2]
        q, k, v = (
            a.reshape(batch * self.heads, channels // self.heads, -1)
            for a in self.qkv_proj(self._tokens(x)).chunk(3, dim=1)
        )
        weights = attention_weights(q, k).to(v.dtype)
        return torch.bmm(weights, v.mT).mT.reshape(batch, channels, -1)

    def _attend_fused(self, x: Tensor) -> Tensor:
        """Attend from token 0 alone, the only one whose output is used: (B, channels)."""
        tokens, channels = self._tokens(x).mT, x.shape[1]
        weight, bias = self.qkv_proj.weight[:, :, 0], cast(Tensor, self.qkv_proj.bias)
        q = F.linear(tokens[:, :1], weight[:channels], bias[:channels])
        k, v = F.linear(tokens, weight[channels:], bias[channels:]).chunk(2, dim=-1)
        q, k, v = (a.unflatten(-1, (self.heads, -1)).transpose(1, 2) for a in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v).reshape(len(x), channels)


def fuse_attention(network: nn.Module) -> nn.Module:
    """Let a network attend by fused kernels on a CPU too, as it does on a GPU; return it.

    Faster, and rounded otherwise than the published operations in their order, which a CPU does without this.
    """
    for module in network.modules():
        if isinstance(module, SelfAttention2d | AttentionPool2d):
            module.is_fused = True
    return network


def pack_convolutions(network: nn.Module) -> nn.Module:
    """Let a network that will only compute outputs convolve faster on a CPU; return it.

    Its float32 convolutions then give no gradients and cannot be moved or cast. Outputs change within rounding.
    """
    if not has_packed_kernels():
        return network
    for module in list(network.modules()):
        if isinstance(module, ResBlock) and isinstance(module.resample, Upsample):
            module.in_layers[2] = _packed(module.in_layers[2], DoublingConv2d)
        elif isinstance(module, Upsample):
            module.conv = _packed(module.conv, DoublingConv2d)
    for module in list(network.modules()):
        for name, child in module.named_children():
            module.add_module(name, _packed(child, PackedConv2d))
    return network


def _packed(layer: nn.Module, kind: type[DoublingConv2d] | type[PackedConv2d]) -> nn.Module:
    if isinstance(layer, nn.Conv2d) and layer.weight.dtype == torch.float32:
        return kind.of(layer)
    return layer


def _is_fused(module: SelfAttention2d | AttentionPool2d, x: Tensor) -> bool:
    return module.is_fused or x.device.type != "cpu"
