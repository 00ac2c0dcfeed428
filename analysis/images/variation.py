"""How each metric of one arm varies over random halves of its images."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from analysis.images.evaluation import Evaluation
from analysis.images.frechet import GaussianFit, fit_gaussian, frechet_distance
from analysis.images.halves import MOST_ROWS, half_samples, half_scale, thinned
from analysis.images.kernel import kernel_half_estimates
from analysis.images.neighbours import ManifoldMetrics, recall_of_halves
from analysis.images.uncertainty import frechet_influence

__all__ = ["deviations"]

T = TypeVar("T")

#: All distances to the reference are held while halves are tried.
_MOST_FOR_RECALL = 2048


def deviations(run: Evaluation, name: str) -> np.ndarray | None:
    """Return how a metric varies over random halves of the images, on the scale of its error at all of them.

    The halves depend on the number of images and the seed of the rules alone: arms with the same pairs have the same
    halves, so what both images of a pair share falls out of the spread of a difference.

    Parameters
    ----------
    run : Evaluation
    name : str
        ``fid``, ``frechet_distance``, ``kid``, ``mind``, ``precision``, ``recall`` or ``class_accuracy``; it has a
        value.

    Returns
    -------
    array (halves,), float64, or None
        With mean zero; None where it is not known (a Frechet distance of fewer images than features).
    """
    found = {
        "fid": _of_frechet,
        "frechet_distance": _of_frechet,
        "kid": _of_kernel,
        "mind": _of_sliced,
        "precision": _of_precision,
        "recall": _of_recall,
        "class_accuracy": _of_accuracy,
    }[name](run)
    return None if found is None else found - found.mean()


def _halves(run: Evaluation, n: int) -> np.ndarray:
    return half_samples(n, run.rules.halves, seed=run.rules.seed)


def _of_share(run: Evaluation, is_in: np.ndarray) -> np.ndarray:
    values = np.asarray(is_in, dtype=np.float64)
    halves = _halves(run, values.size)
    return halves @ values / halves[0].sum() * half_scale(values.size)


def _of_precision(run: Evaluation) -> np.ndarray | None:
    found = run.manifold
    return _of_share(run, found.is_inside) if isinstance(found, ManifoldMetrics) else None


def _of_accuracy(run: Evaluation) -> np.ndarray:
    return _of_share(run, _there(run.arm.seen) == _there(run.arm.labels))


def _of_frechet(run: Evaluation) -> np.ndarray | None:
    rows, fit = run.arm.pool, _there(run.reference.pool_fit)
    if run.is_resampled(rows):
        return _resampled(rows, fit, _halves(run, run.n)) * half_scale(run.n)
    influence = frechet_influence(rows, fit)
    return None if influence is None else _of_share(run, influence)


def _resampled(rows: np.ndarray, fit: GaussianFit, halves: np.ndarray) -> np.ndarray:
    return np.array([frechet_distance(fit_gaussian(rows[np.flatnonzero(half)]), fit) for half in halves])


def _of_kernel(run: Evaluation) -> np.ndarray:
    rows, beside, factor = _thinned(run)
    return kernel_half_estimates(rows, beside, _halves(run, len(rows))) * factor


def _of_sliced(run: Evaluation) -> np.ndarray:
    # Of the images that were taken: those of the same pairs in every arm.
    return _of_share(run, run.sliced.influence)


def _of_recall(run: Evaluation) -> np.ndarray:
    rows, beside, factor = _thinned(run, _MOST_FOR_RECALL)
    return recall_of_halves(rows, beside, _halves(run, len(rows)), k=run.rules.k) * factor


def _thinned(run: Evaluation, most: int = MOST_ROWS) -> tuple[np.ndarray, np.ndarray, float]:
    """Return rows of both sides, few enough for all their distances, and the factor to the error at all rows."""
    reference = _there(run.reference.pool)
    kept, factor = thinned(run.n, most=most, seed=run.rules.seed)
    beside, _ = thinned(reference.shape[0], seed=run.rules.seed)
    return run.arm.pool[kept], reference[beside], factor * half_scale(kept.size)


def _there(value: T | None) -> T:
    """Return what a metric that has a value was computed from."""
    if value is None:
        raise ValueError("a metric without a value has no spread; ask for those that have one")
    return value
