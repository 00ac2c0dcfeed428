"""One comparison of the report: every estimator of one arm's preference over its baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from analysis.inference.bootstrap import product_bootstrap
from analysis.inference.counts import count_votes
from analysis.preference import position
from analysis.preference import rate as preference
from analysis.preference.equivalence import equivalence_test
from analysis.preference.per_class import per_class
from analysis.preference.sequential import confidence_sequence
from analysis.regression.gee import gee
from analysis.regression.glmm import glmm
from analysis.regression.linear_mixed import lmm
from analysis.regression.ordinal import ordinal_mixed
from analysis.votes.table import Duel

__all__ = ["compare_arms"]

BOOTSTRAP_REPETITIONS = 2000


def compare_arms(duel: Duel, *, plan: Mapping, seed: int) -> dict:
    """Return the entry of ``comparisons`` in the report.

    Parameters
    ----------
    duel : Duel
        The votes that count.
    plan : mapping
        ``margin`` is the equivalence margin; without it the equivalence test is refused. ``adjust`` names the
        adjustment over classes ("bh" without it), ``least_votes`` the votes of a rater who has finished (1).
    seed : int
        Seed of the bootstrap.
    """
    equivalence = equivalence_test(duel, margin=plan.get("margin"))
    methods = {
        "vote_mean": preference.vote_mean(duel),
        "two_way_t": preference.two_way_t(duel),
        "two_way_t_adjusted": preference.two_way_t(duel, adjusted=True),
        "rater_mean_t": preference.rater_mean_t(duel),
        "rater_mean_decisive_t": preference.rater_mean_decisive_t(duel),
        "wilson": preference.wilson(duel),
        "clopper_pearson": preference.clopper_pearson(duel),
        "binomial_exact": preference.binomial_exact(duel),
        "product_bootstrap": product_bootstrap(duel, seed=seed, repetitions=BOOTSTRAP_REPETITIONS),
        "lmm": lmm(duel),
        "glmm": glmm(duel),
        "ordinal": ordinal_mixed(duel),
        "gee": gee(duel),
        "tost": equivalence.result,
        "confidence_sequence": confidence_sequence(duel, least_votes=plan.get("least_votes") or 1),
    }
    return {
        "arm": duel.arm,
        "baseline": duel.baseline,
        "counts": count_votes(duel).as_json(),
        "headline": preference.headline(duel).as_json(),
        "methods": {name: result.as_json() for name, result in methods.items()},
        "equivalence": {
            "margin": equivalence.margin,
            "interval90": None if equivalence.interval90 is None else list(equivalence.interval90),
            "is_equivalent": equivalence.is_equivalent,
        },
        "position_effect": position.position_effect(duel).as_json(),
        "by_side": {
            "arm_left": _side(duel.rows(duel.side > 0)),
            "arm_right": _side(duel.rows(duel.side < 0)),
        },
        **_classes(duel, plan.get("adjust") or "bh"),
    }


def _side(duel: Duel) -> dict:
    return {"counts": count_votes(duel).as_json(), "result": preference.two_way_t(duel).as_json()}


def _classes(duel: Duel, adjust: str) -> dict:
    labels = duel.extra.get("class_label")
    if labels is not None and not np.any(labels != ""):
        # A column that names no class is no column: its one nameless class would repeat the headline.
        duel = replace(duel, extra={name: values for name, values in duel.extra.items() if name != "class_label"})
    found = per_class(duel, adjust=adjust)
    return {
        "per_class": found.as_json(),
        "class_family": {
            "size": found.family_size,
            "adjustment": found.adjustment,
            "mean": found.mean.as_json(),
            "sd": found.sd.as_json(),
            "reason": found.reason,
        },
    }
