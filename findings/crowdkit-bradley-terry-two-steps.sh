#!/usr/bin/env bash
# crowd-kit 1.4.2, BradleyTerry: the fit always ends after two steps of its iteration, whatever n_iter and tol say.
# Expected, by its documentation: the parameters that maximise the Bradley-Terry likelihood by Hunter's MM algorithm
# (Annals of Statistics 32, 2004), ending once the change falls below tol or after n_iter steps. Seen: at the second step
# the change is taken between an array and itself, so it is 0 and passes for convergence. No warning is given. In an
# uneven design (an adaptive study, a leaderboard where neighbours meet) the scores stay near the plain share of votes
# won, far from the estimate, and items come out in the wrong order.
# Here: six models compared as a chain, each preferred to the next in 70% of their votes. In a chain the maximum is known
# without iterating: two neighbours' scores stand as the votes won to the votes lost, 7 to 3. The graph of comparisons is
# strongly connected, as the documentation asks.
# A small difference from another library's scores was reported (dustalov/evalica, issue 7, closed) and put down to the
# norm in the stopping rule; that the fit ends after two steps was not said.
# Exit 0 while this holds, 1 once n_iter is obeyed or the estimate is reached.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip_install() { "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
pip_install numpy==2.4.6 scipy==1.17.1 pandas==3.1.1 scikit-learn==1.9.1 attrs==26.1.0 nltk==3.10.4 pyarrow==26.0.1 tqdm==4.70.1
# The language models that it also names are not needed for pairs.
pip_install --no-deps crowd-kit==1.4.2
cat > "$folder/compare.py" <<'PYTHON'
import importlib.metadata
import sys

import numpy as np
import pandas as pd
from crowdkit.aggregation import BradleyTerry

names = list("abcdef")
votes = {"ab": 100, "bc": 20, "cd": 20, "de": 20, "ef": 100}
rows, won = [], np.zeros((6, 6))
for pair, count in votes.items():
    better = count * 7 // 10
    rows += [(pair[0], pair[1], pair[0])] * better + [(pair[0], pair[1], pair[1])] * (count - better)
    i, j = names.index(pair[0]), names.index(pair[1])
    won[i, j], won[j, i] = better, count - better
data = pd.DataFrame(rows, columns=["left", "right", "label"])

truth = (7 / 3) ** -np.arange(6.0)
truth /= truth.sum()


def climb(steps):
    scores = np.full(6, 1 / 6)
    for _ in range(steps):
        scores = won.sum(1) / ((won + won.T) / (scores[:, None] + scores)).sum(1)
        scores /= scores.sum()
    return scores


def likelihood(scores):
    return (won * np.log(scores[:, None] / (scores[:, None] + scores))).sum()


def fit(**settings):
    return BradleyTerry(**settings).fit_predict(data)[names].to_numpy()


def order(scores):
    return " > ".join(names[i] for i in np.argsort(-scores))


assert np.allclose(climb(5000), truth)  # two ways to the same estimate
print("crowd-kit", importlib.metadata.version("crowd-kit"))
long, short = fit(n_iter=100_000, tol=1e-12), fit(n_iter=2)
for label, scores in [
    ("the maximum", truth),
    ("n_iter=100000, tol=1e-12", long),
    ("n_iter=2", short),
    ("two steps done here", climb(2)),
]:
    print(f"{label:>25}: {scores.round(4)}  {order(scores)}  log-likelihood {likelihood(scores):.1f}")
same = np.array_equal(long, short) and np.allclose(long, climb(2))
wrong = long[names.index("e")] > long[names.index("b")] and likelihood(truth) - likelihood(long) > 5
print(f"a is preferred to f by odds of {truth[0] / truth[5]:.0f} at the maximum, {long[0] / long[5]:.1f} in the fit")
sys.exit(0 if same and wrong else 1)
PYTHON
"$folder/venv/bin/python" "$folder/compare.py"
