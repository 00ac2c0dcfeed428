"""Tiny real networks on disk, and the recipes of two arms that use them."""

import json
from pathlib import Path

import torch

from diffusion.checkpoints import load_network, save_network
from diffusion.classifier import ClassifierConfig
from diffusion.unet import DenoiserConfig
from generation.recipes.recipe import ArmRecipe, NetworkFile

_NETWORK = {"image_size": 8, "model_channels": 32, "channel_mult": (1,), "num_res_blocks": 1}
_NETWORK |= {"attention_resolutions": ()}
_SCHEDULE = {"name": "cosine", "timesteps": 20}


def _save(path: Path, config: object, seed: int) -> None:
    torch.manual_seed(seed)
    network = config.build()
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.05)
    save_network(path, network, schedule=_SCHEDULE, class_names=("zero", "one", "two"))


def save_tiny_networks(folder: Path) -> Path:
    """Write a denoiser of three classes, one without classes, and two classifiers; return the folder."""
    _save(folder / "denoiser.safetensors", DenoiserConfig(num_classes=3, num_heads=2, **_NETWORK), 0)
    _save(folder / "unconditional.safetensors", DenoiserConfig(num_heads=2, **_NETWORK), 1)
    for seed, name in enumerate(("vanilla", "robust")):
        config = ClassifierConfig(num_classes=3, num_head_channels=16, **_NETWORK)
        _save(folder / f"{name}.safetensors", config, 10 + seed)
    return folder


def without_card(path: Path, folder: Path) -> tuple[Path, str]:
    """Write a checkpoint's weights as others save them, and its card beside; return the weights and the card's path."""
    loaded = load_network(path)
    torch.save(loaded.network.state_dict(), folder / f"{path.stem}.pt")
    card = folder / f"{path.stem}.json"
    card.write_text(json.dumps({"kind": loaded.card.kind, "network": loaded.card.network}))
    return folder / f"{path.stem}.pt", str(card)


def tiny_recipes(folder: Path) -> list[ArmRecipe]:
    """Return the recipes of a vanilla and a robust arm."""
    return [
        ArmRecipe(
            name=name,
            denoiser=NetworkFile(path=str(folder / "denoiser.safetensors")),
            classifier=NetworkFile(path=str(folder / f"{name}.safetensors")),
            classifier_scale=scale,
            spacing="10",
        )
        for name, scale in (("vanilla", 0.5), ("robust", 1.0))
    ]
