"""Several arms: coverage of their comparisons, and circles beyond what the strengths predict."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.ranking.results import Ranking
from analysis.ranking.tournament import coverage_of, cycles_of

__all__ = ["tournament_section"]


def tournament_section(ranking: Mapping[str, Ranking] | None, *, seed: int) -> dict:
    """Return the report's ``tournament``: null parts with the reason where there are fewer than three arms.

    Parameters
    ----------
    ranking : mapping of str to Ranking, or None
        Davidson's knows all votes, ties included; Bradley-Terry's strengths predict the majorities.
    seed : int
    """
    if ranking is None or len(ranking["davidson"].arms) < 3:
        return {"coverage": None, "cycles": None, "reason": "fewer than three arms"}
    return {
        "coverage": coverage_of(ranking["davidson"]).as_json(),
        "cycles": cycles_of(ranking["bradley_terry"], seed=seed).as_json(),
        "reason": None,
    }
