from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

PRESET = """
name = "tiny"
task = "classifier"

[network]
image_size = 8
model_channels = 32
channel_mult = [1, 2]
num_res_blocks = 1
attention_resolutions = [4]
num_head_channels = 32
num_classes = 3

[data]
kind = "npz"
path = "{images}"
validation_share = 0.2
crop = "none"
workers = 0

[optimizer]
iterations = 6
batch_size = 8
learning_rate = 1e-3

[attack]
epsilon = 1.0
steps = 2

[run]
log_every = 1
save_every = 2
"""


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Write an .npz of three classes of 8x8 images that differ in colour."""
    rng = np.random.RandomState(0)
    labels = np.arange(60) % 3
    pixels = rng.randint(0, 80, (60, 8, 8, 3))
    pixels[np.arange(60), :, :, labels] += 150
    np.savez(tmp_path / "images.npz", images=pixels.astype(np.uint8), labels=labels)
    return tmp_path / "images.npz"


@pytest.fixture
def preset(tmp_path: Path, images: Path) -> str:
    """Write settings of a robust run that takes seconds; return their path."""
    path = tmp_path / "tiny.toml"
    path.write_text(PRESET.format(images=images))
    return str(path)
