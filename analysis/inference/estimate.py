"""What every estimator returns: a number, or null with its reason; never NaN, an interval of width zero or p = 0."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, TypedDict, Unpack

__all__ = ["Estimate", "Sizes", "refused"]


class Sizes(TypedDict, total=False):
    """What a number rests on; the fields of :class:`Estimate` of these names."""

    n_raters: int
    n_pairs: int
    n_votes: int


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One result object of ``report.json`` (the ``R`` of the report contract).

    Parameters
    ----------
    estimate : float or None
        The point estimate; None together with ``reason`` when it cannot be computed.
    ci95 : (float, float) or None
        Two-sided 95 % interval, ``lo < hi``. None (with ``reason``) when no interval is defined.
    se, df, p_value : float or None
        Standard error, degrees of freedom, two-sided p against the null of the method (1/2 for rates, 0 for effects).
    n_raters, n_pairs, n_votes : int or None
        What the number rests on.
    method : str
        The method in words, complete enough for a methods section.
    reason : str or None
        Why a null is null, or the warning that belongs beside the number.
    is_position_adjusted : bool
        Whether the estimator takes the side shown out of the rate. For our own decisions, as ``method`` says it to
        readers; not written to ``report.json``.
    is_without_variation : bool
        Whether there is no interval because no unit differs from another. For our own decisions too.
    few_units : str or None
        The warning that units are few, alone; ``reason`` holds it among others.

    Raises
    ------
    ValueError
        If a number is not finite, the interval is empty or of width zero, the p-value is not in (0, 1], or a missing
        estimate has no reason: such a result must never leave the package.
    """

    method: str
    estimate: float | None = None
    ci95: tuple[float, float] | None = None
    se: float | None = None
    df: float | None = None
    p_value: float | None = None
    n_raters: int | None = None
    n_pairs: int | None = None
    n_votes: int | None = None
    reason: str | None = None
    is_position_adjusted: bool = False
    is_without_variation: bool = False
    few_units: str | None = None

    def __post_init__(self) -> None:
        for name in ("estimate", "se", "df", "p_value"):
            value = getattr(self, name)
            if value is not None:
                if not math.isfinite(value):
                    raise ValueError(f"{self.method}: {name} is {value}; refuse with a reason instead")
                # NumPy's scalars print otherwise, and not every kind of them goes into JSON.
                object.__setattr__(self, name, float(value))
        if self.ci95 is not None:
            low, high = (float(bound) for bound in self.ci95)
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(f"{self.method}: interval [{low}, {high}] is empty or unbounded; refuse with a reason")
            object.__setattr__(self, "ci95", (low, high))
        # p = 0 claims a certainty that no finite sample has.
        if self.p_value is not None and not 0.0 < self.p_value <= 1.0:
            raise ValueError(f"{self.method}: p = {self.p_value} is outside (0, 1]")
        if self.estimate is None and not self.reason:
            raise ValueError(f"{self.method}: a missing estimate needs a reason")

    def as_json(self) -> dict[str, Any]:
        """Return the mapping written to ``report.json``, keys in the contract's order."""
        values = asdict(self)
        keys = ("estimate", "ci95", "se", "df", "p_value", "n_raters", "n_pairs", "n_votes", "method", "reason")
        values["ci95"] = None if self.ci95 is None else list(self.ci95)
        # Only the contract's keys: the others serve the program and may change.
        return {key: values[key] for key in keys}

    def t_terms(self) -> tuple[float, float, float]:
        """Return estimate, standard error and degrees of freedom of a result that rests on a t distribution.

        Raises
        ------
        ValueError
            If the result has none of its own: a refusal, or an interval from a bootstrap.
        """
        if self.estimate is None or self.se is None or self.df is None:
            raise ValueError(
                f"{self.method}: no t interval to go on from ({self.reason or 'another kind of interval'})"
            )
        return self.estimate, self.se, self.df

    def with_reason(self, reason: str) -> Estimate:
        """Return the same result carrying one more remark."""
        return replace(self, reason=reason if not self.reason else f"{self.reason}; {reason}")


def refused(method: str, reason: str, **counts: Unpack[Sizes]) -> Estimate:
    """Return the refusal of a quantity: null with its reason, and the counts that led to it."""
    return Estimate(method=method, reason=reason, **counts)
