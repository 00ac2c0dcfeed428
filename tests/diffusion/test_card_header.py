"""Class names without torch: the same that the whole reader finds, and none from files of others."""

import json
import struct
import subprocess
import sys

import pytest
import torch

from diffusion.card_header import class_names_in
from diffusion.checkpoints import read_card, save_network
from tests.training.networks import tiny_classifier


def test_names_are_those_of_the_card(tmp_path):
    path = tmp_path / "a.safetensors"
    save_network(path, tiny_classifier(), class_names=("Ankle boot", "Bag", "كنزة", "d"))
    assert class_names_in(path) == read_card(path).class_names


def test_files_without_a_card_of_ours_have_none(tmp_path):
    torch.save({"a": torch.zeros(2)}, tmp_path / "a.pt")
    (tmp_path / "short").write_bytes(b"ab")
    (tmp_path / "huge").write_bytes(struct.pack("<Q", 2**60) + b"{}")
    for number, header in enumerate(({}, {"__metadata__": {"blindpair_card": "[1]"}}, [], {"__metadata__": 3})):
        text = json.dumps(header).encode()
        (tmp_path / f"{number}.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    for path in tmp_path.iterdir():
        assert class_names_in(path) == (), path.name


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError):
        class_names_in(tmp_path / "none.safetensors")


def test_no_torch_is_loaded():
    program = "import sys, diffusion.card_header; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
