"""The DINOv2 port against the published code's numbers under the same random weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from generation.features.dinov2 import DinoV2Network, load_dinov2
from tests.generation.inception_weights import uniform


def _network() -> DinoV2Network:
    network = DinoV2Network(width=128, depth=3)
    tensors = {}
    for i, (key, tensor) in enumerate(sorted(network.state_dict().items())):
        values = uniform(tuple(tensor.shape), 22, i) * (0.08 if tensor.ndim > 1 else 0.3)
        shift = 1.0 if "norm" in key and key.endswith("weight") else 0.0
        tensors[key] = torch.from_numpy((values + shift).astype("float32"))
    network.load_state_dict(tensors)
    return network


def test_class_token_equals_the_published_code():
    """Golden: facebookresearch/dinov2 at b8931f7, DinoVisionTransformer(img_size=518, patch_size=14, embed_dim=128,
    depth=3, num_heads=2, init_values=1.0, block_chunks=0) with these weights on this input; equal to the last bit then.
    """
    golden = json.loads((Path(__file__).parents[2] / "data" / "dinov2_golden.json").read_text())["class_token"]
    x = torch.from_numpy(uniform((2, 3, 224, 224), 5, 5).astype("float32"))
    np.testing.assert_allclose(_network().encode(x)[:, ::16], golden, rtol=1e-4, atol=1e-5)


def test_images_are_normalised_and_resized():
    network = _network()
    grey = torch.full((1, 3, 224, 224), 124, dtype=torch.uint8)
    normalised = (124 / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    expected = network.encode(normalised.view(1, 3, 1, 1).expand(1, 3, 224, 224))
    torch.testing.assert_close(network(grey), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network(grey[..., :57, :80]), expected, rtol=1e-4, atol=1e-4)


def test_large_layout_is_that_of_the_published_file():
    with torch.device("meta"):
        network = DinoV2Network(width=1024, depth=24)
    keys = network.state_dict()
    assert len(keys) == 24 * 14 + 7
    assert sum(tensor.numel() for tensor in keys.values()) == 304_368_640
    assert keys["pos_embed"].shape == (1, 1370, 1024)


def test_weights_are_read_back_with_their_digest(tmp_path: Path):
    network = _network()
    torch.save(network.state_dict(), tmp_path / "dino.pth")
    loaded, digest = load_dinov2(tmp_path / "dino.pth")
    assert len(digest) == 64
    images = torch.randint(0, 256, (1, 3, 30, 30), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded(images), network(images))


def test_missing_or_other_weights_are_refused(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="dinov2_vitl14_pretrain"):
        load_dinov2(tmp_path / "none.pth")
    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="does not hold a DINOv2"):
        load_dinov2(tmp_path / "other.pth")
    with_registers = _network().state_dict() | {"register_tokens": torch.zeros(1, 4, 128)}
    torch.save(with_registers, tmp_path / "registers.pth")
    with pytest.raises(ValueError, match="registers"):
        load_dinov2(tmp_path / "registers.pth")


@pytest.mark.parametrize("settings", [{"width": 100, "depth": 1}, {"width": 64, "depth": 1, "positions": 12}])
def test_impossible_sizes_are_refused(settings: dict):
    with pytest.raises(ValueError, match="expected"):
        DinoV2Network(**settings)
