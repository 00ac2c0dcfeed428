"""What the paper claims, what the seeds of a reproduction say about it, and the verdict: whatever comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from analysis.images import interval_over_seeds
from generation.reproduction.experiment import Experiment, arm_name

__all__ = ["Claim", "Finding", "findings"]

#: Claims that no computation can test.
UNTESTED = {
    "Human raters prefer images of robust guidance": "needs raters: run a survey on these arms and read its report"
}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A directional claim: robust minus vanilla of ``measure`` is said to be below (-1) or above (+1) zero."""

    text: str
    measure: str
    direction: int


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A claim beside its paired differences over seeds.

    ``verdict`` is ``agrees`` or ``disagrees`` when the 95 % interval of the mean difference leaves out zero, else
    ``undecided``; with one seed there is no interval and nothing is decided.
    """

    claim: str
    comparison: str
    differences: tuple[float, ...]
    mean: float | None
    sd: float | None
    ci95: tuple[float, float] | None
    verdict: str
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self)


_IMAGE_CLAIMS = (
    Claim(text="Robust guidance lowers the Fréchet distance", measure="frechet_distance", direction=-1),
    Claim(text="Robust guidance lowers the kernel distance", measure="kid", direction=-1),
    Claim(text="Robust guidance raises precision", measure="precision", direction=1),
)
_PREMISE = Claim(text="The robust classifier withstands the attack better", measure="robust_accuracy", direction=1)
_ALIGNMENT = Claim(
    text="Gradients of the robust classifier agree better with the denoisers' class score",
    measure="cosine",
    direction=1,
)


def findings(experiment: Experiment, seeds: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Return every claim with its paired differences over seeds.

    Parameters
    ----------
    experiment : Experiment
    seeds : sequence of mapping
        One per seed: ``{"classifiers": {kind: measures}, "arms": {arm: metrics}, "alignment": {kind: bands}}``.
    """
    found = [_judged(_PREMISE, "robust - vanilla", [_robustness(seed) for seed in seeds])]
    found.append(_judged(_ALIGNMENT, "robust - vanilla, mean over bands", [_cosine(seed) for seed in seeds]))
    vanilla, robust = experiment.published_scales
    pairs = [(vanilla, robust), *((scale, scale) for scale in experiment.scales)]
    for low, high in dict.fromkeys(pairs):
        arms = arm_name("vanilla", low), arm_name("robust", high)
        for claim in _IMAGE_CLAIMS:
            differences = [
                _metric(seed, arms[1], claim) - _metric(seed, arms[0], claim)
                for seed in seeds
                if None not in (_metric(seed, arms[0], claim), _metric(seed, arms[1], claim))
            ]
            found.append(_judged(claim, f"{arms[1]} - {arms[0]}", differences))
    found += [_untested(text, reason) for text, reason in UNTESTED.items()]
    return found


def _metric(seed: Mapping[str, Any], arm: str, claim: Claim) -> float | None:
    return seed["arms"][arm][claim.measure]["value"]


def _robustness(seed: Mapping[str, Any]) -> float:
    robust, vanilla = (seed["classifiers"][kind]["robust_accuracy"] for kind in ("robust", "vanilla"))
    return robust - vanilla


def _cosine(seed: Mapping[str, Any]) -> float:
    robust, vanilla = (
        sum(band["cosine"] for band in seed["alignment"][kind]) / len(seed["alignment"][kind])
        for kind in ("robust", "vanilla")
    )
    return robust - vanilla


def _judged(claim: Claim, comparison: str, differences: list[float]) -> Finding:
    values = tuple(differences)
    common = {"claim": claim.text, "comparison": comparison, "differences": values}
    if len(values) < 2:
        mean = values[0] if values else None
        reason = "one seed: no spread, so nothing is decided" if values else "the measure was refused in every seed"
        return Finding(**common, mean=mean, sd=None, ci95=None, verdict="undecided", reason=reason)
    mean, sd, (low, high) = interval_over_seeds(values)
    verdict = "undecided"
    # An interval that holds zero decides nothing, however large the mean.
    if low > 0 or high < 0:
        verdict = "agrees" if (mean > 0) == (claim.direction > 0) else "disagrees"
    return Finding(**common, mean=mean, sd=sd, ci95=(low, high), verdict=verdict)


def _untested(text: str, reason: str) -> Finding:
    return Finding(
        claim=text, comparison="-", differences=(), mean=None, sd=None, ci95=None, verdict="not tested", reason=reason
    )
