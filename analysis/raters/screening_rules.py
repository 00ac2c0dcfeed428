"""The screening rules: what each measures on a rater's votes and when it flags, with a name and a version.

A rule never sees which arm was chosen, except ``failed_checks`` (a spoilt copy against the intact image) and
``log_likelihood``, which is symmetric in the arms and never excludes alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from analysis.inference.crossing import distinct_per_group, group_index, label_index
from analysis.votes.table import LEFT, RIGHT, TIE, VoteTable

__all__ = ["DEGRADED_ARM", "RULES", "Measured", "RaterVotes", "Rule", "run_tail", "votes_by_rater"]

# The spoilt copy in a degraded check stands under this arm name in the votes table.
DEGRADED_ARM = "degraded"


@dataclass(frozen=True)
class RaterVotes:
    """The votes of a table by rater: G raters in the order of their labels, rows in the order shown.

    Parameters
    ----------
    table : VoteTable
        Without extra columns.
    index : (N,) int64
        Rater of each row, 0..G-1, non-decreasing.
    session : (N,) int64
        Session of each row; within a rater its rows stand together.
    present : (G,) int64
        Codes of the raters.
    asks_preference, is_degraded : (N,) bool
        Ordinary trials and repeats (no checks, no practice); degraded checks.
    is_repeat : (N,) bool
        Trials that show a pair again on purpose.
    response_ms : (N,) float64
        NaN where missing.
    criterion : (N,) int64
        What the trial was judged by; 0 throughout where one question was asked.
    """

    table: VoteTable
    index: np.ndarray
    session: np.ndarray
    present: np.ndarray
    asks_preference: np.ndarray
    is_degraded: np.ndarray
    is_repeat: np.ndarray
    response_ms: np.ndarray
    criterion: np.ndarray

    @property
    def count(self) -> int:
        return len(self.present)

    def tally(self, rows: np.ndarray) -> np.ndarray:
        """Number of each rater's rows under a mask, (G,) int64."""
        return np.bincount(self.index[rows], minlength=self.count)


@dataclass(frozen=True)
class Measured:
    """One value a rater (NaN where it cannot be computed) and whether the rule flags it."""

    value: np.ndarray
    flagged: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A screening rule.

    Parameters
    ----------
    id, version : str, int
        The name in plans and ledgers; the version rises whenever the same votes could be flagged differently.
    title : str
        What readers call it.
    description : str
        What is measured and flagged, with parameter names in braces.
    defaults : mapping of str to float
        The parameters and their defaults.
    excludes_alone : bool
        False for a measure that may support an exclusion but never be its only ground.
    keeps_first_visit : bool
        True where a rater's later visits are at fault, not the first one.
    reads_preferences : bool
        True where the choices on ordinary trials decide. Asked again after each vote, such a rule gives the vote away:
        while results are hidden it waits.
    """

    id: str
    title: str
    version: int
    description: str
    defaults: Mapping[str, float]
    measure: Callable[[RaterVotes, Mapping[str, float]], Measured]
    excludes_alone: bool = True
    keeps_first_visit: bool = False
    reads_preferences: bool = False

    def described(self, given: Mapping[str, float] | None = None) -> str:
        """Return the description with the given parameters, or the defaults, in their places."""
        return self.description.format(**{name: f"{value:g}" for name, value in self.parameters(given).items()})

    def parameters(self, given: Mapping[str, float] | None) -> dict[str, float]:
        """Return the defaults overlaid with the given values.

        Raises
        ------
        ValueError
            If a name is not a parameter of this rule.
        """
        unknown = sorted(set(given or {}) - set(self.defaults))
        if unknown:
            raise ValueError(f"rule {self.id!r} has no parameter {unknown[0]!r}; it takes {', '.join(self.defaults)}")
        return {**self.defaults, **(given or {})}


def votes_by_rater(table: VoteTable) -> RaterVotes:
    """Return the votes of every rater in the order shown: in each session by ``position``, without one by row."""
    index, present = group_index(table.rater)
    session = label_index(table.extra["session"])[0] if "session" in table.extra else np.zeros_like(index)
    asked = table.extra.get("criterion")
    criterion = np.zeros_like(index) if asked is None else label_index(asked)[0]
    order = np.lexsort((table.extra.get("position", np.arange(len(table))), session, index))
    kinds = table.extra.get("check_kind")
    ordinary = np.ones(len(table), dtype=bool) if kinds is None else (kinds == "") | (kinds == "repeat")
    degraded = np.zeros(len(table), dtype=bool) if kinds is None else kinds == "degraded"
    repeats = table.extra.get("is_repeat", np.zeros(len(table), dtype=bool)).astype(bool)
    if kinds is not None:
        repeats = repeats | (kinds == "repeat")
    times = np.asarray(table.extra.get("response_ms", np.full(len(table), np.nan)), dtype=np.float64)
    return RaterVotes(
        table=replace(table, extra={}).rows(order),
        index=index[order],
        session=session[order],
        present=present,
        asks_preference=ordinary[order].astype(bool),
        is_degraded=degraded[order].astype(bool),
        is_repeat=repeats[order],
        response_ms=times[order],
        criterion=criterion[order],
    )


def _timed(raters: RaterVotes) -> tuple[np.ndarray, np.ndarray]:
    """Response times of preference rows and their raters; missing times are left out."""
    known = raters.asks_preference & np.isfinite(raters.response_ms)
    return raters.response_ms[known], raters.index[known]


def _median_ms(raters: RaterVotes, given: Mapping[str, float]) -> Measured:
    times, index = _timed(raters)
    order = np.lexsort((times, index))
    times = times[order]
    load = np.bincount(index, minlength=raters.count)
    start = np.cumsum(load) - load
    median = np.full(raters.count, np.nan)
    timed = load > 0
    low = start[timed] + (load[timed] - 1) // 2
    high = start[timed] + load[timed] // 2
    median[timed] = 0.5 * (times[low] + times[high])
    return Measured(median, median < given["median_ms"])


def _share_under_floor(raters: RaterVotes, given: Mapping[str, float]) -> Measured:
    times, index = _timed(raters)
    load = np.bincount(index, minlength=raters.count)
    fast = np.bincount(index[times < given["floor_ms"]], minlength=raters.count)
    share = _ratio(fast, load)
    return Measured(share, share > given["share"])


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _longest_run(raters: RaterVotes, given: Mapping[str, float]) -> Measured:
    """Longest run of one side in a session; flagged when a fair coin makes one as long with p < ``significance``."""
    rows = np.flatnonzero(raters.asks_preference)
    choice, index, session = raters.table.choice[rows], raters.index[rows], raters.session[rows]
    votes = np.bincount(index, minlength=raters.count)
    longest = np.zeros(raters.count, dtype=np.int64)
    if len(rows):
        columns = (choice, index, session)
        starts = np.flatnonzero(np.append(True, np.any([c[1:] != c[:-1] for c in columns], axis=0)))
        lengths = np.diff(np.append(starts, len(rows)))
        sided = choice[starts] != TIE
        np.maximum.at(longest, index[starts[sided]], lengths[sided])
    flagged = run_tail(longest, votes) < given["significance"]
    return Measured(np.where(votes > 0, longest, np.nan), flagged & (votes > 0))


def run_tail(longest: np.ndarray, flips: np.ndarray) -> np.ndarray:
    """Return P(some side comes up ``longest`` times in a row or more) in so many flips of a fair coin.

    Parameters
    ----------
    longest, flips : (G,) int

    Notes
    -----
    A run of L equal sides in n flips is a run of L - 1 "same as before" in n - 1 flips. With k = L - 1 the probability
    of none, q_n, is 1 for n < k, 1 - 2^-k for n = k and q_{n-1} - 2^-(k+1) q_{n-k-1} after it.

    Examples
    --------
    >>> run_tail(np.array([3]), np.array([3])).tolist()
    [0.25]
    """
    longest, flips = np.asarray(longest), np.asarray(flips)
    tail = np.ones(len(longest))
    for length in np.unique(longest[longest >= 2]):
        rows = longest == length
        none = _no_run(int(length) - 1, int(flips[rows].max()) - 1)
        tail[rows] = 1.0 - none[flips[rows] - 1]
    return tail


def _no_run(k: int, n: int) -> np.ndarray:
    none = np.ones(n + 1)
    for flips in range(k, n + 1):
        before = none[flips - k - 1] if flips > k else 1.0
        none[flips] = none[flips - 1] - before * 0.5 ** (k + 1) if flips > k else 1.0 - 0.5**k
    return none


def _left_share(raters: RaterVotes, given: Mapping[str, float]) -> Measured:
    rows = raters.asks_preference
    left = raters.tally(rows & (raters.table.choice == LEFT))
    right = raters.tally(rows & (raters.table.choice == RIGHT))
    p_value = 2 * stats.binom.cdf(np.minimum(left, right), left + right, 0.5)
    return Measured(_ratio(left, left + right), (left + right > 0) & (p_value < given["significance"]))


def _tie_share(raters: RaterVotes, given: Mapping[str, float]) -> Measured:
    rows = raters.asks_preference
    votes = raters.tally(rows)
    share = _ratio(raters.tally(rows & (raters.table.choice == TIE)), votes)
    return Measured(share, (share > given["share"]) & (votes >= given["least_votes"]))


def _failed_checks(raters: RaterVotes, given: Mapping[str, float]) -> Measured:
    """Degraded checks: anything but the intact image fails. Identical images have no wrong side and are not counted."""
    table = raters.table
    checks = raters.is_degraded
    spoilt = np.array([name == DEGRADED_ARM for name in table.arms], dtype=bool)
    intact = np.where(spoilt[table.arm_left], RIGHT, LEFT) if len(spoilt) else np.zeros(len(table))
    failed = raters.tally(checks & (table.choice != intact))
    asked = raters.tally(checks)
    return Measured(np.where(asked > 0, failed, np.nan), (asked > 0) & (failed >= given["failures"]))


def _comparison(table: VoteTable, rows: np.ndarray) -> np.ndarray:
    """Return a code for pair and arms of each row, whichever arm stood on which side."""
    arms = max(len(table.arms), 1)
    left, right = table.arm_left[rows], table.arm_right[rows]
    return (table.pair[rows] * arms + np.minimum(left, right)) * arms + np.maximum(left, right)


def _duplicates(raters: RaterVotes, given: Mapping[str, float]) -> Measured:
    """Votes beyond a rater's first one on the same images: a second visit, or a row that was stored twice.

    Where criteria are asked in blocks, the same images come once by each on purpose.
    """
    rows = np.flatnonzero(raters.asks_preference & ~raters.is_repeat)
    criteria = int(raters.criterion.max(initial=0)) + 1
    unit, units = group_index(_comparison(raters.table, rows) * criteria + raters.criterion[rows])
    first = distinct_per_group(raters.index[rows], unit, groups=raters.count, values=len(units))
    votes = np.bincount(raters.index[rows], minlength=raters.count)
    again = votes - first
    return Measured(np.where(votes > 0, again, np.nan), again > given["votes"])


def _log_likelihood(raters: RaterVotes, given: Mapping[str, float]) -> Measured:
    """Mean log-likelihood of a rater's decisive votes under the others' on the same pair and arms, add-one smoothed."""
    table = raters.table
    rows = np.flatnonzero(raters.asks_preference & (table.choice != TIE))
    left, right = table.arm_left[rows], table.arm_right[rows]
    unit, units = group_index(_comparison(table, rows))
    low_chosen = np.where(table.choice[rows] == LEFT, left, right) == np.minimum(left, right)
    index = raters.index[rows]
    own, whole = index * len(units) + unit, np.bincount(unit, minlength=len(units))
    cell = np.unique(own, return_inverse=True)[1]
    wins = np.bincount(unit, weights=low_chosen, minlength=len(units))
    others = whole[unit] - np.bincount(cell)[cell] if len(rows) else np.zeros(0)
    others_wins = wins[unit] - np.bincount(cell, weights=low_chosen)[cell] if len(rows) else np.zeros(0)
    agreeing = np.where(low_chosen, others_wins, others - others_wins)
    total = np.bincount(index, weights=np.log((agreeing + 1) / (others + 2)), minlength=raters.count)
    mean = _ratio(total, np.bincount(index, minlength=raters.count))
    return Measured(mean, _low_outliers(mean, given["deviations"]))


def _low_outliers(values: np.ndarray, deviations: float) -> np.ndarray:
    """Values more than so many scaled median absolute deviations below the median."""
    known = values[np.isfinite(values)]
    if len(known) < 5:
        return np.zeros(len(values), dtype=bool)
    centre = np.median(known)
    return values < centre - deviations * 1.4826 * np.median(np.abs(known - centre))


RULES: dict[str, Rule] = {
    rule.id: rule
    for rule in (
        Rule(
            id="too_fast",
            title="fast median",
            version=1,
            description="median response time under {median_ms} ms",
            defaults={"median_ms": 500.0},
            measure=_median_ms,
        ),
        Rule(
            id="many_fast",
            title="many fast answers",
            version=1,
            description="share of responses under {floor_ms} ms above {share}",
            defaults={"floor_ms": 300.0, "share": 0.2},
            measure=_share_under_floor,
        ),
        Rule(
            id="same_side_run",
            title="one side many times running",
            version=2,
            description="longest run of one side, flagged when a fair coin makes one so long with p < {significance}",
            defaults={"significance": 0.001},
            measure=_longest_run,
            reads_preferences=True,
        ),
        Rule(
            id="left_share",
            title="one side too often",
            version=1,
            description="share of decisive votes for the left, flagged when its exact two-sided p < {significance}",
            defaults={"significance": 0.001},
            measure=_left_share,
            reads_preferences=True,
        ),
        Rule(
            id="tie_share",
            title="ties nearly always",
            version=1,
            description="share of ties above {share} in at least {least_votes} votes",
            defaults={"share": 0.9, "least_votes": 10},
            measure=_tie_share,
            reads_preferences=True,
        ),
        Rule(
            id="failed_checks",
            title="failed checks",
            version=1,
            description="{failures} or more degraded checks in which the intact image was not chosen",
            defaults={"failures": 2},
            measure=_failed_checks,
        ),
        Rule(
            id="duplicates",
            title="pairs voted on again",
            version=2,
            description="more than {votes} votes on images that the rater had voted on before, repeat trials apart",
            defaults={"votes": 0},
            measure=_duplicates,
            keeps_first_visit=True,
        ),
        Rule(
            id="log_likelihood",
            title="unlike the other raters",
            version=1,
            description="mean leave-one-out log-likelihood more than {deviations} scaled MADs below the raters' "
            "median; never the only ground of an exclusion",
            defaults={"deviations": 4.0},
            measure=_log_likelihood,
            reads_preferences=True,
            excludes_alone=False,
        ),
    )
}
