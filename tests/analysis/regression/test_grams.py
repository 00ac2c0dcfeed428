"""A table times its transpose: in blocks, by halves and by load, it is the product written out."""

import numpy as np
import pytest
from scipy import sparse

from analysis.inference import two_threads
from analysis.regression import grams as module
from analysis.regression.cross_table import cross_table
from analysis.regression.crossed_effects import CrossedFactor
from analysis.regression.grams import gram, load_grams


@pytest.mark.parametrize("dense_above", [0.0, 1.0])
@pytest.mark.parametrize("most_summed_twice", [0, 100])
def test_blocks_and_halves_add_up_to_the_product(monkeypatch, dense_above, most_summed_twice):
    monkeypatch.setattr(module, "_DENSE_ABOVE", dense_above)
    monkeypatch.setattr(module, "_MOST_SUMMED_TWICE", most_summed_twice)
    monkeypatch.setattr(module, "BLOCK_ROWS", 3)
    monkeypatch.setattr(two_threads, "_FEW", 1)
    rng = np.random.default_rng(4)
    filled, scale = rng.normal(size=(17, 5)) * (rng.random((17, 5)) < 0.7), rng.random(17)
    matrix = sparse.csr_array(filled)
    scaled = scale[:, None] * filled
    assert gram(matrix, scale) == pytest.approx(scaled.T @ scaled, abs=1e-12)
    assert gram(matrix) == pytest.approx(filled.T @ filled, abs=1e-12)
    assert matrix.toarray().tolist() == filled.tolist()


@pytest.mark.parametrize("scales", [(0.7, 1.3), (0.0, 0.9), (0.4, 0.0)])
@pytest.mark.parametrize("is_even", [True, False])
def test_matrices_by_load_give_the_factor_of_equal_weights(scales, is_even):
    rng = np.random.default_rng(3)
    rows = np.repeat(np.arange(30), 8) if is_even else np.concatenate([np.arange(30), rng.integers(0, 30, 200)])
    columns = np.concatenate([np.arange(12), rng.integers(0, 12, len(rows) - 12)])
    table = cross_table(rows, columns, 30, 12)
    grams = load_grams(table)
    assert len(grams.loads) == (1 if is_even else len(set(np.bincount(rows).tolist())))
    plain = CrossedFactor(table, np.ones(len(rows)), *scales)
    by_load = CrossedFactor(table, np.ones(len(rows)), *scales, grams=grams)
    assert by_load.log_determinant() == pytest.approx(plain.log_determinant(), rel=1e-13)
    assert by_load.scale_traces() == pytest.approx(plain.scale_traces(plain.inverse()), rel=1e-10, abs=1e-10)
    sides = rng.normal(size=30), rng.normal(size=12)
    for one, other in zip(by_load.solve(*sides), plain.solve(*sides), strict=True):
        assert one == pytest.approx(other, rel=1e-10, abs=1e-12)


def test_matrices_by_load_are_not_made_where_they_would_fill_the_memory(monkeypatch):
    monkeypatch.setattr("analysis.regression.grams._MOST_GRAM_NUMBERS", 10)
    assert load_grams(cross_table(np.arange(8) % 4, np.arange(8) // 2, 4, 4)) is None
