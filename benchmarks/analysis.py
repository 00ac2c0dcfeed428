"""Time every estimator against its reference in the same run: ``python benchmarks/analysis.py``.

200,000 votes of 2000 raters on 1000 pairs; ``--large`` adds five million votes and the peak memory. The record is
``benchmarks/analysis.json``; a row that disagrees with its reference ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import platform
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path

# This file has the name of the package that it measures: the repository must come before its own folder.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from analysis.planning.simulation import Scenario, simulate_votes
from analysis.preference.per_class import per_class
from analysis.preference.rate import headline, product_bootstrap, rater_mean_t
from analysis.raters.agreement import krippendorff_alpha
from analysis.raters.screening import screen
from analysis.votes.table import VoteTable
from benchmarks import comparisons
from benchmarks.comparisons.timing import measured

RECORD = Path(__file__).with_suffix(".json")
USUAL = Scenario(
    raters=2000, pairs=1000, votes_per_rater=100, tie_rate=0.1, position_bias=0.2, classes=20, repeats=2, seed=1
)
LARGE = Scenario(raters=50_000, pairs=2000, votes_per_rater=100, tie_rate=0.1, classes=100, seed=1)


def main() -> int:
    options = _options()
    table = simulate_votes(USUAL)
    print(f"{len(table):,} votes, {USUAL.raters} raters, {USUAL.pairs} pairs", flush=True)
    found = {name: _measure(name, table, options.only) for name in _modules() if options.module in ("", name)}
    large = _show(_large()) if options.large else None
    if not options.only:
        _record(found, large, len(table))
    return int(any(not entry.get("agrees", True) for entries in found.values() for entry in entries))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true", help="also five million votes, with peak memory")
    parser.add_argument("--module", default="", choices=["", *_modules()], help="only this part of the record")
    parser.add_argument("--only", default="", help="rows whose name contains this; nothing is recorded then")
    return parser.parse_args()


def _modules() -> list[str]:
    return sorted(entry.name for entry in pkgutil.iter_modules(comparisons.__path__) if entry.name != "timing")


def _measure(module: str, table: VoteTable, only: str) -> list[dict]:
    rows = importlib.import_module(f"benchmarks.comparisons.{module}").rows(table)
    return [_show(measured(row)) for row in rows if only in row.name]


def _record(found: dict[str, list[dict]], large: dict | None, votes: int) -> None:
    """Replace the parts that ran; the others keep their last record."""
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    record |= {"machine": _machine(), "votes": votes, **found}
    if large is not None:
        record["large"] = large
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _show(record: dict) -> dict:
    print("  ".join(f"{key}={value}" for key, value in record.items()), flush=True)
    return record


def _large() -> dict:
    """Seconds and peak memory of the whole process, simulation included."""
    table = simulate_votes(LARGE)
    comparison = table.comparison("robust", "vanilla")
    record = {"votes": len(comparison)}
    for method in (headline, rater_mean_t, product_bootstrap):
        start = time.perf_counter()
        method(comparison)
        record[f"{method.__name__}_s"] = round(time.perf_counter() - start, 3)
    for name, run in (
        ("krippendorff_alpha", lambda: krippendorff_alpha(table)),
        ("per_class", lambda: per_class(comparison)),
        ("screen", lambda: screen(table)),
    ):
        start = time.perf_counter()
        run()
        record[f"{name}_s"] = round(time.perf_counter() - start, 3)
    record["peak_memory_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)
    return record


def _machine() -> dict:
    packages = ("numpy", "scipy", "statsmodels", "krippendorff", "choix")
    return {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "processor": platform.machine(),
        **{name: version(name) for name in packages},
    }


if __name__ == "__main__":
    sys.exit(main())
