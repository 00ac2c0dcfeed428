"""The whole report against commit 13bc07b: ``python -m benchmarks.report_before_and_after``.

Claim: at most 0.4 of the time at 200,000 votes and 0.3 at five million (``--votes 5000000 --times 1``), in 2 GB, at the
same optimum: log-likelihoods within 1e-6, or it ends with exit code 1. Reading, computing and writing every format,
both trees in turns, each time in a process of its own; the record is ``report_before_and_after.json``, an entry a size.
``--sides after`` measures this tree alone (13bc07b takes ten minutes for five million votes), ``--files FOLDER`` keeps
the votes for the next time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from benchmarks.before_and_after import HERE, PEAK, compared, join_record, options

RECORD = Path(__file__).with_suffix(".json")
MODELS = ("glmm", "ordinal")
MOST_APART = 1e-6
REPORT = f"""{PEAK}
import json, sys, tempfile, time
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
methods = report["comparisons"][0]["methods"]
print(json.dumps({{
    "wall_s": ended - began, "cpu_s": time.process_time() - worked, "read_s": been - began, "build_s": built - been,
    "write_s": ended - built, "peak_mb": peak_mb(),
    "glmm": methods["glmm"]["log_likelihood"], "ordinal": methods["ordinal"]["log_likelihood"],
}}))
"""


def main() -> int:
    asked = options(__doc__.splitlines()[0], votes=200_000, times=5).parse_args()
    with nullcontext(asked.files) if asked.files else tempfile.TemporaryDirectory() as folder:
        path = _made(Path(folder) / f"report-{asked.votes}.csv", asked.votes)
        found = compared(REPORT, [str(path)], times=asked.times, sides=asked.sides)
    entry = join_record(RECORD, [str(asked.votes)], found)
    for side in asked.sides:
        print(side, json.dumps({key: value for key, value in found[side].items() if key != "machine"}))
    if "ratio" not in entry:
        return 0
    apart = max(abs(entry["before"][name] - entry["after"][name]) for name in MODELS)
    share = entry["after"]["wall_s"] / entry["before"]["wall_s"]
    print(f"{share:.3f} of the time, {json.dumps(entry['ratio'])}, log-likelihoods {apart:.1e} apart")
    return int(apart > MOST_APART)


def _made(path: Path, votes: int) -> Path:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        design = ["--raters", votes // 100, "--pairs", 1000, "--votes-per-rater", 100, "--classes", 100, "--seed", 1]
        command = [sys.executable, "-m", "analysis", "simulate", "--out", path, *design]
        command += ["--tie-rate", 0.1, "--position-bias", 0.2]
        subprocess.run([str(part) for part in command], check=True, cwd=HERE, capture_output=True)
    return path


if __name__ == "__main__":
    sys.exit(main())
