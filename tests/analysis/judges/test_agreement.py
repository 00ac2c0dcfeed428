"""Judge and rater are held against the same majorities; the ceiling is what people reach."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.judges.agreement import judge_agreement, order_flips, preference_by_score
from analysis.judges.scores import JudgeScores
from tests.analysis.votes_factory import crossed_comparison, make_comparison


def looped(comparison, judged):
    """The shares of judge and rater by going through the votes one by one."""
    judge, human = {}, {}
    for i in range(len(comparison)):
        if comparison.score[i] == 0.5 or np.isnan(judged[i]):
            continue
        others = (comparison.pair == comparison.pair[i]) & (comparison.rater != comparison.rater[i])
        lead = (comparison.score[others] - 0.5).sum()
        if lead == 0:
            continue
        rater = int(comparison.rater[i])
        human.setdefault(rater, []).append((comparison.score[i] > 0.5) == (lead > 0))
        judge.setdefault(rater, []).append(0.5 if judged[i] == 0 else float((judged[i] > 0) == (lead > 0)))
    return tuple(float(np.mean([np.mean(values) for values in found.values()])) for found in (judge, human))


@pytest.mark.parametrize("seed", range(3))
def test_agreement_is_what_a_loop_over_the_votes_gives(seed):
    comparison = crossed_comparison(seed, keep=0.6)
    by_pair = np.random.default_rng(seed).integers(-2, 3, comparison.pair.max() + 1).astype(float)
    by_pair[0] = np.nan
    judged = by_pair[comparison.pair]
    found = judge_agreement(comparison, judged)
    judge, human = looped(comparison, judged)
    assert found["judge"].estimate == pytest.approx(judge)
    assert found["human"].estimate == pytest.approx(human)
    assert found["difference"].estimate == pytest.approx(judge - human)


def test_a_judge_that_repeats_the_majority_beats_the_raters():
    comparison = crossed_comparison(1, raters=30, pairs=30, sd_pair=2.0, ties=0.0)
    lead = np.bincount(comparison.pair, weights=comparison.score - 0.5)
    found = judge_agreement(comparison, np.sign(lead)[comparison.pair])
    assert found["difference"].ci95[0] > 0


def test_a_judge_of_chance_agrees_half_of_the_time():
    comparison = crossed_comparison(2, raters=40, pairs=200, sd_pair=1.0)
    judged = np.random.default_rng(0).choice([-1.0, 1.0], 200)[comparison.pair]
    low, high = judge_agreement(comparison, judged)["judge"].ci95
    assert low < 0.5 < high


def test_too_few_votes_are_refused_with_the_reason():
    found = judge_agreement(make_comparison([1.0], [0], [0]), np.array([1.0]))
    assert found["judge"].estimate is None
    assert "fewer than 2 raters" in found["difference"].reason


def test_preference_rises_with_the_score_of_a_judge_that_sees_what_raters_see():
    comparison = crossed_comparison(3, raters=30, pairs=100, sd_pair=1.5)
    lead = np.bincount(comparison.pair, weights=comparison.score - 0.5)
    groups = preference_by_score(comparison, lead[comparison.pair])
    rates = [group["result"]["estimate"] for group in groups]
    assert len(groups) == 5
    assert rates == sorted(rates)
    assert preference_by_score(comparison.rows(comparison.pair < 15), lead[comparison.pair[comparison.pair < 15]]) == []


def test_flips_are_pairs_judged_for_another_arm_in_the_other_order():
    choices = {
        ("vlm", "p1", "a", "b"): 1.0,
        ("vlm", "p1", "b", "a"): 0.0,
        ("vlm", "p2", "a", "b"): 1.0,
        ("vlm", "p2", "b", "a"): 1.0,
        ("vlm", "p3", "a", "b"): 0.5,
        ("other", "p2", "b", "a"): 1.0,
    }
    found = order_flips(JudgeScores(scores={}, choices=choices), "vlm")
    assert found == {"both_orders": 2, "flipped": 1, "left": 3, "showings": 5}
