"""How pairs stood on the raters' screens, as their browsers reported it, and the preference by the size shown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from analysis.preference.rate import headline
from analysis.raters.columns import LEAST_CELL
from analysis.votes.table import Comparison

__all__ = ["display_section", "size_rows"]

_NOT_GIVEN = "only the platform knows how trials were shown; a file of votes does not"
_NONE_SENT = "no browser sent how it showed a trial: the study was frozen by release 0.1, or its raters are simulated"


def _number(value: object) -> float | None:
    """Return a finite number that is no truth value; browsers may send anything."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


def _by_rater(showings: Sequence[Mapping], name: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for showing in showings:
        if (value := _number(showing.get(name))) is not None:
            found.setdefault(str(showing.get("rater")), []).append(value)
    return found


def _spread(values: Iterable[float]) -> dict[str, float] | None:
    """Return median and range; None of nothing."""
    values = np.asarray(list(values), dtype=float)
    if not values.size:
        return None
    return {"median": float(np.median(values)), "least": float(values.min()), "most": float(values.max())}


def display_section(showings: Iterable[Mapping] | None) -> dict:
    """Return the report's ``display``.

    Parameters
    ----------
    showings : iterable of mapping, or None
        A line a trial: ``rater``, ``scale`` (device pixels to an image pixel), ``width_px`` (CSS pixels),
        ``pixel_ratio``, ``layout``, ``waited_ms``; what a browser did not send as a number is left out.

    Returns
    -------
    dict
        ``scale``, ``width_px`` and ``pixel_ratio`` as median and range over showings; ``raters_below_1``, the share of
        raters whose median scale is below 1; ``layouts``, showings by layout; ``waited_ms`` with its median and the
        95th percentile; ``reason`` where there is none of it.
    """
    empty = dict.fromkeys(("n", "scale", "width_px", "pixel_ratio", "raters_below_1", "layouts", "waited_ms"))
    if showings is None:
        return empty | {"reason": _NOT_GIVEN}
    lines = list(showings)
    scales = _by_rater(lines, "scale")
    if not scales:
        return empty | {"n": len(lines), "reason": _NONE_SENT}
    waits = [value for values in _by_rater(lines, "waited_ms").values() for value in values]
    return {
        "n": sum(map(len, scales.values())),
        **{
            name: _spread(value for values in _by_rater(lines, name).values() for value in values)
            for name in ("scale", "width_px", "pixel_ratio")
        },
        "raters_below_1": float(np.mean([np.median(values) < 1 for values in scales.values()])),
        "layouts": dict(sorted(Counter(str(line.get("layout")) for line in lines if "layout" in line).items())),
        "waited_ms": ({"median": float(np.median(waits)), "p95": float(np.percentile(waits, 95))} if waits else None),
        "reason": None,
    }


def size_rows(comparison: Comparison, labels: Sequence[str], showings: Iterable[Mapping] | None) -> list[dict]:
    """Return the headline of raters who saw images smaller than the median rater did, and of the others.

    None where either are fewer raters than may be told apart in what is published.

    Parameters
    ----------
    comparison : Comparison
        The votes of the headline.
    labels : sequence of str
        Names of the raters by their codes.
    showings : iterable of mapping, or None
        As for :func:`display_section`.
    """
    widths = {rater: float(np.median(values)) for rater, values in _by_rater(list(showings or ()), "width_px").items()}
    voters = np.unique(comparison.rater)
    known = {code: widths[labels[code]] for code in voters if labels[code] in widths}
    if len(set(known.values())) < 2:
        return []
    middle = float(np.median(list(known.values())))
    small = [code for code, width in known.items() if width < middle]
    large = [code for code, width in known.items() if width >= middle]
    if min(len(small), len(large)) < LEAST_CELL:
        return []
    return [
        {"name": name, "description": words, **headline(comparison.rows(np.isin(comparison.rater, codes))).as_json()}
        for name, words, codes in (
            ("shown_smaller", f"raters who saw images less than {middle:.0f} CSS pixels wide", small),
            ("shown_larger", f"raters who saw images {middle:.0f} CSS pixels wide or more", large),
        )
    ]
