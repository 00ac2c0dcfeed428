"""The whole report against commit 13bc07b: ``python -m benchmarks.report_before_and_after``.

Claim: at most 0.4 of the time at 200,000 votes and 0.3 at five million (``--votes 5000000 --times 1``), in 2 GB.
Reading, computing and writing every format, both trees in turns, each time in a process of its own; the record is
``report_before_and_after.json``, an entry a size. ``log_likelihood`` shows that both stand at the same optimum.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.before_and_after import HERE, compared, earlier, machine

RECORD = Path(__file__).with_suffix(".json")
REPORT = """
import json, resource, sys, tempfile, time
began, worked = time.perf_counter(), time.process_time()
try:
    from analysis.votes.reading import read_votes, reading_facts
except ImportError:
    from analysis.reading import read_votes, reading_facts
from analysis.report import build_report, write_report
read = read_votes(sys.argv[1])
been = time.perf_counter()
report = build_report(read.table, data=reading_facts(read))
built = time.perf_counter()
with tempfile.TemporaryDirectory() as folder:
    write_report(report, read.table, folder + "/out")
ended = time.perf_counter()
print(json.dumps({
    "wall_s": ended - began, "cpu_s": time.process_time() - worked, "read_s": been - began, "build_s": built - been,
    "write_s": ended - built, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "log_likelihood": report["comparisons"][0]["methods"]["glmm"]["log_likelihood"],
}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--votes", type=int, default=200_000)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, earlier() as before:
        path = str(Path(folder) / "votes.csv")
        design = ["--raters", options.votes // 100, "--pairs", 1000, "--votes-per-rater", 100, "--classes", 100]
        command = [sys.executable, "-m", "analysis", "simulate", "--out", path, *map(str, design), "--seed", "1"]
        command += ["--tie-rate", "0.1", "--position-bias", "0.2"]
        subprocess.run(command, check=True, cwd=HERE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        found = compared(REPORT, [path], before=before, times=options.times)
    apart = abs(found["before"]["log_likelihood"] - found["after"]["log_likelihood"])
    print(json.dumps(found["ratio"]), f"log-likelihoods {apart:.1e} apart, peak now {found['after']['peak_mb']} MiB")
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    record[str(options.votes)] = {"machine": machine(), **found}
    RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
