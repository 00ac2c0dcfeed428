"""What a person looks at during training: a grid of training images by class, and of samples from one noise."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from diffusion.posterior import p_mean_variance, predict_noise
from diffusion.schedule import NoiseSchedule
from training.data.batches import Dataset, read_pixels
from training.data.config import DataConfig
from training.data.image_sets import DataError
from training.data.streams import Purpose, sample_noise

__all__ = ["denoiser_samples", "example_grid", "grid_png"]

MOST_ROWS, COLUMNS = 10, 8
# Enough to see what is learned, few enough not to hold training up.
SAMPLING_STEPS = 25
# Smaller images are enlarged by a whole factor, so that one sees their pixels.
LEAST_SIDE = 48
CAPTION_WIDTH, GAP = 110, 2


def example_grid(data: Dataset, config: DataConfig, *, side: int, channels: int) -> bytes:
    """Return a PNG of training images as the network gets them, a class a row under its name.

    Images that cannot be read are left out: the run itself says what is wrong with them.
    """
    rows: dict[str, list[np.ndarray]] = {}
    labels = data.source.labels[data.indices]
    for label in _spread(np.unique(labels)):
        members = data.indices[labels == label][:COLUMNS]
        rows[data.source.class_names[label]] = list(_readable(data, config, members, side, channels))
    return grid_png(rows)


def _readable(data: Dataset, config: DataConfig, members: np.ndarray, side: int, channels: int) -> list[np.ndarray]:
    found = []
    for index in members:
        try:
            found.append(read_pixels(data.source, int(index), config, side=side, channels=channels))
        except DataError:
            continue
    return found


def _spread(items: np.ndarray) -> list[int]:
    """Return at most so many items as the grid has rows, evenly over all."""
    return [int(items[place]) for place in np.linspace(0, len(items) - 1, min(len(items), MOST_ROWS)).astype(int)]


@torch.no_grad()
def denoiser_samples(
    denoiser: Callable[..., Tensor],
    schedule: NoiseSchedule,
    *,
    shape: tuple[int, int, int],
    class_names: Sequence[str] | None,
    seed: int,
    device: torch.device,
) -> bytes:
    """Return a PNG of samples, a class a row, from noise that is the same at every call: one sees what changes.

    Parameters
    ----------
    denoiser : callable (x_t, t, y) or (x_t, t)
    schedule : NoiseSchedule
        Of training; few of its timesteps are visited.
    shape : (channels, side, side)
    class_names : sequence of str or None
        None for a denoiser without classes.
    seed : int
    device : torch.device

    References
    ----------
    Song et al. 2021, "Denoising Diffusion Implicit Models", equation 12 with eta = 0.
    """
    labels = [None] if class_names is None else _spread(np.arange(len(class_names)))
    noise = sample_noise(seed, np.arange(COLUMNS), shape, Purpose.VALIDATION).to(device)
    x = noise.repeat(len(labels), 1, 1, 1)
    y = None if class_names is None else torch.tensor(labels, device=device).repeat_interleave(COLUMNS)
    few = schedule.respaced(str(min(SAMPLING_STEPS, schedule.num_timesteps)))
    for index in reversed(range(few.num_timesteps)):
        t = torch.full((len(x),), index, device=device)
        given = (x, few.network_timesteps(t)) if y is None else (x, few.network_timesteps(t), y)
        # The mean alone is used, which asks nothing of the variance.
        x_start = p_mean_variance(few, denoiser(*given), x, t, variance="fixed_small").pred_x_start
        before = float(few.alphas_cumprod_prev[index])
        x = before**0.5 * x_start + (1.0 - before) ** 0.5 * predict_noise(few, x, t, x_start)
    pixels = ((x.clamp(-1, 1) + 1) * 127.5).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    names = ["" if label is None else class_names[label] for label in labels]
    return grid_png({name: list(part) for name, part in zip(names, np.split(pixels, len(labels)), strict=True)})


def grid_png(rows: dict[str, list[np.ndarray]]) -> bytes:
    """Return rows of images (side, side, 1 or 3) as one PNG, each row beside its caption."""
    side = max((len(image) for images in rows.values() for image in images), default=1)
    cell = side * max(1, -(-LEAST_SIDE // side))
    left = CAPTION_WIDTH if any(rows) else 0
    sheet = Image.new("RGB", (left + COLUMNS * (cell + GAP), max(len(rows), 1) * (cell + GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (name, images) in enumerate(rows.items()):
        top = row * (cell + GAP)
        draw.text((4, top + cell // 2 - 6), name[:18], fill="black")
        for column, image in enumerate(images):
            picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("RGB")
            # Whole factors and no smoothing: what is shown are the pixels.
            sheet.paste(picture.resize((cell, cell), Image.Resampling.NEAREST), (left + column * (cell + GAP), top))
    content = io.BytesIO()
    sheet.save(content, "PNG")
    return content.getvalue()
