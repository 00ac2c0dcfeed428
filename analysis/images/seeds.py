"""Metrics of one arm over several generation seeds: their mean, spread and interval."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from analysis.images.results import MetricResult, refused_metric
from analysis.images.uncertainty import interval_over_seeds

__all__ = ["Spread", "metrics_over_seeds", "spread_in", "spread_remark"]

_SPREAD = re.compile(r"(?:^|; )mean of (\d+) seeds, standard deviation from seed to seed ([^;]+)")


def spread_remark(seeds: int, deviation: float) -> str:
    """Return the remark of a mean over seeds."""
    return f"mean of {seeds} seeds, standard deviation from seed to seed {deviation:.4g}"


class Spread(NamedTuple):
    """What a reason says of seeds, and the rest of it."""

    seeds: int | None
    deviation: float | None
    rest: str | None


def spread_in(reason: str | None) -> Spread:
    """Return number and standard deviation of the seeds that a reason states, None where it states none."""
    found = _SPREAD.search(reason or "")
    if found is None:
        return Spread(None, None, reason)
    return Spread(int(found[1]), float(found[2]), _SPREAD.sub("", reason or "").removeprefix("; ") or None)


def metrics_over_seeds(results: Sequence[Mapping[str, MetricResult]]) -> dict[str, MetricResult]:
    """Combine the metrics of several image sets of one arm, made with different seeds.

    Parameters
    ----------
    results : sequence of mapping of str to MetricResult
        One per seed, all with the same metrics from the same number of images, reference and features.

    Returns
    -------
    dict of str to MetricResult
        The mean with its t-interval over seeds; ``reason`` states the standard deviation from seed to seed, ``n`` is
        the number of images of one seed. A metric that one seed refuses is refused. One seed is returned as it is.

    Raises
    ------
    ValueError
        If there are no results, or the seeds differ in metrics or number of images.
    """
    if not results:
        raise ValueError("no seed was evaluated")
    if len(results) == 1:
        return dict(results[0])
    if any(set(result) != set(results[0]) for result in results):
        raise ValueError("the seeds have different metrics; evaluate them alike")
    return {name: _combined(name, [result[name] for result in results]) for name in results[0]}


def _combined(name: str, metrics: Sequence[MetricResult]) -> MetricResult:
    first = metrics[0]
    counts = {metric.n or 0 for metric in metrics}
    if len(counts) > 1:
        raise ValueError(f"{name}: seeds have {sorted(counts)} images; the bias of a metric depends on their number")
    refused = next((metric for metric in metrics if metric.value is None), None)
    if refused is not None:
        return refused_metric(
            f"one of {len(metrics)} seeds: {refused.reason}",
            n=first.n,
            n_reference=first.n_reference,
            features=first.features,
        )
    values = [metric.value for metric in metrics if metric.value is not None]
    mean, deviation, interval = interval_over_seeds(values)
    # An interval over seeds needs none of the first seed's own.
    remarks = (remark for remark in first.remarks if remark != first.no_interval)
    return MetricResult(
        value=mean,
        ci95=interval,
        n=first.n,
        n_reference=first.n_reference,
        features=first.features,
        remarks=(spread_remark(len(metrics), deviation), *remarks),
    )
