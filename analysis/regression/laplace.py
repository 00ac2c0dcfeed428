"""Laplace likelihood of a binomial logit model with crossed random intercepts for raters and pairs, and its maximum.

log f(y | b, u, v) = sum y eta - n log(1 + e^eta), eta = X b + s_r u_rater + s_p v_pair, u and v standard normal.
The integral over (u, v) is replaced by its Laplace approximation g(b, s, mode) - log|H| / 2, where H = I + L Z' W Z L
is taken at the mode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
from scipy import special

from analysis.regression.crossed_effects import CrossedFactor, CrossTable, cross_table

__all__ = ["BinomialCells", "LaplaceFit", "LaplaceLikelihood", "Term", "fit_laplace", "start_values"]

# Newton decrement (squared distance in posterior SDs) of the mode: at the first rounding decides, at the second the
# likelihood is exact to about 1e-9 and iterations that bring no more are over.
_MODE_TOLERANCE = 1e-24
_MODE_ENOUGH = 1e-18
_MODE_ITERATIONS = 200
# Gap to the maximum, estimated as half the Newton decrement, at which the climb stops.
_GAP = 1e-9
# Gap at which BFGS hands over to Newton: near enough for one Hessian to do.
_NEAR = 1e-5
# A Newton step shorter than this (logit units) leaves the curvature as it is, to about four digits.
_SHORT_STEP = 1e-4
_CLIMB_ITERATIONS = 200
_NEWTON_ITERATIONS = 40
# A random-effect SD beyond this on the logit scale is a likelihood that rises without end, not an estimate.
LARGEST_SD = 12.0
_SMALL_SD = 0.15
_SINGULAR_GAP = 1e-7
# (16 sqrt(3) / (15 pi))^2, by which a logit averaged over normal effects is flatter (Zeger, Liang and Albert 1988).
_ATTENUATION = 0.3458
# Far from where that approximation holds a start may be off by this factor at most.
_MOST_ATTENUATED = 4.0
# The gradient is exact to about 1e-9, so one-sided differences at this step give second derivatives to about 1e-4.
_DIFFERENCE_STEP = 2e-5


@dataclass(frozen=True, kw_only=True)
class BinomialCells:
    """Votes added up by (rater, pair, design row): sufficient for every logit model here.

    Parameters
    ----------
    rater, pair : (C,) int64
        Levels 0..R-1 and 0..P-1, without gaps.
    n_raters, n_pairs : int
    design : (C, k) float64
        Rows of the fixed-effects design.
    successes, trials : (C,) float64
        ``0 <= successes <= trials``.
    """

    rater: np.ndarray
    pair: np.ndarray
    n_raters: int
    n_pairs: int
    design: np.ndarray
    successes: np.ndarray
    trials: np.ndarray


class Failure(Enum):
    """How a climb ends elsewhere than at a maximum."""

    DIVERGES = auto()
    NO_CONVERGENCE = auto()


@dataclass(frozen=True, kw_only=True)
class LaplaceFit:
    """The maximum of the Laplace likelihood.

    Parameters
    ----------
    beta : (k,) float64
    sd_rater, sd_pair : float
        Exactly 0 where the fit is singular in that factor (or the factor was left out).
    covariance : (k + 2, k + 2) float64 or None
        Inverse of minus the full Hessian in (beta, sd_rater, sd_pair); rows of SDs at 0 are 0. None if it is not
        positive definite.
    log_likelihood : float
        With the binomial coefficients of single votes, that is without any.
    failure : Failure or None
        Why the fit is no maximum, else None.
    """

    beta: np.ndarray
    sd_rater: float
    sd_pair: float
    covariance: np.ndarray | None
    log_likelihood: float
    failure: Failure | None = None

    @property
    def settled_covariance(self) -> np.ndarray:
        """The covariance, for those who have refused a fit without one."""
        if self.covariance is None:
            raise ValueError("this fit is no maximum and has no covariance; report why instead of its numbers")
        return self.covariance


Term = Callable[[np.ndarray], tuple[float, np.ndarray]]


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

    def __call__(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the log-likelihood and its gradient, (k + 2,); -inf and zeros where it is not defined."""
        extra, extra_gradient = self.term(parameters[:-2]) if self.term else (0.0, 0.0)
        # A line search may try anything: minus infinity turns it back where exponentials would overflow.
        if not np.isfinite(extra) or np.abs(parameters[-2:]).max() > 2 * LARGEST_SD:
            return -np.inf, np.zeros(len(parameters))
        row_sd, column_sd = parameters[-2:] if self.raters_are_rows else parameters[:-3:-1]
        fixed = self.cells.design @ parameters[:-2]
        try:
            point, factor = self._find_mode(fixed, float(row_sd), float(column_sd))
        except np.linalg.LinAlgError:
            self._factor = None
            return -np.inf, np.zeros(len(parameters))
        gradient, by_row, by_column = self._gradient(point, factor)
        scales = (by_row, by_column) if self.raters_are_rows else (by_column, by_row)
        return point.value - 0.5 * factor.log_determinant() + extra, np.concatenate((gradient + extra_gradient, scales))

    def _find_mode(self, fixed: np.ndarray, row_sd: float, column_sd: float) -> tuple[_Point, CrossedFactor]:
        """Newton's method for the mode on a kept factor, renewed when it stops contracting; the last is fresh."""
        table, factor, fresh, last = self.table, self._factor, False, np.inf
        point = self._at(fixed, row_sd, column_sd, *self._mode)
        for _ in range(_MODE_ITERATIONS):
            if factor is None:
                factor, fresh = CrossedFactor(table, point.weight, row_sd, column_sd), True
            force = point.force(table, row_sd, column_sd)
            step = factor.solve(*force)
            decrement = float(force[0] @ step[0] + force[1] @ step[1])
            if decrement <= _MODE_TOLERANCE or (decrement <= _MODE_ENOUGH and decrement >= last):
                break
            moved = self._at(fixed, row_sd, column_sd, point.row + step[0], point.column + step[1])
            # An old factor is kept while it still gains a digit a step: a new one is what costs.
            if moved.is_as_high(point) and (fresh or decrement < 0.1 * last):
                point, last, fresh = moved, decrement, False
                continue
            if fresh:
                point, last = self._shorter(fixed, row_sd, column_sd, point, step), np.inf
            factor, fresh = None, False
        # The next call starts here: parameters move little from one to the next.
        self._mode = (point.row, point.column)
        # The gradient needs the factor at the mode itself; one from before would bias it.
        if factor is None or not fresh:
            factor = CrossedFactor(table, point.weight, row_sd, column_sd)
        self._factor = factor
        return point, factor

    def _shorter(
        self, fixed: np.ndarray, row_sd: float, column_sd: float, point: _Point, step: tuple[np.ndarray, np.ndarray]
    ) -> _Point:
        """Halve a Newton step until it climbs; the objective is concave, so some fraction does."""
        for halving in range(1, 40):
            part = 0.5**halving
            moved = self._at(fixed, row_sd, column_sd, point.row + part * step[0], point.column + part * step[1])
            if moved.is_as_high(point):
                return moved
        return point

    def _at(self, fixed: np.ndarray, row_sd: float, column_sd: float, row: np.ndarray, column: np.ndarray) -> _Point:
        cells, table = self.cells, self.table
        eta = fixed + row_sd * row[table.rows] + column_sd * column[table.columns]
        # One exponential serves the mean and log(1 + e^eta), without overflow.
        small = np.exp(-np.abs(eta))
        mean = np.where(eta >= 0.0, 1.0, small) / (1.0 + small)
        value = float(cells.successes @ eta - cells.trials @ (np.maximum(eta, 0.0) + np.log1p(small)))
        return _Point(
            row=row,
            column=column,
            value=value - 0.5 * float(row @ row + column @ column),
            residual=cells.successes - cells.trials * mean,
            weight=cells.trials * mean * (1.0 - mean),
            mean=mean,
        )

    def _gradient(self, point: _Point, factor: CrossedFactor) -> tuple[np.ndarray, float, float]:
        """Total derivative of g(mode) - log|H| / 2, the mode's own movement taken by one adjoint solve."""
        table, row_sd, column_sd = self.table, factor.row_sd, factor.column_sd
        inverse = factor.inverse()
        leverage = row_sd**2 * inverse.row[table.rows] + column_sd**2 * inverse.column[table.columns]
        leverage += 2.0 * row_sd * column_sd * inverse.slot[table.slot]
        # The third derivative of the logit likelihood: how log |H| moves with the linear predictor.
        bend = point.weight * (1.0 - 2.0 * point.mean) * leverage
        row_adjoint, column_adjoint = factor.solve(row_sd * table.row_sums(bend), column_sd * table.column_sums(bend))
        shift = row_sd * row_adjoint[table.rows] + column_sd * column_adjoint[table.columns]
        slope = point.residual - 0.5 * bend + 0.5 * point.weight * shift
        row_trace, column_trace = factor.scale_traces(inverse)
        by_row = (
            point.row @ table.row_sums(slope) - 0.5 * row_adjoint @ table.row_sums(point.residual) - 0.5 * row_trace
        )
        by_column = point.column @ table.column_sums(slope) - 0.5 * column_trace
        by_column -= 0.5 * column_adjoint @ table.column_sums(point.residual)
        return self.cells.design.T @ slope, float(by_row), float(by_column)


@dataclass(frozen=True, kw_only=True)
class _Point:
    """Random effects (spherical) with the penalised log-likelihood and its derivatives in eta there."""

    row: np.ndarray
    column: np.ndarray
    value: float
    residual: np.ndarray
    weight: np.ndarray
    mean: np.ndarray

    def force(self, table: CrossTable, row_sd: float, column_sd: float) -> tuple[np.ndarray, np.ndarray]:
        by_row = row_sd * table.row_sums(self.residual) - self.row
        return by_row, column_sd * table.column_sums(self.residual) - self.column

    def is_as_high(self, other: _Point) -> bool:
        """Whether the value is at least the other's, up to the rounding of a sum over all votes."""
        return self.value >= other.value - 1e-12 * (1.0 + abs(other.value))


def fit_laplace(cells: BinomialCells, start: np.ndarray, *, free: np.ndarray, term: Term | None = None) -> LaplaceFit:
    """Maximise the Laplace likelihood over the free parameters; a random-effect SD that goes to 0 is set to exactly 0.

    Parameters
    ----------
    cells : BinomialCells
    start : (k + 2,) float64
        Starting (beta, sd_rater, sd_pair); parameters that are not free stay there.
    free : (k + 2,) bool
    term : callable, optional
        As in :class:`LaplaceLikelihood`.
    """
    likelihood = LaplaceLikelihood(cells, term)
    best, value, hessian, failure = _climb(likelihood, start, free)
    for which in (-1, -2):
        # A maximum near zero may lie at zero, which a climb only ever comes close to: both are compared.
        if failure is None and free[which] and abs(best[which]) < _SMALL_SD:
            reduced = free.copy()
            reduced[which] = False
            at_zero = best.copy()
            at_zero[which] = 0.0
            other = _climb(likelihood, at_zero, reduced)
            if other[1] >= value - _SINGULAR_GAP:
                (best, value, hessian, failure), free = other, reduced
    # The likelihood is even in each SD; only their size means anything.
    best[-2:] = np.abs(best[-2:])
    return LaplaceFit(
        beta=best[:-2],
        sd_rater=float(best[-2]),
        sd_pair=float(best[-1]),
        covariance=None if failure else _covariance(hessian, free),
        log_likelihood=value,
        failure=failure,
    )


def moment_sds(cells: BinomialCells, beta: np.ndarray) -> np.ndarray:
    """Return starting SDs for raters and pairs, (2,), from the covariance of two votes that share a level.

    To first order that covariance is sd^2 times the squared binomial variance; the result is kept in [0.3, 2].
    """
    mean = 1.0 / (1.0 + np.exp(-cells.design @ beta))
    residual = cells.successes - cells.trials * mean
    square = cells.successes * (1.0 - 2.0 * mean) + cells.trials * mean**2
    variance = float(cells.trials @ (mean * (1.0 - mean)) / cells.trials.sum())
    found = []
    for levels in (cells.rater, cells.pair):
        load = np.bincount(levels, weights=cells.trials)
        shared = np.square(np.bincount(levels, weights=residual)).sum() - square.sum()
        found.append(shared / max(float((load * (load - 1.0)).sum()), 1.0) / variance**2)
    # SDs of 0.3 to 2: a start at 0 would be stuck there by symmetry, and a wild one lies far out.
    return np.sqrt(np.clip(found, 0.09, 4.0))


def start_values(cells: BinomialCells, beta: np.ndarray, free: np.ndarray, *, term: Term | None = None) -> np.ndarray:
    """Return a start close to the maximum, (k + 2,): pooled fixed effects and moment SDs, both freed of attenuation.

    Parameters
    ----------
    cells : BinomialCells
    beta : (k,) float64
        Where the pooled fit starts; inside the domain of the term.
    free : (k + 2,) bool
        SDs that are not free start, and stay, at 0.
    term : callable, optional
        As in :class:`LaplaceLikelihood`.
    """
    beta = _pooled(cells, beta, term)
    sds = np.where(free[-2:], moment_sds(cells, beta), 0.0)
    # Both are those of the rate averaged over raters and pairs; within one of each the logit is steeper.
    flatter = 1.0 / max(1.0 - _ATTENUATION * float(sds @ sds), 1.0 / _MOST_ATTENUATED)
    return np.concatenate((beta, sds)) * flatter**0.5


def _pooled(cells: BinomialCells, beta: np.ndarray, term: Term | None) -> np.ndarray:
    """Newton steps to the fixed effects without random ones; a step that does not climb ends them."""
    best, value = beta, -np.inf
    for _ in range(_NEWTON_ITERATIONS):
        eta = cells.design @ beta
        mean = special.expit(eta)
        extra, slope = term(beta) if term else (0.0, np.zeros(len(beta)))
        reached = float(cells.successes @ eta - cells.trials @ np.logaddexp(0.0, eta)) + extra
        # A start need not be the maximum, only near it.
        if not np.isfinite(reached) or reached <= value + 1e-6 * abs(value):
            break
        best, value = beta, reached
        weighted = (cells.trials * mean * (1.0 - mean))[:, None] * cells.design
        gradient = cells.design.T @ (cells.successes - cells.trials * mean) + slope
        beta = beta + np.linalg.pinv(cells.design.T @ weighted + _bend(beta, term)) @ gradient
    return best


def _bend(beta: np.ndarray, term: Term | None) -> np.ndarray:
    """Return minus the second derivatives of the term, by differences of its gradient."""
    if term is None:
        return np.zeros((len(beta), len(beta)))
    step = 1e-6 * (1.0 + np.abs(beta))
    columns = [(term(beta + move)[1] - term(beta - move)[1]) / (2.0 * move.sum()) for move in np.diag(step)]
    return -0.5 * (np.array(columns) + np.array(columns).T)


def _climb(
    likelihood: LaplaceLikelihood, start: np.ndarray, free: np.ndarray
) -> tuple[np.ndarray, float, np.ndarray | None, Failure | None]:
    """BFGS to the neighbourhood of the maximum, then Newton on the differenced gradient; returns the Hessian there."""
    point, (value, gradient), failure = _bfgs(likelihood, start, free)
    hessian = None
    for _ in range(_NEWTON_ITERATIONS):
        if failure:
            break
        if hessian is None:
            hessian = _hessian(likelihood, point, gradient, free)
        step = np.zeros(len(point))
        step[free] = _ascent(hessian, gradient[free])
        if 0.5 * gradient @ step <= _GAP:
            break
        higher, slope = likelihood(point + step)
        while higher < value and np.abs(step).max() > _SHORT_STEP:
            step *= 0.4
            higher, slope = likelihood(point + step)
        if higher < value:
            break
        point, value, gradient = point + step, higher, slope
        # Kept after a short step: another one costs a gradient for every parameter.
        hessian = hessian if np.abs(step).max() <= _SHORT_STEP else None
    return point, value, hessian, failure


def _bfgs(
    likelihood: LaplaceLikelihood, start: np.ndarray, free: np.ndarray
) -> tuple[np.ndarray, tuple[float, np.ndarray], Failure | None]:
    """Climb; returns the point, (value, gradient) there, and why it is no maximum or None."""
    point, (value, gradient) = start.copy(), likelihood(start)
    inverse = _first_inverse(likelihood, start, free)
    for _ in range(_CLIMB_ITERATIONS):
        step = inverse @ gradient
        gain = float(gradient @ step)
        # Near enough for Newton, which ends in a few steps what BFGS would take many for.
        if 0.5 * gain <= _NEAR:
            return point, (value, gradient), None
        # No SD by more than 1 and no effect by more than 3 at once: beyond, the quadratic model says nothing.
        step *= min(1.0, 1.0 / np.abs(step[-2:]).max(initial=1e-300), 3.0 / np.abs(step).max())
        part = 1.0
        while part > 1e-9:
            higher, slope = likelihood(point + part * step)
            if higher >= value + 1e-4 * part * float(gradient @ step):
                break
            part *= 0.4
        else:
            return point, (value, gradient), None
        moved, bent = part * step, gradient - slope
        inverse = _bfgs_update(inverse, moved, bent)
        point, value, gradient = point + moved, higher, slope
        if np.abs(point[-2:]).max() > LARGEST_SD:
            return point, (value, gradient), Failure.DIVERGES
    return point, (value, gradient), Failure.NO_CONVERGENCE


def _bfgs_update(inverse: np.ndarray, moved: np.ndarray, bent: np.ndarray) -> np.ndarray:
    curvature = float(moved @ bent)
    # An update along negative curvature would make the matrix indefinite.
    if curvature <= 1e-12 * float(np.linalg.norm(moved) * np.linalg.norm(bent)):
        return inverse
    left = np.eye(len(moved)) - np.outer(moved, bent) / curvature
    return left @ inverse @ left.T + np.outer(moved, moved) / curvature


def _first_inverse(likelihood: LaplaceLikelihood, start: np.ndarray, free: np.ndarray) -> np.ndarray:
    """A guess of the covariance: fixed effects from the information without random ones, SDs from the levels."""
    cells = likelihood.cells
    mean = special.expit(cells.design @ start[:-2])
    weight = cells.trials * mean * (1.0 - mean)
    information = cells.design.T @ (weight[:, None] * cells.design) + _bend(start[:-2], likelihood.term)
    guess = np.zeros((len(start), len(start)))
    guess[:-2, :-2] = 1.2 * np.linalg.pinv(information)
    guess[0, 0] += start[-2] ** 2 / cells.n_raters + start[-1] ** 2 / cells.n_pairs
    spread = 0.75 * np.maximum(start[-2:], 0.3) ** 2
    guess[-2, -2], guess[-1, -1] = spread / (cells.n_raters, cells.n_pairs)
    guess[~free] = 0.0
    guess[:, ~free] = 0.0
    return guess


def _hessian(likelihood: LaplaceLikelihood, point: np.ndarray, gradient: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Differences of the analytic gradient over the free parameters."""
    index = np.flatnonzero(free)
    columns = []
    for which in index:
        step = np.zeros(len(point))
        step[which] = _DIFFERENCE_STEP
        columns.append((likelihood(point + step)[1] - gradient)[index] / _DIFFERENCE_STEP)
    hessian = np.array(columns)
    # Differences are symmetric up to their error alone; eigenvalues need it exactly.
    return 0.5 * (hessian + hessian.T)


def _ascent(hessian: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Newton's step; directions of the wrong curvature are turned round."""
    values, vectors = np.linalg.eigh(-hessian)
    return vectors @ ((vectors.T @ gradient) / np.maximum(np.abs(values), 1e-8))


def _covariance(hessian: np.ndarray | None, free: np.ndarray) -> np.ndarray | None:
    # A saddle or a ridge has no covariance; inverting it would give negative variances.
    if hessian is None or np.linalg.eigvalsh(-hessian)[0] <= 0:
        return None
    covariance = np.zeros((len(free), len(free)))
    covariance[np.ix_(free, free)] = np.linalg.inv(-hessian)
    return covariance
