"""Run a script under an earlier commit and under this tree in turns, and put the ratio of the medians on record."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["BEFORE", "HERE", "compared", "earlier", "machine"]

BEFORE = "13bc07b"
HERE = Path(__file__).resolve().parents[1]


@contextmanager
def earlier(commit: str = BEFORE) -> Iterator[Path]:
    """Make a clone of this repository at an earlier commit for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="before-") as folder:
        subprocess.run(["git", "clone", "--quiet", "--shared", "--no-checkout", HERE, folder], check=True)
        subprocess.run(["git", "-C", folder, "checkout", "--quiet", commit], check=True)
        yield Path(folder)


def compared(script: str, arguments: list[str], *, before: Path, times: int) -> dict:
    """Run a script so many times under both trees in turns; the script prints one JSON object of numbers.

    Returns
    -------
    dict
        Under ``before`` and ``after`` the median of each number, under ``ratio`` the medians' quotient.
    """
    found: dict[str, list[dict]] = {"before": [], "after": []}
    for _ in range(times):
        for name, tree in (("before", before), ("after", HERE)):
            command = [sys.executable, "-c", script, *arguments]
            done = subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True)
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    medians = {
        name: {key: round(statistics.median(run[key] for run in runs), 8) for key in runs[0]}
        for name, runs in found.items()
    }
    ratio = {key: round(medians["before"][key] / medians["after"][key], 2) for key in medians["before"]}
    return {**medians, "ratio": ratio, "times": times}


def machine() -> dict:
    """Return what a reader needs to judge a record: the load tells whether the machine was free."""
    return {
        "cores": os.cpu_count(),
        "load_average": [round(value, 1) for value in os.getloadavg()],
        "python": platform.python_version(),
        "processor": platform.machine(),
    }
