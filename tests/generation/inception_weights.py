"""Random Inception weights that are the same on every machine, and the images the golden numbers were taken on.

``tests/data/inception_golden.json`` holds what torch-fidelity (commit 5e211a9, its feature extractor unmodified)
computed under these weights for these images. To make it again where torch-fidelity can be imported::

    python -m tests.generation.inception_weights tests/data/inception_golden.json
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def uniform(shape: tuple[int, ...], *key: int) -> np.ndarray:
    """Return float64 numbers in [-1, 1) from Philox's raw words, whose stream numpy promises to keep."""
    words = np.random.Philox(key=list(key)).random_raw(int(np.prod(shape)) if shape else 1)
    return ((words >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0).reshape(shape)


def random_tensors(shapes: dict[str, tuple[int, ...]], seed: int = 20151205) -> dict[str, Tensor]:
    """Return weights of a sensible size for every key: activations neither vanish nor explode."""
    return {key: _tensor(key, shapes[key], seed, i) for i, key in enumerate(sorted(shapes))}


def _tensor(key: str, shape: tuple[int, ...], seed: int, i: int) -> Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    values = uniform(shape, seed, i)
    if key.endswith("running_var"):
        values = 1.0 + 0.5 * values
    elif key.endswith("bn.weight"):
        values = 1.0 + 0.2 * values
    elif key.endswith(("bn.bias", "running_mean")):
        values = 0.1 * values
    elif not key.endswith("bias"):
        values = values * np.sqrt(6.0 / np.prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32))


def images() -> Tensor:
    """Return two uint8 images (2, 3, 40, 33): smaller than the input, and not square."""
    words = np.random.Philox(key=[7, 7]).random_raw(2 * 3 * 40 * 33)
    return torch.from_numpy((words % np.uint64(256)).astype(np.uint8).reshape(2, 3, 40, 33))


def _reference_numbers() -> dict:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    from generation.features.inception import InceptionNetwork

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.pth"
        shapes = {key: tuple(tensor.shape) for key, tensor in InceptionNetwork().state_dict().items()}
        torch.save(random_tensors(shapes), path)
        network = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path)
        )
    seen: dict[str, Tensor] = {}
    for name, module in network.named_modules():
        if name.startswith(("Conv2d", "Mixed")) and not name.endswith((".conv", ".bn")):
            module.register_forward_hook(lambda module, inputs, output, name=name: seen.__setitem__(name, output))
    with torch.no_grad():
        pool, logits = network(images())
    spatial = seen["Mixed_6d.branch1x1"].permute(0, 2, 3, 1)[..., :7].flatten(1)
    return {
        "layers": {name: [float(x.double().mean()), float(x.double().std())] for name, x in sorted(seen.items())},
        "pool": pool[:, ::128].tolist(),
        "logits": logits[:, ::63].tolist(),
        "spatial": spatial[:, ::127].tolist(),
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(_reference_numbers(), indent=1) + "\n")
