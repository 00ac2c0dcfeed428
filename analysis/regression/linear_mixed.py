"""Linear mixed model of the scores, raters crossed with pairs: profiled REML with Satterthwaite degrees of freedom."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from analysis.inference.blas_threads import on_one_blas_thread
from analysis.inference.crossing import Crossing, crossing_of, site_lack
from analysis.inference.estimate import Estimate, refused
from analysis.inference.intervals import few_units_warning, joined, rate_interval
from analysis.preference.rate import two_way_t
from analysis.regression.cross_table import CrossTable, cross_table
from analysis.regression.crossed_effects import MOST_DENSE_LEVELS, CrossedFactor
from analysis.regression.grams import load_grams
from analysis.votes.table import Comparison

__all__ = ["RemlFit", "fit_reml", "lmm"]

_MODEL = (
    "linear mixed model of the scores (ties 1/2) with crossed random intercepts of raters and pairs{side}, "
    "REML, Satterthwaite t interval"
)
# Far more than a fit takes: one that runs into it is refused by name.
_ITERATIONS = 200
# Half the Newton decrement of the REML criterion, in log-likelihood units, at which the search stops.
_GAP = 1e-12
# Of the deviance, relative: a few times the distance between neighbouring floating-point numbers.
_ROUNDING = 1e-13
_SMALL_SCALE = 0.05
# Scores lie in [0, 1]: a random effect with a hundred times the residual SD leaves no residual.
_LARGEST_SCALE = 100.0
_SINGULAR_GAP = 1e-7
_DIFFERENCE_STEP = 1e-4


@dataclass(frozen=True, kw_only=True)
class RemlFit:
    """REML estimates of ``s = mu (+ gamma x) + u_rater + v_pair + e``.

    Parameters
    ----------
    beta : (k,) float64
        mu, and gamma where both sides were shown.
    covariance : (k, k) float64
        Of beta, at the estimated variances.
    sd_rater, sd_pair, sd_residual : float
        0 where the fit is singular in that factor.
    df : (k,) float64 or None
        Satterthwaite degrees of freedom; None in a singular fit.
    log_likelihood : float
        Maximum of the restricted log-likelihood.
    """

    beta: np.ndarray
    covariance: np.ndarray
    sd_rater: float
    sd_pair: float
    sd_residual: float
    df: np.ndarray | None
    log_likelihood: float


def lmm(comparison: Comparison) -> Estimate:
    """Return the preference rate by the crossed linear mixed model, REML and Satterthwaite degrees of freedom.

    Parameters
    ----------
    comparison : Comparison
        Ties count 1/2. The side shown is a fixed effect where both sides occur: the rate is the one at balanced sides.

    Returns
    -------
    Estimate
        Rate, interval, p against 1/2. A singular fit (a variance estimated at 0 or not identified) gives the crossed
        two-way interval in its place and says which component it is; constant scores, one rater, one pair are refused.

    References
    ----------
    Bates et al., J. Stat. Software 67 (2015); Kuznetsova et al., J. Stat. Software 82 (2017).
    """
    has_sides = _has_sides(comparison)
    method = _MODEL.format(side=" and the side shown" if has_sides else "")
    crossing = crossing_of(comparison)
    lack = _lack(comparison, crossing)
    if lack:
        return refused(method, lack, **crossing.counts())
    # Before the fit: the criterion is flat between that unit's variance and the residual one.
    if len(comparison) <= max(crossing.n_raters, crossing.n_pairs):
        unit = "rater" if crossing.n_raters >= crossing.n_pairs else "pair"
        cause = f"one vote per {unit}, whose variance cannot be told from the votes' own"
        return _fallback(comparison, cause, adjusted=has_sides)
    try:
        fit = fit_reml(comparison)
    except ArithmeticError as error:
        return _fallback(comparison, str(error), adjusted=has_sides)
    zero = [name for name, sd in (("raters", fit.sd_rater), ("pairs", fit.sd_pair)) if sd == 0.0]
    if zero:
        return _fallback(comparison, f"the variance of {' and '.join(zero)} is estimated at 0", adjusted=has_sides)
    if fit.df is None:
        return _fallback(comparison, "the variances are not identified", adjusted=has_sides)
    return rate_interval(
        float(fit.beta[0]),
        math.sqrt(fit.covariance[0, 0]),
        df=float(fit.df[0]),
        method=method,
        reason=few_units_warning(crossing),
        counts=crossing.counts(),
    )


def _has_sides(comparison: Comparison) -> bool:
    return bool((comparison.side > 0).any() and (comparison.side < 0).any())


def _lack(comparison: Comparison, crossing: Crossing) -> str | None:
    if not len(comparison):
        return "no votes"
    if min(crossing.n_raters, crossing.n_pairs) < 2:
        unit = "rater" if crossing.n_raters < 2 else "pair"
        return f"only 1 {unit}; a crossed model needs at least 2 raters and 2 pairs"
    if lack := site_lack(crossing):
        return lack
    if comparison.score.min() == comparison.score.max():
        return f"constant score: every vote scores {comparison.score[0]:g}, no variance to divide"
    if min(crossing.n_raters, crossing.n_pairs) > MOST_DENSE_LEVELS:
        return (
            f"both factors have more than {MOST_DENSE_LEVELS} levels, more than the dense elimination holds in memory"
        )
    return _exact_fit(comparison)


def _exact_fit(comparison: Comparison) -> str | None:
    for shown in (comparison.side > 0, comparison.side < 0):
        scores = comparison.score[shown]
        if len(scores) and scores.min() != scores.max():
            return None
    return "the side shown decides every score, no variance to divide"


def _fallback(comparison: Comparison, cause: str, *, adjusted: bool) -> Estimate:
    result = two_way_t(comparison, adjusted=adjusted)
    reason = f"linear mixed model singular ({cause}): the crossed two-way interval stands in its place"
    return replace(result, reason=joined(reason, result.reason))


class _Criterion:
    """REML criterion in the scales (theta_rater, theta_pair) = SDs over the residual SD, from sufficient statistics."""

    def __init__(self, comparison: Comparison) -> None:
        crossing = crossing_of(comparison)
        self.raters_are_rows = crossing.n_raters >= crossing.n_pairs
        codes = (crossing.rater, crossing.pair, crossing.n_raters, crossing.n_pairs)
        rows, columns, n_rows, n_columns = codes if self.raters_are_rows else (codes[1], codes[0], codes[3], codes[2])
        self.table: CrossTable = cross_table(rows, columns, n_rows, n_columns)
        fixed = [np.ones(len(comparison)), comparison.side] if _has_sides(comparison) else [np.ones(len(comparison))]
        # Centring the score keeps the residual sum of squares free of cancellation; mu is shifted back at the end.
        self.centre = float(comparison.score.mean())
        columns_of = [*fixed, comparison.score - self.centre]
        self.width, self.votes = len(fixed), len(comparison)
        # Sums over votes are taken once: each evaluation afterwards costs levels and not votes.
        self.products = np.array([[float(one @ other) for other in columns_of] for one in columns_of])
        self.row_sums = np.column_stack([self.table.row_sums(column) for column in columns_of])
        self.column_sums = np.column_stack([self.table.column_sums(column) for column in columns_of])
        self.counts = np.ones(len(comparison))
        self.grams = load_grams(self.table)

    def by_factor(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return votes and summed centred scores of each level, raters before pairs."""
        found = [(sums[:, 0], sums[:, -1]) for sums in (self.row_sums, self.column_sums)]
        return found if self.raters_are_rows else found[::-1]

    def at(self, theta: np.ndarray) -> _RemlPoint:
        """Evaluate log-determinants, cross products and their derivatives at one (theta_rater, theta_pair)."""
        row_sd, column_sd = (float(scale) for scale in (theta if self.raters_are_rows else theta[::-1]))
        factor = CrossedFactor(self.table, self.counts, row_sd, column_sd, grams=self.grams)
        row, column = factor.solve(row_sd * self.row_sums, column_sd * self.column_sums)
        cross = self.products - row_sd * self.row_sums.T @ row - column_sd * self.column_sums.T @ column
        traces = factor.scale_traces(factor.inverse() if self.grams is None else None)
        # Z_row' V^-1 c = solution / theta, so that d(c' V^-1 c) / d theta = -2 |Z_row' V^-1 c|^2 theta.
        parts = ((row_sd, row), (column_sd, column))
        # At a scale of 0 the limit is 0 as well.
        slopes = [-2.0 / scale * part.T @ part if scale else 0.0 * cross for scale, part in parts]
        order = slice(None) if self.raters_are_rows else slice(None, None, -1)
        return _RemlPoint(
            width=self.width,
            freedom=self.votes - self.width,
            log_determinant=factor.log_determinant(),
            traces=np.array(traces[order]),
            cross=cross,
            slopes=slopes[order],
        )


@dataclass(frozen=True, kw_only=True)
class _RemlPoint:
    """Everything the REML criterion needs at one theta; ``cross`` is [X y]' V^-1 [X y], V over the residual one."""

    width: int
    freedom: int
    log_determinant: float
    traces: np.ndarray
    cross: np.ndarray
    slopes: list[np.ndarray]

    @property
    def inverse_information(self) -> np.ndarray:
        return np.linalg.inv(self.cross[: self.width, : self.width])

    @property
    def beta(self) -> np.ndarray:
        return self.inverse_information @ self.cross[: self.width, -1]

    @property
    def residual_sum(self) -> float:
        return float(self.cross[-1, -1] - self.cross[-1, : self.width] @ self.beta)

    @property
    def deviance(self) -> float:
        """-2 restricted log-likelihood, the residual variance profiled out."""
        scale = 2 * math.pi * self.residual_sum / self.freedom
        information = np.linalg.slogdet(self.cross[: self.width, : self.width])[1]
        return self.log_determinant + float(information) + self.freedom * (1.0 + math.log(scale))

    def slope(self, variance: float) -> np.ndarray:
        """Derivative of -2 restricted log-likelihood in theta at a fixed residual variance."""
        contrast = np.append(-self.beta, 1.0)
        information = [
            float(np.sum(self.inverse_information * part[: self.width, : self.width])) for part in self.slopes
        ]
        residual = [float(contrast @ part @ contrast) for part in self.slopes]
        return self.traces + np.array(information) + np.array(residual) / variance

    @property
    def gradient(self) -> np.ndarray:
        return self.slope(self.residual_sum / self.freedom)


@on_one_blas_thread
def fit_reml(comparison: Comparison) -> RemlFit:
    """Fit the crossed linear mixed model by REML.

    Parameters
    ----------
    comparison : Comparison
        At least two raters and pairs, more votes than levels of either, scores not constant.

    Raises
    ------
    ArithmeticError
        If the criterion has no minimum: raters, pairs and the side shown explain every score.
    """
    criterion = _Criterion(comparison)
    theta, point = _minimise(criterion, _start(criterion), np.array([True, True]))
    for which in (0, 1):
        # The criterion is even: a minimum near zero is compared with the model without that factor.
        free = theta != 0.0
        if free[which] and abs(theta[which]) < _SMALL_SCALE:
            free[which] = False
            other = _minimise(criterion, np.where(free, theta, 0.0), free)
            if other[1].deviance <= point.deviance + _SINGULAR_GAP:
                theta, point = other
    theta = np.abs(theta)
    variance = point.residual_sum / point.freedom
    beta = point.beta.copy()
    beta[0] += criterion.centre
    sigma = math.sqrt(variance)
    return RemlFit(
        beta=beta,
        covariance=variance * point.inverse_information,
        sd_rater=float(theta[0]) * sigma,
        sd_pair=float(theta[1]) * sigma,
        sd_residual=sigma,
        df=_satterthwaite(criterion, theta, point, variance) if theta.all() else None,
        log_likelihood=-0.5 * point.deviance,
    )


def _minimise(criterion: _Criterion, start: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, _RemlPoint]:
    """BFGS in theta with backtracking; the criterion is even in each theta, so no bound is needed."""
    theta, point = start.copy(), criterion.at(start)
    inverse = np.diag(np.where(free, _expected_spread(criterion, start), 0.0))
    gradient = point.gradient
    for _ in range(_ITERATIONS):
        step = -inverse @ gradient
        if -0.25 * float(gradient @ step) <= _GAP:
            return theta, point
        step *= min(1.0, 1.0 / np.abs(step).max())
        part = 1.0
        # Near the minimum the sum over all votes rounds by more than a step gains: the gradient alone leads on.
        rounding = _ROUNDING * abs(point.deviance)
        while (moved := criterion.at(theta + part * step)).deviance > (
            point.deviance + 1e-4 * part * gradient @ step + rounding
        ):
            part *= 0.4
            if part < 1e-8:
                return theta, point
        slope = moved.gradient
        change, bend = part * step, slope - gradient
        # Without positive curvature BFGS would lose definiteness; the old matrix serves on.
        if float(change @ bend) > 0.0:
            left = np.eye(2) - np.outer(change, bend) / float(change @ bend)
            inverse = left @ inverse @ left.T + np.outer(change, change) / float(change @ bend)
        theta, point, gradient = theta + change, moved, slope
        if np.abs(theta).max() > _LARGEST_SCALE:
            raise ArithmeticError("raters, pairs and the side shown explain every score, no residual variance is left")
    raise ArithmeticError(f"REML did not converge in {_ITERATIONS} iterations; theta = {theta}")


def _start(criterion: _Criterion) -> np.ndarray:
    """Return starting scales from the sums of squares between levels, as if each factor were alone, in [0.1, 2]."""
    votes, total = criterion.votes, float(criterion.products[-1, -1])
    found = []
    for loads, sums in criterion.by_factor():
        between = float((sums**2 / loads).sum())
        within = (total - between) / (votes - len(loads))
        load = (votes - float((loads**2).sum()) / votes) / (len(loads) - 1)
        # The one-way analysis of variance, as if each factor were alone.
        ratio = (between / (len(loads) - 1) - within) / (load * within) if within > 0 else math.inf
        found.append(math.sqrt(min(max(ratio, 0.01), 4.0)))
    return np.array(found)


def _expected_spread(criterion: _Criterion, theta: np.ndarray) -> list[float]:
    """Return a guess of the inverse curvature of the criterion in each scale, exact for one balanced factor."""
    spread = []
    for (loads, _), scale in zip(criterion.by_factor(), theta, strict=True):
        signal = scale**2 * criterion.votes / len(loads)
        spread.append((1.0 + signal) ** 2 / (4.0 * len(loads) * max(signal, 0.1) * criterion.votes / len(loads)))
    return spread


def _satterthwaite(criterion: _Criterion, theta: np.ndarray, point: _RemlPoint, variance: float) -> np.ndarray | None:
    """df = 2 v^2 / (g' A g): v the variance of a coefficient, g its gradient in (theta, sigma), A their covariance."""
    sigma, freedom, width = math.sqrt(variance), point.freedom, point.width
    hessian = np.zeros((3, 3))
    for which in (0, 1):
        step = np.zeros(2)
        step[which] = _DIFFERENCE_STEP
        ahead, behind = criterion.at(theta + step), criterion.at(theta - step)
        hessian[which, :2] = (ahead.slope(variance) - behind.slope(variance)) / (2 * _DIFFERENCE_STEP)
    contrast = np.append(-point.beta, 1.0)
    hessian[2, :2] = [-2.0 / sigma**3 * float(contrast @ part @ contrast) for part in point.slopes]
    hessian[:2, :2] = 0.5 * (hessian[:2, :2] + hessian[:2, :2].T)
    hessian[:2, 2] = hessian[2, :2]
    # Second derivatives of -2 l in (theta, theta, sigma); those in sigma have a closed form.
    hessian[2, 2] = -2.0 * freedom / variance + 6.0 * point.residual_sum / variance**2
    if np.linalg.eigvalsh(hessian)[0] <= 0:
        return None
    # Twice, for the criterion is -2 times the log-likelihood.
    spread = 2.0 * np.linalg.inv(hessian)
    inverse = point.inverse_information
    by_theta = [-variance * inverse @ part[:width, :width] @ inverse for part in point.slopes]
    gradients = np.array([np.diagonal(part) for part in (*by_theta, 2.0 * sigma * inverse)])
    value = variance * np.diagonal(inverse)
    return 2.0 * value**2 / np.einsum("ik,ij,jk->k", gradients, spread, gradients)
