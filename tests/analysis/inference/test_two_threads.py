"""Two threads share the rows of a sum: every row once, in halves that no machine changes."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

from analysis.inference import two_threads
from analysis.inference.two_threads import by_blocks, by_halves
from analysis.regression.glmm import glmm
from tests.analysis.votes_factory import crossed_comparison


@pytest.mark.parametrize(("rows", "parts"), [(7, [(0, 7)]), (8, [(0, 4), (4, 8)]), (9, [(0, 4), (4, 9)])])
def test_every_row_is_in_one_part_and_few_rows_are_not_divided(monkeypatch, rows, parts):
    monkeypatch.setattr(two_threads, "_FEW", 8)
    assert by_halves(lambda start, stop: (start, stop), rows) == parts


def test_the_halves_are_worked_on_side_by_side(monkeypatch):
    monkeypatch.setattr(two_threads, "_FEW", 1)
    both = threading.Barrier(2, timeout=10.0)
    # Neither half passes the barrier before the other has come to it.
    assert sorted(by_halves(lambda start, stop: both.wait(), 2)) == [0, 1]


def test_an_error_of_either_half_is_raised(monkeypatch):
    monkeypatch.setattr(two_threads, "_FEW", 1)

    def fails(start, stop):
        if not start:
            raise np.linalg.LinAlgError("not positive definite")

    with pytest.raises(np.linalg.LinAlgError):
        by_halves(fails, 2)


@pytest.mark.parametrize("rows", [0, 3, 11, 12, 31, 64])
def test_blocks_hold_every_row_once_in_order_and_no_more_than_fit_the_cache(monkeypatch, rows):
    monkeypatch.setattr(two_threads, "_FEW", 1)
    monkeypatch.setattr(two_threads, "_BLOCK", 3)
    blocks = by_blocks(lambda block: list(range(rows))[block], rows)
    assert [row for block in blocks for row in block] == list(range(rows))
    assert all(1 <= len(block) <= 3 for block in blocks)


def test_a_model_evaluated_in_blocks_has_the_numbers_of_one_evaluated_at_once(monkeypatch):
    comparison = crossed_comparison(2, raters=40, pairs=30)
    at_once = glmm(comparison)
    monkeypatch.setattr(two_threads, "_FEW", 1)
    monkeypatch.setattr(two_threads, "_BLOCK", 50)
    in_blocks = glmm(comparison)
    assert in_blocks.log_likelihood == pytest.approx(at_once.log_likelihood, abs=1e-9)
    assert in_blocks.intercept.ci95 == pytest.approx(at_once.intercept.ci95, abs=1e-7)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores of a process are chosen on Linux alone")
def test_a_model_has_the_same_bytes_on_one_core_and_on_all(monkeypatch):
    monkeypatch.setattr(two_threads, "_FEW", 1)
    monkeypatch.setattr(two_threads, "_BLOCK", 50)
    comparison, cores = crossed_comparison(2, raters=40, pairs=30), os.sched_getaffinity(0)
    on_all = glmm(comparison)
    os.sched_setaffinity(0, {min(cores)})
    try:
        assert glmm(comparison) == on_all
    finally:
        os.sched_setaffinity(0, cores)
