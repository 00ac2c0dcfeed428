"""The share of acceptable images: each vote speaks of both arms, and its interval crosses raters with pairs."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.inference.crossing import crossed_variance, crossing_from
from analysis.preference.acceptable import acceptable_difference, acceptable_share
from analysis.preference.rate import two_way_t
from analysis.votes.table import VoteTable
from tests.analysis.votes_factory import make_table

SAID = {(True, True): "both", (True, False): "left", (False, True): "right", (False, False): "neither"}


def drawn(seed: int = 0, *, raters: int = 20, pairs: int = 30, robust: float = 0.8, vanilla: float = 0.6) -> VoteTable:
    """Return votes in which each arm is acceptable with a probability of its own, raters and pairs differing."""
    rng = np.random.default_rng(seed)
    by_rater, by_pair = rng.normal(0, 0.1, raters), rng.normal(0, 0.1, pairs)
    rows, said = [], []
    for rater in range(raters):
        for pair in range(pairs):
            arms = ["robust", "vanilla"] if rng.random() < 0.5 else ["vanilla", "robust"]
            chance = {"robust": robust, "vanilla": vanilla}
            good = [rng.random() < chance[arm] + by_rater[rater] + by_pair[pair] for arm in arms]
            said.append(
                {(True, True): "both", (True, False): "left", (False, True): "right"}.get(tuple(good), "neither")
            )
            rows.append((f"r{rater}", f"p{pair}", *arms, "tie"))
    return make_table(rows, acceptable=np.array(said, dtype=object))


def test_each_arm_is_acceptable_as_often_as_was_drawn() -> None:
    table = drawn()
    robust, vanilla = (acceptable_share(table, arm) for arm in ("robust", "vanilla"))
    assert robust.ci95[0] < 0.8 < robust.ci95[1]
    assert vanilla.ci95[0] < 0.6 < vanilla.ci95[1]
    assert (robust.n_votes, robust.n_raters, robust.n_pairs, robust.df) == (600, 20, 30, 19)
    assert robust.p_value is None
    difference = acceptable_difference(table, "robust", "vanilla")
    assert difference.estimate == pytest.approx(robust.estimate - vanilla.estimate)
    assert difference.estimate == pytest.approx(-acceptable_difference(table, "vanilla", "robust").estimate)


def test_the_interval_is_the_crossed_one_of_the_preference_rate() -> None:
    """Where an arm is acceptable exactly where it is preferred, both quantities are one number."""
    table = drawn()
    on_left = table.arm_left == table.arms.index("robust")
    is_good = np.array(
        [
            said in ("both", "left" if left else "right")
            for said, left in zip(table.extra["acceptable"], on_left, strict=True)
        ]
    )
    choice = np.where(is_good == on_left, 0, 1).astype(np.int8)
    as_votes = VoteTable(**{**vars(table), "choice": choice})
    share, rate = acceptable_share(table, "robust"), two_way_t(as_votes.comparison("robust", "vanilla"))
    assert (share.estimate, share.ci95, share.se) == (rate.estimate, rate.ci95, rate.se)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    results = [acceptable_share(drawn(seed), "robust") for seed in range(120)]
    held = [result.ci95[0] < 0.8 < result.ci95[1] for result in results]
    assert np.mean(held) > 0.88


def test_votes_that_were_not_asked_are_left_out() -> None:
    table = drawn()
    said = table.extra["acceptable"].copy()
    said[::2] = ""
    assert acceptable_share(VoteTable(**{**vars(table), "extra": {"acceptable": said}}), "robust").n_votes == 300
    none = VoteTable(**{**vars(table), "extra": {"acceptable": np.full(600, "", dtype=object)}})
    assert "no vote says" in acceptable_share(none, "robust").reason
    assert "no vote says" in acceptable_difference(none, "robust", "vanilla").reason


def test_one_rater_has_a_share_and_no_interval() -> None:
    table = drawn(raters=1)
    assert 0.0 < acceptable_share(table, "robust").estimate < 1.0
    assert "only 1 rater" in acceptable_share(table, "robust").reason
    assert "only 1 rater" in acceptable_difference(table, "robust", "vanilla").reason


def test_sites_are_the_sampled_units_here_too() -> None:
    table = drawn()
    site = np.array([f"s{rater % 4}" for rater in table.rater], dtype=object)
    with_sites = VoteTable(**{**vars(table), "extra": {**table.extra, "site": site}})
    assert acceptable_share(with_sites, "robust").df == 3
    crossing = crossing_from(table.rater, table.pair, site)
    assert crossed_variance(np.ones(600), crossing).total > 0
