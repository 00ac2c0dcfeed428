#!/usr/bin/env bash
# denoising-diffusion-pytorch 2.3.4, GaussianDiffusion(immiscible=True): images are noised with one noise, and the network is
# taught another image's. Expected: immiscible diffusion (Li and others, arXiv 2406.12303, cited by the readme) hands
# the noises of a batch out anew, each to an image that lies near, then trains as ever: the target is the noise that is in the
# image. Seen: the noises are handed out anew only inside q_sample; the loss still takes them in their old order.
# Nearly every image of a batch so has for its target (noise or v) a noise that it does not contain. Nothing fails and
# nothing warns: the loss only stays near 1, since predicting no noise at all beats predicting the noise that is there. A
# comparison of training with and without the method says nothing about it. With objective="pred_x0" training is right.
# Here: a stand-in for the network that knows the images and answers with the very noise (or v, or image) that it was shown,
# so that its loss must be 0; batches of 16 images. And one that answers 0, whose loss is 1 for noise of variance 1.
# No report of it was found among the project's issues.
# Exit 0 while this holds, 1 once the target is the noise that was used.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip_install() { "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
pip_install torch==2.13.0 numpy==2.4.6 scipy==1.17.1 pillow==13.0.0 einops==0.8.2 tqdm==4.70.1 accelerate==1.15.0
pip_install --no-deps ema-pytorch==0.8.3 pytorch-fid==0.3.0 denoising-diffusion-pytorch==2.3.4
cat > "$folder/compare.py" <<'PYTHON'
import importlib.metadata
import sys
import types

import torch

# The package imports torchvision for its data sets and scores, which are not used here: empty classes stand in for it.
for name in ("torchvision", "torchvision.transforms", "torchvision.utils", "torchvision.models"):
    module = sys.modules[name] = types.ModuleType(name)
    module.__getattr__ = lambda wanted: type(wanted, (torch.nn.Module,), {})
    if "." in name:
        setattr(sys.modules["torchvision"], name.rsplit(".", 1)[1], module)
from denoising_diffusion_pytorch import GaussianDiffusion


class Knowing(torch.nn.Module):
    """Works out from the noised image and the true one what the network is asked for."""

    channels = out_dim = 3
    self_condition = False

    def forward(self, noised, times, condition=None):
        share = self.diffusion.alphas_cumprod[times].double().view(-1, 1, 1, 1)
        noise = (noised.double() - share.sqrt() * self.truth) / (1 - share).sqrt()
        wanted = {
            "pred_noise": noise,
            "pred_v": share.sqrt() * noise - (1 - share).sqrt() * self.truth,
            "pred_x0": self.truth,
        }[self.diffusion.objective]
        return (wanted * self.answer).float()


def loss(objective, immiscible, answer=1.0):
    torch.manual_seed(0)
    network = Knowing()
    diffusion = GaussianDiffusion(network, image_size=8, timesteps=100, objective=objective, immiscible=immiscible)
    object.__setattr__(network, "diffusion", diffusion)
    network.answer = answer
    diffusion.loss_weight.fill_(1)
    losses = []
    for _ in range(20):
        images = torch.rand(16, 3, 8, 8)
        network.truth = images.double() * 2 - 1
        losses.append(diffusion(images, times=torch.randint(20, 90, (16,))).item())
    return sum(losses) / len(losses)


print("denoising-diffusion-pytorch", importlib.metadata.version("denoising-diffusion-pytorch"))
found = {}
for objective in ("pred_noise", "pred_v", "pred_x0"):
    found[objective] = loss(objective, False), loss(objective, True)
    print("{:>10}: loss of the right answer {:.6f}, with immiscible=True {:.6f}".format(objective, *found[objective]))
nothing = loss("pred_noise", True, answer=0.0)
print(f"pred_noise, immiscible=True: loss of answering 0 is {nothing:.3f}, better than the right answer")
plain = max(one for one, _ in found.values())
wrong = found["pred_noise"][1] > 1.5 > nothing and found["pred_v"][1] > 0.3
sys.exit(0 if plain < 1e-5 and found["pred_x0"][1] < 1e-5 and wrong else 1)
PYTHON
"$folder/venv/bin/python" "$folder/compare.py"
