#!/usr/bin/env bash
# image-similarity-measures 0.3.6, sam: for images of whole numbers the spectral angle is nonsense; an image has an angle of
# nearly 90 degrees to itself. Expected: the angle between the vectors of two pixels, the arc cosine of their inner
# product over their lengths, on average over the image (Spectral Angle Mapper, cited by the readme); 0 for two equal images.
# Seen: the products are taken in the images' own type, so with 8 bits they wrap at 256 (with 16 bits at 65,536), while the
# lengths are right. Its command reads files as 8-bit numbers, so this is what it prints for any colour picture. RMSE, PSNR
# and others convert first. Better and worse copies can no longer be told apart. Nothing warns.
# Here: a smooth colour image and copies with growing noise, as 8-bit PNG files given to the function behind the command and
# as arrays of 12-bit values, beside the definition and beside sam of the same numbers as floating point.
# The symptom, an angle of 89 to 90 degrees between two RGB images, was asked about in the project's issue 50 (open, no answer);
# the cause is not named there.
# Exit 0 while this holds, 1 once sam follows the definition for 8 and 16 bits.
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

import cv2
import numpy as np

warnings.simplefilter("ignore")
from image_similarity_measures.evaluate import evaluation
from image_similarity_measures.quality_metrics import sam

folder = sys.argv[1]
random = np.random.default_rng(0)
across, down = np.meshgrid(np.linspace(0, 1, 96), np.linspace(0, 1, 64))
scene = np.stack([0.2 + 0.7 * across, 0.9 - 0.6 * down, 0.3 + 0.5 * across * down], 2)


def defined(one, two):
    x, y = one.astype(float), two.astype(float)
    cosine = (x * y).sum(2) / np.sqrt((x * x).sum(2) * (y * y).sum(2))
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)).mean())


print("image-similarity-measures", importlib.metadata.version("image-similarity-measures"))
found = []
for kind, top in ((np.uint8, 255), (np.uint16, 4095)):
    image = np.round(scene * top).astype(kind)
    for noise in (0, 0.02, 0.08):
        copy = np.round(np.clip(scene + noise * random.normal(size=scene.shape), 0, 1) * top).astype(kind)
        if kind is np.uint8:
            paths = [f"{folder}/{name}.png" for name in ("image", "copy")]
            cv2.imwrite(paths[0], image), cv2.imwrite(paths[1], copy)
            got = evaluation(*paths, metrics=["sam"])["sam"]
            assert np.isclose(got, sam(image, copy))
        else:
            got = sam(image, copy)
        found.append([got, sam(image.astype(float), copy.astype(float)), defined(image, copy)])
        print(
            "{}, noise {:.2f}: sam {:.2f} degrees, as floating point {:.2f}, by definition {:.2f}".format(
                kind.__name__, noise, *found[-1]
            )
        )
got, floating, truth = np.array(found).T
right = np.allclose(floating, truth, atol=1e-3) and truth[0] < 0.01 and truth[3] < 0.01
sys.exit(0 if right and got[0] > 60 and got[3] > 60 else 1)
PYTHON
"$folder/venv/bin/python" "$folder/compare.py" "$folder"
