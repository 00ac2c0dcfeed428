"""Names that differ only in spaces, case, Unicode form or a trailing .0, and rows that are copies: found at reading.

Both are invisible in a spreadsheet and move every number: a trailing space on half of an arm's rows makes two arms of
one, a row pasted twice weighs double. Every path that reads votes calls this module.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from analysis.votes.table import VoteTable

__all__ = ["SPELLINGS", "Spelling", "copied_rows", "misspelt", "misspelt_in", "spelling_key", "tidied", "unified"]

Spelling = Literal["refuse", "trim", "keep"]
SPELLINGS: tuple[Spelling, ...] = ("refuse", "trim", "keep")

# No glyph and no width, but not white space to Python: zero-width space, word joiner, byte-order mark.
_WIDTHLESS = dict.fromkeys((0x200B, 0x2060, 0xFEFF))
_TEXT_COLUMNS = ("class_label", "site", "criterion")


def tidied(label: str) -> str:
    """Return a label without outer spaces, inner ones single and plain, in Unicode's composed form (NFC).

    Examples
    --------
    >>> tidied(" robust\\u00a0 arm ")
    'robust arm'
    """
    if label.isascii() and label.isalnum():
        return label
    return unicodedata.normalize("NFC", " ".join(label.translate(_WIDTHLESS).split()))


def spelling_key(label: str) -> str:
    """Return what labels share that differ only in spaces, case, Unicode form, or in the .0 of a number.

    Examples
    --------
    >>> spelling_key("Robust ") == spelling_key("robust")
    True
    """
    key = unicodedata.normalize("NFC", tidied(label).casefold())
    # Data frames write whole numbers so where some rows have none: 1 and 1.0 would be two raters.
    return key[:-2] if key.endswith(".0") and key[:-2].isdecimal() else key


def misspelt(labels: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of labels that share their spelling key, each group sorted.

    Examples
    --------
    >>> misspelt(["robust", "robust ", "vanilla"])
    [('robust', 'robust ')]
    """
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(spelling_key(label), []).append(label)
    return [tuple(sorted(group)) for group in groups.values() if len(group) > 1]


def misspelt_in(labels: Mapping[str, Iterable[str]]) -> dict[str, list[tuple[str, ...]]]:
    """Return the misspelt labels under the column that holds them (``arm`` for both sides')."""
    names = ("rater", "pair", "arm", *_TEXT_COLUMNS)
    found = {name: misspelt(set(labels[name]) - {""}) for name in names if name in labels}
    return {name: groups for name, groups in found.items() if groups}


def unified(table: VoteTable) -> VoteTable:
    """Return the table with one spelling for labels that differ only in spaces, case or Unicode form: the commonest."""
    raters, rater = _merged(table.raters, table.rater)
    pairs, pair = _merged(table.pairs, table.pair)
    arms, sides = _merged(table.arms, np.concatenate((table.arm_left, table.arm_right)))
    extra = dict(table.extra)
    for name in _TEXT_COLUMNS:
        if name in extra and misspelt(set(extra[name])):
            labels, codes = np.unique(extra[name].astype(str), return_inverse=True)
            merged, codes = _merged(tuple(labels.tolist()), codes)
            extra[name] = np.array(merged, dtype=object)[codes]
    return replace(
        table,
        raters=raters,
        pairs=pairs,
        arms=arms,
        rater=rater,
        pair=pair,
        arm_left=sides[: len(table)],
        arm_right=sides[len(table) :],
        extra=extra,
    )


def _merged(labels: tuple[str, ...], codes: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Return sorted labels, one a spelling key, and the codes that index them."""
    if not misspelt(labels):
        return labels, codes
    uses = np.bincount(codes, minlength=len(labels))
    chosen: dict[str, str] = {}
    for code in np.lexsort((np.arange(len(labels)), -uses)):
        chosen.setdefault(spelling_key(labels[code]), labels[code])
    kept = tuple(sorted(tidied(label) for label in chosen.values()))
    places = {spelling_key(label): place for place, label in enumerate(kept)}
    return kept, np.array([places[spelling_key(label)] for label in labels], dtype=np.int64)[codes]


def copied_rows(columns: Mapping[str, np.ndarray], candidates: np.ndarray) -> np.ndarray:
    """Return the mask of rows that repeat an earlier one in every column.

    Parameters
    ----------
    columns : mapping of str to (N,) array
        Codes and numbers of the rows, as they are gathered.
    candidates : (N,) bool
        Rows that may be copies: those without a trial id of their own.
    """
    again = np.zeros(len(candidates), dtype=bool)
    rows = np.flatnonzero(candidates)
    if len(rows) < 2:
        return again
    digest = np.zeros(len(rows), dtype=np.uint64)
    for values in columns.values():
        digest = digest * np.uint64(0x9E3779B97F4A7C15) + _bits(values[rows])
        digest ^= digest >> np.uint64(29)
    ordered = np.sort(digest)
    rows = rows[np.isin(digest, ordered[1:][ordered[1:] == ordered[:-1]])]
    # Only the few rows whose digests meet are compared in full; the stable sort keeps the earlier row first.
    keys = [_bits(values[rows]) for values in columns.values()]
    order = np.lexsort((rows, *keys))
    same = np.ones(max(len(rows) - 1, 0), dtype=bool)
    for key in keys:
        same &= key[order[1:]] == key[order[:-1]]
    again[rows[order[1:][same]]] = True
    return again


def _bits(values: np.ndarray) -> np.ndarray:
    """Return the values as (N,) uint64; NaN equals NaN."""
    if values.dtype.kind in "fmM":
        return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}").astype(np.uint64)
    return values.astype(np.int64).view(np.uint64)
