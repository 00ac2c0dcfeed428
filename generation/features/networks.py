"""Feature networks: uint8 images in, numbers out, each network under its own name and the hash of its weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from analysis.images import FeatureIdentity
from diffusion.checkpoints import CheckpointError, load_network
from generation.features.dinov2 import load_dinov2
from generation.features.inception import INCEPTION_FILE, INCEPTION_SHA256_PREFIX, load_inception

__all__ = ["FEATURE_NETWORKS", "FeatureBatch", "FeatureNetwork", "load_feature_network", "to_rgb_bytes"]


@dataclass(frozen=True)
class FeatureBatch:
    """Float32 features of a batch: ``pool`` (B, d); from Inception also ``spatial`` (B, 2023), ``logits`` (B, 1008)."""

    pool: np.ndarray
    spatial: np.ndarray | None = None
    logits: np.ndarray | None = None


class FeatureNetwork(ABC):
    """A frozen network that turns images into features.

    Parameters
    ----------
    identity : FeatureIdentity
        Name, weights hash and resize mode; stored beside every number made from these features.
    network : torch.nn.Module
        In evaluation mode on ``device``.
    device : torch.device
    """

    def __init__(self, identity: FeatureIdentity, network: torch.nn.Module, device: torch.device) -> None:
        self.identity, self.network, self.device = identity, network.to(device).eval(), device

    def __call__(self, images: np.ndarray) -> FeatureBatch:
        """Return the features of a batch of images.

        Parameters
        ----------
        images : array (B, H, W, 3) or (B, H, W, 1), uint8

        Raises
        ------
        ValueError
            If shape or dtype is another one.
        """
        pixels = torch.from_numpy(np.ascontiguousarray(to_rgb_bytes(images).transpose(0, 3, 1, 2)))
        # No graph is kept: memory is that of one batch however large the set.
        with torch.inference_mode():
            return self._extract(pixels.to(self.device))

    @abstractmethod
    def _extract(self, pixels: Tensor) -> FeatureBatch:
        """Return the features of uint8 pixels (B, 3, H, W)."""


def to_rgb_bytes(images: np.ndarray) -> np.ndarray:
    """Return uint8 images (B, H, W, 3); grey ones (B, H, W, 1) are repeated over the channels.

    Raises
    ------
    ValueError
        If the images are not uint8, not four-dimensional, or have neither one nor three channels.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape[1:3]:
        raise ValueError(f"images are {images.dtype} {images.shape}; expected uint8 (B, H, W, 3) or (B, H, W, 1)")
    return images if images.shape[3] == 3 else np.repeat(images, 3, axis=3)


class InceptionFeatureNetwork(FeatureNetwork):
    """The published Inception network: the one whose distances are called FID."""

    def _extract(self, pixels: Tensor) -> FeatureBatch:
        found = self.network(pixels)
        return FeatureBatch(*(part.float().cpu().numpy() for part in (found.pool, found.spatial, found.logits)))


class DinoFeatureNetwork(FeatureNetwork):
    """Class tokens of a DINOv2 encoder."""

    def _extract(self, pixels: Tensor) -> FeatureBatch:
        return FeatureBatch(self.network(pixels).float().cpu().numpy())


class ClassifierFeatureNetwork(FeatureNetwork):
    """Penultimate features of a classifier of this project at t = 0, for instance the digits judge.

    Images are brought to the classifier's size (averaged down, or bilinearly up) and channels (luminance), in [-1, 1].
    `class_names` are those of its card, in the order of its labels; empty where it has none.
    """

    class_names: tuple[str, ...] = ()

    def _extract(self, pixels: Tensor) -> FeatureBatch:
        return FeatureBatch(self.network.features(*self._inputs(pixels)).float().cpu().numpy())

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return the class that the classifier sees in each image: array (B,), int64. Images as for features."""
        pixels = torch.from_numpy(np.ascontiguousarray(to_rgb_bytes(images).transpose(0, 3, 1, 2)))
        with torch.inference_mode():
            return self.network(*self._inputs(pixels.to(self.device))).argmax(dim=1).cpu().numpy()

    def _inputs(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        config = self.network.config
        x = _to_side(_to_channels(pixels.float(), config.in_channels), config.image_size)
        # t = 0, where the classifier was shown images almost free of noise.
        return x / 127.5 - 1.0, torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)


def _to_channels(x: Tensor, channels: int) -> Tensor:
    if channels == 3:
        return x
    if channels != 1:
        raise ValueError(f"the classifier reads {channels} channels; images have 1 or 3")
    weights = x.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)  # ITU-R BT.601; keeps grey as it is
    return (x * weights).sum(dim=1, keepdim=True)


def _to_side(x: Tensor, side: int) -> Tensor:
    if x.shape[2:] == (side, side):
        return x
    # Area averages all pixels when shrinking; for enlarging it would only repeat them.
    if min(x.shape[2:]) >= side:
        return F.interpolate(x, size=(side, side), mode="area")
    return F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)


def _load_inception(path: Path, device: torch.device) -> FeatureNetwork:
    network, digest = load_inception(path, expected_sha256=INCEPTION_SHA256_PREFIX)
    identity = FeatureIdentity(name="inception-2015-12-05", sha256=digest, resize="tf1-bilinear-299")
    return InceptionFeatureNetwork(identity, network, device)


def _load_dinov2(path: Path, device: torch.device) -> FeatureNetwork:
    network, digest = load_dinov2(path)
    name = {384: "dinov2-vits14", 768: "dinov2-vitb14", 1024: "dinov2-vitl14"}.get(network.cls_token.shape[2], "dinov2")
    # How images are resized is part of the name: it moves distances as much as other weights do.
    identity = FeatureIdentity(name=name, sha256=digest, resize="bicubic-antialias-224")
    return DinoFeatureNetwork(identity, network, device)


def _load_classifier(path: Path, device: torch.device, config: str | None = None) -> FeatureNetwork:
    network, card = load_network(path, default=config)
    if card.kind != "classifier":
        raise CheckpointError(f"{path} is a {card.kind}; features are taken from a classifier")
    resize = f"area-or-bilinear-{network.config.image_size}"
    # A training run names its folder; the files in it are `last` and `best`.
    run = path.parent.name if path.stem in {"last", "best"} else path.stem
    identity = FeatureIdentity(name=f"classifier:{run}", sha256=card.sha256, resize=resize)
    found = ClassifierFeatureNetwork(identity, network, device)
    found.class_names = card.class_names
    return found


#: Names that ``--features`` takes, and what loads them from a local file.
FEATURE_NETWORKS: dict[str, Callable[..., FeatureNetwork]] = {
    "inception": _load_inception,
    "dinov2": _load_dinov2,
    "classifier": _load_classifier,
}


def load_feature_network(
    name: str, path: Path | None, *, config: str | None = None, device: torch.device | str = "cpu"
) -> FeatureNetwork:
    """Return a feature network by name, from weights on this machine. Nothing is downloaded or substituted.

    Parameters
    ----------
    name : {"inception", "dinov2", "classifier"}
    path : Path or None
        The weights; None says what is missing.
    config : str, optional
        Network of a classifier whose file has no card, as `diffusion.checkpoints.config_named` reads it.
    device : torch.device or str

    Raises
    ------
    ValueError
        If the name is unknown, the file is not what it should be, or a network is named for what has one layout.
    FileNotFoundError
        If there are no weights; the message says which file belongs where.
    """
    if name not in FEATURE_NETWORKS:
        raise ValueError(f"unknown feature network {name!r}; known: {', '.join(FEATURE_NETWORKS)}")
    if path is None and name == "inception":
        raise FileNotFoundError(
            f"FID, sFID and the Inception score are not computed without {INCEPTION_FILE} (SHA-256 beginning "
            f"{INCEPTION_SHA256_PREFIX}): give its path with --weights or in BLINDPAIR_INCEPTION_WEIGHTS, or choose "
            "the study's own classifier with --features classifier --weights CHECKPOINT, whose distances are not "
            "comparable with published FID"
        )
    if path is None:
        raise FileNotFoundError(f"the {name} features need --weights FILE")
    if config is None:
        return FEATURE_NETWORKS[name](Path(path), torch.device(device))
    if name != "classifier":
        raise ValueError(f"--config {config}: only a classifier's network is named; {name} has one layout")
    return _load_classifier(Path(path), torch.device(device), config)
