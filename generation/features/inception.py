"""The Inception network of 2015-12-05 on which FID, sFID and the Inception score are defined, with the published keys.

Szegedy et al. 2016 describe the architecture; the TensorFlow graph published on 2015-12-05 departs from it in three
places, all kept here: average pooling does not count padding, the pooling branch of the last block takes the maximum,
and the classification layer has 1008 outputs. Images are resized as TensorFlow 1 did it: no antialiasing, corners not
aligned, the source coordinate being ``i * scale`` without the half-pixel shift that later libraries use.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "INCEPTION_FILE",
    "INCEPTION_SHA256_PREFIX",
    "INPUT_PX",
    "InceptionFeatures",
    "InceptionNetwork",
    "file_sha256",
    "load_inception",
    "read_tensors",
    "resize_bilinear_tf1",
]

#: File under which torch-fidelity (release v0.2.0) and, with another prefix, pytorch-fid publish the weights.
INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"

#: Leading digits of its SHA-256, which the publishers put into the file's name; the whole digest is not published.
INCEPTION_SHA256_PREFIX = "6726825d"

# Of the 2015-12-05 network: with others the distances are not FID.
INPUT_PX = 299
_BATCH_NORM_EPS = 1e-3
_SPATIAL_CHANNELS = 7  # 17 * 17 * 7 = 2023 numbers per image, the ADM evaluator's choice for sFID


def resize_bilinear_tf1(images: Tensor, size: int) -> Tensor:
    """Resize as ``tf.image.resize_bilinear(align_corners=False)`` of TensorFlow 1 did.

    Parameters
    ----------
    images : Tensor (B, C, H, W), floating
    size : int
        Height and width of the result, in pixels.

    Returns
    -------
    Tensor (B, C, size, size)
        Same dtype; an image of that size is returned unchanged.
    """
    # Separable: bilinear weights of rows and columns multiply, in the order of the published kernel.
    for axis in (3, 2):
        images = _resize_axis(images, size, axis)
    return images


def _resize_axis(images: Tensor, size: int, axis: int) -> Tensor:
    length = images.shape[axis]
    # The graph computes coordinates in float32; float64 would round some of them to the other side of a pixel.
    scale = torch.tensor(length / size, dtype=torch.float32)
    position = torch.arange(size, dtype=torch.float32) * scale
    lower = position.long().clamp(max=length - 1)
    upper = (lower + 1).clamp(max=length - 1)
    weight = (position - lower).to(images)
    weight = weight.view([size if dimension == axis else 1 for dimension in range(4)])
    first = images.index_select(axis, lower.to(images.device))
    second = images.index_select(axis, upper.to(images.device))
    return first + (second - first) * weight


class _ConvNorm(nn.Module):
    """Convolution without bias, batch normalisation with fixed statistics, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, **geometry: object) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, bias=False, **geometry)
        self.bn = nn.BatchNorm2d(channels_out, eps=_BATCH_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


def _average_pool(x: Tensor) -> Tensor:
    # The padding is not counted: so did TensorFlow, and counting it would darken the borders.
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _max_pool(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, stride=1, padding=1)


def _max_pool_down(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, stride=2)


_POOLS = {"average": _average_pool, "max": _max_pool, "max_down": _max_pool_down}


class _Mixed(nn.Module):
    """Parallel chains of layers whose outputs are concatenated along the channels.

    A chain is a sequence of steps: the name of a pooling, a layer ``(name, channels, kernel, padding, stride)``, or a
    list of layers that read the same input and are concatenated. Layer names are the published state-dict keys.
    """

    def __init__(self, channels_in: int, chains: list[list]) -> None:
        super().__init__()
        self.chains: list[list] = []
        for chain in chains:
            channels, steps = channels_in, []
            for step in chain:
                if isinstance(step, str):
                    steps.append(step)
                    continue
                # A list inside a chain is a fork: its layers read the same input and stand side by side.
                layers = step if isinstance(step, list) else [step]
                for name, width, kernel, padding, stride in layers:
                    layer = _ConvNorm(channels, width, kernel_size=kernel, padding=padding, stride=stride)
                    self.add_module(name, layer)
                steps.append([layer[0] for layer in layers])
                channels = sum(layer[1] for layer in layers)
            self.chains.append(steps)

    def branch(self, x: Tensor, index: int) -> Tensor:
        """Return the output of one chain."""
        for step in self.chains[index]:
            if isinstance(step, str):
                x = _POOLS[step](x)
            else:
                outputs = [getattr(self, name)(x) for name in step]
                x = outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)
        return x

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch(x, index) for index in range(len(self.chains))], 1)


def _layer(name: str, channels: int, kernel: int | tuple[int, int] = 1, *, stride: int = 1, same: bool = True) -> tuple:
    """Describe a layer; ``same`` pads so that stride 1 keeps the size."""
    rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (rows // 2, columns // 2) if same else (0, 0)
    return name, channels, (rows, columns), padding, stride


def _grid_35(channels_in: int, pool_channels: int) -> _Mixed:
    """Figure 5 of Szegedy et al. 2016, at 35 x 35."""
    return _Mixed(
        channels_in,
        [
            [_layer("branch1x1", 64)],
            [_layer("branch5x5_1", 48), _layer("branch5x5_2", 64, 5)],
            [_layer("branch3x3dbl_1", 64), _layer("branch3x3dbl_2", 96, 3), _layer("branch3x3dbl_3", 96, 3)],
            ["average", _layer("branch_pool", pool_channels)],
        ],
    )


def _reduce_to_17() -> _Mixed:
    return _Mixed(
        288,
        [
            [_layer("branch3x3", 384, 3, stride=2, same=False)],
            [
                _layer("branch3x3dbl_1", 64),
                _layer("branch3x3dbl_2", 96, 3),
                _layer("branch3x3dbl_3", 96, 3, stride=2, same=False),
            ],
            ["max_down"],
        ],
    )


def _grid_17(width: int) -> _Mixed:
    """Figure 6: 7 x 7 convolutions factored into rows and columns, at 17 x 17."""
    row, column = (1, 7), (7, 1)
    return _Mixed(
        768,
        [
            [_layer("branch1x1", 192)],
            [_layer("branch7x7_1", width), _layer("branch7x7_2", width, row), _layer("branch7x7_3", 192, column)],
            [
                _layer("branch7x7dbl_1", width),
                _layer("branch7x7dbl_2", width, column),
                _layer("branch7x7dbl_3", width, row),
                _layer("branch7x7dbl_4", width, column),
                _layer("branch7x7dbl_5", 192, row),
            ],
            ["average", _layer("branch_pool", 192)],
        ],
    )


def _reduce_to_8() -> _Mixed:
    return _Mixed(
        768,
        [
            [_layer("branch3x3_1", 192), _layer("branch3x3_2", 320, 3, stride=2, same=False)],
            [
                _layer("branch7x7x3_1", 192),
                _layer("branch7x7x3_2", 192, (1, 7)),
                _layer("branch7x7x3_3", 192, (7, 1)),
                _layer("branch7x7x3_4", 192, 3, stride=2, same=False),
            ],
            ["max_down"],
        ],
    )


def _grid_8(channels_in: int, pool: str) -> _Mixed:
    """Figure 7: chains that end in a row and a column side by side, at 8 x 8."""
    return _Mixed(
        channels_in,
        [
            [_layer("branch1x1", 320)],
            [
                _layer("branch3x3_1", 384),
                [_layer("branch3x3_2a", 384, (1, 3)), _layer("branch3x3_2b", 384, (3, 1))],
            ],
            [
                _layer("branch3x3dbl_1", 448),
                _layer("branch3x3dbl_2", 384, 3),
                [_layer("branch3x3dbl_3a", 384, (1, 3)), _layer("branch3x3dbl_3b", 384, (3, 1))],
            ],
            [pool, _layer("branch_pool", 192)],
        ],
    )


@dataclass(frozen=True)
class InceptionFeatures:
    """Outputs of one pass: ``pool`` (B, 2048), ``spatial`` (B, 2023), ``logits`` (B, 1008) without the bias."""

    pool: Tensor
    spatial: Tensor
    logits: Tensor


class InceptionNetwork(nn.Module):
    """Inception 2015-12-05: 566 state-dict keys, 23,850,960 parameters. Built in evaluation mode, without gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _ConvNorm(3, 32, kernel_size=3, stride=2)
        self.Conv2d_2a_3x3 = _ConvNorm(32, 32, kernel_size=3)
        self.Conv2d_2b_3x3 = _ConvNorm(32, 64, kernel_size=3, padding=1)
        self.Conv2d_3b_1x1 = _ConvNorm(64, 80, kernel_size=1)
        self.Conv2d_4a_3x3 = _ConvNorm(80, 192, kernel_size=3)
        self.Mixed_5b = _grid_35(192, 32)
        self.Mixed_5c = _grid_35(256, 64)
        self.Mixed_5d = _grid_35(288, 64)
        self.Mixed_6a = _reduce_to_17()
        self.Mixed_6b = _grid_17(128)
        self.Mixed_6c = _grid_17(160)
        self.Mixed_6d = _grid_17(160)
        self.Mixed_6e = _grid_17(192)
        self.Mixed_7a = _reduce_to_8()
        self.Mixed_7b = _grid_8(1280, "average")
        self.Mixed_7c = _grid_8(2048, "max")
        self.fc = nn.Linear(2048, 1008)
        # It measures and never learns.
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> InceptionNetwork:
        """Stay in evaluation mode: batch statistics would make an image's features depend on its neighbours."""
        return super().train(False)

    def forward(self, images: Tensor) -> InceptionFeatures:
        """Return the features of uint8 images.

        Parameters
        ----------
        images : Tensor (B, 3, H, W), uint8
            Of any size; resized to 299 x 299 and scaled to (x - 128) / 128 here.

        Raises
        ------
        ValueError
            If the shape or dtype is another one.
        """
        if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.uint8:
            raise ValueError(f"images are {images.dtype} {tuple(images.shape)}; expected uint8 (B, 3, H, W)")
        x = resize_bilinear_tf1(images.to(self.fc.weight.dtype), INPUT_PX)
        # As the graph of 2015 does: not 127.5, which every distance would show.
        x = (x - 128.0) / 128.0
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(_max_pool_down(x)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(_max_pool_down(x))))
        x = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))
        # mixed_6/conv:0 of the graph is the 1 x 1 branch; the graph lays images out with the channels last.
        branches = [self.Mixed_6d.branch(x, index) for index in range(4)]
        spatial = branches[0].permute(0, 2, 3, 1)[..., :_SPATIAL_CHANNELS].flatten(1)
        x = self.Mixed_6e(torch.cat(branches, 1))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        pool = x.mean(dim=(2, 3))
        # Without the bias: the published Inception score is taken from these logits.
        return InceptionFeatures(pool, spatial, pool @ self.fc.weight.T)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return a state dict saved by torch, tensors only: nothing in the file is run.

    Raises
    ------
    ValueError
        If the file is damaged, no state dict, or holds more than tensors.
    """
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle fails in whatever way its bytes lead to
        raise ValueError(f"{path} is damaged or does not hold the tensors of a state dict: {error}") from error
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise ValueError(f"{path} does not hold the tensors of a state dict but {type(tensors).__name__}")
    return dict(tensors)


def load_inception(path: Path, *, expected_sha256: str = INCEPTION_SHA256_PREFIX) -> tuple[InceptionNetwork, str]:
    """Return the network with the published weights, and the SHA-256 of their file.

    Parameters
    ----------
    path : Path
        Local copy of :data:`INCEPTION_FILE`; nothing is ever downloaded.
    expected_sha256 : str
        Digest, or its leading digits, that the file must have.

    Raises
    ------
    FileNotFoundError
        If there is no such file; the message says which one is needed and where it is published.
    ValueError
        If the digest is another one, or the file does not hold this network's tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no Inception weights at {path}: put {INCEPTION_FILE} there (torch-fidelity release v0.2.0, or under the "
            f"name pt_inception-2015-12-05-6726825d.pth from pytorch-fid), SHA-256 beginning {INCEPTION_SHA256_PREFIX}"
        )
    digest = file_sha256(path)
    if not digest.startswith(expected_sha256):
        raise ValueError(
            f"{path} has SHA-256 {digest}, expected {expected_sha256}...: it is another file, or was cut short; fetch "
            f"{INCEPTION_FILE} again"
        )
    network = InceptionNetwork()
    # Batch counters play no part in evaluation, and files written by old versions of torch do not have them.
    counters = {key: value for key, value in network.state_dict().items() if key.endswith(".num_batches_tracked")}
    tensors = read_tensors(path)
    try:
        network.load_state_dict(counters | tensors, strict=True)
    except RuntimeError as error:
        raise ValueError(f"{path} does not hold the tensors of Inception 2015-12-05: {error}") from error
    return network, digest
