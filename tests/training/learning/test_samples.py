"""Grids of training images and samples: what is shown is what is there."""

import io

import numpy as np
import torch
from PIL import Image

from diffusion.schedule import NoiseSchedule
from training.data.batches import Dataset
from training.data.config import DataConfig
from training.data.image_sets import ArrayImages
from training.learning.samples import CAPTION_WIDTH, GAP, denoiser_samples, example_grid

SCHEDULE = NoiseSchedule.named("linear", 100)


def cells(png: bytes, cell: int) -> np.ndarray:
    """Return the middle pixel of every cell of a grid, grey."""
    grey = np.asarray(Image.open(io.BytesIO(png)).convert("L"))[:, CAPTION_WIDTH:]
    return grey[cell // 2 :: cell + GAP, cell // 2 :: cell + GAP]


def test_training_images_stand_in_the_row_of_their_class():
    labels = np.array([1, 0, 1, 0, 2])
    pixels = np.broadcast_to((50 * labels)[:, None, None], (5, 16, 16)).astype(np.uint8)
    data = Dataset(ArrayImages(pixels, labels, ("bag", "boot", "shirt"), "toys"), np.arange(5))
    png = example_grid(data, DataConfig(kind="npz", crop="none"), side=16, channels=1)
    assert cells(png, 48)[:, :3].tolist() == [[0, 0, 255], [50, 50, 255], [100, 255, 255]]


def test_samples_of_a_denoiser_that_knows_the_answer_are_the_answer_of_their_class():
    # Class k has one image, of level -1 + k: its exact noise estimate is known in closed form.
    def denoiser(x, t, y):
        abar = torch.from_numpy(SCHEDULE.alphas_cumprod)[t].float()[:, None, None, None]
        level = (-1.0 + y.float())[:, None, None, None]
        return (x - abar.sqrt() * level) / (1 - abar).sqrt()

    options = {"shape": (1, 48, 48), "seed": 3, "device": torch.device("cpu")}
    png = denoiser_samples(denoiser, SCHEDULE, class_names=("dark", "grey", "light"), **options)
    assert np.abs(cells(png, 48).astype(int) - np.array([[0], [127], [255]])).max() <= 1
    assert png == denoiser_samples(denoiser, SCHEDULE, class_names=("dark", "grey", "light"), **options)


def test_a_denoiser_without_classes_gives_one_row():
    png = denoiser_samples(
        lambda x, t: torch.zeros_like(x),
        SCHEDULE,
        shape=(3, 8, 8),
        class_names=None,
        seed=0,
        device=torch.device("cpu"),
    )
    # Without a caption there is no room for one.
    assert Image.open(io.BytesIO(png)).size == (8 * (48 + GAP), 48 + GAP)
