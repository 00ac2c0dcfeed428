"""Counts of votes: wins, losses and ties, by side, rater, pair and class. An empty table counts zero everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.inference.crossing import group_index
from analysis.votes.table import LEFT, RIGHT, TIE, Comparison, VoteTable

__all__ = ["Counts", "LoadSummary", "SideCounts", "count_sides", "count_votes", "load_summary"]


@dataclass(frozen=True)
class Counts:
    """Votes for the arm, for the baseline, and ties."""

    wins: int
    losses: int
    ties: int

    @property
    def votes(self) -> int:
        return self.wins + self.losses + self.ties

    @property
    def decisive(self) -> int:
        return self.wins + self.losses

    @property
    def rate(self) -> float | None:
        """Vote-weighted preference rate, ties split; None without votes."""
        return (self.wins + 0.5 * self.ties) / self.votes if self.votes else None

    @property
    def decisive_rate(self) -> float | None:
        """wins / (wins + losses); None without decisive votes."""
        return self.wins / self.decisive if self.decisive else None

    def as_json(self) -> dict[str, int]:
        return {"wins": self.wins, "losses": self.losses, "ties": self.ties}


def count_votes(comparison: Comparison) -> Counts:
    """Return how often the arm won, lost and tied."""
    wins = int(np.count_nonzero(comparison.score == 1.0))
    losses = int(np.count_nonzero(comparison.score == 0.0))
    return Counts(wins=wins, losses=losses, ties=len(comparison) - wins - losses)


@dataclass(frozen=True)
class SideCounts:
    """Sides chosen over all votes of a table."""

    left: int
    right: int
    ties: int

    @property
    def decisive(self) -> int:
        return self.left + self.right

    @property
    def left_share(self) -> float | None:
        return self.left / self.decisive if self.decisive else None


def count_sides(table: VoteTable) -> SideCounts:
    """Return how often the left image, the right image and neither was chosen."""
    # Of all comparisons at once: a side's pull has nothing to do with which arms stood there.
    left, right, ties = (int(np.count_nonzero(table.choice == side)) for side in (LEFT, RIGHT, TIE))
    return SideCounts(left=left, right=right, ties=ties)


@dataclass(frozen=True)
class LoadSummary:
    """Votes per unit: how many units voted, and the median and range of their loads (None without units)."""

    units: int
    median: float | None
    smallest: int | None
    largest: int | None


def load_summary(codes: np.ndarray) -> LoadSummary:
    """Return the summary of votes per rater (``table.rater``) or per pair (``table.pair``)."""
    index, present = group_index(codes)
    if not len(present):
        return LoadSummary(units=0, median=None, smallest=None, largest=None)
    load = np.bincount(index)
    return LoadSummary(
        units=len(present), median=float(np.median(load)), smallest=int(load.min()), largest=int(load.max())
    )
