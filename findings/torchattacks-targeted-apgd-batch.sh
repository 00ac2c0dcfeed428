#!/bin/sh
# torchattacks 3.5.1, APGDT(norm="L2"), targeted Auto-PGD of a batch: every image moves by the step size of the batch's
# first image, though each has a step size of its own that is halved when its own loss stalls. What is found for an
# image, and with it robust accuracy, so depends on the image that happens to come first. Untargeted APGD(norm="L2") and
# APGDT(norm="Linf") treat each image by itself. Who compares attacks attacks image by image.
# Here: eight images that a small classifier gets right, one restart and one target, the same random starts. The first
# image is replaced by another one; the adversarial images of the seven others should stay as they are.
# Exit 0 while this holds, 1 once the seven no longer depend on the first.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
# Its own requirements name far older packages that it does not need.
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps torchattacks==3.5.1
cat > "$folder/compare.py" <<'PYTHON'
import importlib.metadata
import sys

import torch
from torch import nn
from torchattacks.attacks.apgd import APGD
from torchattacks.attacks.apgdt import APGDT

torch.set_default_dtype(torch.float64)
torch.manual_seed(0)
network = nn.Sequential(nn.Flatten(), nn.Linear(48, 32), nn.Tanh(), nn.Linear(32, 6))
with torch.no_grad():
    network[1].weight.mul_(8)
pool = 0.4 + 0.2 * torch.rand(9, 3, 4, 4)
first, other, rest = pool[:1], pool[1:2], pool[2:]


def found(attack, head):
    images = torch.cat([head, rest])
    torch.manual_seed(1)  # the same starts
    return attack.attack_single_run(images, network(images).argmax(1))[-1][1:].detach()


def depending(build, norm, eps):
    attack = build(network, norm=norm, eps=eps, steps=40)
    attack.target_class = 2
    here, there = found(attack, first), found(attack, other)
    return int(((here - there).abs().amax(dim=(1, 2, 3)) > 1e-9).sum())


print("torchattacks", importlib.metadata.version("torchattacks"))
counts = {
    "APGD, L2": depending(APGD, "L2", 0.3),
    "APGDT, Linf": depending(APGDT, "Linf", 0.06),
    "APGDT, L2": depending(APGDT, "L2", 0.3),
}
for name, count in counts.items():
    print(f"{name}: {count} of {len(rest)} images end elsewhere when another image comes first")
sys.exit(0 if counts["APGD, L2"] == counts["APGDT, Linf"] == 0 < counts["APGDT, L2"] else 1)
PYTHON
"$folder/venv/bin/python" "$folder/compare.py"
