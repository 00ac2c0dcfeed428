"""Same votes and seed, same bytes: however many threads the machine's linear algebra would take."""

from __future__ import annotations

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from analysis.inference.blas_threads import on_one_blas_thread
from analysis.planning.simulation import Scenario, simulate_votes
from analysis.report import build_report
from analysis.report.formats.text_files import render_json

# Large enough that BLAS divides its sums and factorisations among threads.
LARGE = Scenario(raters=150, pairs=240, votes_per_rater=80, tie_rate=0.1, classes=4, seed=3)


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_a_wrapped_function_has_one_thread_and_leaves_the_setting_as_it_was() -> None:
    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()
        assert on_one_blas_thread(blas_threads)() == {1}
        assert blas_threads() == before


def test_the_setting_is_restored_after_an_error() -> None:
    def fails() -> None:
        raise ValueError("no votes")

    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()
        with pytest.raises(ValueError, match="no votes"):
            on_one_blas_thread(fails)()
        assert blas_threads() == before


def test_the_report_has_the_same_bytes_under_one_thread_and_under_two() -> None:
    table = simulate_votes(LARGE)
    reports = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads, user_api="blas"):
            reports.append(render_json(build_report(table)))
    assert reports[0] == reports[1]
