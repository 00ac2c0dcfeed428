"""The vote table in memory: integer codes and labels. Files are read by ``analysis/votes/reading.py``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from analysis.votes.room import is_whole, kept

__all__ = ["LEFT", "RIGHT", "TIE", "Comparison", "VoteTable"]

# Codes of the choice; counts of outcomes stand in this order.
LEFT, RIGHT, TIE = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class VoteTable:
    """All current votes of a study, one row a vote.

    Parameters
    ----------
    raters, pairs, arms : tuple of str
        Labels; the code columns index them. Sorted, so that the same votes give the same codes in any row order.
    rater, pair, arm_left, arm_right : (N,) int64
        Codes into ``raters``, ``pairs``, ``arms``.
    choice : (N,) int8
        ``LEFT``, ``RIGHT`` or ``TIE``.
    extra : mapping of str to (N,) array
        Optional columns under the names of the votes contract (``class_label`` str, ``response_ms`` float64, NaN for
        missing, ``position`` float64, ``is_repeat`` bool, ``check_kind`` str, ``excluded`` bool, ``session`` str, ...).
    """

    raters: tuple[str, ...]
    pairs: tuple[str, ...]
    arms: tuple[str, ...]
    rater: np.ndarray
    pair: np.ndarray
    arm_left: np.ndarray
    arm_right: np.ndarray
    choice: np.ndarray
    extra: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.choice)

    @property
    def sides_known(self) -> bool:
        """Whether it was recorded, for every vote, which arm stood on which side."""
        return not np.any(self.extra.get("sides_unknown", False))

    def rows(self, keep: np.ndarray) -> VoteTable:
        """Return the rows of a boolean mask or an index array; labels and codes stay as they are.

        A mask that keeps every row gives the table itself: most studies leave out nothing, and copies of millions of
        votes are what a report takes its memory for.
        """
        if is_whole(keep):
            return self
        return VoteTable(
            raters=self.raters,
            pairs=self.pairs,
            arms=self.arms,
            rater=self.rater[keep],
            pair=self.pair[keep],
            arm_left=self.arm_left[keep],
            arm_right=self.arm_right[keep],
            choice=self.choice[keep],
            extra={name: kept(column, keep) for name, column in self.extra.items()},
        )

    def only(self, columns: Iterable[str]) -> VoteTable:
        """Return the same votes with those extra columns alone that are named: the others are not copied with rows."""
        return replace(self, extra=_named(self.extra, columns))

    def comparison(self, arm: str, baseline: str) -> Comparison:
        """Return the votes between two arms, scored for ``arm``.

        Raises
        ------
        ValueError
            If a name is not an arm of the table, or both names are the same.
        """
        for name in (arm, baseline):
            if name not in self.arms:
                raise ValueError(f"arm {name!r} is not in the votes; the arms are {', '.join(self.arms)}")
        if arm == baseline:
            raise ValueError(f"arm and baseline are both {arm!r}; name two arms")
        one, other = self.arms.index(arm), self.arms.index(baseline)
        on_left = (self.arm_left == one) & (self.arm_right == other)
        shown = self.rows(on_left | ((self.arm_left == other) & (self.arm_right == one)))
        is_left = shown.arm_left == one
        score = np.where(shown.choice == TIE, 0.5, (shown.choice == LEFT) == is_left)
        return Comparison(
            arm=arm,
            baseline=baseline,
            score=score,
            side=np.where(is_left, 0.5, -0.5) if self.sides_known else np.zeros(len(shown)),
            rater=shown.rater,
            pair=shown.pair,
            extra=dict(shown.extra),
        )


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The votes between one arm and its baseline.

    Parameters
    ----------
    score : (N,) float64
        1 where the arm was chosen, 1/2 for a tie, 0 where the baseline was chosen.
    side : (N,) float64
        +1/2 where the arm stood on the left, -1/2 on the right; 0 throughout where nobody recorded it.
    rater, pair : (N,) int64
        Codes; not necessarily contiguous.
    """

    arm: str
    baseline: str
    score: np.ndarray
    side: np.ndarray
    rater: np.ndarray
    pair: np.ndarray
    extra: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.score)

    @property
    def one_sided(self) -> str:
        """Why there is no effect of the side to estimate, where both sides are not in the votes."""
        if len(self) and not self.side.any():
            return "nobody recorded which arm stood on which side"
        return "the arm was shown on one side only"

    def rows(self, keep: np.ndarray) -> Comparison:
        """Return the votes of a boolean mask or an index array; a mask that keeps all gives the comparison itself."""
        if is_whole(keep):
            return self
        return Comparison(
            arm=self.arm,
            baseline=self.baseline,
            score=self.score[keep],
            side=self.side[keep],
            rater=self.rater[keep],
            pair=self.pair[keep],
            extra={name: kept(column, keep) for name, column in self.extra.items()},
        )

    def only(self, columns: Iterable[str]) -> Comparison:
        """Return the same votes with those extra columns alone that are named: the others are not copied with rows."""
        return replace(self, extra=_named(self.extra, columns))


def _named(extra: Mapping[str, np.ndarray], columns: Iterable[str]) -> dict[str, np.ndarray]:
    return {name: extra[name] for name in columns if name in extra}
