#!/usr/bin/env bash
# vendi-score 0.0.3, vendi.score_X(X, q=...): the order q is taken and not used; the answer is always that of order 1.
# Expected: the Vendi Score of order q, the exponential of the Renyi entropy of order q of the eigenvalues of K / n
# (Pasarkar and Dieng, arXiv 2310.12952), as score_K and score_dual give for the same embeddings. A small q weighs the rare
# kinds of images, a large q the common ones. Seen: score_X gives one number for every q.
# The readme points to score_dual where there are no more dimensions than images, and the package's own image helpers call
# score_X for the other case. A script that chooses the same way thus compares a small set at order 1 with a large one at
# order q, and a sweep over q on a small set shows a flat line.
# Here: 40 embeddings in 64 dimensions, of five kinds with very unequal shares.
# No report of it was found among the project's issues.
# Exit 0 while this holds, 1 once score_X obeys q.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 vendi-score==0.0.3
cat > "$folder/compare.py" <<'PYTHON'
import importlib.metadata
import sys
import warnings

import numpy as np

warnings.simplefilter("ignore")
from vendi_score import vendi

random = np.random.default_rng(0)
kinds = random.normal(size=(5, 64))
features = kinds[np.repeat(np.arange(5), [24, 8, 4, 2, 2])] + 0.15 * random.normal(size=(40, 64))
features /= np.linalg.norm(features, axis=1, keepdims=True)


def defined(q):
    share = np.linalg.svd(features / np.sqrt(len(features)), compute_uv=False) ** 2
    if q == 1:
        return np.exp(-(share * np.log(share)).sum())
    return 1 / share.max() if q == "inf" else (share**q).sum() ** (1 / (1 - q))


print("vendi-score", importlib.metadata.version("vendi-score"))
rows = []
for q in (0.5, 1, 2, "inf"):
    rows.append([defined(q), vendi.score_K(features @ features.T, q=q), vendi.score_X(features, q=q)])
    print("order {:>3}: by definition {:.4f}, score_K {:.4f}, score_X {:.4f}".format(q, *rows[-1]))
truth, by_kernel, by_features = np.array(rows).T
held = np.allclose(by_kernel, truth) and np.allclose(by_features, truth[1])
sys.exit(0 if held and truth[0] > 1.5 * truth[1] > 2 * truth[3] else 1)
PYTHON
"$folder/venv/bin/python" "$folder/compare.py"
