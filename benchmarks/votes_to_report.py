"""Time the way from a file of votes to the whole report: ``python benchmarks/votes_to_report.py``.

200,000 votes of 2000 raters on 1000 pairs, all formats of the report; ``--raters`` and ``--votes-per-rater`` change the
size and leave the record alone. The record is ``benchmarks/votes_to_report.json``; the load average beside it tells
whether the machine was free. Goal: 30 s on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from analysis.commands import simulate_command
from analysis.reading import read_votes, reading_facts
from analysis.report import build_report, write_report

RECORD = Path(__file__).with_suffix(".json")
RATERS, PAIRS, VOTES_PER_RATER = 2000, 1000, 100


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raters", type=int, default=RATERS)
    parser.add_argument("--votes-per-rater", type=int, default=VOTES_PER_RATER)
    parser.add_argument("--read-only", action="store_true", help="stop after reading")
    options = parser.parse_args()
    is_usual = (options.raters, options.votes_per_rater) == (RATERS, VOTES_PER_RATER) and not options.read_only
    with tempfile.TemporaryDirectory() as folder:
        steps = _steps(Path(folder), options)
    if is_usual:
        RECORD.write_text(json.dumps({"machine": _machine(), "steps": steps}, indent=2) + "\n", encoding="utf-8")
    return 0


def _steps(folder: Path, options: argparse.Namespace) -> dict[str, dict]:
    path = folder / "votes.csv"
    design = ["--raters", options.raters, "--pairs", PAIRS, "--votes-per-rater", options.votes_per_rater]
    behaviour = ["--tie-rate", 0.1, "--position-bias", 0.2, "--classes", 100, "--seed", 1]
    simulate_command([str(value) for value in ("--out", path, *design, *behaviour)])
    steps: dict[str, dict] = {}
    read = _timed(steps, "read", lambda: read_votes(path))
    steps["read"]["votes"] = len(read.table)
    steps["read"]["bytes_a_vote"] = round(_size(read.table) / len(read.table))
    if options.read_only:
        return steps
    report = _timed(steps, "build_report", lambda: build_report(read.table, data=reading_facts(read)))
    files = _timed(steps, "write_report", lambda: write_report(report, read.table, folder / "out"))
    steps["write_report"]["files"] = len(files)
    total = {key: round(sum(step[key] for step in steps.values()), 2) for key in ("wall_s", "cpu_s")}
    steps["total"] = {**total, "peak_mb": steps["write_report"]["peak_mb"]}
    print(f"total           {total['wall_s']:8.2f} s wall {total['cpu_s']:8.2f} s CPU")
    return steps


def _timed(steps: dict[str, dict], name: str, work: Callable):
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    found = {"wall_s": round(time.perf_counter() - wall, 2), "cpu_s": round(time.process_time() - cpu, 2)}
    # Linux counts the peak in KiB.
    found["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    steps[name] = found
    print(
        f"{name:15} {found['wall_s']:8.2f} s wall {found['cpu_s']:8.2f} s CPU, peak {found['peak_mb']} MiB", flush=True
    )
    return result


def _size(table) -> int:
    columns = (table.rater, table.pair, table.arm_left, table.arm_right, table.choice, *table.extra.values())
    return sum(column.nbytes for column in columns)


def _machine() -> dict:
    return {
        "cores": os.cpu_count(),
        "load_average": [round(value, 1) for value in os.getloadavg()],
        "python": platform.python_version(),
        "processor": platform.machine(),
    }


if __name__ == "__main__":
    sys.exit(main())
