#!/usr/bin/env bash
# sewar 0.4.10, uqi: the Universal Quality Index is hardly sensitive to the images' structure; unrelated images pass for
# alike and a negative for a good copy. Expected, by the paper that its readme cites (Wang and Bovik, A universal image quality
# index, 2002): the mean over 8 x 8 windows of 4 cov(x, y) m(x) m(y) / ((var x + var y) (m(x)^2 + m(y)^2)), between -1 and
# 1: near 0 for unrelated images and near -1 for a negative. Seen: the formula is that for sums over a window of N pixels, but it
# is given means. In place of the covariance stands N E[xy] - E[x] E[y], with N = 64, and likewise for the variances, so the
# means are hardly taken off. d_lambda, d_s and qnr are built on it. A ranking of methods by it can be upside down.
# Here: a smooth image of 128 x 128 against four others, beside the definition; the same formula with sums meets it.
# A report of higher values than expected exists in another project (lanha/DSen2, issue 11); the cause was not found there,
# and no report was found among sewar's own issues.
# Exit 0 while this holds, 1 once uqi follows the definition.
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
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import gaussian_filter
from sewar.full_ref import uqi

random = np.random.default_rng(0)


def smooth():
    image = gaussian_filter(random.normal(size=(128, 128)), 3, mode="wrap")
    return np.round(100 + 90 * image / np.abs(image).max()).astype(np.uint8)


def windows(image):
    return sliding_window_view(image.astype(float), (8, 8)).reshape(-1, 64)


def defined(one, two):
    x, y = windows(one), windows(two)
    mx, my = x.mean(1), y.mean(1)
    covariance = ((x - mx[:, None]) * (y - my[:, None])).mean(1)
    return (4 * covariance * mx * my / ((x.var(1) + y.var(1)) * (mx**2 + my**2))).mean()


def formula(one, two, take):
    x, y = windows(one), windows(two)
    sx, sy, sxx, syy, sxy = (take(part, 1) for part in (x, y, x * x, y * y, x * y))
    product, squares = sx * sy, sx**2 + sy**2
    return (4 * (64 * sxy - product) * product / ((64 * (sxx + syy) - squares) * squares)).mean()


image = smooth()
pairs = {
    "the image, 40 levels brighter": image + np.uint8(40),
    "another image altogether": smooth(),
    "the image, moved 40 rows": np.roll(image, 40, 0),
    "its negative": np.uint8(200) - image,
}
print("sewar", importlib.metadata.version("sewar"))
found = {}
for name, other in pairs.items():
    found[name] = uqi(image, other), defined(image, other)
    by_sums, by_means = formula(image, other, np.sum), formula(image, other, np.mean)
    assert np.isclose(by_sums, found[name][1]), name
    print("{:>30}: sewar {:.3f}, by definition {:.3f}".format(name, *found[name]), end="")
    print(f" (its formula here, with sums {by_sums:.3f}, with means {by_means:.3f})")
got, truth = np.array(list(found.values())).T
wrong = got.min() > 0.7 and truth[0] > 0.8 and np.abs(truth[1:3]).max() < 0.3 and truth[3] < -0.8
print(f"best of the four: sewar '{list(found)[got.argmax()]}', by definition '{list(found)[truth.argmax()]}'")
sys.exit(0 if wrong else 1)
PYTHON
"$folder/venv/bin/python" "$folder/compare.py"
