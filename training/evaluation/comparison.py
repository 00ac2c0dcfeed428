"""Several classifiers on the same images and the same noise: their differences, with paired intervals."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from training.evaluation.by_timestep import ATTACK_COLUMNS, CALIBRATION_BINS, MEASURE_COLUMNS, measure_rows

__all__ = ["comparison_table", "differences"]

Outcomes = Mapping[str, np.ndarray]
RESAMPLES = 1000


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
        the differences of the same images, so what makes an image hard for both cancels. Where there are a
        `confidence` and an `accuracy`, the `expected_calibration_error` follows; it is no mean over images, and its
        interval is that of a paired bootstrap.
    """
    baseline, *others = outcomes
    return [
        {"classifier": name, "baseline": baseline, "measure": measure, "all": all_bands, "by_band": by_band}
        for name in others
        for measure, all_bands, by_band in _compared(outcomes[name], outcomes[baseline])
    ]


def _compared(found: Outcomes, first: Outcomes) -> Iterator[tuple[str, dict[str, Any], list[dict[str, Any]]]]:
    """Yield measure, the difference over all timesteps and by band."""
    for measure, values in first.items():
        apart = found[measure] - values
        yield measure, _paired(np.nanmean(apart, axis=1)), [_paired(column) for column in apart.T]
    if {"accuracy", "confidence"} <= first.keys():
        both = [(one["confidence"], one["accuracy"]) for one in (found, first)]
        bands = range(both[0][0].shape[1])
        by_band = [_calibration([tuple(part[:, [band]] for part in one) for one in both]) for band in bands]
        yield "expected_calibration_error", _calibration(both), by_band


def _calibration(both: Sequence[tuple[np.ndarray, ...]]) -> dict[str, Any]:
    """Return the difference of two expected calibration errors, each of confidences and outcomes (N, bands).

    Images are drawn again, for both classifiers the same. The interval is Student's with the bootstrap's spread around
    the difference itself: resamples repeat images, which raises every error, so their quantiles lie too high.
    """
    met = (~np.isnan(both[0][0])).sum(axis=1)
    gaps = [_gaps(*one)[met > 0] for one in both]
    met = met[met > 0]
    facts: dict[str, Any] = {"estimate": None, "ci95": None, "n": len(met)}
    if len(met) < 2:
        return facts | {"reason": "fewer than two images"}

    def difference(times: np.ndarray) -> float:
        """Return it with every image taken so many times."""
        one, other = (float(np.abs(times @ gap).sum()) for gap in gaps)
        return (one - other) / float(times @ met)

    facts["estimate"] = difference(np.ones(len(met)))
    rng = np.random.default_rng(0)
    drawn = (np.bincount(rng.integers(0, len(met), len(met)), minlength=len(met)) for _ in range(RESAMPLES))
    spread = float(np.std([difference(times.astype(float)) for times in drawn], ddof=1))
    if spread == 0.0:
        return facts | {"reason": "every resample gave the same difference: no spread to make an interval of"}
    half = float(stats.t.ppf(0.975, facts["n"] - 1)) * spread
    return facts | {"ci95": [facts["estimate"] - half, facts["estimate"] + half], "reason": None}


def _gaps(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return each image's confidence less its outcomes by bin of the confidence: (N, bins)."""
    gaps = np.zeros((len(confidence), CALIBRATION_BINS))
    image, band = np.nonzero(~np.isnan(confidence))
    values = confidence[image, band]
    # As in `calibration`: a confidence of exactly 1 belongs to the last bin.
    row = np.minimum((values * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    np.add.at(gaps, (image, row), values - right[image, band])
    return gaps


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
    writer.writerow(["classifier", *MEASURE_COLUMNS, "all", *bands])
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
            writer.writerow([label, f"{what}: {entry['measure']}", *[""] * len(ATTACK_COLUMNS), *values])
    return text.getvalue()
