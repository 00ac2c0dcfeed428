"""One row of a comparison: our function and its reference, timed in the same process, and whether they agree."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["Row", "measured", "r_answer"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A quantity computed by us and by somebody else.

    Parameters
    ----------
    name, reference_name : str
    ours, reference : callable without arguments, returning numbers to compare (a sequence of float)
        ``reference`` None: no other implementation exists; only our time is recorded. A reference that times itself (an
        R script, without its start-up) returns ``(numbers, seconds)``.
    tolerance : float
        Largest relative difference that counts as the same answer; None where the answers are random.
    repeats : int
        Runs of each; the fastest counts.
    """

    name: str
    ours: Callable[[], object]
    reference: Callable[[], object] | None = None
    reference_name: str = ""
    tolerance: float | None = 1e-6
    repeats: int = 5


def _best(run: Callable[[], object], repeats: int) -> tuple[object, float]:
    best, answer = float("inf"), None
    for _ in range(repeats):
        start = time.perf_counter()
        answer = run()
        best = min(best, time.perf_counter() - start)
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], float) and not np.isscalar(answer[0]):
        return answer
    return answer, best


def measured(row: Row) -> dict:
    """Run a row and return its record: seconds of both, their ratio, and the largest relative difference."""
    answer, ours_s = _best(row.ours, row.repeats)
    record = {"name": row.name, "ours_s": round(ours_s, 5)}
    if row.reference is None:
        return record
    expected, reference_s = _best(row.reference, row.repeats)
    record |= {
        "reference": row.reference_name,
        "reference_s": round(reference_s, 5),
        "times_faster": round(reference_s / ours_s, 2),
    }
    if row.tolerance is not None:
        found, wanted = np.asarray(answer, dtype=float), np.asarray(expected, dtype=float)
        difference = float(np.max(np.abs(found - wanted) / np.maximum(np.abs(wanted), 1e-300)))
        record |= {"largest_relative_difference": float(f"{difference:.2e}"), "agrees": difference <= row.tolerance}
    return record


def r_answer(script: str, votes: Path) -> tuple[list[float], float] | None:
    """Run R code that prints JSON ``{"answer": [...], "seconds": s}``, given the votes' path; None without R."""
    if shutil.which("Rscript") is None:
        return None
    run = subprocess.run(["Rscript", "-e", script, str(votes)], capture_output=True, text=True, check=True)
    printed = json.loads(run.stdout.strip().splitlines()[-1])
    return printed["answer"], float(printed["seconds"])
