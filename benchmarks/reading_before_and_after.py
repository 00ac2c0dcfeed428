"""Reading votes against commit 13bc07b: ``python -m benchmarks.reading_before_and_after``.

Claim: at least 6 times faster at 10^6 and 10^7 rows, in CSV, JSON Lines and Parquet, at most 1.2 GB for 10^7, the same
table. Simulated votes of 100 a rater on 1000 pairs; both trees read the same files in turns, each time in a process of
its own, and the table's digest is compared. Seconds and CPU are those of the reading, with the import of its libraries.
``--rows 1000000 --times 5`` are the defaults; the record is ``reading_before_and_after.json``, an entry a size. With
``--files FOLDER`` the votes are made once (five minutes for 10^7) and stay; ``--sides after`` measures this tree alone.
"""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from analysis.votes.writing import write_votes
from benchmarks.before_and_after import HERE, PEAK, compared, join_record, options

RECORD = Path(__file__).with_suffix(".json")
MOST_WRITTEN = 1_000_000
READ = f"""{PEAK}
import hashlib, json, sys, time
import numpy as np
try:
    from analysis.votes.reading import read_votes
except ImportError:
    from analysis.reading import read_votes
began, worked = time.perf_counter(), time.process_time()
read = read_votes(sys.argv[1])
wall, cpu = time.perf_counter() - began, time.process_time() - worked
peak = peak_mb()
table, digest = read.table, hashlib.sha256()
extra = ("study", "session", "class_label", "check_kind", "response_ms", "exposure_ms", "position", "is_repeat",
         "excluded", "exclusion_reason", "simulated", "submitted_at")
digest.update(repr((table.raters, table.pairs, table.arms)).encode())
for column in (table.rater, table.pair, table.arm_left, table.arm_right, table.choice, *map(table.extra.get, extra)):
    for part in np.array_split(column, 100):
        digest.update("\\0".join(part).encode() if part.dtype == object else np.ascontiguousarray(part))
print(json.dumps({{"wall_s": wall, "cpu_s": cpu, "peak_mb": peak, "votes": len(table), "table": digest.hexdigest()}}))
"""


def main() -> int:
    parser = options(__doc__.splitlines()[0], rows=1_000_000, times=5)
    parser.add_argument("--formats", nargs="+", default=["csv", "jsonl", "parquet"])
    asked = parser.parse_args()
    is_same = True
    with nullcontext(asked.files) if asked.files else tempfile.TemporaryDirectory() as folder:
        paths = _made(Path(folder) / str(asked.rows), asked.rows, asked.formats)
        for kind, path in paths.items():
            found = compared(READ, [str(path)], times=asked.times, sides=asked.sides)
            entry = join_record(RECORD, [str(asked.rows), kind], found)
            peak = f"peak now {entry['after']['peak_mb']:.0f} MiB" if "after" in entry else ""
            print(kind, json.dumps(entry.get("ratio", found)), peak, flush=True)
            if "ratio" in entry and entry["before"]["table"] != entry["after"]["table"]:
                is_same = False
                print(f"{kind}: the two sides read different tables")
    return 0 if is_same else 1


def _made(folder: Path, rows: int, formats: list[str]) -> dict[str, Path]:
    """Return the files of votes by format; those that are missing are made."""
    paths = {kind: folder / f"votes.{kind}" for kind in formats}
    if all(path.exists() for path in paths.values()):
        return paths
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        small = Path(scratch)
        _make(small, min(rows, MOST_WRITTEN), formats)
        for kind, path in paths.items():
            if rows > MOST_WRITTEN:
                ENLARGED[kind](small / path.name, path, rows // MOST_WRITTEN)
            else:
                (small / path.name).rename(path)
    return paths


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


def _enlarged_lines(pattern: str, small: Path, large: Path, times: int) -> None:
    """Write the rows so many times, each time by raters, sessions and trials of their own."""
    place = re.compile(pattern.encode(), re.MULTILINE)
    with large.open("wb") as out:
        for number in range(times):
            with small.open("rb") as lines:
                if small.suffix == ".csv":
                    header = lines.readline()
                    out.write(b"" if number else header)
                for block in _blocks(lines):
                    out.write(place.sub(rb"\g<1>r%d\g<2>s%d\g<3>t%d" % (number, number, number), block))


def _blocks(lines) -> Iterator[bytes]:
    while block := lines.read(1 << 24):
        yield block + lines.readline()


def _enlarged_parquet(small: Path, large: Path, times: int) -> None:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(small)
    with pq.ParquetWriter(large, table.schema, compression="zstd") as writer:
        for number in range(times):
            part = table
            for place, name in enumerate(table.schema.names):
                if name in ("rater", "session", "trial"):
                    texts = pc.binary_replace_slice(table[name], 0, 1, f"{name[0]}{number}")
                    part = part.set_column(place, table.schema.field(name), texts)
            writer.write_table(part, row_group_size=16_384)


ENLARGED = {
    "csv": lambda *where: _enlarged_lines(r"^([^,]*,[^,]*,)r(\d+,)s(\d+,)t", *where),
    "jsonl": lambda *where: _enlarged_lines(r'("rater":")r(\d+","session":")s(\d+","trial":")t', *where),
    "parquet": _enlarged_parquet,
}


if __name__ == "__main__":
    sys.exit(main())
