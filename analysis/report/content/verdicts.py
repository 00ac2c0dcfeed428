"""The verdict on each comparison and on the study, from the plan, the results, the screening and the ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from analysis.inference.crossing import crossing_of, label_index, rater_averaged_weights
from analysis.preference.groups import group_rates, heterogeneity
from analysis.preference.per_class import PerClass, adjusted_p_values
from analysis.preference.rate import headline, is_one_sided
from analysis.preference.sequential import confidence_sequence
from analysis.ranking.results import ArmStrength, Ranking
from analysis.raters.screening import Screened, flagged_raters
from analysis.report.content.comparison import ArmResults
from analysis.report.parts.sentences import (
    WARNINGS,
    numbers_text,
    paper_conclusion,
    verdict_sentence,
    warning_sentences,
)
from analysis.report.parts.wording import count, isolated
from analysis.verdict.decision import Case, Verdict, decide
from analysis.verdict.evidence import Evidence, GroupResult, Groups
from analysis.verdict.family import Family, family_of, holm_families
from analysis.verdict.looks import Looks
from analysis.votes.selection import Selection
from analysis.votes.table import Comparison

__all__ = ["Criterion", "Judgement", "careless_raters", "comparison_verdicts", "criteria_verdicts", "study_verdict"]

# Rules whose flag says that a rater did not look. Many ties or votes on the same images say other things, so they count
# only where the plan made them rules of the study.
_CARELESS = ("too_fast", "many_fast", "same_side_run", "left_share", "failed_checks")
# Strengths closer than this differ by what an iteration leaves.
_SAME_STRENGTH = 1e-6


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A verdict with its sentences, as ``report.json`` holds it."""

    verdict: Verdict
    sentence: str
    warnings: tuple[str, ...]
    numbers: str | None
    error: str
    conclusion: str

    def under(self, titles: Mapping[str, str]) -> Judgement:
        """Return the same verdict said of arms by other names."""
        return _said(self.verdict.under(titles), error=self.error)

    def as_json(self) -> dict:
        verdict = self.verdict
        return {
            "kind": verdict.kind,
            "case": str(verdict.case),
            "arm": verdict.arm,
            "baseline": verdict.baseline,
            "preferred": verdict.preferred,
            "family": {"scope": verdict.family.scope, "size": verdict.family.size},
            "looks": {"basis": verdict.looks.basis, "look": verdict.looks.look, "planned": verdict.looks.number},
            "margin": verdict.margin,
            "rate": verdict.rate,
            "p_adjusted": verdict.p_adjusted,
            "ci_simultaneous": None if verdict.ci_simultaneous is None else list(verdict.ci_simultaneous),
            "level": verdict.level,
            "reasons": [
                *([verdict.case] if verdict.kind == "not_interpretable" else []),
                *(code for code, _ in verdict.warnings),
            ],
            "warnings": list(self.warnings),
            "sentence": self.sentence,
            "numbers": self.numbers,
            "error": self.error,
            "conclusion": self.conclusion,
        }


def careless_raters(screened: Sequence[Screened], *, is_planned: bool) -> frozenset[str]:
    """Return the raters whom the plan's rules flag, or without such rules those that only careless answers break."""
    counted = [row for row in screened if is_planned or row.rule in _CARELESS]
    return frozenset(flagged_raters(counted))


def comparison_verdicts(
    selection: Selection,
    compared: Sequence[ArmResults],
    *,
    plan: Mapping,
    looks: Looks,
    careless: frozenset[str],
    has_primary: bool,
    criteria: int = 1,
) -> list[Judgement]:
    """Return the verdict on every comparison, in their order; those without votes belong to no family.

    ``criteria`` is their number where none of several is the plan's headline: all are then one family.
    """
    voted = [len(results.comparison) > 0 for results in compared]
    # A primary comparison that nobody voted on leaves its privilege to none.
    is_first_tested = has_primary and any(voted[:1])
    families = iter(family_of(sum(voted), has_primary=is_first_tested, criteria=criteria))
    found = []
    for results, has_votes in zip(compared, voted, strict=True):
        family = next(families) if has_votes else Family()
        evidence = _evidence(selection, results, plan=plan, looks=looks, careless=careless, family=family)
        verdict = decide(evidence, family=family, looks=looks, margin=plan.get("margin"))
        found.append(_judged(verdict, results.headline.df, units=evidence.units))
    return found


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """The votes by one criterion beside the headline, and every result on them."""

    key: str
    selection: Selection
    compared: Sequence[ArmResults]


def criteria_verdicts(
    others: Sequence[Criterion], *, plan: Mapping, looks: Looks, careless: frozenset[str], is_planned: bool
) -> list[list[Judgement]]:
    """Return the verdicts by each criterion beside the headline.

    Where the plan names the headline, they are a family of their own, adjusted by Holm; else one with all others.
    """
    tested = [(one, results) for one in others for results in one.compared if len(results.comparison)]
    if is_planned:
        plain = (_plain_evidence(results.comparison, plan=plan, looks=looks, family=Family()) for _, results in tested)
        families = holm_families([_p_value(evidence, looks) for evidence in plain])
    else:
        counts = [sum(len(results.comparison) > 0 for results in one.compared) for one in others]
        families = [family for n in counts for family in family_of(n, has_primary=False, criteria=len(others) + 1)]
    given = iter(families)
    found = []
    for one in others:
        judged = []
        for results in one.compared:
            family = next(given) if len(results.comparison) else Family()
            evidence = _evidence(one.selection, results, plan=plan, looks=looks, careless=careless, family=family)
            verdict = decide(evidence, family=family, looks=looks, margin=plan.get("margin"))
            judged.append(_judged(verdict, results.headline.df, units=evidence.units))
        found.append(judged)
    return found


def _p_value(evidence: Evidence, looks: Looks) -> float | None:
    if looks.basis == "anytime":
        return None if evidence.sequence is None else evidence.sequence.p_value
    p_value = evidence.headline.p_value
    return None if p_value is None or evidence.headline.ci95 is None else looks.p_value(p_value)


def _judged(verdict: Verdict, df: float | None, *, units: str) -> Judgement:
    return _said(verdict, error=_error(verdict, df, units=units))


def _said(verdict: Verdict, *, error: str) -> Judgement:
    """Return a verdict with its words."""
    return Judgement(
        verdict=verdict,
        sentence=verdict_sentence(verdict),
        warnings=tuple(warning_sentences(verdict)),
        numbers=numbers_text(verdict) if verdict.ci_simultaneous else None,
        error=error,
        conclusion=paper_conclusion(verdict),
    )


def _error(verdict: Verdict, df: float | None, *, units: str) -> str:
    """Return what the interval and the p-value rest on, for a paper."""
    if verdict.looks.basis == "anytime":
        return "betting confidence sequence over rater means"
    freedom = "" if df is None else f", t interval with {df:.0f} degrees of freedom"
    return f"against 50\u00a0%, two-way clustered over {units} and pairs{freedom}"


def _evidence(
    selection: Selection,
    results: ArmResults,
    *,
    plan: Mapping,
    looks: Looks,
    careless: frozenset[str],
    family: Family,
) -> Evidence:
    comparison = results.comparison
    codes = np.array([code for code, label in enumerate(selection.table.raters) if label in careless], dtype=np.int64)
    is_careless = np.isin(comparison.rater, codes)
    plain = partial(_plain_evidence, plan=plan, looks=looks, family=family)
    without = None
    if is_careless.any() and not is_careless.all():
        without = plain(comparison.rows(~is_careless))
    excluded = None
    if selection.excluded.any():
        every = selection.with_excluded().comparison(comparison.arm, comparison.baseline)
        excluded = plain(every) if len(every) > len(comparison) else None
    own = plain(comparison, result=results)
    return Evidence(
        arm=own.arm,
        baseline=own.baseline,
        headline=own.headline,
        sequence=own.sequence,
        is_one_sided=own.is_one_sided,
        has_other_side=own.has_other_side,
        are_sides_known=own.are_sides_known,
        units=own.units,
        raters=own.raters,
        careless=len(np.unique(comparison.rater[is_careless])),
        without_careless=without,
        with_excluded=excluded,
        groups=_groups(comparison, results.by_class),
    )


def _plain_evidence(
    comparison: Comparison, *, plan: Mapping, looks: Looks, family: Family, result: ArmResults | None = None
) -> Evidence:
    """Return what the votes alone say, without screening and groups."""
    sequence = None
    if looks.basis == "anytime":
        least_votes = plan.get("least_votes") or 1
        sequence = confidence_sequence(comparison, least_votes=least_votes, level=1.0 - family.share)
    crossing = crossing_of(comparison)
    is_left = comparison.side > 0
    return Evidence(
        arm=comparison.arm,
        baseline=comparison.baseline,
        headline=headline(comparison) if result is None else result.headline,
        sequence=sequence,
        is_one_sided=is_one_sided(comparison, rater_averaged_weights(crossing)),
        has_other_side=bool(is_left.any() and not is_left.all()),
        are_sides_known=bool(comparison.side.any()) or not len(comparison),
        units=f"{crossing.unit_name}s",
        raters=crossing.n_raters,
    )


def _groups(comparison: Comparison, by_class: PerClass) -> tuple[Groups, ...]:
    found = []
    if len(by_class.classes) > 1:
        tested = [entry.result.p_value for entry in by_class.classes]
        found.append(
            Groups(
                noun="class",
                plural="classes",
                results=_results(
                    [
                        (entry.class_name or entry.class_label, entry.result.estimate, p)
                        for entry, p in zip(by_class.classes, tested, strict=True)
                    ]
                ),
                p_equal=by_class.heterogeneity.p_value,
            )
        )
    site = comparison.extra.get("site")
    if site is not None and len(comparison):
        index, names = label_index(site)
        labels = [(code, str(name)) for code, name in enumerate(names) if name != ""]
        votes = [comparison.rows(index == code) for code, _ in labels]
        # Within a site its raters are the units: the site column would make one unit of them.
        votes = [_without_site(group) for group in votes]
        if len(votes) > 1:
            rates = group_rates(votes, nested="rater")
            rows = [(label, rate.estimate, rate.p_value) for (_, label), rate in zip(labels, rates, strict=True)]
            p_equal = heterogeneity(votes, nested="rater").p_value
            found.append(Groups(noun="site", plural="sites", results=_results(rows), p_equal=p_equal))
    return tuple(found)


def _without_site(comparison: Comparison) -> Comparison:
    return replace(comparison, extra={})


def _results(rows: Sequence[tuple[str, float | None, float | None]]) -> tuple[GroupResult, ...]:
    known = [p for _, _, p in rows if p is not None]
    adjusted = iter(adjusted_p_values(known, "holm"))
    return tuple(
        GroupResult(label=label, rate=rate, p_adjusted=None if p is None else float(next(adjusted)))
        for label, rate, p in rows
        if rate is not None
    )


def study_verdict(
    judgements: Sequence[Judgement],
    ranking: Ranking | None,
    titles: Mapping[str, str],
    *,
    arms: int,
    has_primary: bool,
    may_share_images: bool = False,
) -> dict | None:
    """Return the verdict on the study: the only or the primary comparison's, or what the ranking and the family say.

    Its sentences call arms by their titles, where there are any.

    Returns
    -------
    dict or None
        As a comparison's verdict, its ``sentence`` about all arms; None without a comparison.
    """
    if not judgements:
        return None
    first = judgements[0].under(titles).as_json()
    if may_share_images:
        first["reasons"] = [*first["reasons"], "images_may_be_shared"]
        first["warnings"] = [*first["warnings"], WARNINGS["images_may_be_shared"]]
    if arms < 3 or has_primary or ranking is None:
        return first
    return first | {"sentence": f"{_ranking_sentence(judgements, ranking, titles, arms)} {first['sentence']}"}


def _ranking_sentence(judgements: Sequence[Judgement], ranking: Ranking, titles: Mapping[str, str], arms: int) -> str:
    first = judgements[0].verdict
    if first.case in (Case.SCREENING, Case.UNBALANCED_SIDES):
        return f"The {arms} arms are not ranked here: what follows holds for their ranks as well."
    ranked = sorted((arm for arm in ranking.arms if arm.rank is not None), key=lambda arm: arm.rank or 0)
    pairwise = _settled(judgements)
    if not ranked or ranked[0].component is None or len({arm.component for arm in ranked}) > 1:
        return f"The {arms} arms cannot be ranked together ({_apart(ranked, ranking)}); {pairwise}"
    best, name = ranked[0], isolated(titles.get(ranked[0].arm, ranked[0].arm))
    alike = [arm for arm in ranked if abs((arm.strength or 0.0) - (best.strength or 0.0)) < _SAME_STRENGTH]
    if len(alike) > 1:
        names = ", ".join(isolated(titles.get(arm.arm, arm.arm)) for arm in alike)
        return f"Of {arms} arms {len(alike)} have the same, the highest strength ({names}); {pairwise}"
    _, high = best.rank_interval or (1, len(ranked))
    if first.looks.basis != "one look":
        return (
            f"Of {arms} arms {name} has the highest strength; ranks count one look alone, so that none is "
            f"concluded under a plan of several; {pairwise}"
        )
    if high == 1:
        # Beside it may stand a comparison that is not settled: it has fewer votes, and a stricter level.
        return (
            f"Of {arms} arms {name} ranks first, by a model of all votes together. Single comparisons rest on "
            f"their own votes alone: {pairwise}"
        )
    return f"Of {arms} arms {name} has the highest strength, but ranks 1 to {high} are not excluded for it; {pairwise}"


def _settled(judgements: Sequence[Judgement]) -> str:
    """Return how many of the comparisons with votes found a preference or equivalence."""
    voted = [judgement.verdict for judgement in judgements if judgement.verdict.case is not Case.NO_VOTES]
    settled = sum(verdict.kind in ("preferred", "preferred_within_margin", "equivalent") for verdict in voted)
    verb = "is" if settled == 1 else "are"
    return f"{settled} of {count(len(voted), 'comparison')} {verb} settled at a familywise level of 5\u00a0%."


def _apart(ranked: Sequence[ArmStrength], ranking: Ranking) -> str:
    """Return why arms have no common ranking."""
    groups = len({arm.component for arm in ranked})
    return ranking.reason or f"no votes join the {groups} groups into which they fall"
