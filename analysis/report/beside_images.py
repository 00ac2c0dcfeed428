"""Image metrics beside preference, class by class: do raters prefer the arm where its images measure better?"""

from __future__ import annotations

from collections.abc import Mapping

from analysis.beside_fid import preference_against_metric

__all__ = ["metric_correlations"]


def metric_correlations(comparison: Mapping, by_class: Mapping, *, seed: int) -> list[dict]:
    """Return, for every metric that classes of both arms have, its correlation with the preference rate.

    Parameters
    ----------
    comparison : mapping
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
    arm, baseline = comparison["arm"], comparison["baseline"]
    rates = {
        entry["class_label"]: entry["result"]["estimate"]
        for entry in comparison["per_class"]
        if entry["result"]["estimate"] is not None
    }
    ours, theirs = (_by_metric(by_class.get(name, {})) for name in (arm, baseline))
    found = []
    for metric in sorted(ours.keys() & theirs.keys()):
        shared = ours[metric].keys() & theirs[metric].keys()
        differences = {label: ours[metric][label] - theirs[metric][label] for label in shared}
        if differences:
            result = preference_against_metric(rates, differences, seed=seed)
            duel = f"{arm} vs {baseline}"
            names = {"name": f"{metric}: {duel}", "metric": metric, "arm": arm, "baseline": baseline}
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
