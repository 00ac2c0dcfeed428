"""Coverage of nominal 95 % intervals by simulation: ``python benchmarks/coverage.py``.

For each design, studies are simulated whose raters and pairs differ (SDs of log-odds 0.5 and 0.8 unless said), and the
share of intervals that hold the true marginal rate is counted. The record is ``benchmarks/coverage.json``: the closed
forms by themselves, and a run with ``--bootstrap`` or ``--models`` under that name beside them. A headline further than
four Monte-Carlo errors below 95 % ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import special, stats

# This folder holds a file with the name of the package: the repository must come before it.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from analysis.inference.estimate import Estimate
from analysis.planning.simulation import Scenario, marginal_rates, simulate_votes
from analysis.preference.rate import headline, product_bootstrap, rater_mean_t, two_way_t, wilson
from analysis.regression.gee import gee
from analysis.regression.glmm import glmm
from analysis.regression.linear_mixed import lmm

RECORD = Path(__file__).with_suffix(".json")
UNEQUAL_LOADS = np.array([4] * 30 + [20] * 20 + [100] * 10)
DESIGNS = {
    "20 raters x 100 pairs": Scenario(raters=20, pairs=100),
    "50 x 30": Scenario(raters=50, pairs=30),
    "200 x 200, 20 votes a rater": Scenario(raters=200, pairs=200, votes_per_rater=20),
    "60 x 120, 15 votes a rater": Scenario(raters=60, pairs=120, votes_per_rater=15),
    "10 x 40, both SDs 1": Scenario(raters=10, pairs=40, sd_rater=1.0, sd_pair=1.0),
    "8 x 200": Scenario(raters=8, pairs=200),
    "20 x 100, pairs alike": Scenario(raters=20, pairs=100, sd_pair=0.0),
    "30 x 50, no heterogeneity": Scenario(raters=30, pairs=50, sd_rater=0.0, sd_pair=0.0),
    "60 x 120, SDs 0.7 and 0.8, very unequal loads": Scenario(
        raters=60, pairs=120, votes_per_rater=UNEQUAL_LOADS, sd_rater=0.7, sd_pair=0.8
    ),
    "40 x 60, 20 % ties, position bias 0.5, 70 % on the left": Scenario(
        raters=40, pairs=60, tie_rate=0.2, position_bias=0.5, left_share=0.7
    ),
}
# Each interval and the true rate that it is about.
METHODS = {
    "wilson": (wilson, "decisive"),
    "rater_mean_t": (rater_mean_t, "ties_split"),
    "two_way_t": (two_way_t, "ties_split"),
    "headline": (headline, "ties_split"),
}
EXTRAS = {
    "bootstrap": {
        "product_bootstrap": (lambda comparison: product_bootstrap(comparison, repetitions=500), "ties_split")
    },
    "models": {
        "glmm": (lambda comparison: glmm(comparison).marginal_rate, "decisive"),
        "glmm_normal_quantile": (lambda comparison: _with_normal_quantile(glmm(comparison).marginal_rate), "decisive"),
        "lmm": (lmm, "ties_split"),
        "gee": (gee, "ties_split"),
    },
}


def _with_normal_quantile(rate: Estimate) -> Estimate:
    """Return the same interval with the quantile that R's packages take, to show what the t quantile fixes."""
    if rate.ci95 is None:
        return rate
    half = stats.norm.ppf(0.975) * rate.se / (rate.estimate * (1 - rate.estimate))
    centre = special.logit(rate.estimate)
    return replace(rate, ci95=(special.expit(centre - half), special.expit(centre + half)))


def main() -> int:
    options = _options()
    rows = []
    with ProcessPoolExecutor(options.processes) as pool:
        for name, scenario in DESIGNS.items():
            rows.append(_design(pool, name, scenario, options))
            print("  ".join(f"{key}={value}" for key, value in rows[-1].items()), flush=True)
    _record({"repetitions": options.repetitions, "designs": rows}, _extras(options))
    floor = 0.95 - 4 * math.sqrt(0.95 * 0.05 / options.repetitions)
    return int(any(row["headline"] < floor for row in rows))


def _record(found: dict, extras: tuple[str, ...]) -> None:
    """Replace the part that ran; the others keep their last record."""
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    record |= {"_".join(extras): found} if extras else found
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _extras(options: argparse.Namespace) -> tuple[str, ...]:
    return tuple(name for name in EXTRAS if getattr(options, name))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=2000, help="simulated studies a design")
    parser.add_argument("--bootstrap", action="store_true", help="also the product bootstrap (500 resamples, slower)")
    parser.add_argument("--models", action="store_true", help="also the mixed models and GEE (slower)")
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


def _design(pool: ProcessPoolExecutor, name: str, scenario: Scenario, options: argparse.Namespace) -> dict:
    seeds = np.array_split(np.arange(options.repetitions), max(1, options.repetitions // 100))
    extras = _extras(options)
    parts = list(pool.map(_covered, [scenario] * len(seeds), seeds, [extras] * len(seeds)))
    names = list(_methods(extras))
    held, widths = (np.sum([part[which] for part in parts], axis=0) / options.repetitions for which in (0, 1))
    row = {"design": name, "true_rate": round(marginal_rates(scenario).ties_split, 5)}
    row |= {method: round(float(share), 4) for method, share in zip(names, held, strict=True)}
    ratio = widths[names.index("two_way_t")] / widths[names.index("rater_mean_t")]
    return {**row, "width_two_way_to_rater_mean": round(float(ratio), 3)}


def _methods(extras: tuple[str, ...]) -> dict:
    return METHODS | {name: method for extra in extras for name, method in EXTRAS[extra].items()}


def _covered(scenario: Scenario, seeds: np.ndarray, extras: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Intervals that hold the truth, and summed widths, a method each; a study without an interval does not cover."""
    methods = _methods(extras)
    truth = marginal_rates(scenario)
    held, widths = np.zeros(len(methods)), np.zeros(len(methods))
    for seed in seeds:
        comparison = simulate_votes(replace(scenario, seed=int(seed))).comparison("robust", "vanilla")
        for place, (method, target) in enumerate(methods.values()):
            interval = method(comparison).ci95
            if interval is not None:
                held[place] += interval[0] <= getattr(truth, target) <= interval[1]
                widths[place] += interval[1] - interval[0]
    return held, widths


if __name__ == "__main__":
    sys.exit(main())
