"""Models of paired comparisons fitted to counts: Bradley-Terry (logit), Thurstone Case V (probit), Davidson (ties)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import special

from analysis.ranking.win_matrix import WinMatrix
from analysis.votes.table import TIE

__all__ = [
    "BradleyTerry",
    "Davidson",
    "Design",
    "Fit",
    "PairedModel",
    "Thurstone",
    "design_of",
    "fit_counts",
    "fit_reduced",
]

_ITERATIONS = 100
_GAP = 1e-13


@dataclass(frozen=True, kw_only=True)
class Design:
    """Linear predictors of the ordered pairs of arms.

    Parameters
    ----------
    rows : (M, k) float64
        ``strength(left) - strength(right) (+ d)`` in the free parameters.
    strengths : (K, k) float64
        Maps the free parameters to strengths of sum zero within each group (0 for an arm of reference); the columns of
        d, where fitted, and of covariates are zero.
    freedom : int
        Parameters that are strengths; they come first, then d, then covariates.
    has_position : bool
    """

    rows: np.ndarray
    strengths: np.ndarray
    freedom: int
    has_position: bool


def design_of(
    data: WinMatrix, groups: list[np.ndarray], *, position: bool = True, reference: int | None = None
) -> Design:
    """Return the design for the groups of arms to be fitted, with the advantage d of the left where identified.

    Raises
    ------
    ArithmeticError
        If a covariate is a combination of arms and sides, so that its effect is not identified.
    """
    blocks = [_basis(members, len(data.arms), reference) for members in groups]
    strengths = np.hstack(blocks) if blocks else np.zeros((len(data.arms), 0))
    freedom = strengths.shape[1]
    rows = np.hstack((strengths[data.left] - strengths[data.right], data.covariates))
    if np.linalg.matrix_rank(rows) < rows.shape[1]:
        raise ArithmeticError("a covariate differs by arm or side alone: its effect cannot be told from theirs")
    with_left = np.insert(rows, freedom, 1.0, axis=1)
    has_position = position and np.linalg.matrix_rank(with_left) == with_left.shape[1]
    rows = with_left if has_position else rows
    padded = np.hstack((strengths, np.zeros((len(data.arms), rows.shape[1] - freedom))))
    return Design(rows=rows, strengths=padded, freedom=freedom, has_position=has_position)


def _basis(members: np.ndarray, arms: int, reference: int | None) -> np.ndarray:
    """Return the strengths in the free parameters: 0 for the reference where it is a member, else of sum zero."""
    basis = np.zeros((arms, len(members) - 1))
    if reference is not None and reference in members:
        basis[members[members != reference], np.arange(len(members) - 1)] = 1.0
        return basis
    basis[members[:-1], np.arange(len(members) - 1)] = 1.0
    return basis - np.isin(np.arange(arms), members)[:, None] * basis.sum(axis=0) / len(members)


class PairedModel(Protocol):
    """Probabilities and scores of the outcomes left, right, tie (the order of ``analysis.votes.table``).

    ``extra`` parameters follow those of the design; ``scale`` turns strengths into the unit reported; a parameter
    beyond ``largest`` is a likelihood that rises without end.
    """

    extra: int
    scale: float
    largest: float

    def start(self, width: int, counts: np.ndarray) -> np.ndarray:
        """Return the starting parameters."""

    def predictors(self, rows: np.ndarray) -> np.ndarray:
        """Return the design of each outcome, (M, 3, k); NaN for an outcome that cannot occur."""

    def log_probabilities(self, parameters: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return log P of each outcome, (M, 3)."""

    def scores(self, parameters: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the derivatives of log P in the parameters, (M, 3, k)."""


class _Binary:
    """Common to the models without ties: P(left) = F(row . parameters)."""

    extra = 0

    def start(self, width: int, counts: np.ndarray) -> np.ndarray:
        return np.zeros(width)

    def predictors(self, rows: np.ndarray) -> np.ndarray:
        return np.stack((rows, np.zeros_like(rows), np.full_like(rows, np.nan)), axis=1)

    def log_probabilities(self, parameters: np.ndarray, rows: np.ndarray) -> np.ndarray:
        eta = rows @ parameters
        return np.column_stack((self._log_cdf(eta), self._log_cdf(-eta), np.full(len(eta), -np.inf)))

    def scores(self, parameters: np.ndarray, rows: np.ndarray) -> np.ndarray:
        eta = rows @ parameters
        slopes = np.column_stack((self._slope(eta), -self._slope(-eta), np.zeros(len(eta))))
        return slopes[:, :, None] * rows[:, None, :]


class BradleyTerry(_Binary):
    """logit P(left) = l_left - l_right (+ d)."""

    scale = 1.0
    largest = 20.0

    @staticmethod
    def _log_cdf(eta: np.ndarray) -> np.ndarray:
        return special.log_expit(eta)

    @staticmethod
    def _slope(eta: np.ndarray) -> np.ndarray:
        return special.expit(-eta)


class Thurstone(_Binary):
    """Phi^-1 P(left) = q_left - q_right (+ d), reported in JOD: a difference of 1 is a preference of 75 %."""

    scale = float(1.0 / special.ndtri(0.75))
    largest = 6.0

    @staticmethod
    def _log_cdf(eta: np.ndarray) -> np.ndarray:
        return special.log_ndtr(eta)

    @staticmethod
    def _slope(eta: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * eta**2 - 0.5 * np.log(2.0 * np.pi) - special.log_ndtr(eta))


class Davidson:
    """Weights e^(D/2), e^(-D/2), nu with D = l_left - l_right (+ d): ties share the order effect's square root."""

    extra = 1
    scale = 1.0
    largest = 20.0

    def start(self, width: int, counts: np.ndarray) -> np.ndarray:
        ties, decisive = counts[:, TIE].sum(), counts[:, :TIE].sum()
        return np.append(np.zeros(width), np.log(2.0 * ties / decisive))

    def predictors(self, rows: np.ndarray) -> np.ndarray:
        none, tie = np.zeros((len(rows), 1)), np.zeros((len(rows), rows.shape[1] + 1))
        tie[:, -1] = 1.0
        return np.stack((np.hstack((0.5 * rows, none)), np.hstack((-0.5 * rows, none)), tie), axis=1)

    def log_probabilities(self, parameters: np.ndarray, rows: np.ndarray) -> np.ndarray:
        half = 0.5 * rows @ parameters[:-1]
        weights = np.column_stack((half, -half, np.full(len(half), parameters[-1])))
        return weights - special.logsumexp(weights, axis=1, keepdims=True)

    def scores(self, parameters: np.ndarray, rows: np.ndarray) -> np.ndarray:
        probabilities = np.exp(self.log_probabilities(parameters, rows))
        predictors = self.predictors(rows)
        return predictors - np.einsum("mo,mok->mk", probabilities, predictors)[:, None, :]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Maximum of a model's likelihood: parameters, inverse expected information, log-likelihood."""

    parameters: np.ndarray
    covariance: np.ndarray
    log_likelihood: float


def fit_counts(model: PairedModel, rows: np.ndarray, counts: np.ndarray, start: np.ndarray | None = None) -> Fit:
    """Fit a model to counts by Fisher scoring with step halving.

    Parameters
    ----------
    model : PairedModel
    rows : (M, k) float64
    counts : (M, 3) float64
    start : (k + extra,) float64, optional

    Raises
    ------
    ArithmeticError
        If the likelihood has no finite maximum.
    """
    parameters = model.start(rows.shape[1], counts) if start is None else start
    value = _log_likelihood(model, parameters, rows, counts)
    for _ in range(_ITERATIONS):
        scores, information = _information(model, parameters, rows, counts)
        try:
            step = np.linalg.solve(information, scores)
        except np.linalg.LinAlgError as error:
            raise ArithmeticError("the information matrix is singular: the strengths are not identified") from error
        if 0.5 * scores @ step <= _GAP:
            # One more step costs nothing and squares the error that is left.
            return _finished(model, parameters + step, rows, counts)
        parameters, value = _climb(model, parameters, step, value, rows, counts)
        if not np.abs(parameters).max() <= model.largest:
            break
    raise ArithmeticError("the likelihood has no finite maximum")


def fit_reduced(model: PairedModel, rows: np.ndarray, counts: np.ndarray) -> Fit:
    """Fit a model without ties under Firth's penalty, half the log-determinant of the information.

    In a logistic model the penalty adds h / 2 votes to either side of a row, h its leverage (summed over its votes);
    leverages are taken anew until they stay. The log-likelihood returned is that of the votes alone.

    References
    ----------
    Firth, Biometrika 80 (1993); Heinze and Schemper, Statistics in Medicine 21 (2002).
    """
    start, added = None, np.full(len(rows), 0.5 * rows.shape[1] / len(rows))
    for _ in range(_ITERATIONS):
        augmented = counts.copy()
        augmented[:, :2] += added[:, None]
        fit = fit_counts(model, rows, augmented, start)
        weights = np.exp(model.log_probabilities(fit.parameters, rows)[:, :2]).prod(axis=1) * counts.sum(axis=1)
        covariance = np.linalg.inv((rows * weights[:, None]).T @ rows)
        leverage = 0.5 * weights * np.einsum("mi,ij,mj->m", rows, covariance, rows)
        moved = float(np.abs(leverage - added).max())
        start, added = fit.parameters, leverage
        if moved < 1e-12 * max(1.0, float(added.max())):
            value = _log_likelihood(model, fit.parameters, rows, counts)
            return Fit(parameters=fit.parameters, covariance=covariance, log_likelihood=value)
    raise ArithmeticError("the bias-reduced strengths did not settle")


def _finished(model: PairedModel, parameters: np.ndarray, rows: np.ndarray, counts: np.ndarray) -> Fit:
    if not np.abs(parameters).max(initial=0.0) <= model.largest:
        raise ArithmeticError("the likelihood has no finite maximum")
    _, information = _information(model, parameters, rows, counts)
    value = _log_likelihood(model, parameters, rows, counts)
    try:
        covariance = np.linalg.inv(information)
    except np.linalg.LinAlgError as error:
        raise ArithmeticError("the information matrix is singular: the strengths are not identified") from error
    return Fit(parameters=parameters, covariance=covariance, log_likelihood=value)


def _climb(model, parameters, step, value, rows, counts):
    for halving in range(30):
        moved = parameters + 0.5**halving * step
        higher = _log_likelihood(model, moved, rows, counts)
        if higher >= value - 1e-12 * (1.0 + abs(value)):
            return moved, higher
    raise ArithmeticError("the likelihood does not rise along its gradient")


def _log_likelihood(model: PairedModel, parameters: np.ndarray, rows: np.ndarray, counts: np.ndarray) -> float:
    return float(np.sum(counts * np.where(counts > 0, model.log_probabilities(parameters, rows), 0.0)))


def _information(model: PairedModel, parameters: np.ndarray, rows: np.ndarray, counts: np.ndarray):
    by_outcome = model.scores(parameters, rows)
    expected = counts.sum(axis=1)[:, None] * np.exp(model.log_probabilities(parameters, rows))
    flat = by_outcome.reshape(counts.size, by_outcome.shape[2])
    return counts.ravel() @ flat, (expected.ravel()[:, None] * flat).T @ flat
