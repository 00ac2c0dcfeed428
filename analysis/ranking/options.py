"""What a ranking of several arms may be asked to do otherwise: left effect, reference, covariates, bias reduction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from analysis.sheets.faults import Faults, number_hint
from analysis.sheets.sheet import read_sheet
from analysis.votes.csv_text import unguard

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
    BadTableError
        If a column is missing, a value is no number, or an image has two rows; file and lines are named.
    """
    path = Path(path)
    sheet = read_sheet(path.read_bytes(), file=path.name, wanted=("pair", "arm"))
    faults = Faults(path.name)
    names = [name for name in sheet.names if name not in ("pair", "arm")]
    if not names or not {"pair", "arm"} <= set(sheet.names):
        raise faults.whole("give the columns pair, arm and at least one covariate", line=1)
    found: dict[str, dict[tuple[str, str], float]] = {name: {} for name in names}
    for line, cells in sheet.records():
        row = {name: unguard(text) for name, text in cells.items()}
        image = row["pair"], row["arm"]
        if image in found[names[0]]:
            faults.add(line, "", f"{image[1]} has a row for pair {image[0]} already; keep one", kind="twice")
            continue
        for name in names:
            found[name][image] = value = _number(row[name])
            if not math.isfinite(value):
                faults.add(line, name, f"is {row[name]!r}; give a finite number{number_hint(row[name])}", kind="number")
    faults.refuse()
    return found


def _number(text: str) -> float:
    """Return the number, NaN for what is none; ``float`` takes "nan" and "inf" as well."""
    try:
        return float(text)
    except ValueError:
        return math.nan


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
