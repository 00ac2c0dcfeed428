"""Reading votes against commit 13bc07b: ``python -m benchmarks.reading_before_and_after``.

Claim: at least 6 times faster at 10^6 and 10^7 rows, in CSV, JSON Lines and Parquet, at most 1.2 GB for 10^7. Simulated
votes of 100 a rater on 1000 pairs; both trees read the same files in turns, each time in a process of its own.
``--rows 1000000 --times 5`` are the defaults; the record is ``reading_before_and_after.json``, an entry a size.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from analysis.votes.writing import write_votes
from benchmarks.before_and_after import HERE, compared, earlier, machine

RECORD = Path(__file__).with_suffix(".json")
READ = """
import json, resource, sys, time
try:
    from analysis.votes.reading import read_votes
except ImportError:
    from analysis.reading import read_votes
began = time.perf_counter()
read = read_votes(sys.argv[1])
wall = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"wall_s": wall, "cpu_s": time.process_time(), "peak_mb": peak, "votes": len(read.table)}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--formats", nargs="+", default=["csv", "jsonl", "parquet"])
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder, earlier() as before:
        _make(Path(folder), options.rows, options.formats)
        for kind in options.formats:
            path = str(Path(folder) / f"votes.{kind}")
            found[kind] = compared(READ, [path], before=before, times=options.times)
            peak = f"peak now {found[kind]['after']['peak_mb']} MiB"
            print(kind, json.dumps(found[kind]["ratio"]), peak, flush=True)
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    record[str(options.rows)] = {"machine": machine(), "formats": found}
    RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0


def _make(folder: Path, rows: int, formats: list[str]) -> None:
    path = folder / "simulated.csv"
    design = ["--raters", rows // 100, "--pairs", 1000, "--votes-per-rater", 100, "--classes", 100, "--seed", 1]
    command = [sys.executable, "-m", "analysis", "simulate", "--out", path, *design, "--tie-rate", 0.1]
    subprocess.run([str(part) for part in command], check=True, cwd=HERE, capture_output=True)
    with path.open(encoding="utf-8", newline="") as file:
        votes = ({name: _typed(text) for name, text in row.items()} for row in csv.DictReader(file))
        write_votes(votes, folder, formats=formats)
    path.unlink()


def _typed(text: str) -> object:
    return {"": None, "true": True, "false": False}.get(text, text)


if __name__ == "__main__":
    sys.exit(main())
