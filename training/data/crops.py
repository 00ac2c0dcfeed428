"""From a decoded image to a square array of pixels, as the published training does it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

Crop = Literal["random", "center", "none"]
# Share of the shorter side that a random crop covers, at least.
MIN_CROP_SHARE = 0.8


class ImageSizeError(ValueError):
    """An image cannot be brought to the wanted size without inventing pixels, or at all."""


@dataclass(frozen=True)
class Placement:
    """Where to crop: the draws of one sample, each uniform in [0, 1)."""

    size: float
    top: float
    left: float
    flip: float


def place(
    image: Image.Image, *, side: int, crop: Crop, flip: bool, at: Placement | None, upscale: bool = False
) -> np.ndarray:
    """Scale, crop and mirror an image.

    Parameters
    ----------
    image : PIL image, mode "RGB" or "L"
    side : int
        Wanted height and width in pixels.
    crop : {"random", "center", "none"}
        "random": the shorter side becomes a random whole number in [side, side / 0.8], then a random square is cut;
        "center": the shorter side becomes `side`, then the middle is cut; "none": the image must have the size already.
    flip : bool
        Mirror left and right with probability one half (where `at` is given).
    at : Placement, optional
        The draws; without them "random" acts as "center" and nothing is mirrored.
    upscale : bool
        Allow images whose shorter side is below `side`.

    Returns
    -------
    ndarray (side, side, C), uint8

    Raises
    ------
    ImageSizeError
        The image is too small, or not of the size that crop "none" needs.
    """
    shorter = min(image.size)
    if crop == "none" and image.size != (side, side):
        raise ImageSizeError(
            f"is {image.size[0]}x{image.size[1]} pixels, wanted {side}x{side} (or set data.crop to 'center')"
        )
    if shorter < side and not upscale:
        raise ImageSizeError(f"has a shorter side of {shorter} pixels, under {side} (or set data.upscale = true)")
    if crop == "random" and at is not None:
        largest = int(np.ceil(side / MIN_CROP_SHARE))
        pixels = np.asarray(_shrink(image, side + int(at.size * (largest - side + 1))))
        top = int(at.top * (pixels.shape[0] - side + 1))
        left = int(at.left * (pixels.shape[1] - side + 1))
    else:
        pixels = np.asarray(_shrink(image, side))
        top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    pixels = pixels[top : top + side, left : left + side]
    if flip and at is not None and at.flip < 0.5:
        # A negative stride costs nothing; the copy is made once, when the batch is stacked.
        pixels = pixels[:, ::-1]
    return pixels.reshape(side, side, -1)


def _shrink(image: Image.Image, shorter: int) -> Image.Image:
    """Scale so that the shorter side is `shorter`: halvings by averaging, then bicubic."""
    if min(image.size) == shorter:
        return image
    # Boxes at powers of two first, as the published code does it: other filters would train on other pixels.
    while min(image.size) >= 2 * shorter:
        image = image.resize((image.width // 2, image.height // 2), resample=Image.Resampling.BOX)
    scale = shorter / min(image.size)
    size = (round(image.width * scale), round(image.height * scale))
    return image.resize(size, resample=Image.Resampling.BICUBIC)
