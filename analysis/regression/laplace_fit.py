"""The maximum of the Laplace likelihood of a crossed logit model.

The climb is Newton's with the exact curvature of the joint maximum, which costs a solve, and a secant one of log|H|; at
its end the whole Hessian, for the standard errors, comes from differences of the gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

import numpy as np

from analysis.regression.cells import BinomialCells
from analysis.regression.laplace import LARGEST_SD, Height, LaplaceLikelihood, Term

__all__ = ["Failure", "LaplaceFit", "fit_laplace"]

# Gap to the maximum, estimated as half the Newton decrement, at which the climb ends with the whole Hessian.
_NEAR = 1e-5
# A Newton step shorter than this (logit units) leaves the curvature as it is, to about four digits.
_SHORT_STEP = 1e-4
_CLIMB_ITERATIONS = 200
_NEWTON_ITERATIONS = 40
_SMALL_SD = 0.15
_SINGULAR_GAP = 1e-7
# The gradient is exact to about 1e-9, so one-sided differences at this step give second derivatives to about 1e-4.
_DIFFERENCE_STEP = 2e-5


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


@dataclass(frozen=True)
class _Place:
    """A point of a climb, its height, and the curvature of the joint maximum there."""

    point: np.ndarray
    height: Height
    joint: np.ndarray

    @property
    def rest(self) -> np.ndarray:
        """The gradient of -log|H| / 2."""
        return self.height.gradient - self.height.joint_gradient


def _climb(
    likelihood: LaplaceLikelihood, start: np.ndarray, free: np.ndarray
) -> tuple[np.ndarray, float, np.ndarray | None, Failure | None]:
    """Climb to the maximum, then Newton on the differenced gradient; returns the Hessian there."""
    place, failure = _approach(likelihood, start, free)
    hessian = None
    for _ in range(_NEWTON_ITERATIONS):
        point, here = place.point, place.height
        if failure:
            break
        if hessian is None:
            hessian = _hessian(likelihood, place, free)
        step = np.zeros(len(point))
        step[free] = _ascent(hessian, here.gradient[free])
        gap = 0.5 * float(here.gradient @ step)
        if gap <= _NEAR and np.abs(step).max() <= _SHORT_STEP:
            # So near the parabola is the likelihood itself, to about 1e-10: its top needs no evaluation.
            return point + step, here.value + gap, hessian, None
        there = likelihood.at(point + step)
        while there.value < here.value and np.abs(step).max() > _SHORT_STEP:
            step *= 0.4
            there = likelihood.at(point + step)
        if there.value < here.value:
            break
        place = _Place(point + step, there, likelihood.curvatures()[0])
        # Kept after a short step: another one costs a gradient for every parameter.
        hessian = hessian if np.abs(step).max() <= _SHORT_STEP else None
    return place.point, place.height.value, hessian, failure


def _approach(likelihood: LaplaceLikelihood, start: np.ndarray, free: np.ndarray) -> tuple[_Place, Failure | None]:
    """Climb; returns where it ends, and why that is no maximum or None."""
    here = likelihood.at(start)
    if not np.isfinite(here.value):
        return _Place(start, here, np.zeros((len(start), len(start)))), Failure.NO_CONVERGENCE
    joint, bend = likelihood.curvatures()
    place = _Place(start, here, joint)
    for _ in range(_CLIMB_ITERATIONS):
        here, step = place.height, np.zeros(len(start))
        step[free] = _ascent((place.joint + bend)[np.ix_(free, free)], here.gradient[free])
        gain = float(here.gradient @ step)
        if 0.5 * gain <= _NEAR:
            return place, None
        # No SD by more than 1 and no effect by more than 3 at once: beyond, the quadratic model says nothing.
        step *= min(1.0, 1.0 / np.abs(step[-2:]).max(initial=1e-300), 3.0 / np.abs(step).max())
        part = 1.0
        while part > 1e-9:
            there = likelihood.at(place.point + part * step)
            if there.value >= here.value + 1e-4 * part * gain:
                break
            part *= 0.4
        else:
            return place, None
        moved = _Place(place.point + part * step, there, likelihood.curvatures()[0])
        bend = _secant(bend, part * step, moved.rest - place.rest)
        place = moved
        if np.abs(place.point[-2:]).max() > LARGEST_SD:
            return place, Failure.DIVERGES
    return place, Failure.NO_CONVERGENCE


def _secant(bend: np.ndarray, moved: np.ndarray, turned: np.ndarray) -> np.ndarray:
    """The symmetric rank-one update, under which the matrix gives the turn that the last move brought."""
    wanting = turned - bend @ moved
    along = float(wanting @ moved)
    # Where both stand at right angles there is no such update.
    if abs(along) <= 1e-8 * float(np.linalg.norm(wanting) * np.linalg.norm(moved)):
        return bend
    return bend + np.outer(wanting, wanting) / along


def _hessian(likelihood: LaplaceLikelihood, place: _Place, free: np.ndarray) -> np.ndarray:
    """The joint maximum's curvature and differences of the gradient of the rest, over the free parameters."""
    index = np.flatnonzero(free)
    columns = []
    for which in index:
        step = np.zeros(len(place.point))
        step[which] = _DIFFERENCE_STEP
        there = likelihood.at(place.point + step)
        columns.append((there.gradient - there.joint_gradient - place.rest)[index] / _DIFFERENCE_STEP)
    rest = np.array(columns)
    # Differences are symmetric up to their error alone; eigenvalues need it exactly.
    return place.joint[np.ix_(free, free)] + 0.5 * (rest + rest.T)


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
