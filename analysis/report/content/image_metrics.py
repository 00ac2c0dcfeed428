"""Preference beside what is known of the images: metrics of a class, the difference between the images of a pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from analysis.inference.crossing import group_index
from analysis.preference.image_metrics import preference_against_metric
from analysis.votes.table import Comparison

__all__ = ["metric_correlations", "preference_by_difference"]

# Deciles at most, and a group of fewer pairs would show noise.
_MOST_GROUPS, _FEWEST_PAIRS = 10, 10


def preference_by_difference(
    comparison: Comparison, pairs: Sequence[str], distances: Mapping[str, float]
) -> list[dict]:
    """Return the preference rate of groups of pairs, from pairs that look most alike to pairs that differ most.

    Parameters
    ----------
    comparison : Comparison
    pairs : sequence of str
        Labels of the comparison's pair codes.
    distances : mapping of str to float
        How different the two images of a pair look, by pair label; pairs without a distance are left out.

    Returns
    -------
    list of dict
        Up to ten groups of equally many pairs, ten at least in each; none where there are not two such groups.
        ``rate`` is the mean over pairs of their mean score, ``ci95`` its t-interval over pairs (raters taken as given;
        None where all pairs have one rate), ``distance`` the mean of the group's.
    """
    index, present = group_index(comparison.pair)
    votes = np.bincount(index, minlength=len(present))
    rates = np.bincount(index, weights=comparison.score, minlength=len(present)) / votes
    values = np.array([distances.get(pairs[code], np.nan) for code in present], dtype=np.float64)
    known = np.flatnonzero(np.isfinite(values))
    groups = min(_MOST_GROUPS, len(known) // _FEWEST_PAIRS)
    if groups < 2:
        return []
    order = known[np.argsort(values[known], kind="stable")]
    return [_group(values[part], rates[part], votes[part]) for part in np.array_split(order, groups)]


def _group(distances: np.ndarray, rates: np.ndarray, votes: np.ndarray) -> dict:
    n, mean = len(rates), float(rates.mean())
    half = float(stats.t.ppf(0.975, n - 1) * rates.std(ddof=1) / n**0.5)
    return {
        "distance": float(distances.mean()),
        "rate": mean,
        "ci95": [max(mean - half, 0.0), min(mean + half, 1.0)] if half > 0.0 else None,
        "n_pairs": n,
        "n_votes": int(votes.sum()),
    }


def metric_correlations(reported: Mapping, by_class: Mapping, *, seed: int) -> list[dict]:
    """Return, for every metric that classes of both arms have, its correlation with the preference rate.

    Parameters
    ----------
    reported : mapping
        An entry of ``comparisons`` in the report.
    by_class : mapping
        Image metrics by arm, then class label, then metric.
    seed : int
        Seed of the bootstrap over classes.

    Returns
    -------
    list of dict
        ``name``, ``metric``, ``arm``, ``baseline``, ``description`` and a result: Spearman's correlation, over classes,
        of the preference rate with the arm's metric less the baseline's. Below ten classes it is refused.
    """
    arm, baseline = reported["arm"], reported["baseline"]
    rates = {
        entry["class_label"]: entry["result"]["estimate"]
        for entry in reported["per_class"]
        if entry["result"]["estimate"] is not None
    }
    ours, theirs = (_by_metric(by_class.get(name, {})) for name in (arm, baseline))
    found = []
    for metric in sorted(ours.keys() & theirs.keys()):
        shared = ours[metric].keys() & theirs[metric].keys()
        differences = {label: ours[metric][label] - theirs[metric][label] for label in shared}
        if differences:
            result = preference_against_metric(rates, differences, seed=seed)
            comparison = f"{arm} vs {baseline}"
            names = {"name": f"{metric}: {comparison}", "metric": metric, "arm": arm, "baseline": baseline}
            words = f"preference rate of each class against its {metric}, {arm} less {baseline}"
            found.append({**names, "description": words, **result.as_json()})
    return found


def _by_metric(classes: Mapping) -> dict[str, dict[str, float]]:
    """Turn one arm's metrics by class into values by metric, then class; refused ones are left out."""
    found: dict[str, dict[str, float]] = {}
    for label, metrics in classes.items():
        for name, metric in metrics.items():
            values = found.setdefault(name, {})
            if metric.get("value") is not None:
                values[label] = metric["value"]
    return found
