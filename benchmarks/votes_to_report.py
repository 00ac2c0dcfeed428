"""Time the way from a file of votes to the whole report: ``python benchmarks/votes_to_report.py``.

200,000 votes of 2000 raters on 1000 pairs, all formats of the report. ``--size large`` takes five million votes,
``--size arms`` 200,000 between 20 arms, ``--size reading`` reads ten million with a bad row in every million and stops
there. The file is made by a process of
its own, so that the peak is that of reading and reporting alone. The record is ``benchmarks/votes_to_report.json``, an
entry a size; the load average in it tells whether the machine was free. Goals: 30 s on 2 cores; 60 s and 40 pages
for 20 arms; 4 GB for five million votes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from analysis.report import build_report, write_report
from analysis.votes.reading import read_votes, reading_facts

RECORD = Path(__file__).with_suffix(".json")
PAIRS, VOTES_PER_RATER = 1000, 100
RATERS = {"usual": 2000, "arms": 2000, "large": 50_000, "reading": 100_000}
# Arms of the size "arms": 190 comparisons.
ARMS = 20
# Rows of the file with a choice that nobody can make.
BAD_EVERY = 1_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=list(RATERS), default="usual")
    size = parser.parse_args().size
    with tempfile.TemporaryDirectory() as folder:
        steps = _steps(Path(folder), size)
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    record[size] = {"machine": _machine(), "steps": steps}
    RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0


def _steps(folder: Path, size: str) -> dict[str, dict]:
    path = folder / "votes.csv"
    design = ["--raters", RATERS[size], "--pairs", PAIRS, "--votes-per-rater", VOTES_PER_RATER]
    behaviour = ["--tie-rate", 0.1, "--position-bias", 0.2, "--classes", 100, "--seed", 1]
    if size == "arms":
        behaviour += [part for arm in range(ARMS) for part in ("--strength", f"arm {arm:02d}={arm / 20}")]
    command = [sys.executable, "-m", "analysis", "simulate", "--out", path, *design, *behaviour]
    subprocess.run([str(part) for part in command], check=True, cwd=Path(__file__).resolve().parents[1])
    steps: dict[str, dict] = {}
    if size == "reading":
        _spoil(path)
    read = _timed(steps, "read", lambda: read_votes(path, skip_bad_rows=True))
    steps["read"] |= {"votes": len(read.table), "bytes_a_vote": round(_size(read.table) / len(read.table))}
    if size == "reading":
        steps["read"]["bad_rows"] = [str(bad) for bad in read.bad_rows]
        return steps
    report = _timed(steps, "build_report", lambda: build_report(read.table, data=reading_facts(read)))
    files = _timed(steps, "write_report", lambda: write_report(report, read.table, folder / "out"))
    steps["write_report"]["files"] = len(files)
    steps["write_report"]["pages"] = len(re.findall(rb"/Type ?/Page\b", (folder / "out" / "report.pdf").read_bytes()))
    total = {key: round(sum(step[key] for step in steps.values()), 2) for key in ("wall_s", "cpu_s")}
    steps["total"] = {**total, "peak_mb": steps["write_report"]["peak_mb"]}
    print(f"total           {total['wall_s']:8.2f} s wall {total['cpu_s']:8.2f} s CPU")
    return steps


def _spoil(path: Path) -> None:
    """Give every millionth vote a choice that does not exist."""
    whole = path.rename(path.with_name("whole.csv"))
    with whole.open(encoding="utf-8") as lines, path.open("w", encoding="utf-8") as spoilt:
        for number, line in enumerate(lines):
            if number and number % BAD_EVERY == 0:
                line = re.sub(",(left|right|tie),", ",both,", line, count=1)
            spoilt.write(line)
    whole.unlink()


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
