"""What the variance of a vote is made of: raters, pairs and the rest, expected from a scenario or estimated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis.inference.crossing import crossing_of, sum_of_squares
from analysis.planning.simulation import Scenario
from analysis.preference.rate import headline
from analysis.votes.table import Comparison

__all__ = ["VarianceComponents", "estimated_components", "expected_components"]

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(48)


@dataclass(frozen=True, kw_only=True)
class VarianceComponents:
    """The expected rate and what a vote's variance is made of, on the scale of the score (0, 1/2, 1).

    Parameters
    ----------
    rate : float
        Preference rate with ties split, averaged over raters, pairs and sides.
    rater, pair, residual : float
        Variances between raters, between pairs, and of a vote about both (the rater x pair interaction included).
    """

    rate: float
    rater: float
    pair: float
    residual: float


# What a scenario may hold beside the behaviour that the quadrature integrates.
_NOT_PLANNED = {"strengths": None, "careless_share": 0.0, "sd_class": 0.0, "left_share": None, "repeats": 0}


def expected_components(scenario: Scenario) -> VarianceComponents:
    """Return the components that votes of a scenario have, by quadrature over raters and pairs.

    Raises
    ------
    ValueError
        If the scenario holds what is left out here: several arms, careless raters, classes that differ, unbalanced
        sides, repeats.
    """
    for name, plain in _NOT_PLANNED.items():
        if (value := getattr(scenario, name)) != plain:
            raise ValueError(f"{name} is {value}; planning leaves it out: give {plain}, or simulate the scenario")
    lapse_rate, tie_rate, shift = scenario.lapse_rate, scenario.tie_rate, scenario.position_bias / 2
    weight = _WEIGHTS / _WEIGHTS.sum()
    latent = (
        special.logit(scenario.preference) + scenario.sd_rater * _NODES[:, None] + scenario.sd_pair * _NODES[None, :]
    )
    attentive = 0.5 * (special.expit(latent + shift) + special.expit(latent - shift))
    tied = (1 - lapse_rate) * tie_rate
    wins = (1 - lapse_rate) * (1 - tie_rate) * attentive + lapse_rate / 2
    score = wins + tied / 2
    rate = float(weight @ score @ weight)
    by_rater, by_pair = score @ weight, weight @ score
    rater = float(weight @ (by_rater - rate) ** 2)
    pair = float(weight @ (by_pair - rate) ** 2)
    # E[s^2]: a win counts 1 and a tie a quarter.
    total = float(weight @ wins @ weight) + tied / 4 - rate**2
    return VarianceComponents(rate=rate, rater=rater, pair=pair, residual=total - rater - pair)


def estimated_components(comparison: Comparison) -> VarianceComponents:
    """Return the components of the votes at hand (a pilot), by Henderson's first method; negative ones become 0.

    Parameters
    ----------
    comparison : Comparison
        At least two raters and two pairs, and more votes than raters + pairs - 1.

    Raises
    ------
    ValueError
        If the design does not tell the three components apart.

    References
    ----------
    Henderson, Biometrics 9 (1953); Searle, Casella and McCulloch, Variance Components (1992), section 5.3.
    """
    crossing = crossing_of(comparison)
    votes, raters, pairs = len(comparison), crossing.n_raters, crossing.n_pairs
    if min(raters, pairs) < 2 or votes <= raters + pairs - 1:
        raise ValueError(
            f"{raters} raters x {pairs} pairs with {votes} votes do not separate the components; a pilot needs "
            f"at least 2 raters, 2 pairs and more votes than raters + pairs - 1"
        )
    load, seen = np.bincount(crossing.rater), np.bincount(crossing.pair)
    cells = crossing.cells()
    in_cell = np.bincount(cells)[cells]
    # Centred, or the sums of squares would be dominated by the mean.
    score = comparison.score - comparison.score.mean()
    squares = np.array(
        [
            sum_of_squares(score),
            (np.bincount(crossing.rater, weights=score) ** 2 / load).sum(),
            (np.bincount(crossing.pair, weights=score) ** 2 / seen).sum(),
        ]
    )
    # Rows: expectations of the three sums of squares, each less the one for the mean; columns: rater, pair, residual.
    mean = np.array([(load**2).sum() / votes, (seen**2).sum() / votes, 1.0])
    expected = np.array(
        [
            [votes, votes, votes],
            [votes, (in_cell / load[crossing.rater]).sum(), raters],
            [(in_cell / seen[crossing.pair]).sum(), votes, pairs],
        ]
    )
    matrix = expected - mean
    if np.linalg.matrix_rank(matrix) < 3:
        raise ValueError("the design confounds raters with pairs: no rater shares pairs with another in part")
    rater, pair, residual = np.maximum(np.linalg.solve(matrix, squares), 0.0)
    rate = headline(comparison).estimate
    if rate is None:
        raise ValueError("the votes have no preference rate to plan from")
    return VarianceComponents(rate=rate, rater=float(rater), pair=float(pair), residual=float(residual))
