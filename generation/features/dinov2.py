"""DINOv2 vision transformers as feature networks (Oquab et al. 2023, arXiv 2304.07193), loaded from a local state dict.

The class token after the last norm is the feature. Key names are those of the published
`dinov2_vit{s,b,l}14_pretrain.pth`.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generation.features.inception import file_sha256, read_tensors

__all__ = ["DINOV2_INPUT_PX", "DinoV2Network", "load_dinov2"]

# As published: other values would be other features under the same name.
DINOV2_INPUT_PX = 224
_PATCH_PX = 14
_HEAD_CHANNELS = 64
_NORM_EPS = 1e-6
# Position tables were resampled with this addition to the grid's side when the weights were published; leaving it out
# moves every feature.
_GRID_OFFSET = 0.1


class _LayerScale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // _HEAD_CHANNELS
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        query, key, value = self.qkv(x).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(batch, tokens, width))


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class _Block(nn.Module):
    """Pre-norm transformer block with layer scale."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=_NORM_EPS)
        self.attn = _Attention(width)
        self.ls1 = _LayerScale(width)
        self.norm2 = nn.LayerNorm(width, eps=_NORM_EPS)
        self.mlp = _Mlp(width)
        self.ls2 = _LayerScale(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class _PatchEmbedding(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, _PATCH_PX, stride=_PATCH_PX)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


class DinoV2Network(nn.Module):
    """A DINOv2 encoder without registers.

    Parameters
    ----------
    width, depth : int
        Channels and blocks: 384 and 12 (S), 768 and 12 (B), 1024 and 24 (L).
    positions : int
        Rows of the position table: 1 for the class token and one per patch of the training size (37 x 37 + 1 = 1370).
    """

    def __init__(self, *, width: int, depth: int, positions: int = 1370) -> None:
        super().__init__()
        if width % _HEAD_CHANNELS or width < _HEAD_CHANNELS:
            raise ValueError(f"width is {width}; expected a multiple of {_HEAD_CHANNELS}")
        if positions < 2 or math.isqrt(positions - 1) ** 2 != positions - 1:
            raise ValueError(f"positions is {positions}; expected 1 + the square of the grid's side")
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, positions, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))  # used in training alone, present in the files
        self.patch_embed = _PatchEmbedding(width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=_NORM_EPS)
        # Of ImageNet, as in the published preprocessing; not persistent, for the published files do not hold them.
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1), persistent=False)
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return class tokens (B, width) of uint8 images (B, 3, H, W), resized to 224 px (bicubic, antialiased)."""
        if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.uint8:
            raise ValueError(f"images are {images.dtype} {tuple(images.shape)}; expected uint8 (B, 3, H, W)")
        x = images.to(self.norm.weight.dtype)
        if x.shape[2:] != (DINOV2_INPUT_PX, DINOV2_INPUT_PX):
            # Antialiased: shrinking large images without it would turn their fine structure into patterns.
            x = F.interpolate(x, size=(DINOV2_INPUT_PX, DINOV2_INPUT_PX), mode="bicubic", antialias=True)
        return self.encode((x / 255.0 - self.mean) / self.deviation)

    def encode(self, x: Tensor) -> Tensor:
        """Return class tokens (B, width) of normalised images (B, 3, H, W), sides multiples of 14."""
        patches = self.patch_embed(x)
        tokens = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), patches], dim=1)
        tokens = tokens + self._positions(x.shape[2] // _PATCH_PX, x.shape[3] // _PATCH_PX)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)[:, 0]

    def _positions(self, rows: int, columns: int) -> Tensor:
        side = math.isqrt(self.pos_embed.shape[1] - 1)
        # The grid of training: resampling it by a factor that is not quite 1 would move the features.
        if (rows, columns) == (side, side):
            return self.pos_embed
        grid = self.pos_embed[:, 1:].view(1, side, side, -1).permute(0, 3, 1, 2)
        factors = ((rows + _GRID_OFFSET) / side, (columns + _GRID_OFFSET) / side)
        # By factor and not by size: torch then samples at the places that the published code samples at.
        grid = F.interpolate(grid, scale_factor=factors, mode="bicubic")
        return torch.cat([self.pos_embed[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


def load_dinov2(path: Path) -> tuple[DinoV2Network, str]:
    """Return the network whose state dict lies at ``path``, and the file's SHA-256.

    Raises
    ------
    FileNotFoundError
        If there is no such file; nothing is ever downloaded.
    ValueError
        If the file does not hold a DINOv2 encoder without registers.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no DINOv2 weights at {path}: put dinov2_vitl14_pretrain.pth (or S, B) there")
    tensors = read_tensors(path)
    try:
        width, positions = tensors["pos_embed"].shape[2], tensors["pos_embed"].shape[1]
        depth = 1 + max(int(key.split(".")[1]) for key in tensors if key.startswith("blocks."))
        network = DinoV2Network(width=width, depth=depth, positions=positions)
        # Strict: a missing tensor would leave untrained features under a published name.
        network.load_state_dict(tensors, strict=True)
    except (KeyError, RuntimeError, ValueError, IndexError) as error:
        raise ValueError(f"{path} does not hold a DINOv2 encoder without registers: {error}") from error
    return network, file_sha256(path)
