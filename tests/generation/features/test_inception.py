"""The Inception port: published layout, another implementation's numbers layer by layer, TensorFlow 1 resizing."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from generation.features.inception import (
    INCEPTION_FILE,
    InceptionNetwork,
    file_sha256,
    load_inception,
    resize_bilinear_tf1,
)
from tests.generation.inception_weights import images, random_tensors

_GOLDEN = json.loads((Path(__file__).parents[2] / "data" / "inception_golden.json").read_text())


@pytest.fixture(scope="module")
def network() -> InceptionNetwork:
    network = InceptionNetwork()
    shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    network.load_state_dict(random_tensors(shapes))
    return network


def test_layout_is_that_of_the_published_file(network: InceptionNetwork):
    keys = network.state_dict()
    assert len(keys) == 566
    assert sum(parameter.numel() for parameter in network.parameters()) == 23_850_960
    assert keys["Mixed_7c.branch3x3dbl_3b.conv.weight"].shape == (384, 384, 3, 1)
    assert keys["Mixed_6d.branch1x1.bn.running_var"].shape == (192,)
    assert keys["fc.weight"].shape == (1008, 2048)


def test_every_layer_gives_the_other_implementations_numbers(network: InceptionNetwork):
    seen, hooks = {}, []
    for name, module in network.named_modules():
        if name in _GOLDEN["layers"]:
            hooks.append(module.register_forward_hook(lambda m, i, output, name=name: seen.__setitem__(name, output)))
    found = network(images())
    for hook in hooks:
        hook.remove()
    # Mixed_6d is run branch by branch here; its four branches are compared instead of their concatenation.
    assert set(_GOLDEN["layers"]) - set(seen) == {"Mixed_6d"}
    assert len(seen) == 104
    for name, (mean, deviation) in _GOLDEN["layers"].items():
        if name in seen:
            values = seen[name].double()
            assert values.mean().item() == pytest.approx(mean, rel=1e-5, abs=1e-6), name
            assert values.std().item() == pytest.approx(deviation, rel=1e-5), name
    np.testing.assert_allclose(found.pool[:, ::128], _GOLDEN["pool"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.logits[:, ::63], _GOLDEN["logits"], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.spatial[:, ::127], _GOLDEN["spatial"], rtol=1e-4, atol=1e-5)


def test_features_have_their_published_sizes_and_logits_have_no_bias(network: InceptionNetwork):
    found = network(images()[:1])
    assert (found.pool.shape, found.spatial.shape, found.logits.shape) == ((1, 2048), (1, 2023), (1, 1008))
    torch.testing.assert_close(found.logits, found.pool @ network.fc.weight.T)
    assert network.fc.bias.abs().min() > 0.0


def test_an_image_has_the_same_features_whatever_its_neighbours(network: InceptionNetwork):
    network.train()
    pair = images()
    alone = network(pair[:1]).pool
    torch.testing.assert_close(network(pair).pool[:1], alone, rtol=1e-4, atol=1e-4)


def _resized_by_hand(image: np.ndarray, size: int) -> np.ndarray:
    """TensorFlow 1, align_corners=False, written pixel by pixel: source coordinate i * (in / out) in float32."""
    height, width = image.shape
    result = np.zeros((size, size), dtype=np.float32)
    for i in range(size):
        for j in range(size):
            y, x = np.float32(i) * np.float32(height / size), np.float32(j) * np.float32(width / size)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            down, across = y - top, x - left
            upper = image[top, left] + (image[top, right] - image[top, left]) * across
            lower = image[bottom, left] + (image[bottom, right] - image[bottom, left]) * across
            result[i, j] = upper + (lower - upper) * down
    return result


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (8, 8), (20, 7), (13, 13)])
def test_resize_is_tensorflow_1_bilinear(shape: tuple[int, int]):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    found = resize_bilinear_tf1(torch.from_numpy(image)[None, None], 13)[0, 0].numpy()
    np.testing.assert_array_equal(found, _resized_by_hand(image, 13))


def test_resize_has_neither_half_pixel_shift_nor_antialiasing():
    """Doubling [0, 10]: 0, 5, 10, 10. Halving keeps every second pixel as it is."""
    doubled = resize_bilinear_tf1(torch.tensor([[[[0.0, 10.0], [0.0, 10.0]]]]), 4)
    assert doubled[0, 0, 0].tolist() == [0.0, 5.0, 10.0, 10.0]
    halved = resize_bilinear_tf1(torch.tensor([[[[1.0, 9.0, 2.0, 8.0]] * 4]]), 2)
    assert halved[0, 0, 0].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "bad",
    [
        torch.zeros(1, 3, 8, 8),
        torch.zeros(1, 1, 8, 8, dtype=torch.uint8),
        torch.zeros(3, 8, 8, dtype=torch.uint8),
        torch.zeros(1, 4, 8, 8, dtype=torch.uint8),
    ],
)
def test_other_inputs_than_rgb_bytes_are_refused(network: InceptionNetwork, bad: torch.Tensor):
    with pytest.raises(ValueError, match="uint8"):
        network(bad)


def test_missing_weights_say_what_is_needed_and_where(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"6726825d.*torch-fidelity") as caught:
        load_inception(tmp_path / INCEPTION_FILE)
    assert str(tmp_path) in str(caught.value)


def test_weights_with_another_digest_are_refused(tmp_path: Path):
    path = tmp_path / INCEPTION_FILE
    path.write_bytes(b"cut short")
    with pytest.raises(ValueError, match=r"SHA-256 .* expected 6726825d"):
        load_inception(path)


def test_a_file_of_other_tensors_is_refused(tmp_path: Path):
    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match="does not hold the tensors"):
        load_inception(path, expected_sha256=file_sha256(path))


def test_a_file_that_needs_unpickling_or_is_no_file_of_tensors_is_refused(tmp_path: Path):
    path = tmp_path / "program.pth"
    torch.save({"fc.weight": Path("a pickled object")}, path)
    with pytest.raises(ValueError, match="does not hold the tensors"):
        load_inception(path, expected_sha256=file_sha256(path))
    path.write_text("text")
    with pytest.raises(ValueError, match="does not hold the tensors"):
        load_inception(path, expected_sha256=file_sha256(path))


def test_files_of_old_torch_versions_without_batch_counters_are_read(network: InceptionNetwork, tmp_path: Path):
    path = tmp_path / "old.pth"
    torch.save({k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}, path)
    loaded, _ = load_inception(path, expected_sha256=file_sha256(path))
    assert torch.equal(loaded.fc.weight, network.fc.weight)


def test_weights_load_under_their_digest(network: InceptionNetwork, tmp_path: Path):
    path = tmp_path / "weights.pth"
    torch.save(network.state_dict(), path)
    loaded, digest = load_inception(path, expected_sha256=file_sha256(path)[:8])
    assert digest == file_sha256(path)
    assert torch.equal(loaded(images()).pool, network(images()).pool)
