"""Image metrics beside preference: an arm's FID over seeds, and per-class metric differences against class rates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import stats

from analysis.inference.bootstrap import percentile_estimate
from analysis.inference.estimate import Estimate, refused
from analysis.inference.intervals import clamped_p

__all__ = ["LEAST_CLASSES", "preference_against_metric"]

# Below this many classes a rank correlation says little; the plot alone is shown.
LEAST_CLASSES = 10


def preference_against_metric(
    rates: Mapping[str, float], differences: Mapping[str, float], *, seed: int = 0, repetitions: int = 2000
) -> Estimate:
    """Return Spearman's correlation, over classes, of preference rates and differences of a metric between the arms.

    Parameters
    ----------
    rates : mapping of class label to float
        The arm's preference rate in each class.
    differences : mapping of class label to float
        The metric of the arm minus the baseline's; classes in only one of the mappings are left out and counted.
    seed, repetitions : int
        Of the bootstrap over classes.

    References
    ----------
    Spearman, American Journal of Psychology 15 (1904).
    """
    method = (
        f"Spearman's rank correlation over classes, bootstrap over classes ({repetitions} repetitions, seed {seed})"
    )
    # Sorted: the bootstrap draws by position, and a set has no order.
    shared = sorted(set(rates) & set(differences))
    lost = len(set(rates) ^ set(differences))
    remark = f"{lost} classes have only one of the two numbers and are left out" if lost else None
    if len(shared) < LEAST_CLASSES:
        few = f"{len(shared)} classes: fewer than {LEAST_CLASSES}, so they are plotted and not tested"
        return refused(method, few if remark is None else f"{few}; {remark}")
    x = np.array([rates[label] for label in shared], dtype=np.float64)
    y = np.array([differences[label] for label in shared], dtype=np.float64)
    if np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
        return refused(method, "all classes have the same rate or the same metric difference: no ranks to compare")
    answer = stats.spearmanr(x, y)
    result = percentile_estimate(
        float(answer.statistic), _resampled(x, y, seed, repetitions), method=method, reason=remark
    )
    return Estimate(
        method=result.method,
        estimate=result.estimate,
        ci95=result.ci95,
        se=result.se,
        p_value=clamped_p(float(answer.pvalue)),
        reason=result.reason,
    )


def _resampled(x: np.ndarray, y: np.ndarray, seed: int, repetitions: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).integers(len(x), size=(repetitions, len(x)))
    # Ranks anew in every resample: drawn classes are tied with themselves.
    first, second = (stats.rankdata(values[drawn], axis=1) for values in (x, y))
    first -= first.mean(axis=1, keepdims=True)
    second -= second.mean(axis=1, keepdims=True)
    # A resample of one class alone has no ranks; its NaN is counted and told.
    with np.errstate(invalid="ignore"):
        return (first * second).sum(axis=1) / np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
