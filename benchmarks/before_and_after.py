"""Run a script under an earlier commit and under this tree in turns, and put the ratio of the medians on record."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

__all__ = ["BEFORE", "HERE", "PEAK", "compared", "earlier", "join_record", "machine", "options"]

BEFORE = "13bc07b"
HERE = Path(__file__).resolve().parents[1]
SIDES = ("before", "after")
# For scripts: the peak of this process, which does not begin with that of the one that started it, as getrusage's does.
PEAK = """
def peak_mb():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024
"""


def options(description: str, **numbers: int) -> argparse.ArgumentParser:
    """Return the options that such benchmarks share: one for each number, with its default."""
    parser = argparse.ArgumentParser(description=description)
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument(
        "--sides", nargs="+", choices=SIDES, default=SIDES, help="the other side keeps its place in the record"
    )
    parser.add_argument("--files", type=Path, help="folder in which the votes are made, or found if they were made")
    return parser


@contextmanager
def earlier(commit: str = BEFORE) -> Iterator[Path]:
    """Make a clone of this repository at an earlier commit for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="before-") as folder:
        subprocess.run(["git", "clone", "--quiet", "--shared", "--no-checkout", HERE, folder], check=True)
        subprocess.run(["git", "-C", folder, "checkout", "--quiet", commit], check=True)
        yield Path(folder)


def compared(script: str, arguments: list[str], *, times: int, sides: Sequence[str] = SIDES) -> dict[str, dict]:
    """Run a script so many times under the trees in turns; it prints one JSON object.

    Returns
    -------
    dict
        For each side the median of each number, what the script said in words, and the machine as it was.

    Raises
    ------
    ValueError
        If a side says different words from one time to the next.
    """
    found: dict[str, list[dict]] = {side: [] for side in sides}
    before_any = machine()
    with ExitStack() as stack:
        trees = {side: stack.enter_context(earlier()) if side == "before" else HERE for side in sides}
        for _ in range(times):
            for side, tree in trees.items():
                command = [sys.executable, "-c", script, *arguments]
                done = subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True)
                found[side].append(json.loads(done.stdout.splitlines()[-1]))
    return {side: {**_median(runs), "times": times, "machine": before_any} for side, runs in found.items()}


def _median(runs: list[dict]) -> dict:
    words = {key: {run[key] for run in runs} for key in runs[0] if isinstance(runs[0][key], str)}
    if differing := [key for key, said in words.items() if len(said) > 1]:
        raise ValueError(f"{', '.join(differing)} differed from one time to the next")
    numbers = {key: round(statistics.median(run[key] for run in runs), 8) for key in runs[0] if key not in words}
    return numbers | {key: said.pop() for key, said in words.items()}


def join_record(path: Path, place: Sequence[str], found: dict[str, dict]) -> dict:
    """Put the sides that were measured into a record, beside what it holds of the other; return the entry.

    Parameters
    ----------
    path : Path
        A JSON file; made when missing.
    place : sequence of str
        Keys that lead to the entry.
    found : mapping
        What :func:`compared` returned. The entry's ``ratio`` is of the medians, where it has both sides.
    """
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    entry = record
    for key in place:
        entry = entry.setdefault(key, {})
    entry |= found
    if all(side in entry for side in SIDES):
        before, after = (entry[side] for side in SIDES)
        measured = [key for key in after if key.endswith(("_s", "_mb")) and before.get(key) and after[key]]
        entry["ratio"] = {key: round(before[key] / after[key], 2) for key in measured}
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return entry


def machine() -> dict:
    """Return what a reader needs to judge a record: the load tells whether the machine was free."""
    return {
        "cores": os.cpu_count(),
        "load_average": [round(value, 1) for value in os.getloadavg()],
        "python": platform.python_version(),
        "processor": platform.machine(),
    }
