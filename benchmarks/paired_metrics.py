"""Coverage of the paired intervals of image metrics: ``python -m benchmarks.paired_metrics``.

Claim: 95 % intervals of the difference of two arms over the same pairs hold the difference that new pairs give on
average in about 95 of 100 sets, at every number of pairs, and are narrower than intervals that ignore the pairs. Two
arms of Gaussian features share 90 % of their spread with each other, as images of one class and noise do; with seeds,
each training moves an arm by an offset of its own. The record is ``paired_metrics.json``; nothing is timed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from analysis.images import ArmFeatures, EvaluationRules, FeatureIdentity, ReferenceFeatures, fit_gaussian
from analysis.images.paired import ArmVariation, arm_variation, metric_differences

RECORD = Path(__file__).with_suffix(".json")
JUDGE = FeatureIdentity(name="simulated", sha256="0" * 64)
FEATURES = 8
RULES = EvaluationRules(
    kid_subsets=4, kid_subset_size=40, mind_projections=100, minimum_frechet=2, minimum_per_feature=1, halves=100
)
#: (pairs, seeds): few and more pairs, one training and three.
SETTINGS = ((50, 1), (200, 1), (100, 3))
#: How far a training moves an arm, in standard deviations of a feature.
OFFSET = 0.1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=100)
    options = parser.parse_args()
    rows = np.random.default_rng(0).normal(size=(500, FEATURES))
    reference = ReferenceFeatures(pool_fit=fit_gaussian(rows), pool=rows)
    found = {f"{n} pairs, {seeds} seeds": _covered(n, seeds, options.sets, reference) for n, seeds in SETTINGS}
    record = {"sets": options.sets, "features": FEATURES, "found": found}
    RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))
    return 0


def _covered(n: int, seeds: int, sets: int, reference: ReferenceFeatures) -> dict[str, dict[str, float]]:
    rng = np.random.default_rng(n + seeds)
    drawn: dict[str, list[tuple[float, float, float, float]]] = {}
    for _ in range(sets):
        ours, theirs = _arms(n, seeds, rng, reference)
        for name, metric in metric_differences(ours, theirs).items():
            if metric.ci95 is not None:
                drawn.setdefault(name, []).append((metric.value, *metric.ci95, _apart(name, ours, theirs)))
    return {name: _summary(np.array(values)) for name, values in drawn.items()}


def _arms(
    n: int, seeds: int, rng: np.random.Generator, reference: ReferenceFeatures
) -> tuple[list[ArmVariation], list[ArmVariation]]:
    shared, labels = rng.normal(size=(n, FEATURES)), np.zeros(n, dtype=np.int64)
    is_hard = rng.random(n) < 0.15
    arms: tuple[list[ArmVariation], list[ArmVariation]] = ([], [])
    for _ in range(seeds):
        for arm, (scale, shift, extra) in zip(arms, ((1.1, 0.3, 0.02), (1.0, 0.35, 0.05)), strict=True):
            own = rng.normal(size=(n, FEATURES))
            moved = shift + (OFFSET * rng.normal() if seeds > 1 else 0.0)
            pool = scale * (0.95 * shared + 0.312 * own)
            pool[:, :5] += moved
            seen = (is_hard | (rng.random(n) < extra)).astype(np.int64)
            arm.append(arm_variation(ArmFeatures(pool=pool, labels=labels, seen=seen), reference, JUDGE, RULES))
    return arms


def _apart(name: str, ours: list[ArmVariation], theirs: list[ArmVariation]) -> float:
    """Return the width of the interval that takes both arms as drawn apart."""
    spreads = [float(arm[0].deviations[name].var(ddof=1)) for arm in (ours, theirs)]
    return 2 * 1.96 * sum(spreads) ** 0.5


def _summary(values: np.ndarray) -> dict[str, float]:
    truth = values[:, 0].mean()
    covered = (values[:, 1] <= truth) & (truth <= values[:, 2])
    width = (values[:, 2] - values[:, 1]).mean()
    return {
        "coverage": round(float(covered.mean()), 3),
        "mean": round(float(truth), 5),
        "sd": round(float(values[:, 0].std(ddof=1)), 5),
        "width": round(float(width), 5),
        "width_without_pairs": round(float(values[:, 3].mean()), 5),
    }


if __name__ == "__main__":
    sys.exit(main())
