"""The verdict on one comparison: what the plan, the family, the looks and the screening let the votes conclude.

Prose prints a verdict and decides nothing. Every case and its sentence stand in ``docs/verdicts.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from analysis.inference.intervals import interval_at
from analysis.verdict.evidence import Evidence, Groups
from analysis.verdict.family import LEVEL, Family
from analysis.verdict.looks import Looks

__all__ = ["SMALL", "Case", "Kind", "Verdict", "decide"]

# Without a margin in the plan, a whole interval within so much of 1/2 is called small.
SMALL = 0.05
# Above this share of careless raters the votes say how raters pressed keys, not what they prefer.
MOST_CARELESS = 0.5

Kind = Literal[
    "preferred", "equivalent", "preferred_within_margin", "undecided", "depends_on_group", "not_interpretable"
]


class Case(StrEnum):
    """Every case of a verdict; the kinds are coarser."""

    PREFERRED = "preferred"
    PREFERRED_SMALL = "preferred, small"
    PREFERRED_WITHIN_MARGIN = "preferred within the margin"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"
    UNDECIDED_MARGIN = "undecided, margin planned"
    DEPENDS_ON_GROUP = "depends on group"
    NO_VOTES = "no votes"
    TOO_FEW = "too few"
    SEPARATION = "separation"
    UNBALANCED_SIDES = "unbalanced sides"
    SCREENING = "screening"

    @property
    def kind(self) -> Kind:
        return _KINDS[self]


_KINDS: dict[Case, Kind] = {
    Case.PREFERRED: "preferred",
    Case.PREFERRED_SMALL: "preferred",
    Case.PREFERRED_WITHIN_MARGIN: "preferred_within_margin",
    Case.EQUIVALENT: "equivalent",
    Case.UNDECIDED: "undecided",
    Case.UNDECIDED_MARGIN: "undecided",
    Case.DEPENDS_ON_GROUP: "depends_on_group",
    Case.NO_VOTES: "not_interpretable",
    Case.TOO_FEW: "not_interpretable",
    Case.SEPARATION: "not_interpretable",
    Case.UNBALANCED_SIDES: "not_interpretable",
    Case.SCREENING: "not_interpretable",
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the votes conclude on one comparison.

    Parameters
    ----------
    case : Case
    arm, baseline : str
    preferred : str or None
        The arm that raters preferred.
    rate, p_adjusted, level : float or None
        The preference rate; its p-value counting family and looks; the confidence of the interval for this one
        comparison that makes all of them hold together.
    ci_simultaneous : (float, float) or None
    inner : (float, float) or None
        The interval that lies within 1/2 +- margin exactly when the arms are equivalent.
    margin : float or None
    family : Family
    looks : Looks
    groups : Groups or None
        The groups that differ.
    groups_level : float
        The familywise level at which they do.
    has_other_side : bool
        Of a verdict on unbalanced sides: whether the arm stood on the other side at all.
    n_raters, careless : int
    reason : str or None
        Why a number is missing, in the words of the estimator.
    warnings : tuple of (str, str)
        Code and subject of what changes the meaning: ``careless`` and ``excluded`` with the kind of verdict without or
        with them, ``groups_differ`` with their name, ``few_units`` with the estimator's words, ``sides_unknown``.
    """

    case: Case
    arm: str
    baseline: str
    family: Family
    looks: Looks
    preferred: str | None = None
    rate: float | None = None
    p_adjusted: float | None = None
    ci_simultaneous: tuple[float, float] | None = None
    level: float | None = None
    inner: tuple[float, float] | None = None
    margin: float | None = None
    groups: Groups | None = None
    groups_level: float = LEVEL
    has_other_side: bool = False
    n_raters: int = 0
    careless: int = 0
    reason: str | None = None
    warnings: tuple[tuple[str, str], ...] = field(default=())

    @property
    def kind(self) -> Kind:
        return self.case.kind

    @property
    def other(self) -> str | None:
        """The arm that was not preferred."""
        if self.preferred is None:
            return None
        return self.baseline if self.preferred == self.arm else self.arm

    def under(self, titles: Mapping[str, str]) -> Verdict:
        """Return the same verdict on arms by other names."""

        def called(name: str) -> str:
            return titles.get(name, name)

        warnings = tuple((code, _renamed_subject(subject, titles)) for code, subject in self.warnings)
        preferred = None if self.preferred is None else called(self.preferred)
        return replace(
            self, arm=called(self.arm), baseline=called(self.baseline), preferred=preferred, warnings=warnings
        )

    def agrees_with(self, other: Verdict) -> bool:
        """Whether two verdicts say the same: kind and preferred arm."""
        return (self.kind, self.preferred) == (other.kind, other.preferred)


def decide(evidence: Evidence, *, family: Family, looks: Looks, margin: float | None) -> Verdict:
    """Return the verdict.

    Parameters
    ----------
    evidence : Evidence
    family : Family
        It divides the level, so that the adjusted p-value and the interval say the same.
    looks : Looks
    margin : float or None
        The plan's margin of equivalence.
    """
    numbers = _numbers(evidence, family, looks, margin)
    level = _groups_level(family, looks)
    groups = None if level is None else next((found for found in evidence.groups if found.oppose(level)), None)
    case = _case(evidence, numbers, margin, depends_on_group=groups is not None)
    is_preferred = case.kind in ("preferred", "preferred_within_margin")
    verdict = Verdict(
        case=case,
        arm=evidence.arm,
        baseline=evidence.baseline,
        preferred=_leading(evidence) if is_preferred else None,
        family=family,
        looks=looks,
        rate=evidence.headline.estimate,
        margin=margin,
        groups=groups if case is Case.DEPENDS_ON_GROUP else None,
        groups_level=level or LEVEL,
        has_other_side=evidence.has_other_side,
        n_raters=evidence.raters,
        careless=evidence.careless,
        reason=_reason(evidence),
        **numbers,
    )
    return _with_warnings(verdict, evidence)


def _groups_level(family: Family, looks: Looks) -> float | None:
    """Return the level of the tests of groups, or None where they decide nothing: none of them holds at any time."""
    return None if looks.basis == "anytime" else looks.nominal(family.share)


def _reason(evidence: Evidence) -> str | None:
    sequence = evidence.sequence
    return sequence.reason if sequence is not None and sequence.ci95 is None else evidence.headline.reason


def _leading(evidence: Evidence) -> str:
    return evidence.arm if (evidence.headline.estimate or 0.0) > 0.5 else evidence.baseline


def _numbers(evidence: Evidence, family: Family, looks: Looks, margin: float | None) -> dict:
    """Return adjusted p-value, interval and that of the equivalence test, all at the level of family and looks."""
    share = family.share
    result = evidence.headline
    if looks.basis == "anytime":
        sequence = evidence.sequence
        if sequence is None or sequence.ci95 is None or sequence.p_value is None:
            return {}
        bounds = sequence.ci95
        p_value, level = family.adjusted(sequence.p_value), 1.0 - share
        return {"p_adjusted": p_value, "ci_simultaneous": bounds, "level": level, "inner": bounds if margin else None}
    if result.ci95 is None or result.p_value is None:
        return {}
    level = 1.0 - looks.nominal(share)
    # Both one-sided tests at the level: twice the level for the two-sided interval.
    inner = interval_at(result, 1.0 - looks.nominal(2 * share)) if margin else None
    return {
        "p_adjusted": family.adjusted(looks.p_value(result.p_value)),
        "ci_simultaneous": interval_at(result, level),
        "level": level,
        "inner": inner,
    }


def _case(evidence: Evidence, numbers: dict, margin: float | None, *, depends_on_group: bool) -> Case:
    result = evidence.headline
    if result.estimate is None:
        return Case.NO_VOTES
    if not numbers:
        return Case.SEPARATION if result.is_without_variation else Case.TOO_FEW
    if evidence.careless > MOST_CARELESS * evidence.raters:
        return Case.SCREENING
    if evidence.is_one_sided:
        return Case.UNBALANCED_SIDES
    if depends_on_group:
        return Case.DEPENDS_ON_GROUP
    is_apart = _is_apart(numbers)
    if margin is None:
        if not is_apart:
            return Case.UNDECIDED
        return Case.PREFERRED_SMALL if _is_within(numbers["ci_simultaneous"], SMALL) else Case.PREFERRED
    if _is_within(numbers["inner"], margin):
        return Case.PREFERRED_WITHIN_MARGIN if is_apart else Case.EQUIVALENT
    return Case.PREFERRED if is_apart else Case.UNDECIDED_MARGIN


def _is_apart(numbers: dict) -> bool:
    """Whether 1/2 is excluded: by the interval, which the p-value follows but for rounding at the border."""
    low, high = numbers["ci_simultaneous"]
    return numbers["p_adjusted"] <= LEVEL and not low <= 0.5 <= high


def _is_within(interval: tuple[float, float], margin: float) -> bool:
    return 0.5 - margin < interval[0] and interval[1] < 0.5 + margin


def _with_warnings(verdict: Verdict, evidence: Evidence) -> Verdict:
    warnings: list[tuple[str, str]] = []
    if verdict.kind != "not_interpretable":
        for code, other in (("careless", evidence.without_careless), ("excluded", evidence.with_excluded)):
            if other is None:
                continue
            # Holm's p-value is that of the votes that count: of others it is counted as Bonferroni's at the same step.
            family = replace(verdict.family, p_adjusted=None, size=verdict.family.step or verdict.family.size)
            changed = decide(other, family=family, looks=verdict.looks, margin=verdict.margin)
            if not changed.agrees_with(verdict):
                warnings.append((code, _in_short(changed)))
        # A remark, not a verdict: where no test of groups holds at every look, that of one look still warns.
        level = _groups_level(verdict.family, verdict.looks) or verdict.family.share
        for groups in evidence.groups:
            if verdict.case is not Case.DEPENDS_ON_GROUP and groups.differ(level):
                warnings.append(("groups_differ", groups.plural))
        if evidence.headline.few_units:
            warnings.append(("few_units", evidence.headline.few_units))
        if not evidence.are_sides_known:
            warnings.append(("sides_unknown", ""))
    return replace(verdict, warnings=tuple(warnings))


def _renamed_subject(subject: str, titles: Mapping[str, str]) -> str:
    """Rename the arm that :func:`_in_short` put behind a kind."""
    kind, separator, arm = subject.partition(": ")
    return f"{kind}{separator}{titles.get(arm, arm)}" if kind in _KINDS.values() else subject


def _in_short(verdict: Verdict) -> str:
    if verdict.preferred:
        return f"{verdict.kind}: {verdict.preferred}"
    return verdict.kind
