"""Columns of text, a block at a time, become a :class:`~analysis.votes.table.VoteTable`; every bad row is told why."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.sheets.faults import Faults
from analysis.votes.checks import (
    ACCEPTABLE_CODES,
    EMPTY,
    FLAG_COLUMNS,
    KIND_CODES,
    NUMBERS,
    TEXT_COLUMNS,
    Checks,
    Labels,
    shown,
)
from analysis.votes.coded import Coded
from analysis.votes.columns import ACCEPTABLE, CHECK_KINDS
from analysis.votes.csv_text import unguard
from analysis.votes.lines import Lines
from analysis.votes.room import GrowingColumn, kept, looked_up
from analysis.votes.spelling import Spelling, copied_rows, misspelt_in, tidied, unified
from analysis.votes.table import VoteTable

__all__ = ["Gatherer"]

_COPY = "is word for word an earlier row; leave it out, or give each vote its trial (or keep all: --keep-copies)"
# What a column holds in the blocks in which no row names it.
_BLANKS = {
    **dict.fromkeys(TEXT_COLUMNS, np.int8(EMPTY)),
    **dict.fromkeys(FLAG_COLUMNS, False),
    **dict.fromkeys(NUMBERS, math.nan),
    "check_kind": np.int8(KIND_CODES[""]),
    "acceptable": np.int8(ACCEPTABLE_CODES[""]),
    "submitted_at": np.datetime64("NaT", "ms"),
    **dict.fromkeys(("trial_hash", "trial_hash2"), np.uint64(0)),
}


class Gatherer:
    """Collect blocks of rows in bounded memory: a few bytes a vote, never the rows themselves.

    Parameters
    ----------
    file : str
        Name under which bad rows are reported.
    is_guarded : bool
        Whether texts that a spreadsheet would run carry an apostrophe in front, as in CSV.
    spelling : {"refuse", "trim", "keep"}
        What to do with labels that differ only in spaces, case or Unicode form: name them, make them one, or take them
        as different.
    keep_copies : bool
        Take a row without a trial id that repeats another in every column as a vote of its own.
    """

    def __init__(
        self, file: str, *, is_guarded: bool, spelling: Spelling = "refuse", keep_copies: bool = False
    ) -> None:
        self.spelling = spelling
        self.keep_copies = keep_copies
        self.faults = Faults(file)
        self.misspelt = Faults(file)
        plain = unguard if is_guarded else str
        self.decode = (lambda text: tidied(plain(text))) if spelling == "trim" else plain
        self._raters, self._pairs, self._arms = (Labels(self.decode, naming=True) for _ in range(3))
        self._texts = {name: Labels(self.decode) for name in TEXT_COLUMNS}
        self._columns: dict[str, GrowingColumn] = {}
        self._lines: list[Lines] = []
        self._rows = 0

    def add(self, columns: Mapping[str, Coded], lines: Lines) -> None:
        """Check and keep one block.

        Parameters
        ----------
        columns : mapping of str to Coded
            The required columns and every other that these rows name; a missing value is the empty text.
        lines : sequence of int
            The line on which each row begins, ascending.
        """
        if not len(lines):
            return
        check = Checks(columns, lines, self.faults.add_many)
        block = {}
        for name, labels in (("rater", self._raters), ("pair", self._pairs)):
            block[name] = check.labels(name, labels, required=True)
        for name in ("arm_left", "arm_right"):
            block[name] = check.labels(name, self._arms, required=True)
        block["choice"] = check.choices()
        if "check_kind" in columns:
            block["check_kind"] = check.codes("check_kind", KIND_CODES)
        if "acceptable" in columns:
            block["acceptable"] = check.codes("acceptable", ACCEPTABLE_CODES)
        for name in FLAG_COLUMNS:
            if name in columns:
                block[name] = check.flags(name)
        for name, labels in self._texts.items():
            if name in columns:
                block[name] = check.labels(name, labels, required=False)
        for name, lowest in NUMBERS.items():
            if name in columns:
                is_grade = name == "strength"
                block[name] = check.strengths(block["choice"]) if is_grade else check.numbers(name, lowest)
        if "submitted_at" in columns:
            block["submitted_at"] = check.times("submitted_at")
        check.arms(block, self._arms)
        if "trial" in columns:
            block["trial_hash"], block["trial_hash2"] = check.fingerprints("trial")
        self._keep(block, lines, check.is_bad)

    def finish(self) -> VoteTable:
        """Return the table of all rows that passed, after looking for votes that are there twice."""
        again, has_trial = self._second_answers()
        columns = {name: self._columns.pop(name).taken() for name in list(self._columns)}
        rows = self._without_repeats(columns, again, has_trial)
        table = self._table(columns)
        if self.spelling == "trim":
            return unified(table)
        if self.spelling == "refuse":
            for name, groups in misspelt_in(self._labels_in(table)).items():
                self._report_misspellings(table, rows, name, groups)
        return table

    def _without_repeats(
        self, columns: dict[str, np.ndarray], again: np.ndarray, has_trial: np.ndarray | None
    ) -> np.ndarray | None:
        """Report and drop, in place, second answers and copies; return the rows left, None for all."""
        if not columns:
            return None
        by = " by this criterion" if "criterion" in columns else ""
        reason = f"this rater already has a vote on this trial{by}; one current vote a trial"
        self.faults.add_many(again, self._line, "trial", lambda row: reason, kind="again")
        keep = np.ones(len(columns["rater"]), dtype=bool)
        keep[again] = False
        if not self.keep_copies:
            copies = np.flatnonzero(copied_rows(columns, keep if has_trial is None else ~has_trial))
            self.faults.add_many(copies, self._line, "", lambda row: _COPY, kind="copy")
            keep[copies] = False
        if keep.all():
            return None
        columns |= {name: kept(values, keep) for name, values in columns.items()}
        return np.flatnonzero(keep)

    def _labels_in(self, table: VoteTable) -> dict[str, Sequence[str]]:
        """Return the labels that rows of the table hold, under the column of each."""
        texts = {name: self._texts[name].used for name in self._texts if name in table.extra}
        return {"rater": table.raters, "pair": table.pairs, "arm": table.arms, **texts}

    def _report_misspellings(
        self, table: VoteTable, rows: np.ndarray | None, name: str, groups: Sequence[tuple[str, ...]]
    ) -> None:
        """Report where the rarest of labels that look alike first stands, and what it is taken for."""

        def line(place: int) -> int:
            uses = [_rows_of(table, name, label) for label in groups[place]]
            first = int(np.argmax(min(uses, key=np.count_nonzero)))
            return self._line(first if rows is None else int(rows[first]))

        def reason(place: int) -> str:
            return (
                f"{' and '.join(map(shown, groups[place]))} differ only in spaces, case, Unicode form or a .0; one "
                "name each, or make them one with --trim (or take them as different: --as-spelt)"
            )

        column = "arm_left, arm_right" if name == "arm" else name
        self.misspelt.add_many(np.arange(len(groups)), line, column, reason, kind="alike")

    def _keep(self, block: dict[str, np.ndarray], lines: Lines, is_bad: np.ndarray) -> None:
        if is_bad.any():
            keep = ~is_bad
            block = {name: kept(values, keep) for name, values in block.items()}
            lines = np.asarray(lines, dtype=np.int64)[keep]
        for name in block.keys() - self._columns.keys():
            self._columns[name] = GrowingColumn(_BLANKS.get(name, 0), self._rows)
        for name, column in self._columns.items():
            if name in block:
                column.add(block[name])
            else:
                column.add_blank(_BLANKS[name], len(lines))
        self._lines.append(lines)
        self._rows += len(lines)

    def _line(self, row: int) -> int:
        """Return the line of a row of the table."""
        ends = np.cumsum([len(lines) for lines in self._lines]).tolist()
        block = bisect_right(ends, row)
        return int(self._lines[block][row - ends[block]])

    def _second_answers(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the rows whose rater, trial and criterion stand in an earlier row, and which rows have a trial."""
        if "trial_hash" not in self._columns:
            return np.zeros(0, dtype=np.int64), None
        # Taken here and let go of, before the table is made: hashes take more room than any column.
        first, second = (self._columns.pop(name).taken() for name in ("trial_hash", "trial_hash2"))
        has_trial = first != 0
        if "criterion" in self._columns:
            # Mixed into both hashes: a trial that asks several criteria has a vote by each.
            code = (self._columns["criterion"].taken().astype(np.int64) + 2).astype(np.uint64)
            first = np.where(has_trial, (first + code * np.uint64(0xD6E8FEB86659FD93)) | np.uint64(1), first)
            second = second + code
        return _second_answers(self._columns["rater"].taken(), first, second), has_trial

    def _table(self, columns: dict[str, np.ndarray]) -> VoteTable:
        none = np.zeros(0, dtype=np.int64)
        rater, pair = columns.pop("rater", none), columns.pop("pair", none)
        left, right = columns.pop("arm_left", none), columns.pop("arm_right", none)
        choice = columns.pop("choice", none).astype(np.int8)
        extra: dict[str, np.ndarray] = {}
        for name, labels in self._texts.items():
            if name in columns:
                # Objects share one string per distinct label: 8 bytes a vote however long the label.
                extra[name] = labels.of(columns.pop(name))
        if "check_kind" in columns:
            extra["check_kind"] = looked_up(np.array(CHECK_KINDS, dtype=object), columns.pop("check_kind"))
        if "acceptable" in columns:
            extra["acceptable"] = looked_up(np.array(ACCEPTABLE, dtype=object), columns.pop("acceptable"))
        for name in (*FLAG_COLUMNS, *NUMBERS, "submitted_at"):
            if name in columns:
                extra[name] = columns.pop(name)
        raters, rater_places = self._raters.ordered(rater)
        pairs, pair_places = self._pairs.ordered(pair)
        arms, arm_places = self._arms.ordered(left, right)
        return VoteTable(
            raters=raters,
            pairs=pairs,
            arms=arms,
            rater=rater_places[rater],
            pair=pair_places[pair],
            arm_left=arm_places[left],
            arm_right=arm_places[right],
            choice=choice,
            extra=extra,
        )


def _rows_of(table: VoteTable, name: str, label: str) -> np.ndarray:
    """Return the mask of the rows that hold a label in a column (of an arm: on either side)."""
    if name == "arm":
        code = table.arms.index(label)
        return (table.arm_left == code) | (table.arm_right == code)
    if name in ("rater", "pair"):
        labels = table.raters if name == "rater" else table.pairs
        return getattr(table, name) == labels.index(label)
    return table.extra[name] == label


def _second_answers(rater: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return, ascending, the rows whose rater and hashes of a trial stand in an earlier row."""
    # One cheap sort finds the few rows whose keys meet; only those are compared in full.
    keys = first + rater.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    has_trial = first != 0
    ordered = np.sort(keys if has_trial.all() else keys[has_trial])
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice):
        return np.zeros(0, dtype=np.int64)
    rows = np.flatnonzero(np.isin(keys, twice) & has_trial)
    rows = rows[np.lexsort((rows, second[rows], first[rows], rater[rows]))]
    same = np.ones(max(len(rows) - 1, 0), dtype=bool)
    for values in (rater, first, second):
        same &= values[rows[1:]] == values[rows[:-1]]
    return np.sort(rows[1:][same])
