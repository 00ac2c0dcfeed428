"""Weights as people have them: found in what wraps them, cast, or refused with a message that names what they are."""

from __future__ import annotations

import argparse
import io
import json
import pickle
import struct
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from diffusion.checkpoints import CheckpointError, load_network, read_card, save_network, save_state_dict
from tests.diffusion.test_checkpoints import CONFIG, equal


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    return CONFIG.build()


@pytest.fixture(scope="module")
def state(network):
    return network.state_dict()


def prefixed(state, prefix):
    return {prefix + name: tensor for name, tensor in state.items()}


def averaged(network):
    return AveragedModel(network, use_buffers=True).state_dict()


def trained(network):
    optimizer = torch.optim.AdamW(network.parameters())
    return {"epoch": 3, "optimizer": optimizer.state_dict(), "args": {"lr": 1e-3}}


WRAPPED = {
    "state_dict": lambda n, s: {"state_dict": s, **trained(n)},
    "model beside optimizer": lambda n, s: {"model": s, **trained(n)},
    "ddp": lambda n, s: prefixed(s, "module."),
    "compiled": lambda n, s: prefixed(s, "_orig_mod."),
    "compiled in ddp": lambda n, s: prefixed(s, "module._orig_mod."),
    "lightning": lambda n, s: {"state_dict": prefixed(s, "net."), "pytorch-lightning_version": "2.4.0", "epoch": 1},
    "several parts": lambda n, s: {**prefixed(s, "classifier."), "loss.weight": torch.ones(3)},
    "averaged model": lambda n, s: averaged(n),
    "ema": lambda n, s: {"ema": s, "step": 4},
    "model_ema": lambda n, s: {"model": {k: v + 1 for k, v in s.items()}, "model_ema": s},
    "ema of lightning": lambda n, s: {
        **prefixed({k: v + 1 for k, v in s.items()}, "model."),
        **prefixed(s, "model_ema."),
        "model_ema.decay": torch.tensor(0.9),
    },
    "nested": lambda n, s: {"model": {"state_dict": prefixed(s, "module.")}, "epoch": 2},
    "one unknown name": lambda n, s: {"denoiser_fn": s, "iteration": 7},
    "ordered": lambda n, s: OrderedDict(s),
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_the_inner_state_dict_is_found_and_what_was_done_is_said(tmp_path, network, state, wrap):
    path = tmp_path / "checkpoint.pth.tar"
    torch.save(wrap(network, state), path)
    loaded, card = load_network(path, CONFIG)
    assert equal(loaded.state_dict(), state)
    assert ("notes" in card.provenance) == (wrap is not WRAPPED["ordered"])


def test_two_networks_in_one_file_are_refused_by_name(tmp_path, state):
    path = tmp_path / "both.pt"
    torch.save({**prefixed(state, "student."), **prefixed(state, "teacher.")}, path)
    with pytest.raises(CheckpointError, match=r"several networks \(student, teacher\)"):
        load_network(path, CONFIG)
    torch.save({"a": state, "b": state}, path)
    with pytest.raises(CheckpointError, match=r"several: a, b"):
        load_network(path, CONFIG)


@pytest.mark.parametrize("name", ["a.bin", "a.PT", "a.pth.tar", "a", "a.safetensors", "a.ckpt"])
@pytest.mark.parametrize("form", ["torch", "legacy", "safetensors"])
def test_content_tells_the_form_whatever_the_ending(tmp_path, state, name, form):
    path = tmp_path / name
    if form == "safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "torch")
    assert equal(load_network(path, CONFIG).network.state_dict(), state)


class Script(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


def scripted(path):
    # The compiler of TorchScript is on its way out of torch; what it wrote is still about.
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("net/data.pkl", "net/code/__torch__.py", "net/constants.pkl", "net/version"):
            archive.writestr(name, b"\x80\x02}.")


def npz(path):
    with path.open("wb") as file:
        np.savez(file, weight=np.ones(3))


def exported(path):
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("w/archive_format", "w/models/model.json", "w/data/weights/weight_0"):
            archive.writestr(name, b"pt2")


REFUSED = {
    "a program that torch.export wrote": exported,
    "a gzip archive": lambda path: path.write_bytes(b"\x1f\x8b\x08" + bytes(64)),
    "HTML page": lambda path: path.write_text("<!DOCTYPE html><html>Sign in</html>"),
    "git-lfs pointer": lambda path: path.write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    ),
    "TorchScript": scripted,
    "npz": npz,
    "a text": lambda path: path.write_text(json.dumps({"weight_map": {"a": "model-1-of-2.safetensors"}})),
    "HDF5": lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64)),
    "plain pickle": lambda path: path.write_bytes(pickle.dumps({"weight": 1})),
    "cut short": lambda path: path.write_bytes(b""),
    "argparse.Namespace": lambda path: torch.save({"args": argparse.Namespace(lr=1), "a": torch.ones(1)}, path),
    "holds a list": lambda path: torch.save([torch.ones(2)], path),
    "it holds: epoch": lambda path: torch.save({"epoch": 1}, path),
    "int8": lambda path: torch.save({"time_embed.0.weight": torch.ones(2, dtype=torch.int8)}, path),
    "layout of diffusers": lambda path: torch.save(
        {"conv_in.weight": torch.ones(1), "down_blocks.0.resnets.0.norm1.weight": torch.ones(1)}, path
    ),
    "layout of EDM,": lambda path: torch.save({"model.enc.64x64_conv.weight": torch.ones(1)}, path),
}


@pytest.mark.parametrize(("said", "write"), REFUSED.items(), ids=REFUSED)
@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors", "weights"])
def test_other_files_are_refused_by_what_they_are_and_never_with_unsafe_advice(tmp_path, said, write, name):
    path = tmp_path / name
    write(path)
    for call in (load_network, read_card):
        with pytest.raises(CheckpointError) as error:
            call(path)
        assert str(path) in str(error.value)
        assert "weights_only" not in str(error.value)
    if not said.startswith(("int8", "layout")):
        assert said in str(error.value)
    else:
        with pytest.raises(CheckpointError, match=said if said.startswith("layout") else "card"):
            load_network(path)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("has_card", [True, False])
def test_other_floating_types_are_cast_and_said(tmp_path, state, kind, has_card, caplog):
    cast = {name: tensor.to(kind) for name, tensor in state.items()}
    path = tmp_path / "weights.safetensors"
    if has_card:
        save_state_dict(path, cast, CONFIG)
    else:
        safetensors.torch.save_file(cast, path)
    loaded = load_network(path, CONFIG).network
    assert equal(loaded.state_dict(), {name: tensor.float() for name, tensor in cast.items()})
    assert f"stored as {str(kind).removeprefix('torch.')} and was cast to float32" in caplog.text
    assert loaded(torch.zeros(1, 3, 8, 8), torch.tensor([5])).isfinite().all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda name, value: value.half() if "weight" in name else value, r"several types \(float16, float32\)"),
        (lambda name, value: value.to(torch.int8), "int8"),
        (lambda name, value: value.to(torch.float8_e4m3fn), "float8"),
        (lambda name, value: value.to("meta"), r"tensors without values \(meta\), first "),
        (lambda name, value: value * float("nan"), "no numbers, first in"),
        (lambda name, value: (value * 1e30).half(), "no numbers, first in"),
    ],
)
def test_mixed_quantised_and_broken_values_are_refused(tmp_path, state, change, said):
    path = tmp_path / "weights.pt"
    torch.save({name: change(name, value) for name, value in state.items()}, path)
    with pytest.raises(CheckpointError, match=said):
        load_network(path, CONFIG)


ODD_HEADERS = [
    b"[]",
    b"3",
    b'"a"',
    b"{",
    b"\xff\xfe",
    b'{"a": 3}',
    b'{"a": {}}',
    b'{"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}',
    b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
    b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4000]}}',
    b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}',
    b'{"a": {"dtype": "F32", "shape": "x", "data_offsets": null}}',
    b'{"__metadata__": []}',
    b'{"__metadata__": {"blindpair_card": "[]"}}',
    b'{"__metadata__": {"blindpair_card": 3}}',
    b'{"__metadata__": {"blindpair_card": "{\\"kind\\": []}"}}',
    b'{"__metadata__": {"blindpair_card": "{\\"kind\\": [], \\"network\\": 1, \\"sha256\\": 2}"}}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("header", ODD_HEADERS)
def test_malformed_safetensors_headers_are_our_error(tmp_path, header):
    path = tmp_path / "odd.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    for call in (load_network, read_card):
        with pytest.raises(CheckpointError, match=r"odd\.safetensors"):
            call(path)


def test_a_length_beyond_the_file_is_our_error(tmp_path):
    path = tmp_path / "odd.safetensors"
    for length in (0, 2**63 - 1, 2**64 - 1):
        path.write_bytes(struct.pack("<Q", length) + b"{}")
        with pytest.raises(CheckpointError, match=r"odd\.safetensors"):
            load_network(path)


def test_our_own_file_with_another_ending_keeps_its_card(tmp_path, network):
    save_network(tmp_path / "ours.safetensors", network)
    (tmp_path / "ours.bin").write_bytes((tmp_path / "ours.safetensors").read_bytes())
    assert load_network(tmp_path / "ours.bin").card.config == CONFIG
    assert read_card(tmp_path / "ours.bin").config == CONFIG


def test_pickles_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = b"cposix\nmkdir\n(Vharm\ntR."
    for content in (b"\x80\x02" + command, command):
        (tmp_path / "a.pt").write_bytes(content)
        with pytest.raises(CheckpointError):
            load_network("a.pt")
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(1)}, buffer)
    with zipfile.ZipFile(buffer) as archive, zipfile.ZipFile(tmp_path / "b.pt", "w") as other:
        for name in archive.namelist():
            other.writestr(name, b"\x80\x02" + command if name.endswith("data.pkl") else archive.read(name))
    with pytest.raises(CheckpointError, match="refused"):
        load_network("b.pt")
    assert not (tmp_path / "harm").exists()


def test_an_average_without_names_is_said_to_be_left_out(tmp_path):
    state = CONFIG.build().state_dict()
    path = tmp_path / "checkpoint.pt"
    # As the library torch_ema keeps it.
    torch.save({"model": state, "ema": {"decay": 0.9, "shadow_params": list(state.values())}}, path)
    notes = load_network(path, CONFIG).card.provenance["notes"]
    assert "what it holds under 'ema' has no names of parameters and was left out" in notes
