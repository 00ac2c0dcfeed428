"""Who judged, as the raters' table says: composition, preference by stated group, and what was paid."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict

import numpy as np

from analysis.raters.composition import Grouping, composition
from analysis.raters.table import Raters, groupings
from analysis.votes.table import Comparison

__all__ = ["composition_section"]

_NOT_GIVEN = "no raters' table was given (--raters RATERS.csv)"


def composition_section(
    comparison: Comparison | None,
    labels: Sequence[str],
    raters: Raters | None,
    *,
    payment: float | None = None,
    withheld: Collection[str] = (),
) -> dict:
    """Return the report's ``composition``.

    Parameters
    ----------
    comparison : Comparison or None
        The first comparison of the report.
    labels : sequence of str
        Labels of its rater codes.
    raters : Raters or None
        What the raters' table says.
    payment : float or None
        What a rater was paid, where it is a number: for the pay per hour.
    withheld : collection of str
        Columns of the raters' table that group nobody: answers in own words, which no consent covers.

    Raises
    ------
    ValueError
        If no rater of the votes is in the table: it belongs to other votes.
    """
    if raters is None or comparison is None:
        reason = _NOT_GIVEN if raters is None else "no comparison"
        return {"groups": [], "unknown_raters": None, "minutes": None, "pay_per_hour": None, "reason": reason}
    voters = {labels[code] for code in np.unique(comparison.rater)}
    if voters and raters.values and not voters & set(raters.values):
        raise ValueError(
            f"none of the {len(voters)} raters of the votes is in the raters' table; its column rater must hold their "
            f"names as the votes spell them, such as {min(voters)!r}"
        )
    known = groupings(raters, labels, withheld=withheld)
    minutes = float(np.median(raters.minutes)) if raters.minutes else None
    return {
        "groups": [_grouping(entry) for entry in composition(comparison, known)],
        "unknown_raters": len(voters - set(raters.values)),
        "minutes": minutes,
        "pay_per_hour": 60.0 * payment / minutes if payment is not None and minutes else None,
        "reason": None,
    }


def _grouping(entry: Grouping) -> Mapping:
    rows = [{**asdict(row), "result": None if row.result is None else row.result.as_json()} for row in entry.rows]
    test = None if entry.heterogeneity is None else entry.heterogeneity.as_json()
    return {"column": entry.column, "rows": rows, "heterogeneity": test}
