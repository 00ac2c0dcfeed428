"""The headline again under other choices: ties, exclusions, raters, sides and halves of a session."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.inference.crossing import group_index, label_index
from analysis.inference.estimate import Estimate, refused
from analysis.preference.rate import decisive_votes, headline, two_way_t
from analysis.votes.table import Comparison

__all__ = ["Variant", "sensitivity"]

# A rater is decisive who ties in at most this share of the votes.
_DECISIVE_RATER_TIES = 0.5
_USED = ("excluded", "position", "session", "site")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One row of the sensitivity table: its name, what was changed in words, and the rate under it."""

    name: str
    description: str
    result: Estimate

    def as_json(self) -> dict:
        return {"name": self.name, "description": self.description, "result": self.result.as_json()}


def sensitivity(comparison: Comparison) -> list[Variant]:
    """Return the headline under every variant, the headline itself first.

    Parameters
    ----------
    comparison : Comparison
        The ordinary votes, *including* those excluded: its ``excluded`` column (where present) tells them apart, and
        every variant but ``excluded_kept`` leaves them out.
    """
    # Each variant copies its rows: columns that none of them reads would be copied every time.
    comparison = comparison.only(_USED)
    if "session" in comparison.extra:
        # Numbers sort faster than text, and every half sorts.
        comparison.extra["session"] = label_index(comparison.extra["session"])[0]
    kept = _without_excluded(comparison)
    variants = [
        ("ties_split", "the headline: ties count one half", headline(kept)),
        ("ties_dropped", "decisive votes only", headline(decisive_votes(kept))),
        _excluded_kept(comparison),
        _decisive_raters(kept),
        ("arm_left", "votes with the arm on the left", _one_side(kept.rows(kept.side > 0))),
        ("arm_right", "votes with the arm on the right", _one_side(kept.rows(kept.side < 0))),
        *_halves(kept),
    ]
    return [Variant(name=name, description=words, result=result) for name, words, result in variants]


def _without_excluded(comparison: Comparison) -> Comparison:
    excluded = comparison.extra.get("excluded")
    return comparison if excluded is None else comparison.rows(~excluded.astype(bool))


def _excluded_kept(comparison: Comparison) -> tuple[str, str, Estimate]:
    words = "all raters, the excluded ones too"
    excluded = comparison.extra.get("excluded")
    if excluded is None or not excluded.astype(bool).any():
        return "excluded_kept", words, headline(comparison).with_reason("no vote is excluded: the same as the headline")
    return "excluded_kept", words, headline(comparison)


def _decisive_raters(comparison: Comparison) -> tuple[str, str, Estimate]:
    words = f"raters with at most {_DECISIVE_RATER_TIES:.0%} ties"
    rater, present = group_index(comparison.rater)
    if not len(present):
        return "decisive_raters", words, headline(comparison)
    share = np.bincount(rater, weights=comparison.score == 0.5) / np.bincount(rater)
    decisive = share <= _DECISIVE_RATER_TIES
    left_out = int(np.count_nonzero(~decisive))
    remark = f"{left_out} of {len(present)} raters left out"
    return "decisive_raters", words, headline(comparison.rows(decisive[rater])).with_reason(remark)


def _one_side(comparison: Comparison) -> Estimate:
    """The plain rate of one side: neither needs nor allows an adjustment."""
    return two_way_t(comparison)


def _halves(comparison: Comparison) -> list[tuple[str, str, Estimate]]:
    """First and second half of each rater's session by ``position``; the middle of an odd number is in the first."""
    names = ("first_half", "second_half")
    words = ("first half of each rater's votes", "second half of each rater's votes")
    position = comparison.extra.get("position")
    if position is None or not np.isfinite(position).all():
        reason = "the votes carry no position within the session"
        return [(name, text, refused("headline by half", reason)) for name, text in zip(names, words, strict=True)]
    is_first = _is_first_half(
        comparison.rater, comparison.extra.get("session", np.zeros(len(comparison), dtype=np.int64)), position
    )
    halves = (comparison.rows(is_first), comparison.rows(~is_first))
    return [(name, text, headline(half)) for name, text, half in zip(names, words, halves, strict=True)]


def _is_first_half(rater: np.ndarray, session: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Sessions are told apart within a rater: two raters may number theirs alike, or leave them without a name."""
    order = np.lexsort((position, session, rater))
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (rater[order][1:] != rater[order][:-1]) | (session[order][1:] != session[order][:-1])
    sitting = np.cumsum(begins) - 1
    load = np.bincount(sitting)
    place = np.arange(len(order)) - (np.cumsum(load) - load)[sitting]
    is_first = np.empty(len(order), dtype=bool)
    is_first[order] = 2 * place < load[sitting]
    return is_first
