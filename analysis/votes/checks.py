"""The checks on a block of votes, made on distinct texts, and the labels that the blocks of a file share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from analysis.sheets.faults import label_fault, number_hint
from analysis.votes.coded import Coded
from analysis.votes.columns import ACCEPTABLE, CHECK_KINDS, CHOICES
from analysis.votes.lines import Lines
from analysis.votes.room import is_constant, looked_up
from analysis.votes.table import LEFT, RIGHT, TIE

__all__ = [
    "ACCEPTABLE_CODES",
    "FLAG_COLUMNS",
    "KIND_CODES",
    "NOTHING",
    "NUMBERS",
    "NUMBER_COLUMNS",
    "READ_COLUMNS",
    "TEXT_COLUMNS",
    "TIME_COLUMNS",
    "VARIED_COLUMNS",
    "Checks",
    "Labels",
    "shown",
]

Report = Callable[..., None]
_LEAVE_EMPTY = "; leave the cell empty where nothing is known"
# What spreadsheets and data frames write where there is nothing.
NOTHING = ("nan", "na", "n/a", "null", "none", "nat")
# Negative, so that none is ever a place among labels.
EMPTY, _NOT_UTF8, _UNKNOWN, _UNFIT = -1, -2, -3, -4
_BOOLEANS = {"": 0, "true": 1, "True": 1, "TRUE": 1, "1": 1, "false": 0, "False": 0, "FALSE": 0, "0": 0}
_CHOICE_CODES = dict(zip(CHOICES, (LEFT, RIGHT, TIE), strict=True))
ACCEPTABLE_CODES = {name: code for code, name in enumerate(ACCEPTABLE)}
KIND_CODES = {name: code for code, name in enumerate(CHECK_KINDS)}
TEXT_COLUMNS = (
    "study",
    "study_version",
    "session",
    "criterion",
    "class_label",
    "class_name",
    "seed",
    "site",
    "exclusion_reason",
    "reasons",
)
FLAG_COLUMNS = ("is_repeat", "excluded", "simulated", "sides_unknown")
NUMBERS = {"response_ms": 0.0, "exposure_ms": 0.0, "position": 1.0, "strength": 1.0}
# What a reader hands over.
READ_COLUMNS = (
    *(
        "rater",
        "pair",
        "arm_left",
        "arm_right",
        "choice",
        "choice_arm",
        "trial",
        "check_kind",
        "submitted_at",
        "acceptable",
    ),
    *TEXT_COLUMNS,
    *FLAG_COLUMNS,
    *NUMBERS,
)
# Columns whose texts mostly differ from row to row: coding them gains nothing.
NUMBER_COLUMNS, TIME_COLUMNS = tuple(NUMBERS), ("submitted_at",)
VARIED_COLUMNS = ("trial", *TIME_COLUMNS, *NUMBER_COLUMNS)


class Labels(dict):
    """Raw text -> code, numbered by first sight. Empty and undecodable texts get negative codes.

    Parameters
    ----------
    decode : callable
        From what stands in a cell to the label.
    naming : bool
        Whether these are names: a cell that names nothing, or no longer what it named, then has a code of its own.
    """

    def __init__(self, decode: Callable[[str], str], *, naming: bool = False) -> None:
        super().__init__()
        self.decode, self.naming = decode, naming
        self.codes: dict[str, int] = {}
        self.used: tuple[str, ...] = ()

    def __missing__(self, raw: str) -> int:
        label = self.decode(raw)
        if not label.strip():
            code = EMPTY
        elif not label.isascii() and any("\ud800" <= character <= "\udfff" for character in label):
            code = _NOT_UTF8
        elif self.naming and label_fault(raw):
            code = _UNFIT
        else:
            code = self.codes.setdefault(label, len(self.codes))
        self[raw] = code
        return code

    def ordered(self, *used: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
        """Return the labels in use, sorted, and for each code by first sight its place among them."""
        none = np.zeros(len(self.codes), dtype=np.int64)
        counts = sum((np.bincount(codes, minlength=len(self.codes)) for codes in used), start=none)
        labels = tuple(sorted(label for label, code in self.codes.items() if counts[code]))
        places = np.full(len(self.codes), -1, dtype=np.int64)
        for place, label in enumerate(labels):
            places[self.codes[label]] = place
        return labels, places

    def of(self, codes: np.ndarray) -> np.ndarray:
        """Return the label of each row, and remember which labels are used."""
        # Objects share one string per distinct label: 8 bytes a vote however long the label.
        labels = np.array([*self.codes, ""], dtype=object)
        counts = np.bincount(codes[:1] + 1 if is_constant(codes) else codes + 1, minlength=len(labels))
        self.used = tuple(labels[np.flatnonzero(counts[1:])])
        return looked_up(labels, codes)


class Checks:
    """The checks on one block, made on distinct texts; a row is reported for the first check that it fails."""

    def __init__(self, columns: Mapping[str, Coded], lines: Lines, report_many: Report) -> None:
        self.columns, self.lines, self.report_many = columns, lines, report_many
        self.is_bad = np.zeros(len(lines), dtype=bool)

    def flag(self, bad: np.ndarray, column: str, reason: Callable[[int], str], *, kind: str) -> None:
        """Report the rows of a mask that no earlier check has reported; ``reason`` takes the row's index."""
        rows = np.flatnonzero(bad & ~self.is_bad)
        self.report_many(rows, lambda row: int(self.lines[row]), column, reason, kind=kind)
        self.is_bad[rows] = True

    def flag_texts(self, bad: np.ndarray, column: str, reason: Callable[[str], str], *, kind: str) -> None:
        """Report the rows whose text is bad; nothing is done a row where no text is."""
        if bad.any():
            values = self.columns[column]
            self.flag(values.rows(bad), column, lambda row: reason(values.at(row)), kind=kind)

    def labels(self, name: str, labels: Labels, *, required: bool) -> np.ndarray:
        texts = self.columns[name].texts
        codes = np.fromiter(map(labels.__getitem__, texts.labels()), dtype=np.int32, count=len(texts))
        if required:
            self.flag_texts(codes == EMPTY, name, lambda text: "is empty; every vote needs one", kind="empty")
            self.flag_texts(
                codes == _UNFIT, name, lambda text: f"{label_fault(text)}; every vote needs one", kind="unfit"
            )
        said = "is not UTF-8 text; save the file as UTF-8"
        self.flag_texts(codes == _NOT_UTF8, name, lambda text: said, kind="text")
        # A code takes as many bytes as the labels need.
        return self.columns[name].rows(codes.astype(np.min_scalar_type(-max(len(labels.codes), 3))))

    def codes(self, name: str, known: Mapping[str, int], *, allowed: str | None = None) -> np.ndarray:
        texts = self.columns[name].texts
        found = np.fromiter((known.get(text, _UNKNOWN) for text in texts.labels()), dtype=np.int8, count=len(texts))
        allowed = allowed or ", ".join(text or "empty" for text in known)

        def reason(text: str) -> str:
            return f"{shown(text)} is not one of {allowed}{_hint(text, known)}"

        self.flag_texts(found == _UNKNOWN, name, reason, kind="unknown")
        return self.columns[name].rows(found)

    def choices(self) -> np.ndarray:
        return self.codes("choice", _CHOICE_CODES)

    def flags(self, name: str) -> np.ndarray:
        return self.codes(name, _BOOLEANS, allowed="true, false, 1, 0 or empty") == 1

    def numbers(self, name: str, lowest: float) -> np.ndarray:
        texts = self.columns[name].texts
        values, given = texts.numbers(), texts.given()
        unusable = given & ~(np.isfinite(values) & (values >= lowest))
        said = f"is not a number of at least {lowest:g}"
        self.flag_texts(unusable, name, lambda text: f"{shown(text)} {said}{_number_hint(text)}", kind="number")
        return self.columns[name].rows(values)

    def strengths(self, choice: np.ndarray) -> np.ndarray:
        values = self.numbers("strength", NUMBERS["strength"])
        said = "is no whole grade; give 1, 2, 3 and so on, or leave the cell empty"
        fraction = np.flatnonzero(~np.isnan(values) & (values != np.rint(values)))
        self._flag_rows(fraction, lambda text: f"{shown(text)} {said}", kind="fraction")
        tied = np.flatnonzero(~np.isnan(values) & (choice == TIE))
        self._flag_rows(tied, lambda text: "stands beside a tie, which has no grade; leave the cell empty", kind="tie")
        return values

    def _flag_rows(self, rows: np.ndarray, reason: Callable[[str], str], *, kind: str) -> None:
        bad = np.zeros(len(self.lines), dtype=bool)
        bad[rows] = True
        self.flag(bad, "strength", lambda row: reason(self.columns["strength"].at(row)), kind=kind)

    def times(self, name: str) -> np.ndarray:
        texts = self.columns[name].texts
        values = texts.instants()
        bad = texts.given() & np.isnat(values)
        self.flag_texts(bad, name, lambda text: f"{shown(text)} is not an ISO 8601 time with zone", kind="time")
        return self.columns[name].rows(values)

    def fingerprints(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        values = self.columns[name]
        first, second = values.texts.fingerprints()
        return values.rows(first), values.rows(second)

    def arms(self, block: dict[str, np.ndarray], arms: Labels) -> None:
        left, right, choice = block["arm_left"], block["arm_right"], block["choice"]
        is_same = left == right
        if is_same.any():
            if "check_kind" in block:
                is_same &= block["check_kind"] != KIND_CODES["identical"]
            names = self.columns["arm_right"]
            said = "is also arm_left; only a check of kind identical shows one arm twice"
            self.flag(is_same, "arm_right", lambda row: f"{shown(names.at(row))} {said}", kind="same")
        if "choice_arm" not in self.columns:
            return
        values, choices = self.columns["choice_arm"], self.columns["choice"]
        known = (arms.codes.get(arms.decode(text), _UNKNOWN) if text else EMPTY for text in values.texts.labels())
        named = values.rows(np.fromiter(known, dtype=np.int32, count=len(values.texts)))
        chosen = np.where(choice == LEFT, left, np.where(choice == RIGHT, right, np.int32(EMPTY)))
        self.flag(
            named != chosen,
            "choice_arm",
            lambda row: f"{shown(values.at(row))} is not the arm that choice {shown(choices.at(row))} names",
            kind="chosen",
        )


def shown(text: str, *, longest: int = 40) -> str:
    """Return a value as an error message quotes it: escaped, on one line, cut when long."""
    quoted = ascii(text) if "\ud800" <= max(text, default="") <= "\udfff" else repr(text)
    return quoted if len(quoted) <= longest else quoted[:longest] + "…'"


def _hint(text: str, known: Mapping[str, int]) -> str:
    """Return what to do about an answer or word that a spreadsheet changed or another tool wrote."""
    word = text.strip().casefold()
    if word in NOTHING:
        return (
            "; leave the cell empty where nothing is known" if "" in known else "; a row without an answer is no vote"
        )
    if word and word in known:
        return f"; write {word}"
    is_choice = word and known is _CHOICE_CODES
    return f"; say what it means with --answer {word[:20]}=left (or right, tie)" if is_choice else ""


def _number_hint(text: str) -> str:
    word = text.strip().casefold()
    if word in NOTHING:
        return _LEAVE_EMPTY
    return number_hint(text)
