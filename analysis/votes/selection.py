"""Which votes the estimates rest on, and what was kept out, counted by rule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from analysis.votes.columns import ANSWER_COLUMNS
from analysis.votes.table import VoteTable

__all__ = ["Selection", "select_votes"]

_CHECK_RULES = {
    "identical": "check trial (identical images)",
    "degraded": "check trial (degraded image)",
    "practice": "practice trial",
}


# Parts a rule's caption from what it measured on one rater, in the column exclusion_reason.
MEASURED = "; measured "

# What the estimators read beside the codes; the other columns have done their work once the rows are chosen.
_NEEDED = (
    "class_label",
    "class_name",
    "seed",
    "site",
    "response_ms",
    "position",
    "session",
    "criterion",
    "submitted_at",
    "sides_unknown",
)
# What a study may ask beyond the choice.
_ANSWERS = tuple(entry.name for entry in ANSWER_COLUMNS)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The votes that count, and why the others do not.

    Parameters
    ----------
    full : VoteTable
        All votes.
    keep, is_origin, is_check, is_repeat, excluded : (N,) bool
        Masks over ``full``: enters the estimates; of the origin that counts; practice or check; repeat; excluded.
    kept_out : dict of str to int
        Votes kept out under each rule; a vote is counted under the first rule that applies to it.
    simulated : int
        Simulated votes in the full table.
    is_simulated : bool
        Whether the estimates rest on simulated votes, because no real one exists.
    """

    full: VoteTable
    keep: np.ndarray
    is_origin: np.ndarray
    is_check: np.ndarray
    is_repeat: np.ndarray
    excluded: np.ndarray
    kept_out: dict[str, int]
    simulated: int
    is_simulated: bool

    @cached_property
    def table(self) -> VoteTable:
        """The votes that enter the estimates."""
        return _arms_of_ordinary_trials(self.full, _chosen(self.full, self.keep, (*_NEEDED, *_ANSWERS)), ~self.is_check)

    # The other views are made anew each time: they are used once, and millions of votes are not held four times.

    def of_origin(self) -> VoteTable:
        """Return all votes of the origin that counts, checks and excluded ones too: what screening looks at."""
        return _chosen(self.full, self.is_origin, (*_NEEDED, "check_kind", "is_repeat", "excluded"))

    def with_excluded(self) -> VoteTable:
        """Return the votes that enter, and those that would but for an exclusion: what the variants compare."""
        keep = self.is_origin & ~self.is_check & ~self.is_repeat
        return _chosen(self.full, keep, (*_NEEDED, "excluded"))

    def with_repeats(self) -> VoteTable:
        """Return the votes that enter and the repeated ones: what consistency within raters looks at."""
        return _chosen(self.full, self.is_origin & ~self.is_check & ~self.excluded, (*_NEEDED, "is_repeat"))


def select_votes(table: VoteTable) -> Selection:
    """Keep the ordinary, not excluded votes of one origin: simulated votes count only where no real vote exists.

    Parameters
    ----------
    table : VoteTable
        All current votes. ``simulated``, ``check_kind``, ``is_repeat``, ``excluded`` and ``exclusion_reason`` are used
        when present.
    """
    simulated, excluded = _flag(table, "simulated"), _flag(table, "excluded")
    is_simulated = bool(len(table)) and bool(simulated.all())
    is_origin = np.ones(len(table), dtype=bool) if is_simulated else ~simulated
    kinds = table.extra.get("check_kind", np.full(len(table), "", dtype=object))
    checks = [(rule, kinds == kind) for kind, rule in _CHECK_RULES.items()]
    is_check = np.any([rows for _, rows in checks], axis=0)
    is_repeat = _flag(table, "is_repeat") | (kinds == "repeat")
    rules = [("simulated vote", ~is_origin), *checks, *_exclusions(table, excluded), ("repeated pair", is_repeat)]
    kept_out: dict[str, int] = {}
    keep = np.ones(len(table), dtype=bool)
    for rule, rows in rules:
        count = int(np.count_nonzero(keep & rows))
        if count:
            kept_out[rule] = count
            keep &= ~rows
    return Selection(
        full=table,
        keep=keep,
        is_origin=is_origin,
        is_check=is_check,
        is_repeat=is_repeat,
        excluded=excluded,
        kept_out=kept_out,
        simulated=int(np.count_nonzero(simulated)),
        is_simulated=is_simulated,
    )


def _chosen(table: VoteTable, keep: np.ndarray, columns: tuple[str, ...]) -> VoteTable:
    """Return the rows of a mask with the named extra columns; the table's own arrays where every row is kept."""
    return table.only(columns).rows(keep)


def _flag(table: VoteTable, name: str) -> np.ndarray:
    return table.extra.get(name, np.zeros(len(table), dtype=bool)).astype(bool)


def _exclusions(table: VoteTable, excluded: np.ndarray) -> list[tuple[str, np.ndarray]]:
    reasons = table.extra.get("exclusion_reason", np.full(len(table), "", dtype=object))
    # What a rule measured differs from rater to rater; what it looks at does not, and is what is counted by.
    named = np.full(len(table), "", dtype=object)
    named[excluded] = [stated.partition(MEASURED)[0] for stated in reasons[excluded]]
    rules = [(f"excluded: {reason}", named == reason) for reason in sorted(set(named[excluded]) - {""})]
    return [*rules, ("excluded without a stated rule", excluded)]


def _arms_of_ordinary_trials(table: VoteTable, kept: VoteTable, is_ordinary: np.ndarray) -> VoteTable:
    """Leave out the names that only checks show: a spoilt copy of an image is no arm of the study."""
    shown = np.unique(np.concatenate([table.arm_left[is_ordinary], table.arm_right[is_ordinary]]))
    if len(shown) in (0, len(table.arms)):
        return kept
    return replace(
        kept,
        arms=tuple(table.arms[code] for code in shown),
        arm_left=np.searchsorted(shown, kept.arm_left),
        arm_right=np.searchsorted(shown, kept.arm_right),
    )
