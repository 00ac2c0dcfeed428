"""What image metrics are called wherever a person reads of them; files and the API hold their keys."""

from __future__ import annotations

__all__ = ["METRIC_NAMES", "metric_name"]

#: By key, in the order of the tables.
METRIC_NAMES = {
    "fid": "FID",
    "sfid": "sFID",
    "inception_score": "Inception score",
    "frechet_distance": "Fréchet distance",
    "kid": "KID",
    "mind": "MIND",
    "precision": "Precision",
    "recall": "Recall",
    "density": "Density",
    "coverage": "Coverage",
    "class_accuracy": "Class accuracy",
    "frechet_distance_extrapolated": "Fréchet distance at infinitely many images",
}


def metric_name(key: str) -> str:
    """Return what a metric is called; one measured elsewhere, which has no name here, by its key.

    >>> metric_name("kid"), metric_name("CLIP score")
    ('KID', 'CLIP score')
    """
    return METRIC_NAMES.get(key, key)
