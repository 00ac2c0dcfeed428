"""Coverage and gain of the prediction-powered rate: ``python benchmarks/judges.py [--studies N]``.

Every study has its own raters, pairs and judge. Printed and kept in ``benchmarks/judges.json``: the share of studies
whose 95 % interval covers the true rate, with its Monte-Carlo error, and the median of the variance with the judge over
that without, for judges from all-knowing to ignorant.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from scipy import special

from analysis.judges.powered import prediction_powered_rate
from analysis.votes.table import Comparison

RECORD = Path(__file__).with_suffix(".json")
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(64)


@dataclass(frozen=True, kw_only=True)
class Regime:
    """What a study looks like; SDs on the log-odds scale, ``judge_noise`` beside a pair SD of ``sd_pair``."""

    raters: int = 30
    pairs: int = 60
    unvoted: int = 600
    votes_per_rater: int = 40
    sd_rater: float = 0.5
    sd_pair: float = 1.2
    judge_noise: float = 0.6
    centre: float = 0.4
    sites: int = 0
    sd_site: float = 0.0


REGIMES = {
    "ordinary judge": Regime(),
    "all-knowing judge": Regime(judge_noise=0.0),
    "ignorant judge": Regime(judge_noise=1000.0),
    "few unvoted pairs": Regime(unvoted=60),
    "few raters": Regime(raters=10),
    "few pairs": Regime(pairs=20, votes_per_rater=20),
    "like-minded raters": Regime(sd_rater=0.0),
    "no preference": Regime(centre=0.0),
    "strong preference": Regime(centre=1.5),
    "4 sites": Regime(raters=40, sites=4, sd_site=0.5),
    "8 sites": Regime(raters=40, sites=8, sd_site=0.5),
}


def simulated(regime: Regime, rng: np.random.Generator) -> tuple[Comparison, np.ndarray, np.ndarray]:
    """Return votes, the judge's preference on each vote's pair, and on the pairs that nobody saw."""
    effect = rng.normal(0.0, regime.sd_pair, regime.pairs + regime.unvoted)
    judge = effect + rng.normal(0.0, regime.judge_noise, len(effect))
    seen = np.argsort(rng.random((regime.raters, regime.pairs)), axis=1)[:, : regime.votes_per_rater]
    rater, pair = np.repeat(np.arange(regime.raters), seen.shape[1]), seen.ravel()
    leaning = rng.normal(0.0, regime.sd_rater, regime.raters)
    extra = {}
    if regime.sites:
        site = np.arange(regime.raters) % regime.sites
        leaning = leaning + rng.normal(0.0, regime.sd_site, regime.sites)[site]
        extra = {"site": np.array([f"site {code}" for code in site], dtype=object)[rater]}
    logits = regime.centre + leaning[rater] + effect[pair]
    score = (rng.random(len(rater)) < special.expit(logits)).astype(float)
    side = np.where(np.arange(len(rater)) % 2, 0.5, -0.5)
    votes = Comparison(arm="robust", baseline="vanilla", score=score, side=side, rater=rater, pair=pair, extra=extra)
    return votes, judge[pair], judge[regime.pairs :]


def truth_of(regime: Regime) -> float:
    """Return the rate averaged over raters and pairs."""
    spread = math.hypot(regime.sd_rater, regime.sd_pair, regime.sd_site)
    return float(special.expit(regime.centre + spread * NODES) @ NODE_WEIGHTS / NODE_WEIGHTS.sum())


def measured(regime: Regime, studies: int) -> dict:
    truth, covered, ratios = truth_of(regime), 0, []
    for seed in range(studies):
        powered = prediction_powered_rate(*simulated(regime, np.random.default_rng(seed)))
        low, high = powered.result.ci95
        covered += low <= truth <= high
        ratios.append(powered.variance_ratio)
    share = covered / studies
    return {
        "coverage": share,
        "monte_carlo_error": math.sqrt(share * (1 - share) / studies),
        "median_variance_ratio": float(np.median(ratios)),
        "regime": asdict(regime),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--studies", type=int, default=2000)
    studies = parser.parse_args().studies
    rows = {}
    for name, regime in REGIMES.items():
        rows[name] = row = measured(regime, studies)
        coverage = f"{row['coverage']:.1%} +- {row['monte_carlo_error']:.1%}"
        print(f"{name:20}  coverage {coverage:16}  variance with / without judge {row['median_variance_ratio']:.2f}")
    RECORD.write_text(json.dumps({"studies": studies, "regimes": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
