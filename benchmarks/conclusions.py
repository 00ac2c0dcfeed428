"""Error rates of conclusions: ``python benchmarks/conclusions.py``.

How often a study of no difference concludes one, and how often intervals hold the truth: small classes, five equal
arms, several looks, raters in sites, raters with side biases of their own. Each row is simulated with its
Monte-Carlo error; the record is ``benchmarks/conclusions.json``, of which ``--table`` prints the table of
docs/statistician.md. An error rate further than three Monte-Carlo errors above 5 % ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

# This folder holds a file with the name of the package: the repository must come before it.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from analysis.planning.simulation import Scenario, simulate_votes
from analysis.preference.groups import group_rates, heterogeneity
from analysis.preference.per_class import adjusted_p_values, per_class
from analysis.preference.position import left_rate
from analysis.preference.rate import headline
from analysis.preference.sequential import confidence_sequence
from analysis.verdict.decision import decide
from analysis.verdict.evidence import Evidence
from analysis.verdict.family import Family
from analysis.verdict.looks import Looks
from analysis.votes.table import LEFT, RIGHT, Comparison, VoteTable

RECORD = Path(__file__).with_suffix(".json")
LEVEL = 0.05
# One study: what it concluded falsely, by name; or whether an interval held the truth ("covers ...").
Study = Callable[[np.random.Generator], dict[str, bool]]


def crossed(
    rng: np.random.Generator,
    *,
    raters: int,
    pairs: int,
    sd_rater: float,
    sd_pair: float,
    group_sd: float = 0.0,
    groups: int = 1,
) -> Comparison:
    """Return votes of every rater on every pair at a true rate of 1/2; raters may share the effect of their group."""
    rater, pair = (axis.ravel() for axis in np.meshgrid(np.arange(raters), np.arange(pairs), indexing="ij"))
    odds = rng.normal(0, sd_rater, raters)[rater] + rng.normal(0, sd_pair, pairs)[pair]
    odds += rng.normal(0, group_sd, groups)[rater % groups]
    score = (rng.random(len(odds)) < 1 / (1 + np.exp(-odds))).astype(float)
    side = np.where((rater + pair) % 2 == 0, 0.5, -0.5)
    extra = {"site": np.array([f"site {code}" for code in range(groups)], dtype=object)[rater % groups]}
    return Comparison(
        arm="robust",
        baseline="vanilla",
        score=score,
        side=side,
        rater=rater,
        pair=pair,
        extra=extra if groups > 1 else {},
    )


def small_classes(rng: np.random.Generator, *, pairs: int, sd_pair: float) -> dict[str, bool]:
    """Ten classes of a few pairs, 24 raters, rater SD 0.5: no class differs from 1/2 and none from another."""
    votes = crossed(rng, raters=24, pairs=10 * pairs, sd_rater=0.5, sd_pair=sd_pair)
    groups = [votes.rows(votes.pair % 10 == number) for number in range(10)]
    results = group_rates(groups)
    adjusted = adjusted_p_values([result.p_value for result in results], "holm")
    low, high = results[0].ci95
    return {
        "some class significant (Holm)": bool(adjusted.min() <= LEVEL),
        "classes called different": heterogeneity(groups).p_value <= LEVEL,
        "covers the class rate": low <= 0.5 <= high,
    }


def mean_of_classes(rng: np.random.Generator) -> dict[str, bool]:
    votes = crossed(rng, raters=24, pairs=80, sd_rater=0.8, sd_pair=0.2)
    labels = np.array([f"class {code % 20:02d}" for code in votes.pair], dtype=object)
    low, high = per_class(Comparison(**{**vars(votes), "extra": {"class_label": labels}})).mean.ci95
    return {"covers the mean of 20 classes": low <= 0.5 <= high}


def five_equal_arms(rng: np.random.Generator) -> dict[str, bool]:
    """Five arms alike, 30 raters, 40 pairs, 600 votes: any of the ten comparisons called a preference."""
    scenario = Scenario(
        raters=40,
        pairs=60,
        strengths=dict.fromkeys("abcde", 0.0),
        sd_rater=0.3,
        sd_pair=0.5,
        seed=int(rng.integers(2**31)),
    )
    table = simulate_votes(scenario)
    arms = table.arms
    pairs = [(one, other) for place, one in enumerate(arms) for other in arms[place + 1 :]]
    results = [headline(table.comparison(*names)) for names in pairs]
    family = Family(scope="all", size=len(pairs))
    said = [
        decide(Evidence(arm=a, baseline=b, headline=result, raters=40), family=family, looks=Looks(), margin=None).kind
        for (a, b), result in zip(pairs, results, strict=True)
    ]
    return {"some preference": "preferred" in said, "unadjusted": any(result.p_value <= LEVEL for result in results)}


def several_looks(rng: np.random.Generator, *, looks: int, spending: str) -> dict[str, bool]:
    """No preference, 60 raters on 40 pairs, looked at after every share of the raters."""
    votes = crossed(rng, raters=66, pairs=60, sd_rater=0.5, sd_pair=0.0)
    fractions = tuple(number / looks for number in range(1, looks + 1))
    results = [headline(votes.rows(votes.rater < round(66 * fraction))) for fraction in fractions]
    found = []
    for number, result in enumerate(results, start=1):
        plan = Looks(basis="group sequential", number=looks, fractions=fractions[:number], spending=spending)
        evidence = Evidence(arm="robust", baseline="vanilla", headline=result, raters=66)
        found.append(decide(evidence, family=Family(), looks=plan, margin=None).kind == "preferred")
    return {"a preference at some look": any(found), "unadjusted": any(r.p_value <= LEVEL for r in results)}


def any_looks(rng: np.random.Generator) -> dict[str, bool]:
    """The same, looked at after every second rater, decided by the confidence sequence."""
    votes = crossed(rng, raters=66, pairs=60, sd_rater=0.5, sd_pair=0.0)
    # Its p-value never rises: the last look has seen them all.
    return {"a preference at some look": confidence_sequence(votes).p_value <= LEVEL}


def raters_in_sites(rng: np.random.Generator, *, sites: int) -> dict[str, bool]:
    """Forty raters in a few sites of SD 0.5, 40 pairs."""
    votes = crossed(rng, raters=40, pairs=40, sd_rater=0.5, sd_pair=0.5, group_sd=0.5, groups=sites)
    bare = Comparison(**{**vars(votes), "extra": {}})
    held = {}
    for name, comparison in (("covers the rate", votes), ("covers, sites unknown", bare)):
        low, high = headline(comparison).ci95
        held[name] = low <= 0.5 <= high
    return held


def side_biases(rng: np.random.Generator) -> dict[str, bool]:
    """Twenty-four raters, each with a side bias of SD 0.7 of their own; none in the mean."""
    lean = rng.normal(0, 0.7, 24)
    rater, pair = np.divmod(np.arange(24 * 20), 20)
    choice = np.where(rng.random(len(rater)) < 1 / (1 + np.exp(-lean[rater])), LEFT, RIGHT).astype(np.int8)
    first = (rater + pair) % 2
    table = VoteTable(
        raters=tuple(f"r{code:02d}" for code in range(24)),
        pairs=tuple(f"p{code:02d}" for code in range(20)),
        arms=("robust", "vanilla"),
        rater=rater,
        pair=pair,
        arm_left=first,
        arm_right=1 - first,
        choice=choice,
    )
    return {"a side bias": left_rate(table).p_value <= LEVEL}


STUDIES: dict[str, Study] = {
    **{
        f"10 classes of {pairs} pairs, pair SD {sd}": partial(small_classes, pairs=pairs, sd_pair=sd)
        for pairs in (2, 4, 6)
        for sd in (0.0, 0.4, 0.8)
    },
    "20 classes, rater SD 0.8": mean_of_classes,
    "five equal arms": five_equal_arms,
    **{
        f"{looks} looks, {name}": partial(several_looks, looks=looks, spending=spending)
        for looks in (2, 5, 11)
        for name, spending in (("O'Brien and Fleming's type", "obrien_fleming"), ("Pocock's type", "pocock"))
    },
    "any number of looks": any_looks,
    "4 sites": partial(raters_in_sites, sites=4),
    "8 sites": partial(raters_in_sites, sites=8),
    "side biases of single raters": side_biases,
}
# What the fixed-sample analysis would do stands beside the conclusion for comparison, and is not checked.
UNCHECKED = ("unadjusted", "covers, sites unknown")


def main() -> int:
    options = _options()
    if options.table:
        print(table(json.loads(RECORD.read_text(encoding="utf-8"))))
        return 0
    rows = []
    with ProcessPoolExecutor(options.processes) as pool:
        for name in STUDIES:
            parts = pool.map(_block, [name] * options.processes, range(options.processes), [options.repetitions] * 2)
            rows += _rows(name, [study for part in parts for study in part])
            print(rows[-1], flush=True)
    record = {"repetitions": options.repetitions, "rows": rows}
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(table(record))
    return int(any(row["is_off"] for row in rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=1000, help="simulated studies a row")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="print the recorded table and simulate nothing")
    return parser.parse_args()


def _block(name: str, block: int, repetitions: int) -> list[dict[str, bool]]:
    rng = np.random.default_rng([7, block])
    return [STUDIES[name](rng) for _ in range(repetitions // 2)]


def _rows(name: str, studies: list[dict[str, bool]]) -> list[dict]:
    found = []
    for what in studies[0]:
        share = float(np.mean([study[what] for study in studies]))
        expected = 0.95 if what.startswith("covers") else LEVEL
        error = math.sqrt(expected * (1 - expected) / len(studies))
        worse = expected - share if what.startswith("covers") else share - expected
        is_off = what not in UNCHECKED and worse > 3 * error
        found.append(
            {"design": name, "what": what, "share": round(share, 4), "error": round(error, 4), "is_off": is_off}
        )
    return found


def table(record: dict) -> str:
    """Return the record as the table of docs/statistician.md."""
    lines = ["| design | what | share of studies |", "| --- | --- | --- |"]
    lines += [f"| {row['design']} | {row['what']} | {100 * row['share']:.1f} % |" for row in record["rows"]]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
