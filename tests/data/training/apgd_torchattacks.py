"""Answers of torchattacks' Auto-PGD on a small smooth classifier.

``pip install --no-deps torchattacks==3.5.1`` beside torch and numpy, then
``python tests/data/training/apgd_torchattacks.py`` writes ``apgd_torchattacks.json`` beside this file. Weights, images
and starts come from numpy seeds, so that the test makes the same. Images lie in the middle of [0, 1] and radii are
small: torchattacks clamps to that range, and here no value comes near its ends. Each image is attacked alone: in a
batch, version 3.5.1 lets the targeted L2 attack take the step size of the first image for all.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

SHAPE, CLASSES, IMAGES = (3, 4, 4), 6, 8
# Small balls, in which about half the images withstand; large ones, in which the path decides where a run ends.
CASES = [
    (norm, loss, steps, epsilon)
    for norm, radii in (("Linf", (0.01, 0.06)), ("L2", (0.05, 0.3)))
    for loss in ("ce", "dlr-targeted")
    for steps, epsilon in zip((20, 33), radii, strict=True)
]


def problem() -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    """Return a classifier of two layers, images it gets right, and their classes."""
    rng = np.random.default_rng(7)
    size = int(np.prod(SHAPE))
    layers = torch.nn.Flatten(), torch.nn.Linear(size, 32), torch.nn.Tanh(), torch.nn.Linear(32, CLASSES)
    network = torch.nn.Sequential(*layers).double()
    with torch.no_grad():
        for parameter, scale in zip(network.parameters(), (8.0, 1.0, 0.6, 0.3), strict=True):
            parameter.copy_(torch.from_numpy(scale * rng.standard_normal(tuple(parameter.shape))))
    x = torch.from_numpy(rng.uniform(0.4, 0.6, (IMAGES, *SHAPE)))
    return network, x, network(x).argmax(1)


def start_of(norm: str, image: int) -> torch.Tensor:
    """Return the draws of an image's start: what torchattacks would have got from torch's own generator."""
    rng = np.random.default_rng([11, image])
    draws = rng.random(SHAPE) if norm == "Linf" else rng.standard_normal(SHAPE)
    return torch.from_numpy(draws[None])


def answers() -> list[dict]:
    import torchattacks

    # In double precision: where a run ends must not hang on the rounding of a machine.
    torch.set_default_dtype(torch.float64)
    network, x, y = problem()
    found = []
    for norm, loss, steps, epsilon in CASES:
        build = torchattacks.APGD if loss == "ce" else torchattacks.APGDT
        one = build(network, norm=norm, eps=epsilon, steps=steps)
        # The class that comes second on the image itself.
        one.target_class = 2
        rows = []
        for image in range(IMAGES):
            torch.rand = torch.randn = lambda *_, norm=norm, image=image: start_of(norm, image)
            best, right, best_loss, _ = one.attack_single_run(x[image : image + 1], y[image : image + 1])
            moved = (best - x[image]).detach().flatten()
            rows.append(
                {
                    "fooled": not bool(right.item()),
                    "best_loss": best_loss.item(),
                    "first_changes": [round(value, 6) for value in moved[:6].tolist()],
                }
            )
        found.append({"norm": norm, "loss": loss, "steps": steps, "epsilon": epsilon, "images": rows})
    return found


if __name__ == "__main__":
    text = json.dumps({"torchattacks": "3.5.1", "torch": torch.__version__, "cases": answers()}, indent=1)
    Path(__file__).with_suffix(".json").write_text(text + "\n")
    sys.stdout.write(text)
