#!/usr/bin/env bash
# piq 0.8.0, srsim: the score of an image depends on the other images of its batch.
# Expected: SR-SIM compares one image with one other (Zhang and Li, ICIP 2012); its saliency maps are each stretched to 0..1
# by their own extremes. With reduction="none" piq gives a value for each image of a batch, and the other metrics of
# the package give the same value for an image in any batch. Seen: the stretching takes the extremes of the whole batch, so one
# picture with a strong accent presses the saliency of all the others together and moves their scores. The average over a data
# set changes with the batch size and the order, and as a loss the gradient of one image depends on its neighbours.
# Here: six pairs (an image, the same with noise), one of them a small white square on black, scored alone and together.
# No report of it was found among the project's issues.
# Exit 0 while this holds, 1 once each image is scored by itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps piq==0.8.0
cat > "$folder/compare.py" <<'PYTHON'
import importlib.metadata
import sys
import types

import torch

# piq imports torchvision for networks that none of these metrics uses: empty classes stand in for them.
for name in ("torchvision", "torchvision.models", "torchvision.models.inception", "torchvision.models.utils"):
    module = sys.modules[name] = types.ModuleType(name)
    module.__getattr__ = lambda wanted: type(wanted, (torch.nn.Module,), {})
    if "." in name:
        parent, own = name.rsplit(".", 1)
        setattr(sys.modules[parent], own, module)
import piq

torch.manual_seed(0)
blots = torch.nn.functional.interpolate(torch.rand(5, 3, 24, 24), size=(192, 192), mode="bicubic").clamp(0, 1)
blots[1:3] = 0.4 + 0.1 * blots[1:3]
square = torch.zeros(1, 3, 192, 192)
square[..., 90:110, 90:110] = 1
images = torch.cat([blots, square])
copies = (images + 0.08 * torch.randn(images.shape)).clamp(0, 1)


def scores(metric, size):
    parts = zip(images.split(size), copies.split(size))
    return torch.cat([metric(one, two, reduction="none").reshape(-1) for one, two in parts])


print("piq", importlib.metadata.version("piq"))
moved = {}
for name in ("ssim", "fsim", "vsi", "gmsd", "haarpsi", "mdsi", "srsim"):
    alone, together = scores(getattr(piq, name), 1), scores(getattr(piq, name), 6)
    moved[name] = (alone - together).abs().max().item()
    print(f"{name:>8}: an image's score differs by up to {moved[name]:.6f} between alone and in a batch of six")
for size in (1, 2, 3, 6):
    found = scores(piq.srsim, size)
    print(f"srsim in batches of {size}:", *(f"{one:.3f}" for one in found), f"mean {found.mean():.3f}")
others = max(value for name, value in moved.items() if name != "srsim")
sys.exit(0 if moved["srsim"] > 0.03 and others < 1e-4 else 1)
PYTHON
"$folder/venv/bin/python" "$folder/compare.py"
