"""Feature networks by name, and features that are computed once per set of images and weights."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from diffusion.checkpoints import CheckpointError, save_network
from diffusion.classifier import ClassifierConfig
from diffusion.unet import DenoiserConfig
from generation.features.image_sets import ArraySource
from generation.features.networks import load_feature_network, to_rgb_bytes
from generation.features.store import stored_features
from tests.generation.networks import RandomConvFeatures
from tests.generation.tiny import without_card

_TINY = {"image_size": 8, "in_channels": 1, "model_channels": 32, "channel_mult": (1, 2), "num_res_blocks": 1}


def _pixels(n: int = 10, side: int = 8, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, side, side, channels), dtype=np.uint8)


@pytest.fixture
def judge(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = ClassifierConfig(num_classes=10, num_head_channels=16, **_TINY).build().eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    save_network(tmp_path / "digits-judge.safetensors", network)
    return tmp_path / "digits-judge.safetensors"


def test_classifier_gives_its_penultimate_features_under_its_own_name(judge: Path):
    network = load_feature_network("classifier", judge)
    found = network(_pixels(3, channels=1))
    assert network.identity.name == "classifier:digits-judge"
    assert not network.identity.is_published_inception
    x = torch.from_numpy(_pixels(3, channels=1)).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    expected = network.network.features(x, torch.zeros(3, dtype=torch.int64))
    np.testing.assert_allclose(found.pool, expected, rtol=1e-5, atol=1e-5)
    assert found.spatial is None
    assert found.logits is None


def test_enlarged_images_have_the_features_of_the_originals(judge: Path):
    """Pixels repeated 4 x 4 for display average back to what the generator made."""
    network = load_feature_network("classifier", judge)
    small = _pixels(2, channels=1)
    large = small.repeat(4, axis=1).repeat(4, axis=2)
    np.testing.assert_allclose(network(large).pool, network(small).pool, rtol=1e-4, atol=1e-4)


def test_a_denoiser_is_no_feature_network(tmp_path: Path):
    network = DenoiserConfig(**_TINY, out_channels=2).build()
    save_network(tmp_path / "denoiser.safetensors", network)
    with pytest.raises(CheckpointError, match="denoiser"):
        load_feature_network("classifier", tmp_path / "denoiser.safetensors")


def test_a_classifier_without_a_card_is_named_by_its_config(judge: Path, tmp_path: Path):
    weights, config = without_card(judge, tmp_path)
    with pytest.raises(CheckpointError, match="give its config"):
        load_feature_network("classifier", weights)
    named = load_feature_network("classifier", weights, config=config)
    images = _pixels(2, channels=1)
    np.testing.assert_array_equal(named(images).pool, load_feature_network("classifier", judge)(images).pool)
    with pytest.raises(ValueError, match="inception has one layout"):
        load_feature_network("inception", weights, config=config)


def test_missing_inception_weights_say_what_is_missing_and_offer_the_classifier():
    with pytest.raises(FileNotFoundError, match=r"(?s)weights-inception-2015-12-05.*6726825d.*classifier.*comparable"):
        load_feature_network("inception", None)
    with pytest.raises(ValueError, match="unknown feature network 'vgg'"):
        load_feature_network("vgg", None)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((2, 8, 8, 3)),
        np.zeros((2, 8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((2, 0, 8, 3), np.uint8),
    ],
)
def test_other_arrays_than_images_are_refused(bad: np.ndarray):
    with pytest.raises(ValueError, match="expected uint8"):
        to_rgb_bytes(bad)


def test_features_do_not_depend_on_the_batch_size(tmp_path: Path):
    network, source = RandomConvFeatures(), ArraySource("images", _pixels())
    by_three = stored_features(source, network, tmp_path / "a", batch_size=3)
    by_ten = stored_features(source, network, tmp_path / "b", batch_size=10)
    np.testing.assert_allclose(by_three.pool, by_ten.pool, rtol=1e-5, atol=1e-6)


def test_features_are_computed_once_per_images_and_weights(tmp_path: Path):
    network, seen = RandomConvFeatures(), []
    labels = np.arange(10)
    first = stored_features(
        ArraySource("a", _pixels(), labels),
        network,
        tmp_path,
        batch_size=4,
        progress=lambda done, total: seen.append((done, total)),
    )
    again = stored_features(ArraySource("renamed", _pixels(), labels), network, tmp_path, batch_size=4)
    assert seen == [(4, 10), (8, 10), (10, 10)]
    assert network.calls == 3
    np.testing.assert_array_equal(first.pool, again.pool)
    assert again.labels.tolist() == labels.tolist()
    stored_features(ArraySource("a", _pixels()[::-1], labels), network, tmp_path, batch_size=4)
    assert network.calls == 6


def test_other_weights_never_find_these_features(tmp_path: Path):
    source = ArraySource("images", _pixels())
    stored_features(source, RandomConvFeatures(), tmp_path)
    other = RandomConvFeatures(is_inception=True)
    stored_features(source, other, tmp_path)
    assert other.calls == 1
    assert len(list(tmp_path.glob("*/features.json"))) == 2


def test_a_failed_computation_leaves_nothing_behind(tmp_path: Path):
    class Failing(ArraySource):
        def batches(self, size: int):
            yield from list(super().batches(size))[:1]
            raise ValueError("image 7 is cut short")

    with pytest.raises(ValueError, match="image 7"):
        stored_features(Failing("a", _pixels()), RandomConvFeatures(), tmp_path, batch_size=4)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize("batch_size", [2, 3, 4])
def test_an_interrupted_computation_goes_on_where_it_was(tmp_path: Path, batch_size: int):
    """Stopped after 8 of 10 images; the second call, with other batches, asks the network for the last two alone."""

    def stop(done: int, total: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    source = ArraySource("images", _pixels(), np.arange(10))
    with pytest.raises(KeyboardInterrupt):
        stored_features(source, RandomConvFeatures(), tmp_path, batch_size=4, progress=stop)
    seen: list[int] = []
    network = RandomConvFeatures()
    resumed = stored_features(
        source, network, tmp_path, batch_size=batch_size, progress=lambda done, total: seen.append(done)
    )
    assert min(seen) > 8
    assert network.images == 2
    whole = stored_features(source, RandomConvFeatures(), tmp_path / "fresh", batch_size=10)
    np.testing.assert_allclose(resumed.pool, whole.pool, rtol=1e-5, atol=1e-6)
    assert resumed.labels.tolist() == list(range(10))
    assert isinstance(resumed.pool, np.memmap)


def test_of_two_processes_one_computes_and_the_other_waits(tmp_path: Path):
    source, networks = ArraySource("images", _pixels()), [RandomConvFeatures(), RandomConvFeatures()]
    threads = [
        threading.Thread(target=stored_features, args=(source, network, tmp_path), kwargs={"batch_size": 2})
        for network in networks
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(network.images for network in networks) == [0, 10]


def test_a_source_that_loses_images_is_noticed(tmp_path: Path):
    class Shrinking(ArraySource):
        def batches(self, size: int):
            yield from list(super().batches(size))[:1]

    with pytest.raises(ValueError, match="4 images came out of a set of 10"):
        stored_features(Shrinking("a", _pixels()), RandomConvFeatures(), tmp_path, batch_size=4)


def test_what_was_stored_says_where_it_came_from(tmp_path: Path):
    source = ArraySource("images", _pixels())
    stored_features(source, RandomConvFeatures(), tmp_path)
    facts = json.loads(next(tmp_path.glob("*/features.json")).read_text())
    assert facts["images_sha256"] == source.digest()
    assert (facts["n"], facts["features"], facts["parts"]) == (10, "fd_random_conv_v1", ["pool"])
