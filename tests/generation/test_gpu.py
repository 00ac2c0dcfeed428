"""What only a GPU can show: the same noise there, images near the CPU's, half precision near float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from generation.recipes.noise import PairSpec
from generation.sampling.networks import NetworkStore
from generation.sampling.pairs import generate_pairs

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
SPECS = [PairSpec(3, label, 0) for label in range(4)]


def made(checkpoints, device: str, *, compile: bool = False, **changes):
    recipes = [checkpoints.recipe(name, **changes) for name in ("vanilla", "robust")]
    return list(generate_pairs(recipes, SPECS, micro_batch=4, store=NetworkStore(device, compile=compile)))


@pytest.mark.parametrize(
    ("settings", "levels"),
    [({}, 0.1), ({"compile": True}, 0.1), ({"precision": "float16", "classifier_precision": "float16"}, 3.0)],
    ids=["float32", "compiled", "float16"],
)
def test_gpu_makes_the_images_of_the_cpu(checkpoints, settings, levels):
    for mine, other in zip(made(checkpoints, "cuda", **settings), made(checkpoints, "cpu"), strict=True):
        assert mine.noise_sha256 == other.noise_sha256
        for name, image in mine.images.items():
            assert image.record["noise_sha256"] == other.images[name].record["noise_sha256"]
            difference = image.pixels.astype(int) - other.images[name].pixels.astype(int)
            assert np.abs(difference).mean() <= levels


def test_gpu_gives_the_same_bytes_twice(checkpoints):
    one, other = made(checkpoints, "cuda"), made(checkpoints, "cuda")
    for first, second in zip(one, other, strict=True):
        assert {n: i.sha256 for n, i in first.images.items()} == {n: i.sha256 for n, i in second.images.items()}
