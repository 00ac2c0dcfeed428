"""What a ranking of several arms may be asked to do otherwise: left effect, reference, covariates, bias reduction."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Covariates", "RankingOptions", "ranking_options", "read_covariates"]

# Value of each covariate by (pair, arm): of one image.
Covariates = Mapping[str, Mapping[tuple[str, str], float]]


@dataclass(frozen=True, kw_only=True)
class RankingOptions:
    """Options of a ranking.

    Parameters
    ----------
    left_effect : bool
        Fit the advantage of standing on the left; without it the model is the plain one of most published fits.
    reference : str or None
        Arm whose strength is 0; without one the strengths of a group sum to 0.
    bias_reduction : bool
        Firth's penalty for Bradley-Terry: finite strengths also where every vote between two sets of arms goes one way.
    covariates : mapping of str to mapping of (pair, arm) to float
        Values of the images; the difference left minus right enters the model, and strengths are at equal values.
    """

    left_effect: bool = True
    reference: str | None = None
    bias_reduction: bool = False
    covariates: Covariates = field(default_factory=dict)


def read_covariates(path: str | Path) -> dict[str, dict[tuple[str, str], float]]:
    """Return the covariates of a CSV file: ``pair``, ``arm`` and one column a covariate.

    Raises
    ------
    ValueError
        If a column is missing, or a value is no number; file and line are named.
    """
    path = Path(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        names = [name for name in reader.fieldnames or () if name not in ("pair", "arm")]
        if not names or not {"pair", "arm"} <= set(reader.fieldnames or ()):
            raise ValueError(f"{path.name}:1: give the columns pair, arm and at least one covariate")
        found: dict[str, dict[tuple[str, str], float]] = {name: {} for name in names}
        for row in reader:
            for name in names:
                try:
                    value = float(row[name])
                except (TypeError, ValueError):
                    value = math.nan
                # float() takes "nan" and "inf".
                if not math.isfinite(value):
                    raise ValueError(f"{path.name}:{reader.line_num}: {name}: {row[name]!r} is not a number")
                found[name][row["pair"], row["arm"]] = value
    return found


def ranking_options(plan: Mapping, covariates: Covariates | None = None) -> RankingOptions:
    """Return the options under the plan's ``ranking``.

    Raises
    ------
    ValueError
        If an option is unknown or has a value that cannot be followed.
    """
    given = plan.get("ranking") or {}
    # The plan is a person's JSON: what is misspelt must not silently mean the default.
    if not isinstance(given, Mapping):
        raise ValueError(f'the plan\'s ranking is {given!r}; give an object such as {{"left_effect": false}}')
    unknown = sorted(set(given) - {"left_effect", "reference", "bias_reduction"})
    if unknown:
        raise ValueError(f"the plan's ranking has {unknown[0]!r}; it takes left_effect, reference and bias_reduction")
    for name in ("left_effect", "bias_reduction"):
        if given.get(name) not in (None, True, False):
            raise ValueError(f"the plan's ranking has {name} {given[name]!r}; give true or false")
    if not isinstance(given.get("reference"), (str, type(None))):
        raise ValueError(f"the plan's ranking has reference {given['reference']!r}; give the arm's name")
    return RankingOptions(
        left_effect=given.get("left_effect", True) is not False,
        reference=given.get("reference"),
        bias_reduction=bool(given.get("bias_reduction")),
        covariates=covariates or {},
    )
