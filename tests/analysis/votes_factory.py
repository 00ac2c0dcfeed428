"""Vote tables for tests: typed by hand, or drawn from raters and pairs that differ."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from analysis.votes.table import Comparison, VoteTable


def make_comparison(score, rater, pair, side=None, **extra) -> Comparison:
    """Return a comparison from plain lists; the arm alternates sides unless they are given."""
    score = np.asarray(score, dtype=np.float64)
    if side is None:
        side = np.where(np.arange(len(score)) % 2 == 0, 0.5, -0.5)
    return Comparison(
        arm="robust",
        baseline="vanilla",
        score=score,
        side=np.asarray(side, dtype=np.float64),
        rater=np.asarray(rater, dtype=np.int64),
        pair=np.asarray(pair, dtype=np.int64),
        extra={name: np.asarray(column) for name, column in extra.items()},
    )


def make_table(rows, **extra) -> VoteTable:
    """Return a vote table from (rater, pair, arm_left, arm_right, choice) rows of labels."""
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 5
    raters, pairs = sorted(set(columns[0])), sorted(set(columns[1]))
    arms = sorted(set(columns[2]) | set(columns[3]))
    choices = ["left", "right", "tie"]
    return VoteTable(
        raters=tuple(raters),
        pairs=tuple(pairs),
        arms=tuple(arms),
        rater=np.array([raters.index(label) for label in columns[0]], dtype=np.int64),
        pair=np.array([pairs.index(label) for label in columns[1]], dtype=np.int64),
        arm_left=np.array([arms.index(label) for label in columns[2]], dtype=np.int64),
        arm_right=np.array([arms.index(label) for label in columns[3]], dtype=np.int64),
        choice=np.array([choices.index(label) for label in columns[4]], dtype=np.int8),
        extra={name: np.asarray(column) for name, column in extra.items()},
    )


def crossed_comparison(
    seed=0, *, raters=20, pairs=30, sd_rater=0.5, sd_pair=0.8, keep=1.0, ties=0.15, position=0.3
) -> Comparison:
    """Return a comparison whose raters and pairs differ, each cell kept with probability ``keep``."""
    rng = np.random.default_rng(seed)
    rater, pair = (axis.ravel() for axis in np.meshgrid(np.arange(raters), np.arange(pairs), indexing="ij"))
    kept = rng.random(len(rater)) < keep
    rater, pair = rater[kept], pair[kept]
    side = rng.choice([0.5, -0.5], size=len(rater))
    logit = 0.4 + position * side + rng.normal(0, sd_rater, raters)[rater] + rng.normal(0, sd_pair, pairs)[pair]
    score = (rng.random(len(rater)) < 1 / (1 + np.exp(-logit))).astype(float)
    score[rng.random(len(rater)) < ties] = 0.5
    return make_comparison(score, rater, pair, side)


TABLES = Path(__file__).parents[1] / "data" / "analysis" / "tables"
_READ = {
    "response_ms": lambda text: float(text) if text else np.nan,
    "position": float,
    "is_repeat": lambda text: text == "true",
}


def stored_names() -> list[str]:
    """Return the names of the stored vote tables."""
    return sorted(path.stem for path in TABLES.glob("*.csv"))


def stored_table(name: str) -> VoteTable:
    """Return one of the stored vote tables that the reference answers belong to."""
    with (TABLES / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    required = ("rater", "pair", "arm_left", "arm_right", "choice")
    extra = {key: [_READ.get(key, str)(row[key]) for row in rows] for key in rows[0] if key not in required}
    return make_table([tuple(row[key] for key in required) for row in rows], **extra)
