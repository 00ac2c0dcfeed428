"""What is gathered while a classifier is measured: how far it is, and what every image gave."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from training.evaluation.config import EvaluationConfig

__all__ = ["Outcomes", "Progress"]


# Of a first run's steps, what an image takes that is fooled.
_FOOLED = 0.2


class Progress:
    """How far the parts of an evaluation are together, in images weighted by passes of the network.

    An image that errs is attacked no further, so what an attack takes follows from how many withstand it: all that
    are right, for a start, then as many as withstood the attack before.
    """

    def __init__(
        self, config: EvaluationConfig, images: int, told: Callable[[str, float, int], None] | None, *, classes: int
    ):
        self.images, self.told = images, told
        self.whole = [config.passes(attack, classes) for attack in config.attacks]
        self.fooled = [1.0 + 2.0 * _FOOLED * attack.steps for attack in config.attacks]
        self.costs = [1.0, *self.whole]
        self.place, self.latest = 0, 0.0

    def part(self, what: str) -> Callable[[float, int], None]:
        """Return what tells the progress of the next part."""
        start, cost = sum(self.costs[: self.place]), self.costs[self.place]
        self.place += 1

        def report(done: float, total: int) -> None:
            self.latest = max(self.latest, (start + cost * done / total) / sum(self.costs))
            if self.told:
                self.told(what, self.images * self.latest, self.images)

        return report

    def withstood(self, share: float) -> None:
        """Learn from the part that has ended, for itself and those to come."""
        for place in range(max(self.place - 1, 1), len(self.costs)):
            self.costs[place] = share * self.whole[place - 1] + (1.0 - share) * self.fooled[place - 1]

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
