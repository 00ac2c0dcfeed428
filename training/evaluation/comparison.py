"""Several classifiers on the same images and the same noise: their differences, with paired intervals."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from training.evaluation.by_timestep import measure_rows

__all__ = ["comparison_table", "differences"]

Outcomes = Mapping[str, np.ndarray]


def differences(outcomes: Mapping[str, Outcomes]) -> list[dict[str, Any]]:
    """Return how every classifier differs from the first, by measure, in total and by band.

    Parameters
    ----------
    outcomes : mapping of str to mapping of str to array (N, bands)
        Of each classifier, what every image gave under each measure (see `evaluate_classifier`).

    Returns
    -------
    list of dict
        `classifier`, `baseline`, `measure`, `all` and `by_band` (a list), of which each has `estimate`, `ci95`, `n`
        and `reason`. Images are the units: an image's timesteps are averaged first, and the interval is Student's on
        the differences of the same images, so what makes an image hard for both cancels.
    """
    baseline, *others = outcomes
    return [
        {
            "classifier": name,
            "baseline": baseline,
            "measure": measure,
            "all": _paired(np.nanmean(found[measure] - first, axis=1)),
            "by_band": [_paired(column) for column in (found[measure] - first).T],
        }
        for name, found in ((name, outcomes[name]) for name in others)
        for measure, first in outcomes[baseline].items()
    ]


def _paired(difference: np.ndarray) -> dict[str, Any]:
    """Return a mean of differences with its 95 % t-interval."""
    values = difference[~np.isnan(difference)]
    facts: dict[str, Any] = {"estimate": float(values.mean()) if len(values) else None, "ci95": None, "n": len(values)}
    if len(values) < 2:
        return facts | {"reason": "fewer than two images"}
    spread = float(values.std(ddof=1))
    if spread == 0.0:
        return facts | {"reason": "every image gave the same difference: no spread to make an interval of"}
    half = float(stats.t.ppf(0.975, len(values) - 1)) * spread / len(values) ** 0.5
    return facts | {"ci95": [facts["estimate"] - half, facts["estimate"] + half], "reason": None}


def comparison_table(results: Mapping[str, dict], found: Sequence[Mapping[str, Any]]) -> str:
    """Return the measures of all classifiers as CSV, then their differences with the ends of the intervals."""
    bands = next(iter(results.values()))["bands"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["classifier", "measure", "norm", "epsilon", "steps", "restarts", "all", *bands])
    for name, one in results.items():
        writer.writerows([name, *row] for row in measure_rows(one))
    for entry in found:
        parts = [entry["all"], *entry["by_band"]]
        label = f"{entry['classifier']} - {entry['baseline']}"
        for what, values in (
            ("difference", [part["estimate"] for part in parts]),
            ("difference, low", [part["ci95"] and part["ci95"][0] for part in parts]),
            ("difference, high", [part["ci95"] and part["ci95"][1] for part in parts]),
        ):
            writer.writerow([label, f"{what}: {entry['measure']}", "", "", "", "", *values])
    return text.getvalue()
