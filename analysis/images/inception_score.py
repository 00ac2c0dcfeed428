"""Inception score: exponential of the mean divergence of class probabilities from their average.

Salimans et al. 2016, section 4; splits as in the ADM evaluator.
"""

from __future__ import annotations

import numpy as np
from scipy import special, stats

from analysis.images.arrays import as_feature_rows, row_blocks

__all__ = ["inception_score", "split_scores"]


def split_scores(logits: np.ndarray, *, split_size: int = 5000, order: np.ndarray | None = None) -> np.ndarray:
    """Return the Inception score of every split of consecutive images, as the ADM evaluator computes it.

    Images in class order make every split see few classes and the score far too low: give a random ``order`` then.

    Parameters
    ----------
    logits : array (n, classes), floating
        Outputs of the classification layer without its bias.
    split_size : int
        Images per split; the last split may be shorter, and is left out when it holds less than half of one
        (unless it is the only one).
    order : array (n,), integer, optional
        Permutation of the images before they are split; file order without it.

    Returns
    -------
    array (splits,), float64
        Each at least 1 and at most the number of classes.
    """
    rows = as_feature_rows(logits, name="logits")
    if split_size < 1:
        raise ValueError(f"split_size is {split_size}; expected at least 1")
    order = np.arange(rows.shape[0]) if order is None else np.asarray(order)
    if order.shape != (rows.shape[0],):
        raise ValueError(f"order has shape {order.shape} for {rows.shape[0]} images")
    # Sorted: the rows of a memory map are read in file order, and a score does not depend on it.
    splits = [np.sort(order[start : start + split_size]) for start in range(0, order.size, split_size)]
    # A short split is more biased than the others, and would count as much as they do.
    if len(splits) > 1 and splits[-1].size < split_size / 2:
        splits.pop()
    return np.array([_score(rows[split]) for split in splits])


def _score(logits: np.ndarray) -> float:
    """Return exp of the mean KL divergence as H(mean p) - mean H(p): one pass over the rows."""
    total, negative_entropy = np.zeros(logits.shape[1]), 0.0
    for block in row_blocks(logits, name="logits"):
        probabilities = special.softmax(block, axis=1)
        total += probabilities.sum(axis=0)
        negative_entropy -= float(special.entr(probabilities).sum())
    n = logits.shape[0]
    return float(np.exp(special.entr(total / n).sum() + negative_entropy / n))


def inception_score(
    logits: np.ndarray, *, split_size: int = 5000, order: np.ndarray | None = None
) -> tuple[float, tuple[float, float] | None]:
    """Return the mean of the split scores and, from two splits on, its 95 % t-interval over the splits.

    Parameters are those of :func:`split_scores`.
    """
    scores = split_scores(logits, split_size=split_size, order=order)
    mean = float(scores.mean())
    if scores.size < 2:
        return mean, None
    half = float(stats.t.ppf(0.975, scores.size - 1) * scores.std(ddof=1) / np.sqrt(scores.size))
    return mean, (mean - half, mean + half)
