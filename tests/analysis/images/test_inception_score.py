"""Inception score: its bounds, splits in file order, and the definition summed by hand."""

import numpy as np
import pytest

from analysis.images import inception_score
from analysis.images.inception_score import split_scores


def test_confident_and_balanced_classes_reach_the_number_of_classes():
    logits = np.tile(np.eye(7) * 200.0, (30, 1))
    assert inception_score(logits, split_size=210)[0] == pytest.approx(7.0, rel=1e-12)


def test_equal_predictions_score_one():
    logits = np.tile(np.random.default_rng(0).normal(size=11), (40, 1))
    assert inception_score(logits)[0] == pytest.approx(1.0, rel=1e-12)


def test_score_equals_the_divergence_summed_by_hand():
    logits = np.random.default_rng(1).normal(size=(25, 4)) * 2
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    divergence = (p * (np.log(p) - np.log(p.mean(axis=0)))).sum(axis=1)
    assert inception_score(logits)[0] == pytest.approx(np.exp(divergence.mean()), rel=1e-12)


def test_splits_follow_file_order_so_sorted_classes_score_low():
    sorted_logits = np.repeat(np.eye(10) * 200.0, 100, axis=0)
    shuffled = sorted_logits[np.random.default_rng(0).permutation(1000)]
    assert inception_score(sorted_logits, split_size=100)[0] == pytest.approx(1.0)
    assert inception_score(shuffled, split_size=100)[0] > 9.0


def test_a_short_rest_is_left_out_and_a_long_one_counted():
    logits = np.random.default_rng(2).normal(size=(25, 3))
    assert split_scores(logits, split_size=10).size == 3
    assert split_scores(logits[:24], split_size=10).size == 2
    assert split_scores(logits[:4], split_size=10).size == 1


def test_interval_needs_two_splits_and_holds_the_mean():
    logits = np.random.default_rng(3).normal(size=(60, 3))
    assert inception_score(logits, split_size=60)[1] is None
    mean, (low, high) = inception_score(logits, split_size=20)
    assert low < mean < high


def test_logits_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="image 3"):
        inception_score(np.where(np.arange(10)[:, None] == 3, np.nan, np.ones((10, 2))))
    with pytest.raises(ValueError, match="split_size"):
        inception_score(np.ones((3, 2)), split_size=0)
