"""Errors of strengths: model-based, clustered two-way by rater and pair, and by a bootstrap of raters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.inference.crossing import Crossing
from analysis.inference.estimate import Sizes
from analysis.inference.intervals import clamped_p
from analysis.ranking.paired_models import Design, Fit, PairedModel, fit_many
from analysis.ranking.win_matrix import OUTCOMES, WinMatrix

__all__ = ["StrengthErrors", "bootstrap_errors", "strength_errors"]

# A bootstrap that loses more resamples than this share says so and gives no error.
_MOST_LOST = 0.2
# Resamples are fitted so many at once that their scores take 80 MB at most.
_MOST_NUMBERS = 10_000_000
# So many weights of raters are drawn at once, 16 MB.
_MOST_DRAWN = 1_000_000


@dataclass(frozen=True, kw_only=True)
class StrengthErrors:
    """Strengths (in the unit reported) with their covariances; ``parts`` are the rater, pair and cell sandwiches.

    Parameters
    ----------
    strengths : (K,) float64
    map : (K, q) float64
        Strengths in the parameters, unit included.
    parameters : (q,) float64
    covariance : (q, q) float64
        Inverse information.
    parts : tuple of (q, q) float64, or None
        Sandwich covariances by rater, by pair and by rater x pair cell; None with fewer than two raters or pairs.
    """

    strengths: np.ndarray
    map: np.ndarray
    parameters: np.ndarray
    covariance: np.ndarray
    parts: tuple[np.ndarray, np.ndarray, np.ndarray] | None
    crossing: Crossing
    reason: str | None

    @property
    def counts(self) -> Sizes:
        return self.crossing.counts()

    @property
    def df(self) -> int:
        return self.crossing.df

    def model_se(self, contrast: np.ndarray) -> float:
        """Return the standard error of ``contrast . strengths`` with votes independent."""
        direction = contrast @ self.map
        return math.sqrt(direction @ self.covariance @ direction)

    def clustered_se(self, contrast: np.ndarray) -> float | None:
        """Return the two-way clustered standard error of ``contrast . strengths``."""
        return self._floored(contrast @ self.map)

    def parameter_se(self, which: int) -> float | None:
        """Return the two-way clustered standard error of one parameter."""
        return self._floored(np.eye(len(self.parameters))[which])

    def _floored(self, direction: np.ndarray) -> float | None:
        """V = max(V_r + V_p - V_rp, V_r, V_p), as for the headline."""
        if self.parts is None:
            return None
        rater, pair, cell = (float(direction @ part @ direction) for part in self.parts)
        # Per contrast: for a whole matrix such a floor is not defined.
        return math.sqrt(max(rater + pair - cell, rater, pair, 0.0))

    def model_covariance(self, members: np.ndarray) -> np.ndarray:
        """Return the model-based covariance of some arms' strengths."""
        rows = self.map[members]
        return rows @ self.covariance @ rows.T

    def clustered_covariance(self, members: np.ndarray) -> np.ndarray | None:
        """Return the clustered covariance of some arms' strengths, None without clusters."""
        if self.parts is None:
            return None
        rows = self.map[members]
        return rows @ _joint(self.parts) @ rows.T

    def wald_test(self, freedom: int) -> tuple[float | None, float | None]:
        """Return F and p of the test that the first ``freedom`` parameters are 0, on the clustered covariance."""
        if self.parts is None:
            return None, None
        joint = _joint(self.parts)[:freedom, :freedom]
        # Fewer clusters than contrasts leave a singular covariance, under which F means nothing.
        if np.linalg.eigvalsh(joint)[0] <= 1e-12 * np.trace(joint):
            return None, None
        wanted = self.parameters[:freedom]
        statistic = float(wanted @ np.linalg.solve(joint, wanted)) / freedom
        return statistic, clamped_p(stats.f.sf(statistic, freedom, self.df))


def _joint(parts: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """V_r + V_p - V_rp, or V_r + V_p where the subtraction leaves no covariance matrix."""
    rater, pair, cell = parts
    joint = rater + pair - cell
    return joint if np.linalg.eigvalsh(joint)[0] > 0.0 else rater + pair


def strength_errors(data: WinMatrix, model: PairedModel, design: Design, fit: Fit) -> StrengthErrors:
    """Return the strengths of a fit with their model-based and clustered covariances."""
    crossing = data.crossing
    padded = np.hstack((design.strengths, np.zeros((len(data.arms), model.extra)))) * model.scale
    reason, parts = None, None
    if few := crossing.few_units():
        reason = f"no interval: {few}, and two-way clustering needs at least 2 raters and 2 pairs"
    else:
        parts = _sandwiches(data, model, design, fit)
    return StrengthErrors(
        strengths=padded @ fit.parameters,
        map=padded,
        parameters=fit.parameters,
        covariance=fit.covariance,
        parts=parts,
        crossing=crossing,
        reason=reason,
    )


def _sandwiches(
    data: WinMatrix, model: PairedModel, design: Design, fit: Fit
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bread (inverse expected information) around the clustered sums of scores, each with its G / (G - 1)."""
    crossing = data.crossing
    influence = model.scores(fit.parameters, design.rows).reshape(len(data.left) * OUTCOMES, -1) @ fit.covariance

    def clustered(cluster: np.ndarray) -> np.ndarray:
        clusters = int(cluster.max()) + 1
        sums = data.cluster_counts(cluster, clusters) @ influence
        return sums.T @ sums * clusters / (clusters - 1)

    return clustered(crossing.unit), clustered(crossing.pair), _of_cells(data, influence, clustered)


def _of_cells(data: WinMatrix, influence: np.ndarray, clustered: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    votes = len(data.crossing)
    if data.crossing.filled_unit_cells() < votes:
        return clustered(data.crossing.unit_cells())
    # One vote a cell is the common design: votes alike add up the same, and no table of cells is built.
    return (influence * data.counts.reshape(-1, 1)).T @ influence * votes / (votes - 1)


def bootstrap_errors(
    data: WinMatrix, model: PairedModel, design: Design, fit: Fit, *, resamples: int, seed: int
) -> tuple[np.ndarray | None, str | None]:
    """Return the standard deviation of each strength over resamples of raters, and a remark on resamples without a fit.

    Parameters
    ----------
    resamples : int
        0 for none.

    Returns
    -------
    errors : (K,) float64 or None
    remark : str or None
    """
    raters = data.crossing.n_units
    if resamples < 2 or raters < 2:
        return None, None
    totals = _resampled(data, resamples, np.random.default_rng(seed))
    size = max(1, _MOST_NUMBERS // (max(design.rows.size, 1) * OUTCOMES))
    kept = np.concatenate(
        [_refits(model, design, fit, totals[begin : begin + size]) for begin in range(0, resamples, size)]
    )
    lost = resamples - len(kept)
    remark = f"{lost} of {resamples} bootstrap resamples of raters have no finite strengths" if lost else None
    if lost > _MOST_LOST * resamples:
        return None, remark
    return (kept @ design.strengths.T * model.scale).std(axis=0, ddof=1), remark


def _resampled(data: WinMatrix, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return the votes of each resample of raters, (resamples, 3 M): what the strengths are fitted to anew."""
    raters = data.crossing.n_units
    counts = data.cluster_counts(data.crossing.unit, raters).T
    found = []
    size = max(1, _MOST_DRAWN // raters)
    for begin in range(0, resamples, size):
        # Raters drawn with replacement are multinomial weights: no table of votes is built for a resample.
        weights = rng.multinomial(raters, np.full(raters, 1.0 / raters), size=min(size, resamples - begin))
        found.append((counts @ weights.T.astype(np.float64)).T)
    return np.concatenate(found)


def _refits(model: PairedModel, design: Design, fit: Fit, totals: np.ndarray) -> np.ndarray:
    """Return the parameters of the resamples that have finite strengths."""
    parameters, failures = fit_many(
        model, design.rows, totals.reshape(len(totals), len(design.rows), OUTCOMES), fit.parameters
    )
    has_fit = np.array([failure is None for failure in failures])
    return parameters[has_fit, : design.rows.shape[1]]
