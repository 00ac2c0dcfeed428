"""Strengths of several arms from pairwise votes: Bradley-Terry, Davidson (ties) and Thurstone Case V."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy import stats

from analysis.inference.estimate import Estimate, refused
from analysis.inference.intervals import clamped_p, joined
from analysis.inference.separation import has_recession_direction
from analysis.ranking.arm_strengths import Split, arm_results, contrasts_of, strength_interval
from analysis.ranking.errors import StrengthErrors, bootstrap_errors, strength_errors
from analysis.ranking.options import RankingOptions
from analysis.ranking.paired_models import (
    BradleyTerry,
    Davidson,
    Design,
    Fit,
    PairedModel,
    Thurstone,
    design_of,
    fit_counts,
    fit_reduced,
)
from analysis.ranking.results import ArmStrength, Equality, Ranking
from analysis.ranking.win_matrix import WinMatrix, compare, components
from analysis.votes.table import VoteTable

__all__ = ["BOOTSTRAP", "bradley_terry", "davidson", "thurstone_case_v"]

_ERRORS = "errors clustered two-way by rater and pair, t with min(raters, pairs) - 1 df"
_BRADLEY_TERRY = f"Bradley-Terry log strengths of the decisive votes, sum zero, {_ERRORS}"
_THURSTONE = f"Thurstone Case V (probit) of the decisive votes in JOD (1 JOD = 75 % preference), sum zero, {_ERRORS}"
_DAVIDSON = (
    "Davidson log strengths with ties: weights pi_left e^(d/2), pi_right e^(-d/2), nu sqrt(pi_left pi_right), "
    f"sum zero, {_ERRORS}"
)
# Resamples of raters: the relative error of a standard deviation from 400 is 4 %.
BOOTSTRAP = 400


def bradley_terry(
    table: VoteTable, *, bootstrap: int = BOOTSTRAP, seed: int = 0, options: RankingOptions | None = None
) -> Ranking:
    """Return Bradley-Terry strengths, ``logit P(i beats j) = l_i - l_j (+ d for the left)``, ties left out.

    Parameters
    ----------
    table : VoteTable
        Votes between any number of arms.
    bootstrap : int
        Resamples of raters for ``se_bootstrap``; 0 leaves it out.
    seed : int
        Of the bootstrap.
    options : RankingOptions or None
        Left effect, reference arm, covariates, bias reduction.

    Returns
    -------
    Ranking
        Arms without finite strengths are refused one by one with the reason; unconnected groups of arms get ranks
        inside their group only.

    References
    ----------
    Bradley and Terry, Biometrika 39 (1952); Cameron, Gelbach and Miller, JBES 29 (2011).
    """
    options = options or RankingOptions()
    data = compare(table, ties=False, covariates=options.covariates)
    return _rank(data, BradleyTerry(), _BRADLEY_TERRY, bootstrap=bootstrap, seed=seed, options=options)


def thurstone_case_v(
    table: VoteTable, *, bootstrap: int = BOOTSTRAP, seed: int = 0, options: RankingOptions | None = None
) -> Ranking:
    """Return Thurstone Case V strengths in just-objectionable differences, ``Phi^-1 P(i beats j)`` times 1.4826.

    Parameters and refusals as in :func:`bradley_terry`.

    References
    ----------
    Thurstone, Psychological Review 34 (1927); Perez-Ortiz and Mantiuk, arXiv 1712.03686 (2017), for the unit.
    """
    options = options or RankingOptions()
    data = compare(table, ties=False, covariates=options.covariates)
    return _rank(data, Thurstone(), _THURSTONE, bootstrap=bootstrap, seed=seed, options=options)


def davidson(
    table: VoteTable, *, bootstrap: int = BOOTSTRAP, seed: int = 0, options: RankingOptions | None = None
) -> Ranking:
    """Return Davidson strengths and the tie parameter nu; two arms differ by log(W / L), with nu = T / sqrt(W L).

    Parameters and refusals as in :func:`bradley_terry`. Without a tie nu is 0 and the strengths are Bradley-Terry's;
    with ties only, strengths do not exist. With the order effect d the tie weight carries no order factor; in Davidson
    and Beaver's form nu is this one times e^(-d / 2).

    References
    ----------
    Davidson, JASA 65 (1970); Davidson and Beaver, Biometrics 33 (1977).
    """
    options = options or RankingOptions()
    data = compare(table, ties=True, covariates=options.covariates)
    if not data.ties.any():
        reason = "no ties: nu is 0 and has no standard error"
        ranking = _rank(data, BradleyTerry(), _DAVIDSON, bootstrap=bootstrap, seed=seed, options=options)
        if ranking.reason and not len(table):
            return replace(ranking, nu=refused(f"Davidson nu; {_DAVIDSON}", ranking.reason))
        return replace(ranking, nu=Estimate(method=f"Davidson nu; {_DAVIDSON}", estimate=0.0, reason=reason))
    # Then nothing tells arms apart, and nu would be infinite.
    if not data.wins.any():
        return _refusal(data, _DAVIDSON, "all votes are ties: strengths are not defined", has_ties=True)
    return _rank(data, Davidson(), _DAVIDSON, bootstrap=bootstrap, seed=seed, options=options)


def _rank(
    data: WinMatrix, model: PairedModel, method: str, *, bootstrap: int, seed: int, options: RankingOptions
) -> Ranking:
    has_ties = model.extra == 1
    is_reduced = options.bias_reduction and isinstance(model, BradleyTerry)
    method = f"{method}{_optional(data, options, is_reduced=is_reduced)}"
    if not len(data.crossing):
        return _refusal(data, method, "no votes" if has_ties else "no decisive votes", has_ties=has_ties)
    split = components(data.wins, data.ties)
    if is_reduced:
        # Firth's penalty keeps separated strengths finite; an arm that met no other has none all the same.
        split = [(members, None if len(members) > 1 else reason) for members, reason in split]
    usable = [members for members, reason in split if reason is None]
    if not usable:
        return _refusal(
            data,
            method,
            split[0][1] if len(split) == 1 else "no group of arms has finite strengths",
            has_ties=has_ties,
            split=split,
        )
    # Groups without finite strengths would pull the others' fit along to infinity.
    chosen = data.among(np.concatenate(usable))
    try:
        design, remark = _choose_design(chosen, usable, model, options, is_reduced=is_reduced)
        if design is None:
            return _refusal(data, method, remark, has_ties=has_ties, split=split)
        fit = (fit_reduced if is_reduced else fit_counts)(model, design.rows, chosen.counts)
    except ArithmeticError as error:
        return _refusal(data, method, str(error), has_ties=has_ties, split=split)
    errors = strength_errors(chosen, model, design, fit)
    boot, boot_remark = None, None
    # Resamples are separated more often than the votes: the plain fit would lose many of them.
    if not is_reduced:
        boot, boot_remark = bootstrap_errors(chosen, model, design, fit, resamples=bootstrap, seed=seed)
    contrasts = contrasts_of(data, usable, errors, method)
    return Ranking(
        method=method,
        arms=arm_results(data, split, errors, boot, contrasts, options.reference),
        covariates=_covariates(data, design, errors, method),
        position=_position(design, errors, method, remark),
        nu=_nu(fit, errors, method) if has_ties else None,
        equality=_equality(chosen, model, design, fit, errors, usable),
        contrasts=contrasts,
        wins=_rows(data.wins),
        ties=_rows(data.ties),
        log_likelihood=fit.log_likelihood,
        reason=joined(
            *(f"{_names(data, members)}: {why}" for members, why in split if why), remark, boot_remark, errors.reason
        ),
        **chosen.crossing.counts(),
    )


def _optional(data: WinMatrix, options: RankingOptions, *, is_reduced: bool) -> str:
    """Return what the options change, for the method in words."""
    if options.reference is not None and options.reference not in data.arms:
        raise ValueError(
            f"the reference {options.reference!r} is not in the votes; the arms are {', '.join(data.arms)}"
        )
    said = [
        "without an advantage of the left" if not options.left_effect else "",
        f"strengths relative to {options.reference}" if options.reference else "",
        "bias reduced by Firth's penalty" if is_reduced else "",
        f"at equal {', '.join(data.names)} of the images" if data.names else "",
    ]
    return "".join(f"; {words}" for words in said if words)


def _choose_design(
    data: WinMatrix, usable: list[np.ndarray], model: PairedModel, options: RankingOptions, *, is_reduced: bool
) -> tuple[Design | None, str | None]:
    """Take the advantage of the left into the model where it has a finite estimate; refuse strengths that have none."""
    confounded = "sides and arms are confounded: the advantage of the left is not estimable and left out"
    remark = confounded if options.left_effect else None
    reference = None if options.reference is None else data.arms.index(options.reference)
    design = design_of(data, usable, position=options.left_effect, reference=reference)
    if is_reduced:
        return design, None if design.has_position else remark
    if design.has_position:
        if not _is_separated(design, data, model):
            return design, None
        remark = "separation: the advantage of the left has no finite estimate beside these strengths and is left out"
        design = design_of(data, usable, position=False, reference=reference)
    if _is_separated(design, data, model):
        return (
            None,
            "separation: along some contrast of arms or ties every vote goes one way, no finite estimates exist",
        )
    return design, remark


def _is_separated(design: Design, data: WinMatrix, model: PairedModel) -> bool:
    outcomes = 3 if model.extra else 2
    return has_recession_direction(model.predictors(design.rows)[:, :outcomes], data.counts[:, :outcomes])


def _position(design: Design, errors: StrengthErrors, method: str, remark: str | None) -> Estimate:
    words = f"advantage d of the left image; {method}"
    if not design.has_position:
        return refused(words, remark or "not fitted", **errors.counts)
    which = design.freedom
    return strength_interval(float(errors.parameters[which]), errors.parameter_se(which), errors, words)


def _covariates(
    data: WinMatrix, design: Design, errors: StrengthErrors, method: str
) -> tuple[tuple[str, Estimate], ...]:
    """Return what one unit more of a covariate is worth, on the scale of the strengths."""
    first = design.freedom + design.has_position
    return tuple(
        (
            name,
            strength_interval(
                float(errors.parameters[first + place]),
                errors.parameter_se(first + place),
                errors,
                f"advantage of one unit more of {name}; {method}",
            ),
        )
        for place, name in enumerate(data.names)
    )


def _nu(fit: Fit, errors: StrengthErrors, method: str) -> Estimate:
    """nu with its interval on the log scale; there is no null value to test."""
    words = f"Davidson tie parameter nu, interval on the log scale; {method}"
    nu, se = math.exp(fit.parameters[-1]), errors.parameter_se(len(fit.parameters) - 1)
    if not se:
        return Estimate(
            method=words, estimate=nu, reason=errors.reason or "no interval: zero standard error", **errors.counts
        )
    half = float(stats.t.ppf(0.975, errors.df)) * se
    return Estimate(
        method=words,
        estimate=nu,
        ci95=(nu * math.exp(-half), nu * math.exp(half)),
        se=nu * se,
        df=errors.df,
        **errors.counts,
    )


def _equality(
    data: WinMatrix, model: PairedModel, design: Design, fit: Fit, errors: StrengthErrors, usable: list[np.ndarray]
) -> Equality:
    """Likelihood-ratio test of equal strengths (votes independent) and the Wald F test on the clustered covariance."""
    freedom = sum(len(members) - 1 for members in usable)
    null_rows = design.rows[:, freedom:]
    null = fit_counts(model, null_rows, data.counts)
    statistic = max(2.0 * (fit.log_likelihood - null.log_likelihood), 0.0)
    wald, p_wald = errors.wald_test(freedom)
    return Equality(
        likelihood_ratio=statistic,
        df=freedom,
        p_value=clamped_p(stats.chi2.sf(statistic, freedom)),
        wald_f=wald,
        wald_df=errors.df if wald is not None else None,
        wald_p_value=p_wald,
    )


def _refusal(
    data: WinMatrix, method: str, reason: str | None, *, has_ties: bool, split: Split | None = None
) -> Ranking:
    reason = reason or "no finite strengths exist"
    own = {int(arm): (number, why) for number, (members, why) in enumerate(split or ()) for arm in members}

    def refused_arm(arm: int, name: str) -> ArmStrength:
        number, why = own.get(arm, (None, None))
        return ArmStrength(arm=name, component=number, reason=why or reason)

    arms = tuple(refused_arm(arm, name) for arm, name in enumerate(data.arms))
    counts = data.crossing.counts()
    return Ranking(
        method=method,
        arms=arms,
        position=refused(f"advantage d of the left image; {method}", reason, **counts),
        nu=refused(f"Davidson tie parameter nu; {method}", reason, **counts) if has_ties else None,
        equality=None,
        contrasts=(),
        wins=_rows(data.wins),
        ties=_rows(data.ties),
        log_likelihood=None,
        reason=reason,
        **counts,
    )


def _rows(matrix: np.ndarray) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(value) for value in row) for row in matrix)


def _names(data: WinMatrix, members: np.ndarray) -> str:
    return ", ".join(data.arms[arm] for arm in members)
