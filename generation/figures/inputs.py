"""From image sources to what the figures take."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from generation.features.image_sets import ImageSet
from generation.features.networks import to_rgb_bytes

__all__ = ["fit_to_network", "pick_images"]


def pick_images(source: ImageSet, *, per_class: int, side: int, channels: int) -> tuple[Tensor, Tensor]:
    """Return the first images of every class, brought to a network's size.

    Parameters
    ----------
    source : ImageSet
        With class labels.
    per_class : int
    side, channels : int
        Of the network.

    Returns
    -------
    images : Tensor (n, channels, side, side), float32 in [-1, 1]
    labels : Tensor (n,), int64

    Raises
    ------
    ValueError
        If the source has no class labels.
    """
    taken: dict[int, int] = {}
    images, labels = [], []
    for batch in source.batches(64):
        for image, label in zip(batch.images, batch.labels.tolist(), strict=True):
            if label < 0:
                raise ValueError(f"{source.name}: these figures need class labels; put images into a folder per class")
            if taken.get(label, 0) < per_class:
                taken[label] = taken.get(label, 0) + 1
                images.append(fit_to_network(image[None], side=side, channels=channels))
                labels.append(label)
    return torch.cat(images), torch.tensor(labels, dtype=torch.int64)


def fit_to_network(images: np.ndarray, *, side: int, channels: int) -> Tensor:
    """Scale the shorter side to the network's, cut the middle out, and map bytes to [-1, 1].

    Parameters
    ----------
    images : array (B, H, W, 3 or 1), uint8
    side, channels : int
        ``channels`` is 3, or 1 for luminance (ITU-R BT.601).

    Returns
    -------
    Tensor (B, channels, side, side), float32 in [-1, 1]
    """
    x = torch.from_numpy(np.ascontiguousarray(to_rgb_bytes(images).transpose(0, 3, 1, 2))).float()
    if channels == 1:
        x = (x * x.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    height, width = x.shape[2:]
    if (height, width) != (side, side):
        factor = side / min(height, width)
        # Rounding must not leave the shorter side one pixel short of the crop.
        size = (max(side, round(height * factor)), max(side, round(width * factor)))
        # Bicubic overshoots at edges, beyond what pixels can be.
        x = F.interpolate(x, size=size, mode="bicubic", antialias=True).clamp(0.0, 255.0)
        top, left = (size[0] - side) // 2, (size[1] - side) // 2
        x = x[:, :, top : top + side, left : left + side]
    return x / 127.5 - 1.0
