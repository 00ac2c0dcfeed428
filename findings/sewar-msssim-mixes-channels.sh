#!/usr/bin/env bash
# sewar 0.4.10, msssim: for colour images the result depends on the order of the channels.
# Expected: MS-SSIM compares two images at five scales, each half as large as the last (Wang, Simoncelli and Bovik, 2003,
# cited by the readme). Images are H x W x C, says the readme, and a channel is compared with the same channel, as ssim of the
# same package does, so the order of the channels has no effect. Seen: the averaging before each halving is done
# over all three axes, so every channel is also averaged with the one before it; by the fifth scale only 1/16 of the
# last channel is its own, while the first stays itself. RGB and BGR (the order in which OpenCV reads) give two results, an
# error in the first channel weighs more than the same error in the last, and none is the MS-SSIM of the image. Nothing is
# said.
# Here: a colour image with the same noise once in its first, once in its last channel; by symmetry of the definition
# both pairs score alike. For images of one channel sewar agrees with the definition, written out here.
# No report of this was found among the project's issues.
# Exit 0 while this holds, 1 once the order of the channels has no effect.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 scipy==1.17.1 pillow==13.0.0 sewar==0.4.10
cat > "$folder/compare.py" <<'PYTHON'
import importlib.metadata
import sys

import numpy as np
from scipy.ndimage import correlate1d, gaussian_filter
from sewar.full_ref import msssim

weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
bell = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
bell /= bell.sum()


def blurred(image):
    return correlate1d(correlate1d(image, bell, 0), bell, 1)[5:-5, 5:-5]


def halved(image):  # the mean of a pixel and its neighbours above and to the left, within one channel
    padded = np.pad(image, ((1, 0), (1, 0)), mode="edge")
    return ((padded[1:, 1:] + padded[:-1, 1:] + padded[1:, :-1] + padded[:-1, :-1]) / 4)[::2, ::2]


def defined(one, two):
    pairs = [(one[..., c].astype(float), two[..., c].astype(float)) for c in range(one.shape[2])]
    result = 1.0
    for scale, weight in enumerate(weights):
        light, structure = [], []
        for x, y in pairs:
            mx, my = blurred(x), blurred(y)
            vx, vy, cov = blurred(x * x) - mx**2, blurred(y * y) - my**2, blurred(x * y) - mx * my
            structure.append((2 * cov + 58.5225) / (vx + vy + 58.5225))
            light.append((2 * mx * my + 6.5025) / (mx**2 + my**2 + 6.5025) * structure[-1])
        result *= np.mean(light if scale == len(weights) - 1 else structure) ** weight
        pairs = [(halved(x), halved(y)) for x, y in pairs]
    return result


random = np.random.default_rng(1)
gray = gaussian_filter(random.normal(size=(192, 192)), 6, mode="wrap")
gray = np.round(128 + 60 * gray / np.abs(gray).max())
image = np.stack([gray] * 3, 2).astype(np.uint8)
noise = np.round(gaussian_filter(random.normal(size=gray.shape), 3) * 500)


def spoilt(channel):
    other = image.astype(float)
    other[..., channel] += noise
    return np.clip(other, 0, 255).astype(np.uint8)


print("sewar", importlib.metadata.version("sewar"))
single = msssim(image[..., :1], spoilt(0)[..., :1]), defined(image[..., :1], spoilt(0)[..., :1])
print("one channel alone: sewar {:.4f}, by definition {:.4f}".format(*single))
rows = []
for name, channel in (("first", 0), ("middle", 1), ("last", 2)):
    other = spoilt(channel)
    rows.append([msssim(image, other), msssim(image[..., ::-1], other[..., ::-1]), defined(image, other)])
    print("noise in the {} channel: sewar {:.4f}, with the channels reversed {:.4f}, by definition {:.4f}".format(name, *rows[-1]))
first, middle, last = np.array(rows)
agree = np.isclose(*single, atol=1e-6) and np.isclose(first[2], last[2])
depends = abs(first[0] - last[0]) > 0.02 and abs(first[0] - first[1]) > 0.02
sys.exit(0 if agree and depends else 1)
PYTHON
"$folder/venv/bin/python" "$folder/compare.py"
