"""Votes between several arms as counts per ordered pair of arms: win matrix, connectivity, separation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.sparse import csgraph, csr_array

from analysis.inference.crossing import Crossing, crossing_from, group_index, label_index
from analysis.ranking.options import Covariates
from analysis.votes.table import LEFT, RIGHT, TIE, VoteTable

__all__ = ["WinMatrix", "compare", "components", "image_groups", "images_may_be_shared", "pairs_differ_by_comparison"]

# Left, right and tie, in the order of their codes in the votes table.
OUTCOMES = 3
# What the votes' images share, and their raters' sites.
_READ = ("class_label", "seed", "site")


@dataclass(frozen=True, kw_only=True)
class WinMatrix:
    """Votes counted by (arm on the left, arm on the right) and outcome; the votes themselves keep raters and pairs.

    Parameters
    ----------
    arms : tuple of str
        Arms that occur in the votes.
    left, right : (M,) int64
        Ordered pairs of arms that were shown, sorted.
    counts : (M, 3) float64
        Votes for left, right, and ties.
    vote_cell, vote_outcome : (N,) int64
        Row and column of ``counts`` for each vote.
    crossing : Crossing
    covariates : (M, c) float64
        Left image's value less the right one's, of each covariate: alike for all votes of a row.
    names : tuple of str
        Of the covariates.
    """

    arms: tuple[str, ...]
    left: np.ndarray
    right: np.ndarray
    counts: np.ndarray
    vote_cell: np.ndarray
    vote_outcome: np.ndarray
    crossing: Crossing
    covariates: np.ndarray
    names: tuple[str, ...] = ()

    @cached_property
    def wins(self) -> np.ndarray:
        """(K, K) int64: how often the row's arm was chosen over the column's."""
        return self._matrix(self.counts[:, LEFT], self.counts[:, RIGHT])

    @cached_property
    def ties(self) -> np.ndarray:
        """(K, K) int64, symmetric: ties between row and column."""
        return self._matrix(self.counts[:, TIE], self.counts[:, TIE])

    def _matrix(self, of_left: np.ndarray, of_right: np.ndarray) -> np.ndarray:
        matrix = np.zeros((len(self.arms), len(self.arms)), dtype=np.int64)
        np.add.at(matrix, (self.left, self.right), of_left.astype(np.int64))
        np.add.at(matrix, (self.right, self.left), of_right.astype(np.int64))
        return matrix

    def among(self, members: np.ndarray) -> WinMatrix:
        """Return the votes between some of the arms; arms keep their numbers, raters and pairs are renumbered."""
        inside = np.isin(self.left, members) & np.isin(self.right, members)
        kept = inside[self.vote_cell]
        site = None if self.crossing.site is None else self.crossing.site[kept]
        return replace(
            self,
            left=self.left[inside],
            right=self.right[inside],
            covariates=self.covariates[inside],
            counts=self.counts[inside],
            vote_cell=(np.cumsum(inside) - 1)[self.vote_cell[kept]],
            vote_outcome=self.vote_outcome[kept],
            crossing=crossing_from(self.crossing.rater[kept], self.crossing.pair[kept], site),
        )

    def cluster_counts(self, cluster: np.ndarray, clusters: int) -> csr_array:
        """Return the votes per cluster, (G, 3 M) sparse: what clustered errors and the bootstrap add up."""
        columns = len(self.left) * OUTCOMES
        column = self.vote_cell * OUTCOMES + self.vote_outcome
        if clusters * columns > len(column):
            return csr_array((np.ones(len(column)), (cluster, column)), shape=(clusters, columns))
        # Of large clusters a full table is smaller than the votes, and quicker to count.
        counts = np.bincount(cluster * columns + column, minlength=clusters * columns)
        return csr_array(counts.reshape(clusters, columns).astype(np.float64))


def compare(table: VoteTable, *, ties: bool, covariates: Covariates | None = None) -> WinMatrix:
    """Count the votes of a table by ordered pair of arms, and by the values of covariates where there are any.

    Parameters
    ----------
    table : VoteTable
    ties : bool
        Keep ties as an outcome; otherwise they are left out.
    covariates : mapping of str to mapping of (pair, arm) to float, or None

    Raises
    ------
    ValueError
        If an image that was voted on has no value of a covariate.
    """
    # Millions of votes are copied without ties: only what is read here.
    lean = table.only(_READ)
    kept = lean if ties else lean.rows(table.choice != TIE)
    differences = _differences(kept, covariates or {})
    codes, present = group_index(np.concatenate((kept.arm_left, kept.arm_right)))
    left, right = codes[: len(kept)], codes[len(kept) :]
    arms = tuple(table.arms[code] for code in present)
    cell, shown, values = _cells(left * max(len(arms), 1) + right, differences)
    counts = np.zeros((len(shown), OUTCOMES))
    np.add.at(counts, (cell, kept.choice), 1.0)
    return WinMatrix(
        arms=arms,
        left=shown // max(len(arms), 1),
        right=shown % max(len(arms), 1),
        counts=counts,
        vote_cell=cell,
        vote_outcome=kept.choice.astype(np.int64),
        # By shared images: two comparisons of one baseline image are not independent.
        crossing=crossing_from(kept.rater, image_groups(kept), kept.extra.get("site")),
        covariates=values,
        names=tuple(covariates or ()),
    )


def _cells(key: np.ndarray, differences: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each vote's cell, and of each cell the key of its arms and its covariates."""
    if not differences.shape[1]:
        cell, shown = group_index(key)
        return cell, shown, np.zeros((len(shown), 0))
    rows, cell = np.unique(np.column_stack((key, differences)), axis=0, return_inverse=True)
    return cell.ravel(), rows[:, 0].astype(np.int64), rows[:, 1:]


def _differences(table: VoteTable, covariates: Covariates) -> np.ndarray:
    found = np.zeros((len(table), len(covariates)))
    for place, (name, values) in enumerate(covariates.items()):
        known = np.full((len(table.pairs), len(table.arms)), np.nan)
        for row, pair in enumerate(table.pairs):
            for column, arm in enumerate(table.arms):
                known[row, column] = values.get((pair, arm), np.nan)
        found[:, place] = known[table.pair, table.arm_left] - known[table.pair, table.arm_right]
        lost = np.flatnonzero(~np.isfinite(found[:, place]))
        if len(lost):
            pair = table.pairs[table.pair[lost[0]]]
            arms = table.arms[table.arm_left[lost[0]]], table.arms[table.arm_right[lost[0]]]
            raise ValueError(f"covariate {name!r} has no value for pair {pair!r} of {arms[0]!r} or {arms[1]!r}")
    return found


def image_groups(table: VoteTable) -> np.ndarray:
    """Return the code of what the images of each vote share, (N,) int64: the pair, or class and seed.

    Where pairs are named by comparison, no pair has two comparisons although their images may be the same: then class
    and seed, where the votes carry them, say which images belong together.
    """
    if not pairs_differ_by_comparison(table) or not _knows_seeds(table):
        return table.pair
    labels = table.extra.get("class_label", np.full(len(table), "", dtype=object))
    # A character that neither can hold: "1" and "23" must not meet "12" and "3".
    keys = np.array([f"{label}\0{seed}" for label, seed in zip(labels, table.extra["seed"], strict=True)], dtype=object)
    return label_index(keys)[0]


def _knows_seeds(table: VoteTable) -> bool:
    seeds = table.extra.get("seed")
    return seeds is not None and bool(len(seeds)) and bool(np.all(seeds != ""))


def pairs_differ_by_comparison(table: VoteTable) -> bool:
    """Return whether three arms or more are compared and no pair stands in two comparisons."""
    arms = max(len(table.arms), 1)
    low, high = np.minimum(table.arm_left, table.arm_right), np.maximum(table.arm_left, table.arm_right)
    compared = np.unique(low * arms + high)
    if len(compared) < 2:
        return False
    met = np.unique(np.column_stack((table.pair, low, high)), axis=0)
    return bool(np.bincount(met[:, 0]).max() < 2)


def images_may_be_shared(table: VoteTable) -> bool:
    """Return whether pairs are named by comparison and nothing says which of them share images."""
    return pairs_differ_by_comparison(table) and not _knows_seeds(table)


def components(wins: np.ndarray, ties: np.ndarray) -> list[tuple[np.ndarray, str | None]]:
    """Split arms into groups joined by votes, each with the reason why its strengths are not finite, or None.

    Parameters
    ----------
    wins, ties : (K, K) int
        A tie counts as an edge in both directions.

    References
    ----------
    Ford, American Mathematical Monthly 64 (1957): strengths are finite iff the graph of wins is strongly connected.
    """
    edges = csr_array(wins + ties)
    groups, group = csgraph.connected_components(edges, directed=True, connection="weak")
    _, strong = csgraph.connected_components(edges, directed=True, connection="strong")
    return [
        (members, _unbounded(members, strong)) for members in map(np.flatnonzero, group == np.arange(groups)[:, None])
    ]


def _unbounded(members: np.ndarray, strong: np.ndarray) -> str | None:
    if len(members) < 2:
        return "not compared with any other arm"
    parts = len(set(strong[members].tolist()))
    if parts == 1:
        return None
    return (
        f"separation: the votes between these {len(members)} arms fall into {parts} sets, "
        "and between two of them every vote goes one way; no finite strengths exist"
    )
