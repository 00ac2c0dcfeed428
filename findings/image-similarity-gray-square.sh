#!/usr/bin/env bash
# image-similarity-measures 0.3.6, rmse and psnr: a square gray image differs from itself.
# Expected: two equal images have an RMSE of 0 and an infinite PSNR, and a gray image given as H x W scores as the same
# image given as H x W x 1; the source says of gray images that they get a third dimension. Seen: only the first image gets
# it. For a square image N x N x 1 less N x N gives N x N x N numbers: each column of the one image against the row of the
# same number of the other, every pixel with every pixel. Their mean is given out as RMSE or PSNR and stays about the same
# however good the copy is. Other shapes raise an error, but square pictures are what generators mostly
# make. Nothing warns.
# Here: a smooth gray image of 64 x 64, and copies of it with growing noise.
# No report of it was found among the project's issues (31 is about the bands, 41 about PSNR of colour images).
# Exit 0 while this holds, 1 once both functions score a square gray image rightly.
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
from scipy.ndimage import gaussian_filter

warnings.simplefilter("ignore")
from image_similarity_measures.quality_metrics import psnr, rmse

random = np.random.default_rng(0)
image = gaussian_filter(random.normal(size=(64, 64)), 6, mode="wrap")
image = np.round(128 + 110 * image / np.abs(image).max()).astype(np.uint8)

print("image-similarity-measures", importlib.metadata.version("image-similarity-measures"))
found = []
for noise in (0, 2, 8, 20):
    copy = np.round(np.clip(image + noise * random.normal(size=image.shape), 0, 255)).astype(np.uint8)
    error = np.sqrt(((image.astype(float) - copy) ** 2).mean())
    truth = error / 255, 20 * np.log10(255 / error) if error else np.inf
    plain = rmse(image, copy, max_p=255), psnr(image, copy, max_p=255)
    third = rmse(image[..., None], copy[..., None], max_p=255), psnr(image[..., None], copy[..., None], max_p=255)
    found.append([*plain, *third, *truth])
    print(
        "noise {:2}: H x W: RMSE {:.4f}, PSNR {:.2f} dB; H x W x 1: {:.4f}, {:.2f} dB; by definition {:.4f}, {:.2f} dB".format(
            noise, *found[-1]
        )
    )
found = np.array(found)
right = np.allclose(found[:, 2:4], found[:, 4:6], rtol=1e-4)
sys.exit(0 if right and found[0, 0] > 0.1 and found[0, 1] < 20 and np.ptp(found[:, 1]) < 2 else 1)
PYTHON
"$folder/venv/bin/python" "$folder/compare.py"
