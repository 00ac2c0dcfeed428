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
    "fit_many",
    "fit_reduced",
]

# Far more than Fisher scoring takes where there is a maximum.
_ITERATIONS = 100
# What a further step would add to the log-likelihood: below the rounding of a sum over votes.
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
    # Before the left effect is added: that one is left out silently, a covariate is not.
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
    # Strengths are differences; within each group of arms one of them has to be fixed.
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
        """Return log P of each outcome, (..., M, 3), of one parameter vector or of many, (..., k)."""

    def scores(self, parameters: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the derivatives of log P in the parameters, (..., M, 3, k)."""


class _Binary:
    """Common to the models without ties: P(left) = F(row . parameters)."""

    extra = 0

    @staticmethod
    def _log_cdf(eta: np.ndarray) -> np.ndarray:
        """Return log F."""
        raise NotImplementedError

    @staticmethod
    def _slope(eta: np.ndarray) -> np.ndarray:
        """Return the derivative of log F."""
        raise NotImplementedError

    def start(self, width: int, counts: np.ndarray) -> np.ndarray:
        return np.zeros(width)

    def predictors(self, rows: np.ndarray) -> np.ndarray:
        return np.stack((rows, np.zeros_like(rows), np.full_like(rows, np.nan)), axis=1)

    def log_probabilities(self, parameters: np.ndarray, rows: np.ndarray) -> np.ndarray:
        eta = parameters @ rows.T
        return np.stack((self._log_cdf(eta), self._log_cdf(-eta), np.full_like(eta, -np.inf)), axis=-1)

    def scores(self, parameters: np.ndarray, rows: np.ndarray) -> np.ndarray:
        eta = parameters @ rows.T
        slopes = np.stack((self._slope(eta), -self._slope(-eta), np.zeros_like(eta)), axis=-1)
        return slopes[..., None] * rows[:, None, :]


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
        # The maximum where all strengths are equal.
        return np.append(np.zeros(width), np.log(2.0 * ties / decisive))

    def predictors(self, rows: np.ndarray) -> np.ndarray:
        none, tie = np.zeros((len(rows), 1)), np.zeros((len(rows), rows.shape[1] + 1))
        tie[:, -1] = 1.0
        return np.stack((np.hstack((0.5 * rows, none)), np.hstack((-0.5 * rows, none)), tie), axis=1)

    def log_probabilities(self, parameters: np.ndarray, rows: np.ndarray) -> np.ndarray:
        half = 0.5 * parameters[..., :-1] @ rows.T
        weights = np.stack((half, -half, np.broadcast_to(parameters[..., -1:], half.shape)), axis=-1)
        # Log-sum-exp: large strengths would overflow.
        largest = weights.max(axis=-1, keepdims=True)
        return weights - largest - np.log(np.exp(weights - largest).sum(axis=-1, keepdims=True))

    def scores(self, parameters: np.ndarray, rows: np.ndarray) -> np.ndarray:
        probabilities = np.exp(self.log_probabilities(parameters, rows))
        predictors = self.predictors(rows)
        return predictors - np.einsum("...mo,mok->...mk", probabilities, predictors)[..., None, :]


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
    start = model.start(rows.shape[1], counts) if start is None else start
    (parameters,), (failure,) = fit_many(model, rows, counts[None].astype(np.float64), start)
    if failure:
        raise ArithmeticError(failure)
    _, information = _information(model, parameters[None], rows, counts[None])
    try:
        covariance = np.linalg.inv(information[0])
    except np.linalg.LinAlgError as error:
        raise ArithmeticError(_SINGULAR) from error
    value = float(_log_likelihood(model, parameters[None], rows, counts[None])[0])
    return Fit(parameters=parameters, covariance=covariance, log_likelihood=value)


def fit_reduced(model: PairedModel, rows: np.ndarray, counts: np.ndarray) -> Fit:
    """Fit a model without ties under Firth's penalty, half the log-determinant of the information.

    In a logistic model the penalty adds h / 2 votes to either side of a row, h its leverage (summed over its votes);
    leverages are taken anew until they stay. The log-likelihood returned is that of the votes alone.

    References
    ----------
    Firth, Biometrika 80 (1993); Heinze and Schemper, Statistics in Medicine 21 (2002).
    """
    # Leverages add up to the number of parameters: until they are known, each row has an equal share.
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
            value = float(_log_likelihood(model, fit.parameters[None], rows, counts[None])[0])
            return Fit(parameters=fit.parameters, covariance=covariance, log_likelihood=value)
    raise ArithmeticError("the bias-reduced strengths did not settle")


def fit_many(
    model: PairedModel, rows: np.ndarray, counts: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, list[str | None]]:
    """Fit a model to many tables of counts at once, each by Fisher scoring with step halving.

    Parameters
    ----------
    model : PairedModel
    rows : (M, k) float64
    counts : (B, M, 3) float64
    start : (k + extra,) float64
        Where every fit begins.

    Returns
    -------
    parameters : (B, k + extra) float64
    failures : list of str or None
        Why a table has no fit.
    """
    parameters = np.tile(start, (len(counts), 1))
    failures: list[str | None] = ["the likelihood has no finite maximum"] * len(counts)
    value = _log_likelihood(model, parameters, rows, counts)
    active = np.arange(len(counts))
    for _ in range(_ITERATIONS):
        if not len(active):
            break
        scores, information = _information(model, parameters[active], rows, counts[active])
        step, is_singular = _solved(information, scores)
        is_done = ~is_singular & (0.5 * np.einsum("bk,bk->b", scores, step) <= _GAP)
        # One more step costs nothing and squares the error that is left.
        parameters[active[is_done]] += step[is_done]
        for one in active[is_singular]:
            failures[one] = _SINGULAR
        for one in active[is_done]:
            failures[one] = None if np.abs(parameters[one]).max(initial=0.0) <= model.largest else failures[one]
        going = ~is_done & ~is_singular
        active, step = active[going], step[going]
        moved = _climb(model, parameters, value, active, step, rows, counts)
        for one in active[~moved]:
            failures[one] = "the likelihood does not rise along its gradient"
        active = active[moved]
        # A strength beyond that is on its way to infinity; going on only costs time.
        active = active[np.abs(parameters[active]).max(axis=1, initial=0.0) <= model.largest]
    return parameters, failures


_SINGULAR = "the information matrix is singular: the strengths are not identified"


def _solved(information: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the solution of each system and which of them is singular."""
    try:
        return np.linalg.solve(information, scores[..., None])[..., 0], np.zeros(len(scores), dtype=bool)
    except np.linalg.LinAlgError:
        pass
    # One singular table fails the whole stack: they are solved one by one to find it.
    step, is_singular = np.zeros_like(scores), np.zeros(len(scores), dtype=bool)
    for one, (matrix, side) in enumerate(zip(information, scores, strict=True)):
        try:
            step[one] = np.linalg.solve(matrix, side)
        except np.linalg.LinAlgError:
            is_singular[one] = True
    return step, is_singular


def _climb(
    model: PairedModel,
    parameters: np.ndarray,
    value: np.ndarray,
    active: np.ndarray,
    step: np.ndarray,
    rows: np.ndarray,
    counts: np.ndarray,
) -> np.ndarray:
    """Move the active fits, in place, by the longest of the halved steps that climbs; return which ones moved."""
    has_moved = np.zeros(len(active), dtype=bool)
    for halving in range(30):
        rest = np.flatnonzero(~has_moved)
        if not len(rest):
            break
        which = active[rest]
        tried = parameters[which] + 0.5**halving * step[rest]
        higher = _log_likelihood(model, tried, rows, counts[which])
        climbs = higher >= value[which] - 1e-12 * (1.0 + np.abs(value[which]))
        parameters[which[climbs]], value[which[climbs]] = tried[climbs], higher[climbs]
        has_moved[rest[climbs]] = True
    return has_moved


def _log_likelihood(model: PairedModel, parameters: np.ndarray, rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
    # 0 log 0 counts as 0: outcomes that cannot occur have log-probability minus infinity.
    return np.sum(counts * np.where(counts > 0, model.log_probabilities(parameters, rows), 0.0), axis=(-2, -1))


def _information(
    model: PairedModel, parameters: np.ndarray, rows: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores, (B, k), and the expected information, (B, k, k), of each table."""
    by_outcome = model.scores(parameters, rows)
    expected = counts.sum(axis=-1)[..., None] * np.exp(model.log_probabilities(parameters, rows))
    tables, cells = len(counts), counts.shape[1] * counts.shape[2]
    flat = by_outcome.reshape(tables, cells, by_outcome.shape[-1])
    weighted = expected.reshape(tables, cells, 1) * flat
    return (counts.reshape(tables, 1, cells) @ flat)[:, 0], np.swapaxes(weighted, 1, 2) @ flat
