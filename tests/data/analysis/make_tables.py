"""Make the vote tables that the reference answers are computed on: ``python -m tests.data.analysis.make_tables``.

The tables are stored, because numpy may change its random streams; running this again is needed only to add one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analysis.planning.simulation import Scenario, simulate_votes, write_simulated

TABLES = Path(__file__).parent / "tables"

SCENARIOS = {
    "full_20x30": Scenario(raters=20, pairs=30, preference=0.6, tie_rate=0.15, position_bias=0.3, seed=1),
    "full_12x40_no_ties": Scenario(raters=12, pairs=40, preference=0.65, seed=2),
    "sparse_60x50": Scenario(raters=60, pairs=50, votes_per_rater=12, preference=0.58, tie_rate=0.1, seed=3),
    "unequal_loads": Scenario(
        raters=30, pairs=60, votes_per_rater=np.array([4] * 20 + [50] * 10), preference=0.6, tie_rate=0.05, seed=4
    ),
    "many_ties": Scenario(raters=25, pairs=24, preference=0.6, tie_rate=0.55, seed=5),
    "few_raters": Scenario(raters=6, pairs=60, preference=0.7, sd_rater=0.7, tie_rate=0.1, seed=6),
    "few_pairs": Scenario(raters=50, pairs=7, preference=0.6, sd_pair=0.6, tie_rate=0.1, seed=7),
    "sides_unbalanced": Scenario(
        raters=24, pairs=30, preference=0.55, left_share=0.7, position_bias=0.8, tie_rate=0.1, seed=8
    ),
    "no_heterogeneity": Scenario(raters=30, pairs=30, votes_per_rater=15, sd_rater=0, sd_pair=0, seed=9),
    "strong_pairs": Scenario(raters=40, pairs=25, preference=0.6, sd_rater=0.3, sd_pair=1.8, tie_rate=0.05, seed=10),
    "repeats_and_classes": Scenario(
        raters=24,
        pairs=40,
        votes_per_rater=20,
        classes=4,
        sd_class=0.5,
        repeats=5,
        tie_rate=0.1,
        lapse_rate=0.05,
        seed=11,
    ),
    "careless": Scenario(
        raters=30, pairs=40, votes_per_rater=25, preference=0.65, careless_share=0.2, tie_rate=0.1, seed=12
    ),
    "four_arms": Scenario(
        raters=30,
        pairs=40,
        votes_per_rater=30,
        strengths={"clean": 0.0, "ensemble": 0.5, "robust": 0.9, "vanilla": 0.3},
        position_bias=0.25,
        tie_rate=0.12,
        seed=13,
    ),
}


def main() -> None:
    TABLES.mkdir(exist_ok=True)
    for name, scenario in SCENARIOS.items():
        with (TABLES / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            write_simulated(simulate_votes(scenario), stream)


if __name__ == "__main__":
    main()
