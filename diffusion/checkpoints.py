"""Checkpoints: our `.safetensors` with a card, and published `.pt` state dicts, read as tensors only.

A checkpoint is one safetensors file. Its header carries the card as JSON under `blindpair_card`, so that weights and
card can never part; the card's `sha256` covers the tensor index and every tensor byte. A readable copy of the card,
with the hash of the whole file, lies beside it as `<file>.json` and is never read back.
"""

import dataclasses
import hashlib
import json
import pickle
import platform
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from diffusion.classifier import Classifier, ClassifierConfig
from diffusion.files import write_atomically
from diffusion.published import PUBLISHED
from diffusion.unet import Denoiser, DenoiserConfig

CARD_KEY = "blindpair_card"
Kind = Literal["classifier", "denoiser"]
NetworkConfig = ClassifierConfig | DenoiserConfig
CONFIGS: dict[Kind, type[NetworkConfig]] = {"classifier": ClassifierConfig, "denoiser": DenoiserConfig}
PICKLE_SUFFIXES = {".pt", ".pth", ".ckpt"}
SHOWN_KEYS = 3


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message names the file, what is wrong and the remedy."""


@dataclass(frozen=True, kw_only=True)
class CheckpointCard:
    """What is known about a checkpoint.

    Parameters
    ----------
    kind : {"classifier", "denoiser"}
    network : dict
        Arguments of `ClassifierConfig` or `DenoiserConfig`.
    schedule : dict
        Arguments of the noise schedule it was trained with: `name`, `timesteps`. Empty where unknown.
    class_names : tuple of str
        Names of the classes in label order; empty where unknown.
    metrics, provenance, versions : dict
        JSON-ready facts: accuracies and losses; training settings, seed, iteration, data; library versions.
    sha256 : str
        Hash of tensor index and tensor bytes; filled in when written or read.
    """

    kind: Kind
    network: dict
    schedule: dict = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    metrics: dict = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)
    versions: dict = field(default_factory=dict)
    sha256: str = ""

    @property
    def config(self) -> NetworkConfig:
        """The network's configuration, checked."""
        return config_from_dict(self.kind, self.network)

    @property
    def config_sha256(self) -> str:
        """Hash of what decides numbers besides the weights: the same tensors with other heads are another network."""
        settings = {"kind": self.kind, "network": self.network, "schedule": self.schedule}
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict:
        """Return JSON-ready values."""
        return {**dataclasses.asdict(self), "class_names": list(self.class_names)}


class LoadedNetwork(NamedTuple):
    """A network in eval mode with frozen parameters, and its card."""

    network: Classifier | Denoiser
    card: CheckpointCard


def library_versions() -> dict[str, str]:
    """Return the versions that decide numbers."""
    return {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__}


def kind_of(config: NetworkConfig) -> Kind:
    """Return "classifier" or "denoiser"."""
    return next(kind for kind, cls in CONFIGS.items() if type(config) is cls)


def config_from_dict(kind: str, values: Mapping) -> NetworkConfig:
    """Rebuild a network configuration from a card's values.

    Raises
    ------
    CheckpointError
        The kind or a setting is unknown, or a value is out of range.
    """
    if kind not in CONFIGS:
        raise CheckpointError(f"unknown network kind {kind!r}; known: {', '.join(CONFIGS)}")
    try:
        return CONFIGS[kind](**values)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"the {kind}'s settings cannot be used: {error}") from error


def save_network(path: Path | str, network: Classifier | Denoiser, **facts: Any) -> CheckpointCard:
    """Write a network and its card, atomically.

    Parameters
    ----------
    path : path
        File to write, ending in `.safetensors`; an older file of that name is replaced as a whole.
    network : Classifier or Denoiser
    **facts
        `schedule`, `class_names`, `metrics`, `provenance` of `CheckpointCard`.

    Returns
    -------
    CheckpointCard
        As written, with its `sha256`.
    """
    config = network.config
    return save_state_dict(path, network.state_dict(), config, **facts)


def save_state_dict(
    path: Path | str, state: Mapping[str, Tensor], config: NetworkConfig, **facts: Any
) -> CheckpointCard:
    """Write tensors laid out as `config`'s network (averaged weights, say) and their card; see `save_network`."""
    path = Path(path)
    tensors = {name: tensor.detach().to("cpu").contiguous() for name, tensor in state.items()}
    packed = safetensors.torch.save(tensors)
    index, data = _split(packed, path)
    card = CheckpointCard(
        kind=kind_of(config),
        network=config.to_dict(),
        versions=library_versions(),
        sha256=_content_hash(index, data),
        **{**facts, "class_names": tuple(facts.get("class_names", ()))},
    )
    header = json.dumps({"__metadata__": {CARD_KEY: json.dumps(card.to_dict(), sort_keys=True)}, **index}).encode()
    header += b" " * (-len(header) % 8)
    prefix = struct.pack("<Q", len(header)) + header
    write_atomically(path, [prefix, data])
    file_hash = hashlib.sha256(prefix)
    file_hash.update(data)
    beside = {**card.to_dict(), "file": path.name, "file_sha256": file_hash.hexdigest()}
    write_atomically(path.with_name(path.name + ".json"), [json.dumps(beside, indent=2, sort_keys=True).encode()])
    return card


def load_network(
    path: Path | str, config: NetworkConfig | None = None, *, device: torch.device | str = "cpu"
) -> LoadedNetwork:
    """Read a checkpoint of ours or a published `.pt`, check it and build the network.

    Parameters
    ----------
    path : path
        `.safetensors` or `.pt`.
    config : EncoderConfig, optional
        Architecture to demand. Without it, ours is built as its card says and a file without a card as the published
        network whose layout it has.
    device : torch.device or str

    Returns
    -------
    LoadedNetwork
        Network in eval mode, parameters frozen.

    Raises
    ------
    CheckpointError
        No such file, damaged, hash mismatch, holds more than tensors, or another architecture.
    """
    path = Path(path)
    state, card = read_checkpoint(path)
    config = config or (card.config if card else _published_config(path, state))
    with torch.device("meta"):
        network = config.build()
    _check_layout(path, state, network.state_dict(), config)
    network.load_state_dict(state, strict=True, assign=True)
    network = network.to(device).eval().requires_grad_(False)
    if card is None:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        card = CheckpointCard(
            kind=kind_of(config), network=config.to_dict(), sha256=content, provenance={"source": path.name}
        )
    return LoadedNetwork(network, card)


def read_card(path: Path | str) -> CheckpointCard:
    """Read a checkpoint's card without its tensors (and without checking their hash).

    Raises
    ------
    CheckpointError
        No such file, damaged, or a file without a card.
    """
    path = _existing(path)
    with path.open("rb") as file:
        end = _header_end(file.read(8), path.stat().st_size, path)
        card, _ = _parse_header(_parse_json(file.read(end - 8), path), path)
    if card is None:
        raise CheckpointError(f"{path} has no card: it was not written by this project")
    return card


def read_checkpoint(path: Path | str) -> tuple[dict[str, Tensor], CheckpointCard | None]:
    """Read tensors and card, checking the hash where there is a card; see `load_network` for what is raised."""
    path = _existing(path)
    if path.suffix in PICKLE_SUFFIXES:
        return _read_pickle(path), None
    packed = path.read_bytes()
    index, data = _split(packed, path)
    card, index = _parse_header(index, path)
    if card is not None and card.sha256 != (found := _content_hash(index, data)):
        raise CheckpointError(
            f"{path} is damaged: its tensors hash to {found[:12]}..., its card says {card.sha256[:12]}...; "
            "copy it again from its source or train it again"
        )
    try:
        return safetensors.torch.load(packed), card
    except safetensors.SafetensorError as error:
        raise _damaged(path, error) from error


def _existing(path: Path | str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}; check the path, or train one")
    return path


def _damaged(path: Path, error: object) -> CheckpointError:
    return CheckpointError(f"{path} is not a readable checkpoint, perhaps cut short ({error}); copy it again")


def _header_end(prefix: bytes, size: int, path: Path) -> int:
    """Return where the header of a file of `size` bytes ends, given its first eight bytes."""
    end = 8 + struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else size + 1
    if end > size:
        raise _damaged(path, f"{size} bytes")
    return end


def _parse_json(text: bytes, path: Path) -> dict:
    try:
        return json.loads(text)
    except ValueError as error:
        raise _damaged(path, error) from error


def _split(packed: bytes, path: Path) -> tuple[dict, memoryview]:
    """Split a safetensors file's bytes into its header and its data."""
    end = _header_end(packed[:8], len(packed), path)
    return _parse_json(packed[8:end], path), memoryview(packed)[end:]


def _parse_header(header: dict, path: Path) -> tuple[CheckpointCard | None, dict]:
    """Separate the card from the tensor index."""
    index = {name: entry for name, entry in header.items() if name != "__metadata__"}
    text = header.get("__metadata__", {}).get(CARD_KEY)
    if text is None:
        return None, index
    try:
        values = json.loads(text)
        return CheckpointCard(**{**values, "class_names": tuple(values.get("class_names", ()))}), index
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"the card of {path} cannot be read ({error}); it may come from another version"
        ) from error


def _content_hash(index: dict, data: memoryview) -> str:
    digest = hashlib.sha256(json.dumps(index, sort_keys=True).encode())
    digest.update(data)
    return digest.hexdigest()


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than tensors and is refused (unpickling would run code from the file); "
            "save its state_dict alone"
        ) from error
    except (RuntimeError, EOFError, LookupError, OSError) as error:
        raise _damaged(path, error) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path} is not a state dict (a dictionary of tensors); save the network's state_dict()")
    return state


def _layout(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def published_name(state: Mapping[str, Tensor]) -> str | None:
    """Return the name of the published configuration that has exactly this layout, if any."""
    layout = _layout(state)
    for name, config in PUBLISHED.items():
        with torch.device("meta"):
            network = config.build()
        if _layout(network.state_dict()) == layout:
            return name
    return None


def _published_config(path: Path, state: Mapping[str, Tensor]) -> NetworkConfig:
    name = published_name(state)
    if name is None:
        raise CheckpointError(
            f"{path} has no card and the layout of no published network ({', '.join(PUBLISHED)}); give its config"
        )
    return PUBLISHED[name]


def _check_layout(path: Path, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], config: NetworkConfig) -> None:
    """Refuse tensors that are not exactly the wanted ones, naming the first differences."""
    have, want = _layout(found), _layout(wanted)
    if have == want:
        return
    problems = {
        "missing": [name for name in want if name not in have],
        "not wanted": [name for name in have if name not in want],
        "of another shape": [
            f"{name} is {have[name]}, wanted {want[name]}" for name in want if name in have and have[name] != want[name]
        ],
    }
    listed = [f"{len(names)} {what} ({'; '.join(names[:SHOWN_KEYS])})" for what, names in problems.items() if names]
    name = published_name(found)
    hint = f"; the file has the layout of {name!r}" if name else ""
    raise CheckpointError(f"{path} does not fit this {kind_of(config)}: {', '.join(listed)}{hint}")
