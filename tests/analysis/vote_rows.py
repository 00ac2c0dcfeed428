"""Rows of the votes table for tests: plain mappings, as an export yields them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np


def vote_row(number: int = 1, **changes: object) -> dict[str, object]:
    """Return one valid row; keyword arguments replace values."""
    row = {
        "study": "digits",
        "study_version": 1,
        "rater": f"r{number:03d}",
        "session": f"s{number:03d}",
        "trial": f"t{number:06d}",
        "pair": f"p{number:03d}",
        "class_label": "7",
        "seed": number,
        "arm_left": "robust",
        "arm_right": "vanilla",
        "choice": "left",
        "choice_arm": "robust",
        "response_ms": 1250.5,
        "exposure_ms": 900.0,
        "position": 1,
        "is_repeat": False,
        "check_kind": "",
        "excluded": False,
        "exclusion_reason": "",
        "simulated": False,
        "submitted_at": "2026-11-10T10:00:00.250Z",
    }
    return {**row, **changes}


def study_rows(
    *,
    raters: int = 12,
    pairs: int = 30,
    per_rater: int = 24,
    arms: Sequence[str] = ("robust", "vanilla"),
    simulated: bool = False,
    seed: int = 1,
) -> Iterator[dict[str, object]]:
    """Yield the votes of a small study: raters and pairs differ; ties, a practice trial, a check, a repeat."""
    rng = np.random.default_rng(seed)
    leaning, quality = rng.normal(0, 0.4, raters), rng.normal(0, 0.7, pairs)
    number = 0
    for rater in range(raters):
        order, shown_before = rng.permutation(pairs)[:per_rater], {}
        for place, pair in enumerate(order, start=1):
            number += 1
            left, right = rng.permutation(len(arms))[:2]
            if place == 9:
                pair = order[2]
                right, left = shown_before[pair]
            shown_before[pair] = left, right
            odds = 0.5 * (right - left) + (leaning[rater] + quality[pair]) * (1 if left < right else -1) + 0.1
            choice = "tie" if rng.random() < 0.12 else ("left" if rng.random() < 1 / (1 + np.exp(-odds)) else "right")
            shown = {"left": arms[left], "right": arms[right], "tie": ""}
            kind = {1: "practice", 5: "degraded", 9: "repeat"}.get(place, "")
            yield vote_row(
                number,
                rater=f"r{rater:03d}",
                session=f"s{rater:03d}",
                pair=f"p{pair:03d}",
                class_label=f"class {pair % 5}",
                seed=int(pair),
                arm_left=shown["left"],
                arm_right=shown["right"],
                choice=choice,
                choice_arm=shown[choice],
                response_ms=float(rng.integers(400, 4000)),
                position=place,
                is_repeat=kind == "repeat",
                check_kind=kind,
                simulated=simulated,
                submitted_at=f"2026-11-10T{10 + rater % 10}:{place:02d}:00.000Z",
            )
