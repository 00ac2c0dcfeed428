"""What a verdict rests on: estimates with typed flags, screening, groups of pairs or raters."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.inference.estimate import Estimate

__all__ = ["Evidence", "GroupResult", "Groups"]


@dataclass(frozen=True, kw_only=True)
class GroupResult:
    """One group's rate, and its p-value adjusted by Holm over the groups (None where it was not tested)."""

    label: str
    rate: float
    p_adjusted: float | None


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Groups of pairs or raters: what they are called, their rates, and the p-value of one rate in all."""

    noun: str
    plural: str
    results: tuple[GroupResult, ...]
    p_equal: float | None

    def found(self, level: float) -> tuple[int, int]:
        """Return how many groups are above and below 1/2 at a familywise level."""
        sure = [group for group in self.results if group.p_adjusted is not None and group.p_adjusted <= level]
        above = sum(group.rate > 0.5 for group in sure)
        return above, len(sure) - above

    def differ(self, level: float) -> bool:
        return self.p_equal is not None and self.p_equal <= level

    def oppose(self, level: float) -> bool:
        """Whether groups prefer different arms: rates that differ, and one group at least on either side of 1/2."""
        return self.differ(level) and min(self.found(level)) > 0


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a verdict rests on.

    Parameters
    ----------
    arm, baseline : str
    headline : Estimate
        The preference rate.
    sequence : Estimate or None
        The confidence sequence at the level of the family, for a plan that looks at any time.
    is_one_sided : bool
        Whether the arm was shown on one side alone, or on the other so rarely that it tells nothing.
    has_other_side : bool
        Of a one-sided arm: whether it was shown on the other side at all.
    are_sides_known : bool
        Whether it was recorded which arm stood on which side.
    units : str
        What people are sampled by: ``raters``, or ``sites`` of raters.
    raters, careless : int
        Raters in the comparison, and those flagged for careless answers.
    without_careless : Evidence or None
        The same without them, where there are any and raters are left.
    with_excluded : Evidence or None
        The same with the votes that the ledger excludes, where there are any.
    groups : tuple of Groups
    """

    arm: str
    baseline: str
    headline: Estimate
    sequence: Estimate | None = None
    is_one_sided: bool = False
    has_other_side: bool = False
    are_sides_known: bool = True
    units: str = "raters"
    raters: int = 0
    careless: int = 0
    without_careless: Evidence | None = None
    with_excluded: Evidence | None = None
    groups: tuple[Groups, ...] = ()
