import numpy as np
import pytest

from analysis.preference.rate import rater_mean_t
from analysis.preference.sequential import (
    betting_sequence,
    confidence_sequence,
    running_sequence,
)
from tests.analysis.votes_factory import crossed_comparison, make_comparison


def null_rater_means(rng, raters=80):
    """Raters who differ widely, with means that average 1/2: clustered votes without a preference."""
    own = rng.beta(1.5, 1.5, size=raters)
    return rng.binomial(12, own) / 12


def test_constant_peeking_rejects_a_true_null_in_at_most_five_percent():
    rng = np.random.default_rng(11)
    rejected = np.mean([betting_sequence(null_rater_means(rng)).p_value.min() <= 0.05 for _ in range(600)])
    # Three standard errors of a simulated 5 % with 600 runs are 2.7 points.
    assert rejected <= 0.05


def test_constant_peeking_covers_the_mean_at_every_look():
    rng = np.random.default_rng(12)
    missed = 0
    for _ in range(300):
        means = rng.binomial(12, rng.beta(6, 4, size=80)) / 12
        path = betting_sequence(means)
        missed += bool(((path.low > 0.6) | (path.high < 0.6)).any())
    assert missed / 300 <= 0.05


def test_looking_at_a_t_test_after_each_rater_would_reject_far_more_often():
    """What the sequence protects from: the same simulation with a fixed-sample interval at every look."""
    rng = np.random.default_rng(13)
    rejected = 0
    for _ in range(200):
        means = null_rater_means(rng)
        count = np.arange(1, len(means) + 1)
        centre = np.cumsum(means) / count
        spread = np.sqrt((np.cumsum(means**2) / count - centre**2) * count / np.maximum(count - 1, 1) / count)
        rejected += bool((np.abs(centre - 0.5)[9:] > 1.99 * spread[9:]).any())
    assert rejected / 200 > 0.15


def test_a_preference_is_found():
    rng = np.random.default_rng(14)
    path = betting_sequence(rng.binomial(20, rng.beta(7, 3, size=100)) / 20)
    assert path.low[-1] > 0.5
    assert path.p_value[-1] < 0.001
    assert (np.diff(path.p_value) <= 0).all()
    assert (np.diff(path.low) >= 0).all()
    assert (np.diff(path.high) <= 0).all()


def test_the_sequence_of_a_comparison_ends_in_its_estimate():
    comparison = crossed_comparison(1, raters=60)
    result, path = confidence_sequence(comparison), running_sequence(comparison)
    assert len(path) == 60
    assert result.estimate == pytest.approx(rater_mean_t(comparison).estimate)
    assert result.ci95[0] < result.estimate < result.ci95[1]
    wide = result.ci95[1] - result.ci95[0]
    fixed = rater_mean_t(comparison).ci95
    assert wide > fixed[1] - fixed[0]


def test_raters_enter_in_the_order_in_which_they_finish():
    score, rater, pair = [1, 0, 1, 0, 0], [0, 1, 0, 1, 2], [0, 0, 1, 1, 0]
    assert running_sequence(make_comparison(score, rater, pair)).estimate == pytest.approx([1, 0.5, 1 / 3])
    times = np.array(["2026-01-01", "2026-01-01", "2026-01-05", "2026-01-03", "2026-01-02"], dtype="datetime64[ms]")
    assert running_sequence(make_comparison(score, rater, pair, submitted_at=times)).estimate == pytest.approx(
        [0, 0, 1 / 3]
    )


def test_swapping_the_arms_mirrors_the_sequence():
    comparison = crossed_comparison(2, raters=40)
    mirrored = make_comparison(1 - comparison.score, comparison.rater, comparison.pair, -comparison.side)
    one, other = confidence_sequence(comparison), confidence_sequence(mirrored)
    assert one.ci95 == pytest.approx((1 - other.ci95[1], 1 - other.ci95[0]), abs=1e-12)
    assert one.p_value == pytest.approx(other.p_value)


def test_bets_use_the_past_alone():
    values = np.random.default_rng(1).uniform(size=50)
    other_end = np.concatenate([values[:30], 1 - values[30:]])
    assert np.array_equal(betting_sequence(values).low[:30], betting_sequence(other_end).low[:30])


def test_degenerate_tables():
    sequence = confidence_sequence
    assert sequence(make_comparison([], [], [])).reason
    one = sequence(make_comparison([1], [0], [0]))
    assert one.ci95 is None or one.ci95[0] < one.ci95[1]
    ties = sequence(make_comparison([0.5] * 3, [0, 1, 2], [0, 0, 0]))
    assert ties.ci95 is not None or ties.reason


def test_values_outside_the_unit_interval_are_refused():
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        betting_sequence(np.array([0.5, 1.2]))


def rejected_means(values, grid):
    """The hedged capital process written out in products, one candidate mean at a time."""
    rejected = []
    for mean in grid:
        up = down = 1.0
        total, squares = 0.5, 0.25
        for t, value in enumerate(values, start=1):
            variance = squares / t
            bet = np.sqrt(2 * np.log(2 / 0.05) / (variance * t * np.log(t + 1)))
            up *= 1 + min(bet, 0.5 / mean) * (value - mean)
            down *= 1 - min(bet, 0.5 / (1 - mean)) * (value - mean)
            total += value
            squares += (value - total / (t + 1)) ** 2
        rejected.append(max(0.5 * up, 0.5 * down) >= 20)
    return np.array(rejected)


def test_the_intervals_are_what_the_written_out_capital_process_keeps():
    values = np.random.default_rng(9).binomial(10, 0.7, size=25) / 10
    grid, path = np.linspace(0.002, 0.998, 499), betting_sequence(values)
    low, high = 0.0, 1.0
    for count in range(1, len(values) + 1):
        kept = grid[~rejected_means(values[:count], grid)]
        low, high = max(low, kept[0]), min(high, kept[-1])
        # The grids' steps are 0.002 here and 0.001 there, and ours is widened by one of its own.
        assert path.low[count - 1] == pytest.approx(low, abs=0.0035)
        assert path.high[count - 1] == pytest.approx(high, abs=0.0035)
    assert high - low < 0.5


def test_raters_who_have_not_finished_are_left_out_and_counted():
    comparison = make_comparison([1, 0, 1, 1, 0, 1], [0, 0, 1, 1, 2, 3], [0, 1, 0, 1, 0, 1])
    result = confidence_sequence(comparison, least_votes=2)
    assert result.estimate == pytest.approx(0.75)
    assert result.n_raters == 2
    assert "2 raters with fewer than 2 votes" in result.reason
    assert len(running_sequence(comparison, least_votes=2)) == 2
    assert "no rater has finished" in confidence_sequence(comparison, least_votes=3).reason
