"""Weights as people have them: told by content, found inside what wraps them, tensors alone. No pickle is ever run."""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = [
    "CheckpointError",
    "Weights",
    "as_float32",
    "damaged",
    "foreign_layout",
    "found_state",
    "is_safetensors",
    "read_foreign",
]

# Of a network of this project: every denoiser and classifier has it.
ANCHOR = "time_embed.0.weight"
# What wraps a state dict, the averaged weights first: these are what is sampled and measured with.
AVERAGED = ("ema", "model_ema", "ema_model", "ema_state_dict", "state_dict_ema", "params_ema", "averaged")
PLAIN = ("state_dict", "model_state_dict", "model", "network", "net", "module", "params", "weights")
_PREFIXES = ("module.", "_orig_mod.", "model.", "network.", "net.", "ema_model.", "diffusion_model.", "model_ema.")
# Of a safetensors file, by its specification.
_LONGEST_HEADER = 100 * 2**20
_COUNTERS = ("n_averaged", "num_updates", "decay")
_TORCH_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_NO_WEIGHTS: tuple[tuple[bytes, str], ...] = (
    (b"\x89HDF", "an HDF5 file (Keras, perhaps)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"GGUF", "a GGUF file"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"%PDF", "a PDF document"),
)
_FOREIGN = {
    "conv_in.weight": "diffusers",
    "time_embedding.linear_1.weight": "diffusers",
    "map_layer0.weight": "EDM",
    "model.map_layer0.weight": "EDM",
    "map_noise.freqs": "EDM",
    "emb_fourier.freqs": "EDM2",
    "unet.emb_fourier.freqs": "EDM2",
    "layer1.0.conv1.weight": "a ResNet of torchvision",
    "first_stage_model.encoder.conv_in.weight": "a latent diffusion model",
}


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message names the file, what is wrong and the remedy."""


class Weights(NamedTuple):
    """Tensors by name, and how they were found: each note is a clause about the file."""

    state: dict[str, Tensor]
    notes: tuple[str, ...] = ()


def damaged(path: Path, error: object) -> CheckpointError:
    """Return the error of a file that is cut short or changed."""
    return CheckpointError(f"{path} is not a readable checkpoint, perhaps cut short ({error}); copy it again")


def is_safetensors(path: Path) -> bool:
    """Return whether a file begins as safetensors do: the length of a JSON object, and the object."""
    with path.open("rb") as file:
        head = file.read(9)
    return head[8:] == b"{" and struct.unpack("<Q", head[:8])[0] <= _LONGEST_HEADER


def read_foreign(path: Path) -> Weights:
    """Read a file that `torch.save` wrote, whatever its ending, and find the state dict in it.

    Raises
    ------
    CheckpointError
        It is another kind of file, damaged, TorchScript, holds more than tensors, or no state dict or several.
    """
    _refuse_other_kinds(path)
    try:
        # Opened here: given a path, torch goes by its ending.
        with path.open("rb") as file:
            found = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        more = f" ({named[1]})" if named else ""
        raise CheckpointError(
            f"{path} holds more than tensors{more} and is refused (unpickling would run code from the file); "
            "save its state_dict alone"
        ) from None
    # The unpickler of torch fails in many ways on damaged files; its advice to switch safety off is not passed on.
    except Exception as error:
        raise damaged(path, "torch cannot read it" if "weights_only" in str(error) else error) from None
    return found_state(path, found)


def _refuse_other_kinds(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(512)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        raise CheckpointError(
            f"{path} is an HTML page: the download gave a web page instead of the file; fetch it again"
        )
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{path} is a git-lfs pointer, not the file that it stands for; run git lfs pull")
    if start.startswith((b"{", b"[")) or (head and b"\0" not in head and head.isascii()):
        raise CheckpointError(
            f"{path} is a text, not weights (an index of parts, perhaps); give the file of the tensors"
        )
    for signature, what in _NO_WEIGHTS:
        if head.startswith(signature):
            remedy = "; unpack it first" if what.endswith("archive") else ""
            raise CheckpointError(f"{path} is {what}, not weights that torch.save or safetensors wrote{remedy}")
    if head.startswith(b"PK\x03\x04"):
        _refuse_other_zips(path)
    elif head.startswith(_TORCH_LEGACY):
        return
    elif head[:1] == b"\x80":
        raise CheckpointError(
            f"{path} is a plain pickle, as NVIDIA's EDM has them, and is refused (unpickling would run code from the "
            "file); save its state_dict with torch.save or as safetensors"
        )
    else:
        raise damaged(path, "it begins as no known file of weights does" if head else "it is empty")


def _refuse_other_zips(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, struct.error, NotImplementedError) as error:
        raise damaged(path, error) from None
    if any(name.endswith("constants.pkl") or "/code/" in name for name in names):
        raise CheckpointError(
            f"{path} is TorchScript, a program with its weights, and is refused; "
            "load it where it was made and save its state_dict with torch.save"
        )
    if any(name.endswith("archive_format") for name in names):
        raise CheckpointError(
            f"{path} is a program that torch.export wrote; save the network's state_dict with torch.save"
        )
    if any(name.endswith(".npy") for name in names):
        raise CheckpointError(f"{path} is an .npz of NumPy arrays, not weights that torch.save or safetensors wrote")
    if not any(name.endswith("data.pkl") for name in names):
        raise CheckpointError(f"{path} is a zip archive, not weights; unpack it first")


def _is_state(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items())
        and any(name not in _COUNTERS for name in value)
    )


def found_state(path: Path, found: Any) -> Weights:
    """Find the state dict in what a file holds, and give its tensors the names of the network.

    Raises
    ------
    CheckpointError
        There is none, or several.
    """
    notes: list[str] = []
    while not _is_state(found):
        name = _wrapper(path, found)
        beside = sorted(str(key) for key in found if key != name)
        notes.append(f"its weights were found under {name!r}" + (f", beside {', '.join(beside[:5])}" if beside else ""))
        if nameless := [key for key in AVERAGED if key in found and not _holds_state(found[key])]:
            notes.append(f"what it holds under {nameless[0]!r} has no names of parameters and was left out")
        found = found[name]
    return _bare(path, dict(found), notes)


def _wrapper(path: Path, found: object) -> Any:
    """Return the key under which a mapping holds the weights."""
    if not isinstance(found, Mapping):
        raise CheckpointError(
            f"{path} holds a {type(found).__name__}, not a state dict (a dictionary of tensors); save the network's "
            "state_dict()"
        )
    for names in (AVERAGED, PLAIN):
        if inside := [name for name in names if _holds_state(found.get(name))]:
            return inside[0]
    others = [key for key, value in found.items() if _holds_state(value) and "optim" not in str(key).lower()]
    if len(others) == 1:
        return others[0]
    several = f" (several: {', '.join(map(str, others[:5]))})" if others else f" (it holds: {_listed(found)})"
    raise CheckpointError(
        f"{path} is not a state dict (a dictionary of tensors) and holds none{' alone' if others else ''}{several}; "
        "save the network's state_dict() alone"
    )


def _listed(found: Mapping) -> str:
    return ", ".join(sorted(map(str, found))[:8]) or "nothing"


def _holds_state(value: Any, depth: int = 3) -> bool:
    if _is_state(value):
        return True
    is_deeper = isinstance(value, Mapping) and depth > 0
    return is_deeper and any(_holds_state(value.get(name), depth - 1) for name in AVERAGED + PLAIN)


def _bare(path: Path, state: dict[str, Tensor], notes: list[str]) -> Weights:
    """Drop counters of averages, and strip what wrappers write before the names of parameters."""
    counters = [name for name in state if name.rpartition(".")[2] in _COUNTERS]
    state = {name: tensor for name, tensor in state.items() if name not in counters}
    if counters:
        notes.append(f"it is an average of weights, whose counters ({', '.join(sorted(counters)[:3])}) were left out")
    prefix = _prefix(path, state)
    others = sorted({name.split(".")[0] for name in state if not name.startswith(prefix)})
    if prefix:
        notes.append(f"{prefix!r} was stripped from its names")
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    if others:
        notes.append(f"other parts of it were left out ({', '.join(others[:5])})")
    return Weights(state, tuple(notes))


def _prefix(path: Path, state: Iterable[str]) -> str:
    """Return what stands before the names of our network's parameters, or of all parameters where it is not ours."""
    names = list(state)
    places = [name.removesuffix(ANCHOR) for name in names if name == ANCHOR or name.endswith(f".{ANCHOR}")]
    if len(places) > 1:
        averaged = [place for place in places if any(word in AVERAGED for word in place.split("."))]
        if len(averaged) != 1:
            raise CheckpointError(
                f"{path} holds several networks ({', '.join(place.rstrip('.') or 'at its top' for place in places)}); "
                "save the state_dict() of one of them"
            )
        return averaged[0]
    if places:
        return places[0]
    prefix = ""
    while more := next((p for p in _PREFIXES if all(n.startswith(prefix + p) for n in names)), None):
        prefix += more
    return prefix


def foreign_layout(names: Iterable[str]) -> str | None:
    """Return whose layout the names of parameters have, where it is a known one and not ours."""
    names = set(names)
    if ANCHOR in names:
        return None
    if any(name.startswith(("down_blocks.", "up_blocks.")) for name in names):
        return "diffusers"
    if any(re.match(r"(model\.|unet\.)?(enc|dec)\.\d+x\d+_", name) for name in names):
        return "EDM2" if any("emb_fourier" in name for name in names) else "EDM"
    return next((whose for name, whose in _FOREIGN.items() if name in names), None)


def as_float32(path: Path, state: Mapping[str, Tensor]) -> Weights:
    """Return the tensors as the networks take them: contiguous, float32.

    float16, bfloat16 and float64 are cast, as loading into a float32 network does in the published code.

    Raises
    ------
    CheckpointError
        Tensors of several floating types, of integers or other types, sparse ones, or values that are no numbers.
    """
    types = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in state.values()})
    castable = {"float16", "bfloat16", "float32", "float64"}
    if not set(types) <= castable or any(tensor.layout != torch.strided for tensor in state.values()):
        odd = ", ".join(name for name in types if name not in castable) or "sparse tensors"
        raise CheckpointError(f"{path} holds {odd}; quantised and sparse weights cannot be used, give float32 ones")
    if len(types) > 1:
        raise CheckpointError(
            f"{path} holds tensors of several types ({', '.join(types)}); save all of them as float32, or all as one"
        )
    if empty := [name for name, tensor in state.items() if tensor.is_meta]:
        raise CheckpointError(f"{path} holds tensors without values (meta), first {empty[0]}; save them from a device")
    ready = {name: tensor.detach().to(torch.float32).contiguous() for name, tensor in state.items()}
    if bad := [name for name, tensor in ready.items() if not bool(tensor.isfinite().all())]:
        raise CheckpointError(f"{path} holds values that are no numbers, first in {bad[0]}; fetch or train it again")
    notes = (f"it is stored as {types[0]} and was cast to float32",) if types and types != ["float32"] else ()
    return Weights(ready, notes)
