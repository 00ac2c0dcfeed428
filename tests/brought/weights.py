"""Weights in every wrapping that people save them in, whole, damaged and of other kinds; torch's reading is right."""

from __future__ import annotations

import io
import json
import pickle
from dataclasses import dataclass
from functools import cache

import safetensors.torch
import torch
from hypothesis import strategies as st
from torch import Tensor

from diffusion.classifier import ClassifierConfig

CONFIG = ClassifierConfig(
    image_size=8,
    model_channels=32,
    channel_mult=(1,),
    num_res_blocks=1,
    attention_resolutions=(),
    num_classes=2,
    num_head_channels=32,
)
PREFIXES = ("", "module.", "_orig_mod.", "module._orig_mod.", "model.", "net.", "classifier.")
WRAPPERS = ("", "state_dict", "model", "ema", "model_ema", "model_state_dict", "anything", "model/state_dict")
TYPES = (torch.float32, torch.float32, torch.float16, torch.bfloat16, torch.float64)
OTHERS: dict[str, bytes] = {
    "HTML page": b"<!DOCTYPE html><html></html>",
    "git-lfs pointer": b"version https://git-lfs.github.com/spec/v1\n",
    "a text": json.dumps({"weight_map": {}}).encode(),
    "plain pickle": pickle.dumps({"a": 1}),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(64),
    "empty": b"",
    "known file": bytes(range(1, 256)),
}


@dataclass(frozen=True)
class BroughtWeights:
    """A file under a name; the tensors that ought to be loaded, or why it ought to be refused."""

    name: str
    content: bytes
    state: dict[str, Tensor] | None = None
    refusal: str | None = None
    is_damaged: bool = False


@cache
def plain_state() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return CONFIG.build().state_dict()


def _packed(value: dict, form: str) -> bytes:
    if form == "safetensors":
        return safetensors.torch.save(value)
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=form == "torch")
    return buffer.getvalue()


@st.composite
def whole_weights(draw: st.DrawFn) -> BroughtWeights:
    kind = draw(st.sampled_from(TYPES))
    prefix = draw(st.sampled_from(PREFIXES))
    wrapper = draw(st.sampled_from(WRAPPERS))
    form = "safetensors" if not wrapper and draw(st.booleans()) else draw(st.sampled_from(["torch", "legacy"]))
    state = {name: tensor.to(kind) for name, tensor in plain_state().items()}
    value: dict = {prefix + name: tensor for name, tensor in state.items()}
    trouble = draw(st.sampled_from([None, None, None, "mixed", "missing", "int8", "not a number"]))
    first = f"{prefix}time_embed.2.bias"
    if trouble == "mixed":
        value[first] = value[first].to(torch.float32 if kind != torch.float32 else torch.float16)
    elif trouble == "missing":
        del value[first]
    elif trouble == "int8":
        value[first] = value[first].to(torch.int8)
    elif trouble == "not a number":
        value[first] = value[first] * float("nan")
    if draw(st.booleans()):
        value["n_averaged"] = torch.tensor(3) if form != "safetensors" else torch.tensor([3])
    for key in reversed(wrapper.split("/") if wrapper else []):
        value = {key: value, "epoch": 3, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}}
    said = {"mixed": "several types", "missing": "1 missing", "int8": "int8", "not a number": "no numbers", None: None}
    name = "weights" + draw(st.sampled_from([".pt", ".PT", ".pth.tar", ".bin", "", ".ckpt", ".safetensors"]))
    loaded = {key: tensor.float() for key, tensor in state.items()} if trouble is None else None
    return BroughtWeights(name, _packed(value, form), loaded, said[trouble])


@st.composite
def damaged_weights(draw: st.DrawFn) -> BroughtWeights:
    whole = draw(whole_weights())
    content = bytearray(whole.content)
    if draw(st.booleans()):
        del content[draw(st.integers(0, len(content) - 1)) :]
    else:
        # Where the structure is: the beginning and the end.
        span = min(len(content), 4000)
        for _ in range(draw(st.integers(1, 4))):
            at = draw(st.integers(0, span - 1))
            content[at if draw(st.booleans()) else len(content) - 1 - at] = draw(st.integers(0, 255))
    return BroughtWeights(whole.name, bytes(content), is_damaged=True)


@st.composite
def other_files(draw: st.DrawFn) -> BroughtWeights:
    said = draw(st.sampled_from(sorted(OTHERS)))
    return BroughtWeights("weights" + draw(st.sampled_from([".pt", ".safetensors", ""])), OTHERS[said], refusal=said)


def weight_files() -> st.SearchStrategy[BroughtWeights]:
    return st.one_of(whole_weights(), whole_weights(), damaged_weights(), other_files())
