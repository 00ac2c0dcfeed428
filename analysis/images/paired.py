"""Differences of metrics between two arms whose images share class and noise: intervals over pairs, and over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from analysis.images.evaluation import PER_CLASS, Evaluation
from analysis.images.given import ArmFeatures, EvaluationRules, ReferenceFeatures
from analysis.images.halves import LEAST_PAIRS
from analysis.images.results import FeatureIdentity, MetricResult, refused_metric
from analysis.images.seeds import spread_remark
from analysis.images.variation import deviations

__all__ = ["PAIRED_METRICS", "ArmVariation", "arm_variation", "metric_difference", "metric_differences"]

#: The metrics that arms are compared in, in the order of the report.
PAIRED_METRICS = ("fid", *PER_CLASS)

#: Shares of images: where no pair differs their spread is zero, which no finite set can show.
_SHARES = ("precision", "recall", "class_accuracy")


@dataclass(frozen=True, kw_only=True)
class ArmVariation:
    """Metrics of one arm's images of some pairs, and how each varies over random halves of these pairs.

    ``deviations`` holds arrays (halves,) with mean zero and the standard error as their spread; a metric is missing
    there where its spread is not known.
    """

    metrics: dict[str, MetricResult]
    deviations: dict[str, np.ndarray] = field(default_factory=dict)
    #: Estimates of the subsets, the same ones for all arms, whose mean a kernel distance is.
    subsets: np.ndarray = field(default_factory=lambda: np.zeros(0))


def arm_variation(
    arm: ArmFeatures, reference: ReferenceFeatures, features: FeatureIdentity, rules: EvaluationRules | None = None
) -> ArmVariation:
    """Return what :func:`metric_difference` compares, row i of every arm and seed being the image of pair i.

    Parameters
    ----------
    arm : ArmFeatures
        With as many rows, in the same order of pairs, as the arms that it will be compared with.
    reference : ReferenceFeatures
        The same for all arms; it is kept fixed.
    features : FeatureIdentity
    rules : EvaluationRules, optional
        The same for all arms: its seed draws the halves.
    """
    run = Evaluation(arm, reference, features, rules or EvaluationRules(), lambda name: None)
    metrics = run.frechet_results() | run.manifold_results() | {"kid": run.kid(), "mind": run.mind()}
    if arm.seen is not None:
        metrics["class_accuracy"] = run.class_accuracy()
    metrics = {name: metrics[name] for name in PAIRED_METRICS if name in metrics}
    spreads = {}
    for name, metric in metrics.items():
        if metric.value is not None and run.n >= LEAST_PAIRS:
            found = deviations(run, name)
            if found is not None:
                spreads[name] = found
    estimates = run.kernel.estimates if "kid" in spreads else np.zeros(0)
    return ArmVariation(metrics=metrics, deviations=spreads, subsets=estimates)


def metric_differences(ours: Sequence[ArmVariation], theirs: Sequence[ArmVariation]) -> dict[str, MetricResult]:
    """Return the difference of every metric that both arms have, by name, in the order of the report."""
    shared = [name for name in PAIRED_METRICS if all(name in seed.metrics for seed in (*ours, *theirs))]
    return {name: metric_difference(name, ours, theirs) for name in shared}


def metric_difference(name: str, ours: Sequence[ArmVariation], theirs: Sequence[ArmVariation]) -> MetricResult:
    """Return one metric of an arm less that of another, over the same pairs.

    Parameters
    ----------
    name : str
        One of :data:`PAIRED_METRICS`.
    ours, theirs : sequence of ArmVariation
        One entry a seed of training or sampling, the same seeds in the same order. Pairs are crossed with seeds.

    Returns
    -------
    MetricResult
        The mean difference over seeds with its 95 % t-interval over new pairs (``n`` of them), and over new seeds where
        there are several. ``remarks`` says what the interval covers.

    Raises
    ------
    ValueError
        If the arms have different numbers of seeds or pairs.

    References
    ----------
    Crossed variance: that of seeds plus that of pairs less that of their interaction, at least the larger of the two
    (Cameron, Gelbach and Miller 2011); degrees of freedom by Satterthwaite (1946). A share whose pairs all agree gets
    the standard error of Bonett and Price (2012), who count one discordant pair more in each direction.
    """
    if len(ours) != len(theirs) or not ours:
        raise ValueError(f"{len(ours)} seeds of one arm and {len(theirs)} of the other; give the same of both")
    found = [seed.metrics[name] for seed in (*ours, *theirs)]
    first = found[0]
    if len({metric.n for metric in found}) > 1:
        raise ValueError(f"{name}: the arms have {sorted({metric.n or 0 for metric in found})} images; pairs have both")
    lack = next((metric for metric in found if metric.value is None), None)
    if lack is not None:
        return refused_metric(lack.reason or "", n=first.n, n_reference=first.n_reference, features=first.features)
    values = np.array([metric.value for metric in found], dtype=np.float64)
    differences = values[: len(ours)] - values[len(ours) :]
    error = _crossed_error(name, differences, ours, theirs, first.n or 0)
    mean = float(differences.mean())
    remarks, interval = [], None
    if error is None:
        remarks.append(_no_spread(first.n or 0))
    else:
        half = float(stats.t.ppf(0.975, error.df)) * error.se
        interval = (mean - half, mean + half)
    if len(ours) > 1:
        remarks.append(spread_remark(len(ours), float(differences.std(ddof=1))))
    return MetricResult(
        value=mean,
        ci95=interval,
        n=first.n,
        n_reference=first.n_reference,
        features=first.features,
        remarks=tuple(remarks),
        no_interval=remarks[0] if error is None else None,
    )


def _no_spread(n: int) -> str:
    if n < LEAST_PAIRS:
        return f"no interval: {n} pairs, fewer than {LEAST_PAIRS}"
    return "no interval: fewer images than features, or singular covariance"


@dataclass(frozen=True)
class _Error:
    se: float
    df: float


def _crossed_error(
    name: str, differences: np.ndarray, ours: Sequence[ArmVariation], theirs: Sequence[ArmVariation], n: int
) -> _Error | None:
    """Return the standard error of the mean difference over new pairs and new seeds."""
    if any(name not in seed.deviations for seed in (*ours, *theirs)):
        return None
    spread = np.array([a.deviations[name] - b.deviations[name] for a, b in zip(ours, theirs, strict=True)])
    seeds = len(spread)
    least = 2.0 / (n + 2) ** 2 if name in _SHARES else 0.0
    of_pairs = max(float(spread.mean(axis=0).var(ddof=1)), least)
    if name == "kid" and ours[0].subsets.size:
        apart = np.mean([a.subsets - b.subsets for a, b in zip(ours, theirs, strict=True)], axis=0)
        of_pairs += float(apart.var(ddof=1)) / apart.size
    if seeds == 1:
        return _Error(math.sqrt(of_pairs), n - 1)
    of_seeds = float(differences.var(ddof=1)) / seeds
    # What is left when the pairs' common part is out: it stands in both of the two above.
    own = float((spread - spread.mean(axis=0)).var(axis=1, ddof=1).mean()) / (seeds - 1)
    total = max(of_seeds + of_pairs - own, of_seeds, of_pairs)
    if total == 0.0:
        # Neither a pair nor a seed tells the arms apart.
        return _Error(0.0, n - 1)
    return _Error(math.sqrt(total), total**2 / (of_seeds**2 / (seeds - 1) + of_pairs**2 / (n - 1)))
