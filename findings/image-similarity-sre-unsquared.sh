#!/usr/bin/env bash
# image-similarity-measures 0.3.6, sre: the decibels depend on the images' unit and size, not only on their quality.
# Expected, by the paper that its readme cites (Lanaras and others, Super-resolution of Sentinel-2 images, 2018): 10 log10 of
# the squared mean of the image over its mean squared error. It is a ratio of like to like, so that the unit drops out (it
# was chosen to compare images of varying brightness) and a larger picture with the same noise scores the same. Seen: the length
# of the error vector is not squared before it is divided by the number of pixels. The ratio so has the unit of
# the pixels: the same pair scores 24 dB more as 0..255 than as 0..1, twice the side adds 3 dB, and noise of half the strength
# brings 3 dB in place of 6. No two image sizes or scalings can be compared, nor any value with one from a paper.
# Here: a smooth image with noise, in three scalings, two sizes and two strengths.
# No report of it was found among the project's issues; a review of all its metrics (pull request 13) kept it.
# Exit 0 while this holds, 1 once sre follows the definition.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==1.26.4 scipy==1.17.1 scikit-image==0.20.0 opencv-python==4.11.0.86 phasepack==1.5 image-similarity-measures==0.3.6
cat > "$folder/compare.py" <<'PYTHON'
import importlib.metadata
import sys
import warnings

import numpy as np

warnings.simplefilter("ignore")
from image_similarity_measures.quality_metrics import sre

random = np.random.default_rng(0)


def pair(side, noise, top):
    across, down = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side))
    image = np.stack([0.3 + 0.4 * across, 0.3 + 0.4 * down, 0.7 - 0.4 * across * down], 2)
    return (image * top).astype(np.float32), ((image + noise * random.normal(size=image.shape)) * top).astype(np.float32)


def defined(one, two):
    x, y = one.astype(float), two.astype(float)
    return 10 * np.log10((x.mean((0, 1)) ** 2 / ((x - y) ** 2).mean((0, 1))).mean())


print("image-similarity-measures", importlib.metadata.version("image-similarity-measures"))
found = []
for side, noise, top in ((64, 0.04, 1), (64, 0.04, 255), (64, 0.04, 4095), (128, 0.04, 1), (64, 0.02, 1)):
    images = pair(side, noise, top)
    found.append([sre(*images), defined(*images)])
    line = "{0} x {0}, scaled 0..{1}, noise {2} of it: sre {3:.2f} dB, by definition {4:.2f} dB"
    print(line.format(side, top, noise, *found[-1]))
got, truth = np.array(found).T
right = np.ptp(truth[:4]) < 0.5 and abs(truth[4] - truth[0] - 6.02) < 0.5
wrong = np.allclose(got - got[0], [0, 24.07, 36.12, 3.01, 3.01], atol=0.3)
sys.exit(0 if right and wrong else 1)
PYTHON
"$folder/venv/bin/python" "$folder/compare.py"
