import dataclasses
import hashlib
import json
import os
import pickle
import re

import pytest
import safetensors.torch
import torch

from diffusion import files
from diffusion.catalogue import DIGESTS, FILES, NAMES, SCHEDULES
from diffusion.checkpoints import CheckpointError, load_network, read_card, save_network
from diffusion.classifier import ClassifierConfig
from diffusion.published import PUBLISHED
from diffusion.unet import DenoiserConfig

SMALL = {"image_size": 8, "model_channels": 32, "channel_mult": (1, 2), "attention_resolutions": (4,)}
CONFIG = ClassifierConfig(**SMALL, num_classes=3, num_head_channels=16, num_res_blocks=1)
FACTS = {
    "schedule": {"name": "linear", "timesteps": 1000},
    "class_names": ("zero", "one", "two"),
    "metrics": {"accuracy": 0.5},
    "provenance": {"seed": 7},
}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return CONFIG.build()


@pytest.fixture
def saved(tmp_path, network):
    path = tmp_path / "classifier.safetensors"
    save_network(path, network, **FACTS)
    return path


def layout(state):
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_saved_network_loads_with_its_card(saved, network):
    loaded, card = load_network(saved)

    assert equal(loaded.state_dict(), network.state_dict())
    assert card.config == CONFIG
    assert {name: getattr(card, name) for name in FACTS} == FACTS
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    assert read_card(saved) == card


def test_file_is_plain_safetensors_with_a_readable_card_beside_it(saved, network):
    assert equal(safetensors.torch.load_file(saved), dict(network.state_dict()))
    beside = json.loads((saved.parent / "classifier.safetensors.json").read_text())
    assert beside["sha256"] == read_card(saved).sha256
    assert beside["class_names"] == ["zero", "one", "two"]


def test_same_network_gives_the_same_bytes(saved, network):
    before = saved.read_bytes()
    save_network(saved, network, **FACTS)
    assert saved.read_bytes() == before


def test_denoiser_round_trip_keeps_optional_settings(tmp_path):
    config = DenoiserConfig(**SMALL, num_classes=None, num_heads_upsample=2)
    save_network(tmp_path / "d.safetensors", config.build())
    assert load_network(tmp_path / "d.safetensors").card.config == config


@pytest.mark.parametrize("keep", [0, 5, 200, -1])
def test_cut_file_is_refused(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"classifier\.safetensors .*(cut short|damaged)"):
        load_network(saved)


def test_flipped_bit_is_refused(saved):
    content = bytearray(saved.read_bytes())
    content[-100] ^= 1
    saved.write_bytes(content)
    with pytest.raises(CheckpointError, match="hash to"):
        load_network(saved)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*absent\.safetensors"):
        load_network(tmp_path / "absent.safetensors")
    with pytest.raises(CheckpointError, match="is a folder; name the file of weights in it"):
        load_network(tmp_path)


def test_other_architecture_names_the_first_differences(saved):
    other = ClassifierConfig(**{**SMALL, "channel_mult": (1, 3)}, num_classes=4, num_head_channels=16, num_res_blocks=1)
    with pytest.raises(CheckpointError) as error:
        load_network(saved, other)
    message = str(error.value)
    assert "does not fit this classifier" in message
    assert "input_blocks.3.0.in_layers.2.weight is (64, 32, 3, 3), wanted (96, 32, 3, 3)" in message


def test_a_layout_is_never_taken_for_a_network_but_a_name_or_a_known_digest_is(tmp_path, monkeypatch):
    network, path = PUBLISHED["cifar10_classifier"].build(), tmp_path / "model.pt"
    torch.save(network.state_dict(), path)
    other = dataclasses.replace(PUBLISHED["cifar10_classifier"], num_head_channels=32)
    assert layout(other.build().state_dict()) == layout(network.state_dict())

    with pytest.raises(CheckpointError, match=r"networks with other attention heads .*--config cifar10_classifier"):
        load_network(path)
    for config in ("cifar10_classifier", PUBLISHED["cifar10_classifier"]):
        loaded, card = load_network(path, config)
        assert equal(loaded.state_dict(), network.state_dict())
        assert card.config == PUBLISHED["cifar10_classifier"]
        assert card.provenance == {"source": "model.pt"}
    assert load_network(path, other).card.config == other
    with pytest.raises(CheckpointError, match="layout of 'cifar10_classifier'"):
        load_network(path, CONFIG)
    monkeypatch.setitem(DIGESTS, hashlib.sha256(path.read_bytes()).hexdigest(), "cifar10_classifier")
    assert load_network(path).card.config == PUBLISHED["cifar10_classifier"]


def test_a_card_in_a_file_names_a_network_and_other_names_are_refused(tmp_path, network, saved):
    torch.save(network.state_dict(), tmp_path / "model.pt")
    assert load_network(tmp_path / "model.pt", f"{saved}.json").card.config == CONFIG
    with pytest.raises(CheckpointError, match="no published network is called 'adm129'"):
        load_network(tmp_path / "model.pt", "adm129")
    (tmp_path / "odd.json").write_text("[1]")
    with pytest.raises(CheckpointError, match=r"odd\.json is no card"):
        load_network(tmp_path / "model.pt", str(tmp_path / "odd.json"))


def test_a_demand_that_the_card_contradicts_is_refused(saved):
    with pytest.raises(CheckpointError, match="num_head_channels is 16, not 32"):
        load_network(saved, dataclasses.replace(CONFIG, num_head_channels=32))


def test_the_catalogue_names_every_published_network():
    assert set(NAMES) == set(PUBLISHED)
    assert set(SCHEDULES) == {name for name in PUBLISHED if "denoiser" in name}
    assert set(DIGESTS.values()) <= set(NAMES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_digest_is_entered_for_a_file_of_the_networks_size(file):
    with torch.device("meta"):
        state = PUBLISHED[file.network].build().state_dict()
    tensors = sum(tensor.numel() * 4 for tensor in state.values())
    # torch.save pads every tensor to 64 bytes and writes its name and shape.
    assert 64 * len(state) < file.size - tensors < 400 * len(state)
    assert file.network == DIGESTS[file.sha256]
    assert re.fullmatch("[0-9a-f]{64}", file.sha256)


def test_state_dict_of_unknown_layout_needs_a_config(tmp_path, network):
    torch.save(network.state_dict(), tmp_path / "model.pt")

    with pytest.raises(CheckpointError, match="give its config"):
        load_network(tmp_path / "model.pt")
    assert equal(load_network(tmp_path / "model.pt", CONFIG).network.state_dict(), network.state_dict())


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_pickled_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Harmful()}, "model.pt")
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(Harmful(), protocol=2))

    for name in ("model.pt", "raw.pt"):
        with pytest.raises(CheckpointError, match="refused"):
            load_network(tmp_path / name)
    assert not (tmp_path / "harm").exists()


def test_pickle_of_something_else_is_refused(tmp_path):
    torch.save({"step": 3, "model": {}}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="not a state dict"):
        load_network(tmp_path / "model.pt")


def test_failed_write_keeps_the_old_file(saved, network, monkeypatch):
    before = saved.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match=r"could not write .*classifier\.safetensors: No space left on device"):
        save_network(saved, network)
    assert saved.read_bytes() == before
    assert sorted(p.name for p in saved.parent.iterdir()) == ["classifier.safetensors", "classifier.safetensors.json"]
