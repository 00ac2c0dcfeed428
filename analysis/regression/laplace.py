"""Laplace likelihood of a binomial logit model with crossed random intercepts for raters and pairs, and its maximum.

log f(y | b, u, v) = sum y eta - n log(1 + e^eta), eta = X b + s_r u_rater + s_p v_pair, u and v standard normal.
The integral over (u, v) is replaced by its Laplace approximation g(b, s, mode) - log|H| / 2, where H = I + L Z' W Z L
is taken at the mode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.inference.two_threads import by_blocks
from analysis.regression.cells import BinomialCells
from analysis.regression.cross_table import CrossTable, cross_table
from analysis.regression.crossed_effects import CrossedFactor, CrossedInverse

__all__ = ["LARGEST_SD", "Height", "LaplaceLikelihood", "Term", "term_curvature"]

# Newton decrement (squared distance in posterior SDs) of the mode: at the first rounding decides, at the second the
# likelihood is exact to about 1e-9 and iterations that bring no more are over.
_MODE_TOLERANCE = 1e-24
_MODE_ENOUGH = 1e-18
_MODE_ITERATIONS = 200
# A random-effect SD beyond this on the logit scale is a likelihood that rises without end, not an estimate.
LARGEST_SD = 12.0
_ALL = slice(None)
# Parameters that move by no more (logit units) take the mode along on a straight line.
_STRAIGHT = 0.5

# An addition to the log-likelihood in the fixed effects alone: beta -> (value, gradient); -inf outside its domain.
Term = Callable[[np.ndarray], tuple[float, np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class Height:
    """The log-likelihood at some parameters (beta, sd_rater, sd_pair).

    Parameters
    ----------
    value : float
    gradient : (k + 2,) float64
    joint_gradient : (k + 2,) float64
        Of the joint maximum g(mode) and the term alone, without -log|H| / 2.
    """

    value: float
    gradient: np.ndarray
    joint_gradient: np.ndarray


class LaplaceLikelihood:
    """Laplace log-likelihood and its analytic gradient in (beta, sd_rater, sd_pair).

    Parameters
    ----------
    cells : BinomialCells
    term : callable, optional
        An addition to the log-likelihood in beta alone: beta -> (value, gradient); -inf outside its domain.
    """

    def __init__(self, cells: BinomialCells, term: Term | None = None) -> None:
        self.cells, self.term = cells, term
        # The larger factor is eliminated by its diagonal block, whichever of the two it is.
        self.raters_are_rows = cells.n_raters >= cells.n_pairs
        sizes = (cells.rater, cells.pair, cells.n_raters, cells.n_pairs)
        rows, columns, n_rows, n_columns = sizes if self.raters_are_rows else (sizes[1], sizes[0], sizes[3], sizes[2])
        self.table: CrossTable = cross_table(rows, columns, n_rows, n_columns)
        self._mode = (np.zeros(n_rows), np.zeros(n_columns))
        self._factor: CrossedFactor | None = None
        self._last: tuple[np.ndarray, _Point, CrossedFactor] | None = None
        self._path: _ModePath | None = None

    def __call__(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the log-likelihood and its gradient, (k + 2,); -inf and zeros where it is not defined."""
        height = self.at(parameters)
        return height.value, height.gradient

    def at(self, parameters: np.ndarray) -> Height:
        """Evaluate the log-likelihood; where it is not defined it is -inf, and the gradients are zero."""
        extra, extra_gradient = self.term(parameters[:-2]) if self.term else (0.0, np.zeros(len(parameters) - 2))
        undefined = Height(value=-np.inf, gradient=np.zeros(len(parameters)), joint_gradient=np.zeros(len(parameters)))
        # A line search may try anything: minus infinity turns it back where exponentials would overflow.
        if not np.isfinite(extra) or np.abs(parameters[-2:]).max() > 2 * LARGEST_SD:
            return undefined
        row_sd, column_sd = self._in_order(parameters)[-2:]
        if self._path is not None and np.abs(parameters - self._path.parameters).max() <= _STRAIGHT:
            self._mode = self._path.at(parameters)
        # With millions of votes each of these takes as much room as they do: none is kept longer than it serves.
        self._last = None
        try:
            point, factor = self._find_mode(parameters[:-2], float(row_sd), float(column_sd))
        except np.linalg.LinAlgError:
            return undefined
        self._factor = factor
        self._last = parameters.copy(), point, factor
        joint, gradient = self._gradients(point, factor)
        shift = np.concatenate((extra_gradient, (0.0, 0.0)))
        return Height(
            value=point.value - 0.5 * factor.log_determinant() + extra,
            gradient=self._in_order(gradient) + shift,
            joint_gradient=self._in_order(joint) + shift,
        )

    def curvatures(self) -> tuple[np.ndarray, np.ndarray]:
        """Return second derivatives at the parameters last evaluated, and remember how the mode moves with them.

        Returns
        -------
        joint : (k + 2, k + 2) float64
            Of the joint maximum and the term, exact: -J'WJ + M' H^-1 M with J the derivative of eta and M that of the
            mode's own equations.
        determinant : (k + 2, k + 2) float64
            Of -log|H| / 2, a guess: as if each factor stood alone and weights did not move.
        """
        if self._last is None:
            raise ValueError("there are no curvatures before a likelihood has been evaluated")
        parameters, point, factor = self._last
        table, weight, residual = self.table, point.weight(), point.residual()
        slopes = [*self.cells.design.T, point.row[table.rows], point.column[table.columns]]
        inner, by_row, by_column = np.empty((len(slopes), len(slopes))), [], []
        # One column at a time: all of them weighted would take as much room again.
        for which, slope in enumerate(slopes):
            weighted = weight * slope
            inner[which] = [weighted @ other for other in slopes]
            by_row.append(-factor.row_sd * table.row_sums(weighted))
            by_column.append(-factor.column_sd * table.column_sums(weighted))
        by_row[-2] += table.row_sums(residual)
        by_column[-1] += table.column_sums(residual)
        rows, columns = np.column_stack(by_row), np.column_stack(by_column)
        row_moves, column_moves = factor.solve(rows, columns)
        order = self._in_order(np.arange(len(slopes)))
        self._path = _ModePath(parameters, point.row, point.column, row_moves[:, order], column_moves[:, order])
        joint = (rows.T @ row_moves + columns.T @ column_moves - inner)[np.ix_(order, order)]
        joint[:-2, :-2] -= term_curvature(parameters[:-2], self.term)
        alone = [
            _log_determinant_bend(factor.row_sd, factor.row_weight),
            _log_determinant_bend(factor.column_sd, factor.column_weight),
        ]
        return joint, np.diag(self._in_order(np.array([*np.zeros(len(slopes) - 2), *alone])))

    def _in_order(self, values: np.ndarray) -> np.ndarray:
        """Exchange the last two of (k + 2,) values where pairs, and not raters, are the rows."""
        return values if self.raters_are_rows else np.concatenate((values[:-2], values[:-3:-1]))

    def _find_mode(self, beta: np.ndarray, row_sd: float, column_sd: float) -> tuple[_Point, CrossedFactor]:
        """Newton's method for the mode on a kept factor, renewed when it stops contracting; the last is fresh."""
        table, factor, fresh, last = self.table, self._factor, False, np.inf
        self._factor = None
        point = self._at(beta, row_sd, column_sd, *self._mode)
        for _ in range(_MODE_ITERATIONS):
            if factor is None:
                factor, fresh = CrossedFactor(table, point.weight(), row_sd, column_sd), True
            force = point.force(table, row_sd, column_sd)
            step = factor.solve(*force)
            decrement = float(force[0] @ step[0] + force[1] @ step[1])
            if decrement <= _MODE_TOLERANCE or (decrement <= _MODE_ENOUGH and decrement >= last):
                break
            moved = self._at(beta, row_sd, column_sd, point.row + step[0], point.column + step[1])
            # An old factor is kept while it still gains a digit a step: a new one is what costs.
            if moved.is_as_high(point) and (fresh or decrement < 0.1 * last):
                point, last, fresh = moved, decrement, False
                continue
            if fresh:
                point, last = self._shorter(beta, row_sd, column_sd, point, step), np.inf
            factor, fresh = None, False
        # The next call starts here: parameters move little from one to the next.
        self._mode = (point.row, point.column)
        # The gradient needs the factor at the mode itself; one from before would bias it.
        if not fresh:
            factor = None
        return point, factor or CrossedFactor(table, point.weight(), row_sd, column_sd)

    def _shorter(
        self, beta: np.ndarray, row_sd: float, column_sd: float, point: _Point, step: tuple[np.ndarray, np.ndarray]
    ) -> _Point:
        """Halve a Newton step until it climbs; the objective is concave, so some fraction does."""
        for halving in range(1, 40):
            part = 0.5**halving
            moved = self._at(beta, row_sd, column_sd, point.row + part * step[0], point.column + part * step[1])
            if moved.is_as_high(point):
                return moved
        return point

    def _at(self, beta: np.ndarray, row_sd: float, column_sd: float, row: np.ndarray, column: np.ndarray) -> _Point:
        cells, table, mean = self.cells, self.table, np.empty(len(self.cells.trials))

        def evaluate(block: slice) -> float:
            eta = cells.design[block] @ beta
            eta += row_sd * row[table.rows[block]] + column_sd * column[table.columns[block]]
            # One exponential serves the mean and log(1 + e^eta), without overflow.
            small = np.exp(-np.abs(eta))
            np.divide(np.where(eta >= 0.0, 1.0, small), 1.0 + small, out=mean[block])
            spread = np.maximum(eta, 0.0) + np.log1p(small)
            return float(cells.successes[block] @ eta - cells.trials[block] @ spread)

        joint = sum(by_blocks(evaluate, len(mean))) - 0.5 * float(row @ row + column @ column)
        return _Point(row=row, column=column, value=joint, mean=mean, cells=cells)

    def _gradients(self, point: _Point, factor: CrossedFactor) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of g(mode), and of g(mode) - log|H| / 2, the mode's own movement taken by one adjoint solve."""
        table, row_sd, column_sd = self.table, factor.row_sd, factor.column_sd
        inverse = factor.inverse()
        row_trace, column_trace = factor.scale_traces(inverse)
        bend = self._bend(point, inverse, row_sd, column_sd)
        del inverse
        row_adjoint, column_adjoint = factor.solve(row_sd * table.row_sums(bend), column_sd * table.column_sums(bend))
        # In its place: with millions of votes each of these takes as much room as they do.
        slope = bend

        def follow(block: slice) -> None:
            shift = row_sd * row_adjoint[table.rows[block]] + column_sd * column_adjoint[table.columns[block]]
            slope[block] = point.residual(block) + 0.5 * (point.weight(block) * shift - bend[block])

        by_blocks(follow, len(slope))
        residual = point.residual()
        row_residual, column_residual = table.row_sums(residual), table.column_sums(residual)
        by_row = point.row @ table.row_sums(slope) - 0.5 * row_adjoint @ row_residual - 0.5 * row_trace
        by_column = point.column @ table.column_sums(slope) - 0.5 * column_adjoint @ column_residual
        by_column -= 0.5 * column_trace
        joint = (point.row @ row_residual, point.column @ column_residual)
        design = self.cells.design.T
        return np.append(design @ residual, joint), np.append(design @ slope, (by_row, by_column))

    def _bend(self, point: _Point, inverse: CrossedInverse, row_sd: float, column_sd: float) -> np.ndarray:
        """The third derivative of the logit likelihood times leverage: how log |H| moves with the linear predictor."""
        table, bend = self.table, np.empty(len(point.mean))
        of_row, of_column, of_both = row_sd**2 * inverse.row, column_sd**2 * inverse.column, 2.0 * row_sd * column_sd

        def fill(block: slice) -> None:
            leverage = of_row[table.rows[block]] + of_column[table.columns[block]]
            leverage += of_both * inverse.slot[table.slot[block]]
            bend[block] = point.weight(block) * (1.0 - 2.0 * point.mean[block]) * leverage

        by_blocks(fill, len(bend))
        return bend


@dataclass(frozen=True, kw_only=True)
class _Point:
    """Random effects (spherical) with the penalised log-likelihood and the mean of each cell there.

    What follows from the mean is made when asked for: two points are held at a time, and cells are as many as votes.
    """

    row: np.ndarray
    column: np.ndarray
    value: float
    mean: np.ndarray
    cells: BinomialCells

    def residual(self, block: slice = _ALL) -> np.ndarray:
        return self.cells.successes[block] - self.cells.trials[block] * self.mean[block]

    def weight(self, block: slice = _ALL) -> np.ndarray:
        mean = self.mean[block]
        return self.cells.trials[block] * mean * (1.0 - mean)

    def force(self, table: CrossTable, row_sd: float, column_sd: float) -> tuple[np.ndarray, np.ndarray]:
        residual = self.residual()
        return row_sd * table.row_sums(residual) - self.row, column_sd * table.column_sums(residual) - self.column

    def is_as_high(self, other: _Point) -> bool:
        """Whether the value is at least the other's, up to the rounding of a sum over all votes."""
        return self.value >= other.value - 1e-12 * (1.0 + abs(other.value))


@dataclass(frozen=True)
class _ModePath:
    """How the mode moves with the parameters, to first order."""

    parameters: np.ndarray
    row: np.ndarray
    column: np.ndarray
    row_moves: np.ndarray
    column_moves: np.ndarray

    def at(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        change = parameters - self.parameters
        return self.row + self.row_moves @ change, self.column + self.column_moves @ change


def _log_determinant_bend(sd: float, weight: np.ndarray) -> float:
    """Second derivative of -sum log(1 + sd^2 w) / 2 in sd."""
    signal = sd**2 * weight
    return -float((weight * (1.0 - signal) / (1.0 + signal) ** 2).sum())


def term_curvature(beta: np.ndarray, term: Term | None) -> np.ndarray:
    """Return minus the second derivatives of the term, by differences of its gradient."""
    if term is None:
        return np.zeros((len(beta), len(beta)))
    step = 1e-6 * (1.0 + np.abs(beta))
    columns = [(term(beta + move)[1] - term(beta - move)[1]) / (2.0 * move.sum()) for move in np.diag(step)]
    return -0.5 * (np.array(columns) + np.array(columns).T)
