"""How well an automatic judge agrees with people, beside how well people agree with each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from analysis.inference.crossing import crossed_variance, crossing_of, rater_averaged_weights
from analysis.inference.estimate import Estimate, refused
from analysis.inference.intervals import few_units_warning, t_interval
from analysis.judges.scores import JudgeScores
from analysis.preference.rate import two_way_t
from analysis.votes.table import Comparison

__all__ = ["judge_agreement", "order_flips", "preference_by_score"]

# Fifths at most, and no group of so few pairs that its share would be noise.
_GROUPS = 5
_FEWEST_PAIRS = 10


def judge_agreement(comparison: Comparison, judged: np.ndarray) -> dict[str, Estimate]:
    """Return how often a judge, and how often a rater, agrees with the majority of the other raters.

    Both are held against the same majorities: on each decisive vote, that of all raters but the one who cast it. So the
    rater's agreement is the ceiling that a judge of these pairs can be expected to reach.

    Parameters
    ----------
    comparison : Comparison
    judged : (N,) float64
        The judge's preference on each vote's pair: positive for the arm, 0 for neither; NaN where it gave none.

    Returns
    -------
    dict of str to Estimate
        ``judge`` and ``human``: shares in [0, 1], a judge's tie counted as half; ``difference``: judge less human.
        Rater-averaged, intervals with raters and pairs crossed.
    """
    others = _majority_of_others(comparison)
    usable = (comparison.score != 0.5) & (others != 0.0) & np.isfinite(judged)
    votes, others, judged = comparison.rows(usable), others[usable], judged[usable]
    human = (np.sign(votes.score - 0.5) == np.sign(others)).astype(float)
    # A judge without a preference agrees by half, as a coin would.
    judge = 0.5 * (1.0 + np.sign(judged) * np.sign(others))
    method = "share of votes on which {} agrees with the majority of the other raters, crossed t interval"
    return {
        "judge": _share(votes, judge, method.format("the judge")),
        "human": _share(votes, human, method.format("the rater")),
        "difference": _difference(votes, judge - human),
    }


def _majority_of_others(comparison: Comparison) -> np.ndarray:
    """Return the sum of the other raters' decided votes on each vote's pair: positive for the arm, (N,)."""
    crossing = crossing_of(comparison)
    signed = comparison.score - 0.5
    pairs = np.bincount(crossing.pair, weights=signed, minlength=crossing.n_pairs)
    if not len(comparison):
        return signed
    cells = crossing.cells()
    # A rater who saw a pair twice must not be part of their own majority by the other vote.
    own = np.bincount(cells, weights=signed)
    return pairs[crossing.pair] - own[cells]


def _share(votes: Comparison, values: np.ndarray, method: str) -> Estimate:
    result = two_way_t(replace(votes, score=values))
    # A share is not held against one half: the null of a preference rate says nothing here.
    return replace(result, method=method, p_value=None)


def _difference(votes: Comparison, values: np.ndarray) -> Estimate:
    method = "agreement of the judge less that of the rater on the same votes, rater-averaged, crossed t interval"
    crossing = crossing_of(votes)
    if crossing.few_units():
        few = f"fewer than 2 {crossing.unit_name}s or 2 pairs with a majority"
        return refused(method, few, **crossing.counts())
    weights = rater_averaged_weights(crossing)
    mean = float(np.sum(weights * values))
    variance = crossed_variance(weights * (values - mean), crossing).total
    return t_interval(
        mean,
        math.sqrt(max(variance, 0.0)),
        df=crossing.df,
        method=method,
        reason=few_units_warning(crossing),
        counts=crossing.counts(),
    )


def preference_by_score(comparison: Comparison, judged: np.ndarray) -> list[dict]:
    """Return people's preference rate in groups of pairs, from those the judge gives to the baseline to the arm's.

    Parameters
    ----------
    comparison, judged
        As in :func:`judge_agreement`.

    Returns
    -------
    list of dict
        Up to five groups of equally many pairs, ten at least in each: ``score`` (mean of the judge's preference) and
        ``result`` (an Estimate, raters and pairs crossed); none where there are not two such groups.
    """
    crossing = crossing_of(comparison)
    by_pair = np.full(crossing.n_pairs, np.nan)
    # A judge has one opinion on a pair, whoever voted on it: any of its votes carries it.
    by_pair[crossing.pair] = judged
    known = np.flatnonzero(np.isfinite(by_pair))
    groups = min(_GROUPS, len(known) // _FEWEST_PAIRS)
    if groups < 2:
        return []
    parts = np.array_split(known[np.argsort(by_pair[known], kind="stable")], groups)
    return [
        {
            "score": float(by_pair[part].mean()),
            "result": two_way_t(comparison.rows(np.isin(crossing.pair, part))).as_json(),
        }
        for part in parts
    ]


def order_flips(scores: JudgeScores, scorer: str) -> dict[str, int]:
    """Return how often a pairwise judge's choice depends on the order in which it saw the two images.

    Returns
    -------
    dict
        ``both_orders``: pairs judged in both orders; ``flipped``: of them, judged for another arm, or with a tie in one
        order alone; ``left``: showings decided for the left image, of ``showings`` in all.
    """
    choices: Mapping[tuple[str, str, str], float] = {
        (pair, left, right): choice for (name, pair, left, right), choice in scores.choices.items() if name == scorer
    }
    # One of the two keys of every pair shown both ways, or each would count twice.
    both = [key for key in choices if key[1] < key[2] and (key[0], key[2], key[1]) in choices]
    return {
        "both_orders": len(both),
        "flipped": sum(choices[pair, left, right] != 1.0 - choices[pair, right, left] for pair, left, right in both),
        "left": sum(choice == 1.0 for choice in choices.values()),
        "showings": len(choices),
    }
