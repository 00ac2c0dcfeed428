"""The Schur-complement factor against the dense system, and the Laplace gradient against differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, special, stats

from analysis.regression import crossed_effects, grams
from analysis.regression.cells import BinomialCells
from analysis.regression.cross_table import cross_table
from analysis.regression.crossed_effects import CrossedFactor
from analysis.regression.laplace import LaplaceLikelihood
from analysis.regression.logistic_rates import logistic_average


def random_cells(seed=0, *, raters=7, pairs=5, cells=40):
    rng = np.random.default_rng(seed)
    rater = np.concatenate((np.arange(raters), rng.integers(0, raters, cells - raters)))
    pair = np.concatenate((np.arange(pairs), rng.integers(0, pairs, cells - pairs)))
    trials = rng.integers(1, 4, cells).astype(float)
    return BinomialCells(
        rater=rater,
        pair=pair,
        n_raters=raters,
        n_pairs=pairs,
        design=np.column_stack((np.ones(cells), rng.choice([-0.5, 0.5], cells))),
        successes=np.floor(rng.random(cells) * (trials + 1)),
        trials=trials,
    )


def dense_system(cells, weight, row_sd, column_sd):
    """I + L Z' W Z L written out, rows before columns."""
    design = np.zeros((len(weight), cells.n_raters + cells.n_pairs))
    design[np.arange(len(weight)), cells.rater] = row_sd
    design[np.arange(len(weight)), cells.n_raters + cells.pair] = column_sd
    return np.eye(design.shape[1]) + design.T @ (weight[:, None] * design)


@pytest.mark.parametrize(("dense_above", "small"), [(0.0, 200), (1.0, 0)])
@pytest.mark.parametrize(("row_sd", "column_sd"), [(0.7, 1.3), (0.0, 0.9), (0.6, 0.0)])
def test_factor_agrees_with_the_dense_system(monkeypatch, dense_above, small, row_sd, column_sd):
    monkeypatch.setattr(grams, "_DENSE_ABOVE", dense_above)
    monkeypatch.setattr(crossed_effects, "_DENSE_ABOVE", dense_above)
    monkeypatch.setattr(crossed_effects, "_SMALL", small)
    monkeypatch.setattr(crossed_effects, "BLOCK_ROWS", 3)
    monkeypatch.setattr(grams, "BLOCK_ROWS", 3)
    cells, rng = random_cells(1), np.random.default_rng(2)
    weight = rng.random(40)
    table = cross_table(cells.rater, cells.pair, cells.n_raters, cells.n_pairs)
    factor, dense = CrossedFactor(table, weight, row_sd, column_sd), dense_system(cells, weight, row_sd, column_sd)
    assert factor.log_determinant() == pytest.approx(np.linalg.slogdet(dense)[1], abs=1e-10)
    right = rng.normal(size=12)
    assert np.concatenate(factor.solve(right[:7], right[7:])) == pytest.approx(np.linalg.solve(dense, right), abs=1e-10)
    inverse, wanted = factor.inverse(), np.linalg.inv(dense)
    assert np.concatenate((inverse.row, inverse.column)) == pytest.approx(np.diagonal(wanted), abs=1e-10)
    assert inverse.slot == pytest.approx(
        wanted[np.repeat(np.arange(7), np.diff(table.indptr)), 7 + table.slot_columns], abs=1e-10
    )


@pytest.mark.parametrize(("raters", "pairs"), [(7, 5), (5, 7)])
def test_laplace_gradient_agrees_with_differences(raters, pairs):
    likelihood = LaplaceLikelihood(random_cells(3, raters=raters, pairs=pairs))
    point, step = np.array([0.3, -0.4, 0.8, 1.1]), 1e-5
    differences = [
        (likelihood(point + move)[0] - likelihood(point - move)[0]) / (2 * step) for move in step * np.eye(4)
    ]
    assert likelihood(point)[1] == pytest.approx(differences, abs=1e-6)


@pytest.mark.parametrize(("raters", "pairs"), [(7, 5), (5, 7)])
def test_curvature_of_the_joint_maximum_agrees_with_differences(raters, pairs):
    def term(beta):
        return -0.5 * float(beta @ beta) ** 2, -2.0 * float(beta @ beta) * beta

    likelihood = LaplaceLikelihood(random_cells(3, raters=raters, pairs=pairs), term)
    point, step = np.array([0.3, -0.4, 0.8, 1.1]), 1e-5
    differences = [
        (likelihood.at(point + move).joint_gradient - likelihood.at(point - move).joint_gradient) / (2 * step)
        for move in step * np.eye(4)
    ]
    likelihood.at(point)
    joint, guess = likelihood.curvatures()
    assert joint == pytest.approx(np.array(differences), abs=1e-6)
    # The guess tells the two SDs apart, and says nothing of the rest.
    assert np.count_nonzero(guess) == 2
    assert guess[2, 2] != guess[3, 3]


@pytest.mark.parametrize(("raters", "pairs"), [(7, 5), (5, 7)])
def test_the_mode_is_found_from_any_start(raters, pairs):
    """After curvatures the mode is guessed on a straight line; the likelihood is the same as from nothing."""
    cells, near, far = random_cells(3, raters=raters, pairs=pairs), np.full(4, 0.45), np.array([2.0, -2.0, 3.0, 0.1])
    likelihood, point = LaplaceLikelihood(cells), np.array([0.3, -0.4, 0.8, 1.1])
    likelihood.at(point)
    likelihood.curvatures()
    for moved in (point + 1e-6 * near, point + near, point - near, far):
        fresh, kept = LaplaceLikelihood(cells).at(moved), likelihood.at(moved)
        assert kept.value == pytest.approx(fresh.value, abs=1e-10)
        assert kept.gradient == pytest.approx(fresh.gradient, abs=1e-8)


def test_laplace_value_is_the_textbook_formula():
    """log f(y | mode) - |mode|^2 / 2 - log|H| / 2 with the mode found by a general optimiser."""
    cells, beta, row_sd, column_sd = random_cells(4), np.array([0.2, 0.5]), 0.9, 0.6

    def log_joint(effects):
        eta = cells.design @ beta + row_sd * effects[cells.rater] + column_sd * effects[7 + cells.pair]
        return cells.successes @ eta - cells.trials @ np.logaddexp(0, eta) - 0.5 * effects @ effects

    effects = np.zeros(12)
    for _ in range(50):
        eta = cells.design @ beta + row_sd * effects[cells.rater] + column_sd * effects[7 + cells.pair]
        mean = special.expit(eta)
        residual = cells.successes - cells.trials * mean
        slope = np.concatenate(
            (row_sd * np.bincount(cells.rater, residual, 7), column_sd * np.bincount(cells.pair, residual, 5))
        )
        hessian = dense_system(cells, cells.trials * mean * (1 - mean), row_sd, column_sd)
        effects = effects + np.linalg.solve(hessian, slope - effects)
    wanted = log_joint(effects) - 0.5 * np.linalg.slogdet(hessian)[1]
    value, _ = LaplaceLikelihood(cells)(np.array([*beta, row_sd, column_sd]))
    assert value == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("sd", [0.05, 1.0, 4.0, 10.0])
def test_average_over_normal_agrees_with_quadrature(sd):
    mean, slope, by_sd = logistic_average(0.7, sd)
    for found, curve in (
        (mean, lambda z: special.expit(0.7 + sd * z)),
        (slope, lambda z: special.expit(0.7 + sd * z) * special.expit(-0.7 - sd * z)),
        (by_sd, lambda z: z * special.expit(0.7 + sd * z) * special.expit(-0.7 - sd * z)),
    ):
        wanted, _ = integrate.quad(
            lambda z, curve=curve: curve(z) * stats.norm.pdf(z), -12, 12, points=[-0.7 / sd, 0.0], epsabs=1e-12
        )
        assert found == pytest.approx(wanted, abs=1e-10)
