"""Columns of text, a block at a time, become a :class:`~analysis.votes.table.VoteTable`; every bad row is told why."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from analysis.votes.columns import CHECK_KINDS, CHOICES
from analysis.votes.csv_text import unguard
from analysis.votes.spelling import Spelling, copied_rows, misspelt_in, tidied, unified
from analysis.votes.table import LEFT, RIGHT, TIE, VoteTable

__all__ = ["BadRow", "Gatherer"]

# A file whose every row is bad must not fill the memory with complaints.
MOST_LISTED = 100_000

_EMPTY, _NOT_UTF8, _UNKNOWN = -1, -2, -3
_BOOLEANS = {"": 0, "true": 1, "True": 1, "TRUE": 1, "1": 1, "false": 0, "False": 0, "FALSE": 0, "0": 0}
_CHOICE_CODES = dict(zip(CHOICES, (LEFT, RIGHT, TIE), strict=True))
_KIND_CODES = {name: code for code, name in enumerate(CHECK_KINDS)}
_TEXTS = ("study", "study_version", "session", "class_label", "seed", "site", "exclusion_reason")
_FLAGS = ("is_repeat", "excluded", "simulated")
_NUMBERS = {"response_ms": 0.0, "exposure_ms": 0.0, "position": 1.0}
# What a column holds in the blocks in which no row names it.
_BLANKS = {
    **dict.fromkeys(_TEXTS, _EMPTY),
    **dict.fromkeys(_FLAGS, False),
    **dict.fromkeys(_NUMBERS, math.nan),
    "check_kind": _KIND_CODES[""],
    "submitted_at": np.datetime64("NaT", "ms"),
    "has_trial": False,
    **dict.fromkeys(("trial_hash", "trial_hash2"), 0),
}


@dataclass(frozen=True, order=True)
class BadRow:
    """A row that cannot be used: where it stands and why.

    Parameters
    ----------
    line : int
        1-based line of the file on which the row begins; in Parquet the 1-based row.
    column : str
        The column at fault; empty when the row as a whole is.
    reason : str
        What is wrong, the value included.
    file : str
        The file's name as it was given.
    """

    line: int
    column: str
    reason: str
    file: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.column + ': ' if self.column else ''}{self.reason}"


class _Labels(dict):
    """Raw text -> code, numbered by first sight. Empty and undecodable texts get negative codes."""

    def __init__(self, decode: Callable[[str], str]) -> None:
        super().__init__()
        self.decode = decode
        self.codes: dict[str, int] = {}

    def __missing__(self, raw: str) -> int:
        label = self.decode(raw)
        if not label.strip():
            code = _EMPTY
        elif not label.isascii() and any("\ud800" <= character <= "\udfff" for character in label):
            code = _NOT_UTF8
        else:
            code = self.codes.setdefault(label, len(self.codes))
        self[raw] = code
        return code

    def ordered(self, *used: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
        """Return the labels in use, sorted, and for each code by first sight its place among them."""
        counts = sum(np.bincount(codes, minlength=len(self.codes)) for codes in used)
        labels = tuple(sorted(label for label, code in self.codes.items() if counts[code]))
        places = np.full(len(self.codes), -1, dtype=np.int64)
        for place, label in enumerate(labels):
            places[self.codes[label]] = place
        return labels, places


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
        self.file = file
        self.spelling = spelling
        self.keep_copies = keep_copies
        self.bad: list[BadRow] = []
        self.bad_counts: Counter[str] = Counter()
        self.misspelt: list[BadRow] = []
        plain = unguard if is_guarded else str
        self.decode = (lambda text: tidied(plain(text))) if spelling == "trim" else plain
        self._raters, self._pairs, self._arms = (_Labels(self.decode) for _ in range(3))
        self._texts = {name: _Labels(self.decode) for name in _TEXTS}
        self._blocks: list[dict[str, np.ndarray]] = []

    def report(self, line: int, column: str, reason: str) -> None:
        """Count one bad row, and list it unless very many are listed already."""
        self.bad_counts[column or "row"] += 1
        if len(self.bad) < MOST_LISTED:
            self.bad.append(BadRow(line, column, reason, self.file))

    def add(self, columns: Mapping[str, Sequence[str]], lines: Sequence[int]) -> None:
        """Check and keep one block.

        Parameters
        ----------
        columns : mapping of str to sequence of str
            Text of the required columns and of every other that these rows name, one entry a row; a missing value is
            the empty text.
        lines : sequence of int
            The line on which each row begins.
        """
        count = len(lines)
        if not count:
            return
        check = _Checks(self, columns, np.asarray(lines, dtype=np.int64))
        block = {"line": check.lines}
        for name, labels in (("rater", self._raters), ("pair", self._pairs)):
            block[name] = check.labels(name, labels, required=True)
        for name in ("arm_left", "arm_right"):
            block[name] = check.labels(name, self._arms, required=True)
        block["choice"] = check.codes("choice", _CHOICE_CODES)
        if "check_kind" in columns:
            block["check_kind"] = check.codes("check_kind", _KIND_CODES)
        for name in _FLAGS:
            if name in columns:
                block[name] = check.codes(name, _BOOLEANS, allowed="true, false, 1, 0 or empty") == 1
        for name, labels in self._texts.items():
            if name in columns:
                block[name] = check.labels(name, labels, required=False)
        for name, lowest in _NUMBERS.items():
            if name in columns:
                block[name] = check.numbers(name, lowest)
        if "submitted_at" in columns:
            block["submitted_at"] = check.times("submitted_at")
        check.arms(block, self._arms)
        if "trial" in columns:
            block["trial_hash"], block["trial_hash2"] = check.fingerprints("trial")
            block["has_trial"] = block["trial_hash"] != 0
        keep = ~check.is_bad
        self._blocks.append(block if keep.all() else {name: values[keep] for name, values in block.items()})

    def finish(self) -> VoteTable:
        """Return the table of all rows that passed, after looking for trials answered twice by the same rater."""
        columns = self._joined()
        if "trial_hash" in columns:
            again = _second_answers(columns)
            for line in columns["line"][again]:
                self.report(int(line), "trial", "this rater already has a vote on this trial; one current vote a trial")
            columns = _without(columns, again)
        if "line" in columns and not self.keep_copies:
            columns = self._without_copies(columns)
        self.bad.sort()
        lines = columns.get("line", np.zeros(0, dtype=np.int64))
        table = self._table(columns)
        if self.spelling == "trim":
            return unified(table)
        if self.spelling == "refuse":
            self.misspelt = [
                self._misspelling(table, lines, name, group)
                for name, groups in misspelt_in(table).items()
                for group in groups
            ]
        return table

    def _without_copies(self, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        has_trial = columns.get("has_trial", np.zeros(len(columns["line"]), dtype=bool))
        compared = {name: values for name, values in columns.items() if name not in ("line", "has_trial")}
        copies = copied_rows(compared, ~has_trial)
        for line in columns["line"][copies]:
            self.report(
                int(line),
                "",
                "is word for word an earlier row; leave it out, or give each vote its trial (or keep all: "
                "--keep-copies)",
            )
        return _without(columns, copies)

    def _misspelling(self, table: VoteTable, lines: np.ndarray, name: str, group: tuple[str, ...]) -> BadRow:
        """Return where the rarest of labels that look alike first stands, and what it is taken for."""
        column = "arm_left, arm_right" if name == "arm" else name
        uses = [_rows_of(table, name, label) for label in group]
        rarest = min(uses, key=np.count_nonzero)
        alike = " and ".join(map(_shown, group))
        return BadRow(
            int(lines[np.argmax(rarest)]),
            column,
            f"{alike} differ only in spaces, case or Unicode form; one name each, or make them one with --trim "
            "(or take them as different: --as-spelt)",
            self.file,
        )

    def _joined(self) -> dict[str, np.ndarray]:
        sizes = [len(block["line"]) for block in self._blocks]
        joined = {}
        for name in dict.fromkeys(name for block in self._blocks for name in block):
            # Popping frees each block's column as soon as it is joined: the peak is the table plus one column.
            parts = [
                block.pop(name) if name in block else np.full(size, _BLANKS[name])
                for block, size in zip(self._blocks, sizes, strict=True)
            ]
            joined[name] = np.concatenate(parts)
        return joined

    def _table(self, columns: dict[str, np.ndarray]) -> VoteTable:
        none = np.zeros(0, dtype=np.int64)
        rater, pair = columns.pop("rater", none), columns.pop("pair", none)
        left, right = columns.pop("arm_left", none), columns.pop("arm_right", none)
        raters, rater_places = self._raters.ordered(rater)
        pairs, pair_places = self._pairs.ordered(pair)
        arms, arm_places = self._arms.ordered(left, right)
        choice = columns.pop("choice", none).astype(np.int8)
        extra: dict[str, np.ndarray] = {}
        for name, labels in self._texts.items():
            if name in columns:
                # Objects share one string per distinct label: 8 bytes a vote however long the label.
                extra[name] = np.array([*labels.codes, ""], dtype=object)[columns.pop(name)]
        if "check_kind" in columns:
            extra["check_kind"] = np.array(CHECK_KINDS, dtype=object)[columns.pop("check_kind")]
        for name in (*_FLAGS, *_NUMBERS, "submitted_at"):
            if name in columns:
                extra[name] = columns.pop(name)
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


class _Checks:
    """The checks on one block; a row is reported for the first check that it fails."""

    def __init__(self, gatherer: Gatherer, columns: Mapping[str, Sequence[str]], lines: np.ndarray) -> None:
        self.gatherer, self.columns, self.lines = gatherer, columns, lines
        self.is_bad = np.zeros(len(lines), dtype=bool)

    def flag(self, bad: np.ndarray, column: str, reason) -> None:
        """Report the rows of a mask that no earlier check has reported; ``reason`` takes the row's index."""
        for row in np.flatnonzero(bad & ~self.is_bad):
            self.gatherer.report(int(self.lines[row]), column, reason(row))
        self.is_bad |= bad

    def labels(self, name: str, labels: _Labels, *, required: bool) -> np.ndarray:
        codes = np.fromiter(map(labels.__getitem__, self.columns[name]), dtype=np.int32, count=len(self.lines))
        if required:
            self.flag(codes == _EMPTY, name, lambda row: "is empty; every vote needs one")
        self.flag(codes == _NOT_UTF8, name, lambda row: "is not UTF-8 text; save the file as UTF-8")
        return codes

    def codes(self, name: str, known: Mapping[str, int], *, allowed: str | None = None) -> np.ndarray:
        values = self.columns[name]
        found = np.fromiter((known.get(text, _UNKNOWN) for text in values), dtype=np.int8, count=len(self.lines))
        allowed = allowed or ", ".join(text or "empty" for text in known)
        self.flag(found == _UNKNOWN, name, lambda row: f"{_shown(values[row])} is not one of {allowed}")
        return found

    def numbers(self, name: str, lowest: float) -> np.ndarray:
        texts = self.columns[name]
        try:
            values = np.fromiter((float(text) if text else math.nan for text in texts), np.float64, len(texts))
        except ValueError:
            values = np.fromiter((_number(text) for text in texts), np.float64, len(texts))
        given = np.fromiter(map(bool, texts), dtype=bool, count=len(texts))
        usable = np.isfinite(values) & (values >= lowest)
        self.flag(given & ~usable, name, lambda row: f"{_shown(texts[row])} is not a number of at least {lowest:g}")
        return values

    def times(self, name: str) -> np.ndarray:
        texts = self.columns[name]
        try:
            # The parser in C knows no time zones: texts in UTC, the contract's form, go through it bare.
            return np.array([_bare(text) for text in texts], dtype="datetime64[ms]")
        except ValueError:
            values = np.array([_instant(text) for text in texts], dtype="datetime64[ms]")
        given = np.fromiter(map(bool, texts), dtype=bool, count=len(texts))
        self.flag(given & np.isnat(values), name, lambda row: f"{_shown(texts[row])} is not an ISO 8601 time with zone")
        return values

    def fingerprints(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return two hashes of every text: trials are as many as votes, so their texts are not kept."""
        texts, count = self.columns[name], len(self.lines)
        first = np.fromiter((hash(text) if text else 0 for text in texts), dtype=np.int64, count=count)
        second = np.fromiter((hash("#" + text) if text else 0 for text in texts), dtype=np.int64, count=count)
        return first, second

    def arms(self, block: dict[str, np.ndarray], arms: _Labels) -> None:
        left, right, choice = block["arm_left"], block["arm_right"], block["choice"]
        kinds = block.get("check_kind")
        is_identical = np.zeros(len(left), dtype=bool) if kinds is None else kinds == _KIND_CODES["identical"]
        names = self.columns["arm_right"]
        self.flag(
            (left == right) & ~is_identical,
            "arm_right",
            lambda row: f"{_shown(names[row])} is also arm_left; only a check of kind identical shows one arm twice",
        )
        if "choice_arm" not in self.columns:
            return
        texts = self.columns["choice_arm"]
        named = np.fromiter(
            (arms.codes.get(arms.decode(text), _UNKNOWN) if text else _EMPTY for text in texts), np.int64, len(texts)
        )
        chosen = np.where(choice == LEFT, left, np.where(choice == RIGHT, right, _EMPTY))
        choices = self.columns["choice"]
        self.flag(
            named != chosen,
            "choice_arm",
            lambda row: f"{_shown(texts[row])} is not the arm that choice {_shown(choices[row])} names",
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


def _without(columns: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[~rows] for name, values in columns.items()} if rows.any() else columns


def _second_answers(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Return the mask of rows whose rater and trial stand in an earlier row; rows without a trial are let be."""
    first, second = columns.pop("trial_hash"), columns.pop("trial_hash2")
    again = np.zeros(len(first), dtype=bool)
    rows = np.flatnonzero(first != 0)
    # One cheap sort finds the few rows whose keys meet; only those are compared in full.
    keys = first[rows] + columns["rater"][rows].astype(np.int64) * np.int64(0x9E3779B97F4A7C1)
    ordered = np.sort(keys)
    rows = rows[np.isin(keys, ordered[1:][ordered[1:] == ordered[:-1]])]
    rows = rows[np.lexsort((rows, second[rows], first[rows], columns["rater"][rows]))]
    same = np.ones(max(len(rows) - 1, 0), dtype=bool)
    for values in (columns["rater"], first, second):
        same &= values[rows[1:]] == values[rows[:-1]]
    again[rows[1:][same]] = True
    return again


def _shown(text: str, *, longest: int = 40) -> str:
    """Return a value as an error message quotes it: escaped, on one line, cut when long."""
    quoted = ascii(text) if "\ud800" <= max(text, default="") <= "\udfff" else repr(text)
    return quoted if len(quoted) <= longest else quoted[:longest] + "…'"


def _number(text: str) -> float:
    try:
        return float(text) if text else math.nan
    except ValueError:
        return math.nan


def _bare(text: str) -> str:
    if not text:
        return "NaT"
    if text.endswith("Z"):
        return text[:-1]
    if text.endswith("+00:00"):
        return text[:-6]
    raise ValueError("needs its zone worked out")


def _instant(text: str) -> np.datetime64:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return np.datetime64("NaT", "ms")
    if moment.tzinfo is None:
        return np.datetime64("NaT", "ms")
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "ms")
