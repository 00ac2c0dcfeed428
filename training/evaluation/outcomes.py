"""What is gathered while a classifier is measured: how far it is, and what every image gave."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from training.evaluation.config import EvaluationConfig

__all__ = ["Outcomes", "Progress"]


class Progress:
    """How far the parts of an evaluation are together, in images weighted by passes of the network."""

    def __init__(
        self, config: EvaluationConfig, images: int, told: Callable[[str, float, int], None] | None, *, classes: int
    ):
        self.images, self.told = images, told
        self.costs = [config.passes(attack, classes) for attack in config.attacks]
        self.total = 1.0 + sum(self.costs)
        self.before = 0.0

    def of(self, what: str, cost: float) -> Callable[[float, int], None]:
        """Return what tells the progress of a part."""
        start, self.before = self.before, self.before + cost

        def report(done: float, total: int) -> None:
            if self.told:
                self.told(what, self.images * (start + cost * done / total) / self.total, self.images)

        return report

    def note(self, what: str) -> None:
        """Tell that all images are through and something else follows."""
        if self.told:
            self.told(what, self.images, self.images)


class Outcomes:
    """What every image gave, gathered from batches in their order: arrays (images, bands)."""

    def __init__(self, into: dict[str, np.ndarray], *, images: int, draws: int, bands: int):
        self.into, self.images, self.draws, self.bands = into, images, draws, bands

    def of(self, fact: str, *, called: str = "") -> Callable[[dict[str, Tensor]], None]:
        """Return what keeps a fact of a batch."""
        kept: list[np.ndarray] = []

        def keep(facts: dict[str, Tensor]) -> None:
            kept.append(facts[fact].double().cpu().numpy())
            values = np.concatenate(kept)
            if len(values) == self.images * self.draws:
                self.into[called or fact] = self._by_band(values)

        return keep

    def all_of(self, names: Sequence[str], *, called: str) -> dict[str, float | list[float | None]]:
        """Keep and return how often an image withstood every one of several attacks, in total and by band."""
        values = np.min([self.into[name] for name in names], axis=0)
        self.into[called] = values
        met = ~np.isnan(values)
        shares = [
            float(column[seen].mean()) if seen.any() else None for column, seen in zip(values.T, met.T, strict=True)
        ]
        return {"robust_accuracy": float(values[met].mean()), "robust_accuracy_by_band": shares}

    def _by_band(self, values: np.ndarray) -> np.ndarray:
        """Bring draws into the columns of their bands: draw d of image i lies in band (i + d) modulo the bands."""
        table = np.full((self.images, self.bands), np.nan)
        image = np.arange(self.images).repeat(self.draws)
        draw = np.tile(np.arange(self.draws), self.images)
        table[image, (image + draw) % self.bands] = values
        return table
