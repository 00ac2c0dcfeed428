"""Several arms as a tournament: which comparisons were made, and whether their majorities run in circles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations

import numpy as np
from scipy import special

from analysis.inference.intervals import clamped_p
from analysis.ranking.results import Ranking

__all__ = ["Coverage", "Cycles", "coverage_of", "cycles_of"]

# The Monte-Carlo error of a p-value near 0.05 is then half a point.
_DRAWS = 2000
# Tournaments in memory at once.
_BATCH = 200
_MOST_NAMED = 10


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Which of the comparisons of K arms have votes.

    Parameters
    ----------
    comparisons, compared : int
        K (K - 1) / 2, and those of them with a vote.
    fewest, median, most : float or None
        Votes a comparison that was made, ties included.
    not_compared : tuple of (str, str)
        The first ten comparisons without a vote.
    """

    comparisons: int
    compared: int
    fewest: int | None
    median: float | None
    most: int | None
    not_compared: tuple[tuple[str, str], ...]

    def as_json(self) -> dict:
        return asdict(self) | {"not_compared": [list(names) for names in self.not_compared]}


@dataclass(frozen=True, kw_only=True)
class Cycles:
    """Three arms of which each was chosen more often than the next, in a circle.

    Parameters
    ----------
    triples : int
        Sets of three arms with a majority in each of their three comparisons.
    observed : int
        Of them circular.
    expected : float or None
        Circular ones where the strengths hold exactly, and chance alone decides close comparisons.
    p_value : float or None
        Share of simulated tournaments with at least as many.
    examples : tuple of (str, str, str)
        The first ten: the first arm was chosen over the second, the second over the third, the third over the first.
    reason : str or None
    """

    triples: int
    observed: int
    expected: float | None
    p_value: float | None
    examples: tuple[tuple[str, str, str], ...]
    reason: str | None = None

    def as_json(self) -> dict:
        return asdict(self) | {"examples": [list(names) for names in self.examples]}


def coverage_of(ranking: Ranking) -> Coverage:
    """Return which comparisons of a ranking's arms have votes; one with ties knows them all."""
    wins, ties = _square(ranking.wins), _square(ranking.ties)
    met = wins + wins.T + ties
    names = [arm.arm for arm in ranking.arms]
    made = [int(met[one, other]) for one, other in combinations(range(len(names)), 2)]
    missing = [(names[one], names[other]) for one, other in combinations(range(len(names)), 2) if not met[one, other]]
    counts = np.array([votes for votes in made if votes])
    return Coverage(
        comparisons=len(made),
        compared=len(counts),
        fewest=int(counts.min()) if len(counts) else None,
        median=float(np.median(counts)) if len(counts) else None,
        most=int(counts.max()) if len(counts) else None,
        not_compared=tuple(missing[:_MOST_NAMED]),
    )


def cycles_of(ranking: Ranking, *, seed: int = 0) -> Cycles:
    """Count circular triples of a ranking's majorities, and hold them against what its strengths predict.

    Parameters
    ----------
    ranking : Ranking
        Bradley-Terry's: its strengths put every arm on one line, on which circles come from chance alone.
    seed : int
        Of the simulated tournaments: the votes of each comparison are drawn anew with the model's chances. Votes of one
        rater or pair go together, so each comparison counts for its votes divided by the design effect, the clustered
        variance of the strengths over that of independent votes; taken as independent, comparisons would look firmer
        than they are, and circles too surprising.

    Returns
    -------
    Cycles
        Without an expectation where an arm has no finite strength.

    References
    ----------
    Kendall and Babington Smith, Biometrika 31 (1940), for circular triads.
    """
    wins = _square(ranking.wins)
    beats = wins > wins.T
    found = Cycles(
        triples=_triples(beats),
        observed=int(_circular(beats)),
        expected=None,
        p_value=None,
        examples=_examples(beats, [arm.arm for arm in ranking.arms]),
    )
    strengths = [arm.strength for arm in ranking.arms]
    known = [value for value in strengths if value is not None]
    if found.triples == 0:
        return replace(found, reason="no three arms have a majority in all comparisons")
    if len(known) < len(strengths):
        reason = "some arms have no finite strength, so nothing says how many circles chance would make"
        return replace(found, reason=reason)
    counts = np.maximum(np.rint((wins + wins.T) / _design_effect(ranking)), (wins + wins.T) > 0).astype(np.int64)
    drawn = _simulated(np.array(known), counts, np.random.default_rng(seed))
    # The observed tournament is one of those that could have been: never a p-value of 0.
    p_value = (1 + np.count_nonzero(drawn >= found.observed)) / (1 + len(drawn))
    return replace(found, expected=float(drawn.mean()), p_value=clamped_p(float(p_value)))


def _square(rows: tuple[tuple[int, ...], ...]) -> np.ndarray:
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(rows))


def _design_effect(ranking: Ranking) -> float:
    """Return the median over arms of the clustered variance of a strength over its variance of independent votes."""
    ratios = [(arm.se_clustered / arm.se) ** 2 for arm in ranking.arms if arm.se and arm.se_clustered]
    return max(1.0, float(np.median(ratios))) if ratios else 1.0


def _simulated(strengths: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the circular triples of drawn tournaments, (draws,) float64."""
    chance = special.expit(strengths[:, None] - strengths[None, :])
    upper = np.triu(np.ones_like(counts, dtype=bool), 1)
    found = []
    for _ in range(_DRAWS // _BATCH):
        won = rng.binomial(counts, chance, size=(_BATCH, *counts.shape))
        ahead = (2 * won > counts) & upper
        behind = (2 * won < counts) & upper
        found.append(_circular(ahead | behind.transpose(0, 2, 1)))
    return np.concatenate(found)


def _circular(beats: np.ndarray) -> np.ndarray:
    """Return the number of circular triples of tournaments, (..., K, K) bool: a third of the closed walks of three."""
    edges = beats.astype(np.float64)
    return np.rint(np.einsum("...ij,...ji->...", edges @ edges, edges) / 3.0)


def _triples(beats: np.ndarray) -> int:
    decided = (beats | beats.T).astype(np.float64)
    return int(np.rint(np.einsum("ij,ji->", decided @ decided, decided) / 6.0))


def _examples(beats: np.ndarray, names: Sequence[str]) -> tuple[tuple[str, str, str], ...]:
    found = []
    for one, other in np.argwhere(beats).tolist():
        for third in np.flatnonzero(beats[other] & beats[:, one]).tolist():
            # Each circle once: from its first arm.
            if one < other and one < third:
                found.append((names[one], names[other], names[third]))
                if len(found) == _MOST_NAMED:
                    return tuple(found)
    return tuple(found)
