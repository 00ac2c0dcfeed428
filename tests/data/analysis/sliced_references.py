"""Sliced Wasserstein distances of torch-fidelity and POT on small sets of features.

Where POT 0.9.7.post1 and torch-fidelity at commit 5e211a9 are installed (its release 0.4.0 has no MIND yet),
``python tests/data/analysis/sliced_references.py`` writes ``sliced_references.json`` beside this file. Features and
directions come from numpy seeds, so that the test makes the same; torch-fidelity draws its own directions from torch's
generator, which are replaced here. POT gives the root of the mean squared distance, MIND is 3 d times its square.
"""

import json
import sys
from pathlib import Path

import numpy as np

SETS = {"apart": (60, 60, 8, 0.5), "near": (40, 40, 3, 0.0), "wide": (30, 30, 64, 0.2)}
PROJECTIONS = 50


def features(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return both sides' features and the directions of one case."""
    n, m, d, shift = SETS[name]
    rng = np.random.default_rng(list(SETS).index(name))
    generated = rng.standard_normal((n, d)) * np.linspace(0.5, 2.0, d) + shift
    directions = rng.standard_normal((PROJECTIONS, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return generated, rng.standard_normal((m, d)) ** 3, directions


def answers() -> dict:
    import ot
    import torch
    from torch_fidelity.metric_mind import KEY_METRIC_MIND, mind_features_to_metric

    found = {}
    for name in SETS:
        generated, reference, directions = features(name)
        torch.randn = lambda *_, directions=directions, **__: torch.from_numpy(directions).float()
        options = {"mind_num_projections": PROJECTIONS, "cuda": False, "rng_seed": 0, "verbose": False}
        both = (torch.from_numpy(side).float() for side in (generated, reference))
        found[name] = {
            "torch_fidelity_mind": mind_features_to_metric(*both, **options)[KEY_METRIC_MIND],
            "pot_distance": float(ot.sliced_wasserstein_distance(generated, reference, projections=directions.T)),
        }
    return {"torch-fidelity": "5e211a9", "pot": ot.__version__, "sets": found}


if __name__ == "__main__":
    text = json.dumps(answers(), indent=1) + "\n"
    Path(__file__).with_suffix(".json").write_text(text)
    sys.stdout.write(text)
