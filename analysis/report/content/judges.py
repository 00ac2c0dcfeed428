"""Automatic judges beside people, from the scores that were given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.judges.agreement import judge_agreement, order_flips, preference_by_score
from analysis.judges.powered import prediction_powered_rate
from analysis.judges.scores import JudgeScores, judged_pairs
from analysis.votes.table import Comparison

__all__ = ["judges_section"]


def judges_section(comparison: Comparison | None, pairs: Sequence[str], scores: JudgeScores | None) -> dict:
    """Return the report's ``judges``: each scorer against the first comparison.

    Parameters
    ----------
    comparison : Comparison or None
    pairs : sequence of str
        Labels of its pair codes.
    scores : JudgeScores or None

    Raises
    ------
    ValueError
        If a judge scored both arms on none of the pairs that have votes.
    """
    if scores is None or comparison is None:
        reason = "no scores were given (--scores SCORES.csv)" if scores is None else "no comparison"
        return {"scorers": [], "reason": reason}
    return {"scorers": [_scorer(comparison, pairs, scores, name) for name in scores.scorers()], "reason": None}


def _scorer(comparison: Comparison, pairs: Sequence[str], scores: JudgeScores, name: str) -> dict:
    judged = judged_pairs(scores, name, comparison.arm, comparison.baseline)
    by_code = np.array([judged.get(label, np.nan) for label in pairs], dtype=np.float64)
    of_vote = by_code[comparison.pair]
    voted = {pairs[code] for code in np.unique(comparison.pair)}
    if voted and not voted & set(judged):
        raise ValueError(
            f"{name} scored both {comparison.arm} and {comparison.baseline} on none of the {len(voted)} pairs that "
            f"have votes; the scores must name pairs and arms as the votes do, for example pair {min(voted)!r}"
        )
    unvoted = np.array([value for pair, value in judged.items() if pair not in voted], dtype=np.float64)
    powered = prediction_powered_rate(comparison, of_vote, unvoted)
    return {
        "scorer": name,
        "pairs": {"scored": len(judged), "voted_and_scored": len(voted & set(judged)), "unvoted": len(unvoted)},
        "agreement": {key: value.as_json() for key, value in judge_agreement(comparison, of_vote).items()},
        "order": order_flips(scores, name),
        "preference_by_score": preference_by_score(comparison, of_vote),
        "powered": {
            "result": powered.result.as_json(),
            "weight": powered.weight,
            "variance_ratio": powered.variance_ratio,
        },
    }
