"""Several criteria: the headline of each, how they hang together, and how their checks went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from analysis.preference.criteria import halo, matched, pair_correlation, rater_correlation
from analysis.raters.consistency import consistency
from analysis.raters.screening_rules import DEGRADED_ARM
from analysis.report.content.comparison import ArmResults, compare_arms
from analysis.report.content.verdicts import Criterion, Judgement
from analysis.votes.criteria import by_criterion, criteria_in
from analysis.votes.selection import Selection, select_votes
from analysis.votes.table import LEFT, RIGHT, TIE, VoteTable

__all__ = ["criteria_section", "other_criteria"]

_WITHHELD = "computed for the headline criterion alone; ask for this one by --criterion"


def other_criteria(
    table: VoteTable, headline: str, directions: Sequence[tuple[str, str]], *, plan: Mapping, seed: int
) -> list[Criterion]:
    """Return the votes and results by every criterion beside the headline, for the same comparisons."""
    found = []
    for key in criteria_in(table):
        if key == headline:
            continue
        selection = select_votes(by_criterion(table, key))
        compared = [
            compare_arms(selection.table.comparison(*names), plan=plan, seed=seed, withheld=_WITHHELD)
            for names in directions
            if set(names) <= set(selection.table.arms)
        ]
        found.append(Criterion(key=key, selection=selection, compared=compared))
    return found


def criteria_section(
    headline: str,
    selection: Selection,
    compared: Sequence[ArmResults],
    judgements: Sequence[Judgement],
    others: Sequence[tuple[Criterion, Sequence[Judgement]]],
    *,
    plan: Mapping,
    seed: int,
) -> dict:
    """Return the report's ``criteria``: one entry a criterion, the headline first, and one a pair of them."""
    own = Criterion(key=headline, selection=selection, compared=compared)
    every = [(own, judgements), *others]
    return {
        "headline": headline,
        "is_planned": plan.get("criterion") == headline,
        "criteria": [_entry(one, judged, seed) for one, judged in every],
        "together": [_together(one, other) for (one, _), (other, _) in combinations(every, 2) if one.compared],
    }


def _entry(one: Criterion, judgements: Sequence[Judgement], seed: int) -> dict:
    comparisons = []
    for results, judgement in zip(one.compared, judgements, strict=True):
        whole = results.as_json()
        kept = {key: whole[key] for key in ("arm", "baseline", "counts", "headline")}
        comparisons.append(kept | {"verdict": judgement.as_json()})
    return {
        "criterion": one.key,
        "comparisons": comparisons,
        "checks": _checks(one.selection),
        "consistency": consistency(one.selection.with_repeats(), seed=seed).as_json(),
    }


def _checks(selection: Selection) -> dict:
    """Return how often each kind of check was shown and failed by this criterion.

    Preferring the spoilt copy fails a degraded check; deciding between equals fails an identical one.
    """
    table = selection.full.rows(selection.is_origin)
    kinds = table.extra.get("check_kind", np.full(len(table), "", dtype=object))
    chosen = np.where(table.choice == LEFT, table.arm_left, np.where(table.choice == RIGHT, table.arm_right, -1))
    spoilt = table.arms.index(DEGRADED_ARM) if DEGRADED_ARM in table.arms else -2
    failed = {"degraded": chosen == spoilt, "identical": table.choice != TIE}
    return {
        kind: {"shown": int(np.sum(kinds == kind)), "failed": int(np.sum((kinds == kind) & rows))}
        for kind, rows in failed.items()
    }


def _together(one: Criterion, other: Criterion) -> dict:
    """Return how two criteria hang together in the first comparison."""
    first, theirs = one.compared[0].comparison, [results.comparison for results in other.compared]
    none = first.rows(np.zeros(0, dtype=np.int64))
    same = (votes for votes in theirs if (votes.arm, votes.baseline) == (first.arm, first.baseline))
    cells = matched(first, next(same, none))
    return {
        "criteria": [one.key, other.key],
        "arm": first.arm,
        "baseline": first.baseline,
        "over_pairs": pair_correlation(cells).as_json(),
        "over_raters": rater_correlation(cells).as_json(),
        "halo": halo(cells).as_json(),
    }
