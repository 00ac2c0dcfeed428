"""Random halves: their size, their repeatability, and what their spread says of the whole."""

import numpy as np
import pytest

from analysis.images.halves import half_samples, half_scale, thinned


@pytest.mark.parametrize("n", [8, 9, 40, 41])
def test_the_spread_of_halves_is_the_standard_error_of_the_mean(n):
    values = np.random.default_rng(n).normal(size=n)
    halves = half_samples(n, 20_000, seed=1)
    assert set(halves.sum(axis=1)) == {n // 2}
    means = halves @ values / (n // 2)
    assert means.std() * half_scale(n) == pytest.approx(values.std(ddof=1) / n**0.5, rel=0.03)


def test_the_same_seed_draws_the_same_halves():
    assert (half_samples(30, 5, seed=3) == half_samples(30, 5, seed=3)).all()
    assert (half_samples(30, 5, seed=3) != half_samples(30, 5, seed=4)).any()
    with pytest.raises(ValueError, match="at least 2"):
        half_samples(1, 5)


def test_large_sets_are_thinned_and_their_spread_scaled_back():
    kept, factor = thinned(10_000, most=2500, seed=0)
    assert (len(kept), factor) == (2500, 0.5)
    assert (np.diff(kept) > 0).all()
    assert thinned(100)[1] == 1.0
