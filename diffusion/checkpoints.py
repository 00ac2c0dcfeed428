"""Checkpoints: our `.safetensors` with a card, and published `.pt` state dicts, read as tensors only.

A checkpoint is one safetensors file. Its header carries the card as JSON under `blindpair_card`, so that weights and
card can never part; the card's `sha256` covers the tensor index and every tensor byte. A readable copy of the card,
with the hash of the whole file, lies beside it as `<file>.json` and is never read back.
"""

import dataclasses
import hashlib
import json
import logging
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

from diffusion.card_header import CARD_KEY
from diffusion.catalogue import DIGESTS
from diffusion.classifier import Classifier
from diffusion.files import write_atomically
from diffusion.published import PUBLISHED
from diffusion.settings import ClassifierConfig, DenoiserConfig
from diffusion.unet import Denoiser
from diffusion.weights import (
    CheckpointError,
    Weights,
    as_float32,
    damaged,
    foreign_layout,
    found_state,
    is_safetensors,
    read_foreign,
)

log = logging.getLogger(__name__)

Kind = Literal["classifier", "denoiser"]
NetworkConfig = ClassifierConfig | DenoiserConfig
CONFIGS: dict[Kind, type[NetworkConfig]] = {"classifier": ClassifierConfig, "denoiser": DenoiserConfig}
# Of hundreds that may be wrong at once, the first tell the kind of mistake.
SHOWN_KEYS = 3


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
    if not isinstance(kind, str) or kind not in CONFIGS:
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
    # Contiguous: the file holds plain rows, and a channels-last layout is the device's affair.
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
    # Padded to eight bytes, so that tensors are aligned where a reader maps the file.
    header += b" " * (-len(header) % 8)
    prefix = struct.pack("<Q", len(header)) + header
    write_atomically(path, [prefix, data])
    file_hash = hashlib.sha256(prefix)
    file_hash.update(data)
    # The card once more as plain JSON: for people, and as a configuration that `config_named` takes.
    beside = {**card.to_dict(), "file": path.name, "file_sha256": file_hash.hexdigest()}
    write_atomically(path.with_name(path.name + ".json"), [json.dumps(beside, indent=2, sort_keys=True).encode()])
    return card


def config_named(name: str) -> NetworkConfig:
    """Return the configuration of a published network by name, or of a card in a JSON file by its path.

    Raises
    ------
    CheckpointError
        There is no such network, or the file is no card.
    """
    if name in PUBLISHED:
        return PUBLISHED[name]
    if not name.endswith(".json"):
        raise CheckpointError(
            f"no published network is called {name!r}; known: {', '.join(PUBLISHED)}, or a card's .json"
        )
    path = _existing(name)
    try:
        values = json.loads(path.read_text())
        return config_from_dict(values["kind"], values["network"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is no card of a network ({error!r}); it needs 'kind' and 'network'") from error


def load_network(
    path: Path | str,
    config: NetworkConfig | str | None = None,
    *,
    default: NetworkConfig | str | None = None,
    device: torch.device | str = "cpu",
) -> LoadedNetwork:
    """Read a checkpoint of ours or of others, check it and build the network.

    Wrappers, prefixes and other floating types are undone as `diffusion.weights` says; what was done is logged and
    stands in the card's provenance.

    Parameters
    ----------
    path : path
        Any ending: safetensors and what `torch.save` wrote are told by their content.
    config : NetworkConfig or str, optional
        Architecture to demand, or what `config_named` reads. Without it, ours is built as its card says and a file
        whose digest is known as that published network. A layout alone is never taken for a network: heads and the
        order of their channels leave no trace in it.
    default : NetworkConfig or str, optional
        Architecture of a file that does not say its own.
    device : torch.device or str

    Returns
    -------
    LoadedNetwork
        Network in eval mode, parameters frozen.

    Raises
    ------
    CheckpointError
        No such file, damaged, hash mismatch, holds more than tensors, another architecture, or one that must be named.
    """
    path = Path(path)
    found, card = _read(path)
    config, default = (config_named(one) if isinstance(one, str) else one for one in (config, default))
    digest = card.sha256 if card else hashlib.sha256(path.read_bytes()).hexdigest()
    wanted = config or (card.config if card else default or _known_config(path, found.state, digest))
    # No memory and no random numbers for weights that the next lines replace.
    with torch.device("meta"):
        network = wanted.build()
    _check_layout(path, found.state, network.state_dict(), wanted)
    # After the layout: where that differs too, its message says more.
    if card and card.config != wanted:
        raise CheckpointError(
            f"{path} is another network by its card than the one that is demanded: {_differs(card.config, wanted)}"
        )
    ready = as_float32(path, found.state)
    # Assigned, not copied: there is nothing in memory yet that could be copied into.
    network.load_state_dict(ready.state, strict=True, assign=True)
    network = network.to(device).eval().requires_grad_(False)
    notes = found.notes + ready.notes
    for note in notes:
        log.warning("%s: %s", path, note)
    if card is None:
        provenance = {"source": path.name} | ({"notes": list(notes)} if notes else {})
        card = CheckpointCard(kind=kind_of(wanted), network=wanted.to_dict(), sha256=digest, provenance=provenance)
    return LoadedNetwork(network, card)


def read_card(path: Path | str) -> CheckpointCard:
    """Read a checkpoint's card without its tensors (and without checking their hash).

    Raises
    ------
    CheckpointError
        No such file, damaged, or a file without a card.
    """
    path = _existing(path)
    if not is_safetensors(path):
        read_foreign(path)
        raise CheckpointError(f"{path} has no card: it was not written by this project")
    with path.open("rb") as file:
        end = _header_end(file.read(8), path.stat().st_size, path)
        card, _ = _parse_header(_parse_json(file.read(end - 8), path), path)
    if card is None:
        raise CheckpointError(f"{path} has no card: it was not written by this project")
    return card


def read_checkpoint(path: Path | str) -> tuple[dict[str, Tensor], CheckpointCard | None]:
    """Read tensors and card, checking the hash where there is a card; see `load_network` for what is raised."""
    found, card = _read(Path(path))
    return found.state, card


def _read(path: Path) -> tuple[Weights, CheckpointCard | None]:
    path = _existing(path)
    if not is_safetensors(path):
        return read_foreign(path), None
    packed = path.read_bytes()
    index, data = _split(packed, path)
    card, index = _parse_header(index, path)
    if card is not None and card.sha256 != (found := _content_hash(index, data)):
        raise CheckpointError(
            f"{path} is damaged: its tensors hash to {found[:12]}..., its card says {card.sha256[:12]}...; "
            "copy it again from its source or train it again"
        )
    try:
        state = safetensors.torch.load(packed)
    # A header that says what cannot be ends in errors of many kinds, of safetensors' own code and of torch's.
    except (safetensors.SafetensorError, LookupError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise damaged(path, error) from error
    return (Weights(state) if card else found_state(path, state)), card


def _existing(path: Path | str) -> Path:
    path = Path(path)
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder; name the file of weights in it")
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}; check the path, or train one")
    return path


def _header_end(prefix: bytes, size: int, path: Path) -> int:
    """Return where the header of a file of `size` bytes ends, given its first eight bytes."""
    end = 8 + struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else size + 1
    if end > size:
        raise damaged(path, f"{size} bytes")
    return end


def _parse_json(text: bytes, path: Path) -> dict:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(path, error) from error
    metadata = header.get("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(entry, dict) for entry in header.values()):
        raise damaged(path, "its header is no index of tensors")
    return header


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
        return _card(json.loads(text)), index
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"the card of {path} cannot be read ({error}); it may come from another version"
        ) from error


def _card(values: dict) -> CheckpointCard:
    """Make a card of a header's values; TypeError or ValueError where they have another shape."""
    card = CheckpointCard(**{**values, "class_names": tuple(values.get("class_names", ()))})
    wanted = {"kind": str, "network": dict, "schedule": dict, "metrics": dict, "provenance": dict, "sha256": str}
    for name, kind in wanted.items():
        if not isinstance(getattr(card, name), kind):
            raise TypeError(f"{name} is {getattr(card, name)!r}")
    return card


def _content_hash(index: dict, data: memoryview) -> str:
    digest = hashlib.sha256(json.dumps(index, sort_keys=True).encode())
    digest.update(data)
    return digest.hexdigest()


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


def _known_config(path: Path, state: Mapping[str, Tensor], digest: str) -> NetworkConfig:
    """Return the network of a file without a card, if its digest is known; otherwise say how to name it."""
    if digest in DIGESTS:
        return PUBLISHED[DIGESTS[digest]]
    whose = foreign_layout(state)
    if whose:
        raise CheckpointError(
            f"{path} has the layout of {whose}, which is not that of guided-diffusion and is not converted here; "
            "give weights in guided-diffusion's layout"
        )
    name = published_name(state)
    if name is None:
        raise CheckpointError(
            f"{path} has no card and the layout of no published network ({', '.join(PUBLISHED)}); give its config"
        )
    raise CheckpointError(
        f"{path} has no card. Its layout is that of {name!r}, but networks with other attention heads have the same: "
        f"give its config if it is that one (--config {name}, in a recipe 'config': '{name}'); its SHA-256 is {digest}"
    )


def _differs(one: NetworkConfig, other: NetworkConfig) -> str:
    mine, theirs = ({"kind": kind_of(config), **config.to_dict()} for config in (one, other))
    names = [name for name in mine if name not in theirs or mine[name] != theirs[name]]
    return ", ".join(f"{name} is {mine[name]!r}, not {theirs.get(name)!r}" for name in names[:SHOWN_KEYS])


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
    name = published_name(found) or foreign_layout(found)
    hint = f"; the file has the layout of {name!r}" if name else ""
    raise CheckpointError(f"{path} does not fit this {kind_of(config)}: {', '.join(listed)}{hint}")
