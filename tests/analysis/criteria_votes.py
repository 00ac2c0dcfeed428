"""Votes by several criteria, as rows of the votes table."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

RATES = {"realism": 0.75, "detail": 0.6, "overall": 0.5}


def criteria_rows(
    rates: Mapping[str, float] = RATES,
    *,
    raters: int = 24,
    pairs: int = 20,
    halo: float = 0.0,
    seed: int = 0,
    together: bool = True,
) -> list[dict]:
    """Return votes of every rater on every pair by every criterion.

    ``halo`` is the chance that an answer repeats that by the first criterion; pairs differ alike in all.
    """
    rng = np.random.default_rng(seed)
    appeal = rng.normal(0, 0.8, pairs)
    rows = []
    for rater in range(raters):
        for pair in range(pairs):
            left, first = bool(rng.random() < 0.5), None
            for place, (criterion, rate) in enumerate(rates.items()):
                chance = 1 / (1 + np.exp(-(np.log(rate / (1 - rate)) + appeal[pair])))
                is_arm = bool(rng.random() < chance)
                if first is None:
                    first = is_arm
                elif rng.random() < halo:
                    is_arm = first
                trial = f"t{rater}-{pair}" if together else f"t{rater}-{pair}-{place}"
                rows.append(
                    {
                        "rater": f"r{rater:02d}",
                        "session": f"s{rater:02d}",
                        "trial": trial,
                        "pair": f"p{pair:02d}",
                        "arm_left": "robust" if left else "vanilla",
                        "arm_right": "vanilla" if left else "robust",
                        "choice": "left" if is_arm == left else "right",
                        "criterion": criterion,
                        "position": pair + 1 if together else place * pairs + pair + 1,
                    }
                )
    return rows


def write_rows(path: Path, rows: list[dict]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
