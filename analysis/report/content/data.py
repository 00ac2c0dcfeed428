"""What votes a report rests on: how many, of whom, on what, when, from which file, and what was left out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import numpy as np

from analysis.inference.counts import LoadSummary, load_summary
from analysis.preference.per_class import class_names
from analysis.votes.selection import Selection
from analysis.votes.table import TIE, VoteTable

__all__ = ["data_section", "table_sha256"]


def data_section(table: VoteTable, selection: Selection, given: Mapping) -> dict:
    """Return the report's ``data``.

    Parameters
    ----------
    table : VoteTable
        All votes of the question.
    selection : Selection
        Those that count, and why others do not.
    given : mapping
        Facts of the reading: ``rows``, ``bad_rows``, ``source``, ``sha256`` and the like.
    """
    kept = selection.table
    per_rater, per_pair = load_summary(kept.rater), load_summary(kept.pair)
    times = kept.extra.get("submitted_at", np.zeros(0, dtype="datetime64[ms]"))
    times = times[~np.isnat(times)]
    classes = kept.extra.get("class_label")
    return {
        "votes": len(kept),
        "raters": per_rater.units,
        "pairs": per_pair.units,
        "classes": None if classes is None else len(set(classes) - {""}),
        "class_names": class_names(kept),
        "arms": list(kept.arms),
        "ties": int(np.count_nonzero(kept.choice == TIE)),
        "simulated": selection.simulated,
        "is_simulated": selection.is_simulated,
        "excluded": selection.kept_out,
        "rows": given.get("rows", len(table)),
        "bad_rows": dict(given.get("bad_rows", {})),
        "ignored_columns": list(given.get("ignored_columns", ())),
        "left_out": dict(given.get("left_out", {})),
        "unknown": list(given.get("unknown", ())),
        "source": given.get("source"),
        "sha256": given.get("sha256") or table_sha256(table),
        "sha256_of": "file" if given.get("sha256") else "table",
        "votes_per_rater": _spread(per_rater),
        "votes_per_pair": _spread(per_pair),
        "first_vote": _day(times.min()) if len(times) else None,
        "last_vote": _day(times.max()) if len(times) else None,
        "sites": len(set(kept.extra.get("site", ())) - {""}),
        "studies": sorted(set(table.extra.get("study", ())) - {""}),
        "study_versions": sorted(set(table.extra.get("study_version", ())) - {""}),
    }


def _spread(load: LoadSummary) -> dict:
    return {"median": load.median, "min": load.smallest, "max": load.largest}


def _day(moment: np.datetime64) -> str:
    return str(moment.astype("datetime64[D]"))


def table_sha256(table: VoteTable) -> str:
    """Return a hash of the votes in memory: of labels and codes, the same in any order of the rows."""
    columns = np.stack(
        [table.rater, table.pair, table.arm_left, table.arm_right, table.choice.astype(np.int64)], axis=1
    ).astype("<i8")
    columns = columns[np.lexsort(columns.T[::-1])]
    digest = hashlib.sha256(json.dumps([table.raters, table.pairs, table.arms], ensure_ascii=True).encode())
    digest.update(np.ascontiguousarray(columns).tobytes())
    return digest.hexdigest()
