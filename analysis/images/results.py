"""What every image metric returns: a number with its circumstances, or null with the reason (`M` of the report)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["PUBLISHED_INCEPTION", "FeatureIdentity", "MetricResult", "refused_metric"]

#: Name of the 2015-12-05 Inception network and the leading digits of the published weights' SHA-256.
PUBLISHED_INCEPTION = ("inception-2015-12-05", "6726825d")

#: Networks whose name begins so have random weights; they exist for tests and never leave the program as a result.
_TEST_ONLY_PREFIX = "fd_random"


@dataclass(frozen=True, kw_only=True)
class FeatureIdentity:
    """Which network turned the images into features: a distance means nothing without it.

    Parameters
    ----------
    name : str
        Name of the network, e.g. ``inception-2015-12-05`` or ``digits-judge``.
    sha256 : str
        SHA-256 of the weights file, 64 hexadecimal digits.
    resize : str
        How images are brought to the network's input size, e.g. ``tf1-bilinear-299``; empty when they are not resized.
    """

    name: str
    sha256: str
    resize: str = ""

    def __post_init__(self) -> None:
        if len(self.sha256) != 64 or set(self.sha256) - set("0123456789abcdef"):
            raise ValueError(f"features {self.name!r}: sha256 is {self.sha256!r}, expected 64 lower-case hex digits")

    @property
    def is_published_inception(self) -> bool:
        """Whether distances in these features may be called FID."""
        name, digest = PUBLISHED_INCEPTION
        return self.name == name and self.sha256.startswith(digest)

    @property
    def is_test_only(self) -> bool:
        """Whether the network exists for tests alone and its numbers must not be exported."""
        return self.name.startswith(_TEST_ONLY_PREFIX)


@dataclass(frozen=True, kw_only=True)
class MetricResult:
    """One image metric of one arm.

    Parameters
    ----------
    value : float or None
        The metric; None together with ``reason`` when it was refused.
    ci95 : (float, float) or None
        Two-sided 95 % interval of the value at this number of images (sampling error, not the bias of the metric).
    n, n_reference : int or None
        Generated and reference images behind the value.
    features : FeatureIdentity or None
        The feature network.
    remarks : tuple of str
        Why a null is null, or the warnings that belong beside the number.
    no_interval : str or None
        The one of the remarks that says why there is no interval.

    Raises
    ------
    ValueError
        If a number is not finite, the interval is reversed, a missing value has no remark, or ``no_interval`` is none
        of the remarks.
    """

    value: float | None = None
    ci95: tuple[float, float] | None = None
    n: int | None = None
    n_reference: int | None = None
    features: FeatureIdentity | None = None
    remarks: tuple[str, ...] = ()
    no_interval: str | None = None

    def __post_init__(self) -> None:
        if self.no_interval is not None and self.no_interval not in self.remarks:
            raise ValueError(f"no_interval is {self.no_interval!r}, which is none of the remarks {self.remarks!r}")
        if self.value is None and not self.remarks:
            raise ValueError("a metric without a value needs a reason")
        if self.value is not None:
            if not math.isfinite(self.value):
                raise ValueError(f"the metric is {self.value}; refuse it with a reason instead")
            object.__setattr__(self, "value", float(self.value))
        if self.ci95 is not None:
            low, high = (float(bound) for bound in self.ci95)
            if not (math.isfinite(low) and math.isfinite(high) and low <= high):
                raise ValueError(f"interval [{low}, {high}] is reversed or unbounded; leave it out with a reason")
            object.__setattr__(self, "ci95", (low, high))

    @property
    def reason(self) -> str | None:
        """The remarks in one line, or None."""
        return "; ".join(self.remarks) or None

    def with_reason(self, reason: str) -> MetricResult:
        """Return the same result carrying one more remark."""
        return replace(self, remarks=(*self.remarks, reason))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> MetricResult:
        """Return the metric that :meth:`as_json` wrote, its remarks in one."""
        features = values.get("features")
        return cls(
            value=values["value"],
            ci95=None if values["ci95"] is None else tuple(values["ci95"]),
            n=values["n"],
            n_reference=values["n_reference"],
            features=None if features is None else FeatureIdentity(name=features["name"], sha256=features["sha256"]),
            remarks=() if values["reason"] is None else (values["reason"],),
        )

    def as_json(self) -> dict:
        """Return the mapping written to ``report.json``.

        Raises
        ------
        ValueError
            If the features come from a test-only network: such a number must not be published.
        """
        # Here, where numbers leave the program, whatever made them.
        if self.features is not None and self.features.is_test_only:
            raise ValueError(f"features {self.features.name!r} are for tests only; their distances are never exported")
        return {
            "value": self.value,
            "ci95": None if self.ci95 is None else list(self.ci95),
            "n": self.n,
            "n_reference": self.n_reference,
            "features": None if self.features is None else {"name": self.features.name, "sha256": self.features.sha256},
            "reason": self.reason,
        }


def refused_metric(
    reason: str, *, n: int | None = None, n_reference: int | None = None, features: FeatureIdentity | None = None
) -> MetricResult:
    """Return the refusal of a metric: null, the reason, and the counts that led to it."""
    return MetricResult(remarks=(reason,), n=n, n_reference=n_reference, features=features)
