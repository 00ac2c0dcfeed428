"""One comparison of the report: every estimator of one arm's preference over its baseline."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

import numpy as np

from analysis.inference.blas_threads import on_one_blas_thread
from analysis.inference.bootstrap import product_bootstrap
from analysis.inference.counts import count_votes
from analysis.inference.crossing import crossing_of
from analysis.inference.estimate import Estimate, refused
from analysis.preference import position
from analysis.preference import rate as preference
from analysis.preference.equivalence import Equivalence, equivalence_test
from analysis.preference.per_class import Adjustment, PerClass, per_class
from analysis.preference.sequential import confidence_sequence
from analysis.regression.gee import gee
from analysis.regression.glmm import Glmm, glmm, glmm_withheld
from analysis.regression.linear_mixed import lmm
from analysis.regression.ordinal import OrdinalMixed, ordinal_mixed, ordinal_withheld
from analysis.votes.table import Comparison

__all__ = ["ArmResults", "compare_arms"]

# Its bounds then differ from seed to seed by about 2 % of the interval (the error of a 2.5 % quantile of 2000).
BOOTSTRAP_REPETITIONS = 2000
# A crossed logit model takes some 200 bytes a vote: of more votes than these one is fitted at a time.
MOST_SIDE_BY_SIDE = 2_000_000
# In the order of their keys in report.json.
_SLOW = ("product_bootstrap", "lmm", "glmm", "ordinal", "gee", "confidence_sequence")


@dataclass(frozen=True, kw_only=True)
class ArmResults:
    """Every result on one arm's preference over its baseline, before it is written as JSON.

    Parameters
    ----------
    comparison : Comparison
        The votes that count.
    headline : Estimate
    methods : mapping of str to result
        By name of the estimator; each has ``as_json``.
    equivalence : Equivalence
    position_effect : Estimate
    by_class : PerClass
    """

    comparison: Comparison
    headline: Estimate
    methods: Mapping[str, Estimate | Glmm | OrdinalMixed]
    equivalence: Equivalence
    position_effect: Estimate
    by_class: PerClass

    def as_json(self) -> dict:
        """Return the entry of ``comparisons`` in ``report.json``."""
        comparison, equivalence, by_class = self.comparison, self.equivalence, self.by_class
        return {
            "arm": comparison.arm,
            "baseline": comparison.baseline,
            "counts": count_votes(comparison).as_json(),
            "headline": self.headline.as_json(),
            "methods": {name: result.as_json() for name, result in self.methods.items()},
            "equivalence": {
                "margin": equivalence.margin,
                "interval90": None if equivalence.interval90 is None else list(equivalence.interval90),
                "is_equivalent": equivalence.is_equivalent,
            },
            "position_effect": self.position_effect.as_json(),
            "by_side": {
                "arm_left": _side(comparison.rows(comparison.side > 0)),
                "arm_right": _side(comparison.rows(comparison.side < 0)),
            },
            "per_class": by_class.as_json(),
            "class_family": {
                "size": by_class.family_size,
                "adjustment": by_class.adjustment,
                "mean": by_class.mean.as_json(),
                "sd": by_class.sd.as_json(),
                "heterogeneity": by_class.heterogeneity.as_json(),
                "reason": by_class.reason,
            },
        }


@on_one_blas_thread
def compare_arms(comparison: Comparison, *, plan: Mapping, seed: int, withheld: str | None = None) -> ArmResults:
    """Return every result on one comparison.

    Parameters
    ----------
    comparison : Comparison
        The votes that count.
    plan : mapping
        ``margin`` is the equivalence margin; without it the equivalence test is refused. ``adjust`` names the
        adjustment over classes ("bh" without it), ``least_votes`` the votes of a rater who has finished (1).
    seed : int
        Seed of the bootstrap.
    withheld : str or None
        Why the methods that take long (models, bootstrap, confidence sequence) are not computed, or None to do so.
    """
    equivalence = equivalence_test(comparison, margin=plan.get("margin"))
    return ArmResults(
        comparison=comparison,
        headline=preference.headline(comparison),
        methods={
            "vote_mean": preference.vote_mean(comparison),
            "two_way_t": preference.two_way_t(comparison),
            "two_way_t_adjusted": preference.two_way_t(comparison, adjusted=True),
            "rater_mean_t": preference.rater_mean_t(comparison),
            "rater_mean_decisive_t": preference.rater_mean_decisive_t(comparison),
            "wilson": preference.wilson(comparison),
            "clopper_pearson": preference.clopper_pearson(comparison),
            "binomial_exact": preference.binomial_exact(comparison),
            **(_slow_methods(comparison, plan, seed) if withheld is None else _withheld(comparison, withheld)),
            "tost": equivalence.result,
        },
        equivalence=equivalence,
        position_effect=position.position_effect(comparison),
        by_class=_classes(comparison, plan.get("adjust") or "bh", withheld),
    )


def _slow_methods(comparison: Comparison, plan: Mapping, seed: int) -> dict:
    with ThreadPoolExecutor(max_workers=1) as beside:
        # The longest fits stand beside the others on two cores; none shares anything with another.
        ordinal = beside.submit(ordinal_mixed, comparison)
        others = {
            "product_bootstrap": product_bootstrap(comparison, seed=seed, repetitions=BOOTSTRAP_REPETITIONS),
            "lmm": lmm(comparison),
            "gee": gee(comparison),
            "confidence_sequence": confidence_sequence(comparison, least_votes=plan.get("least_votes") or 1),
        }
        if len(comparison) > MOST_SIDE_BY_SIDE:
            wait([ordinal])
        found = others | {"glmm": glmm(comparison), "ordinal": ordinal.result()}
    return {name: found[name] for name in _SLOW}


def _withheld(comparison: Comparison, reason: str) -> dict:
    names = {
        "product_bootstrap": "product bootstrap",
        "lmm": "linear mixed model",
        "gee": "GEE by rater",
        "confidence_sequence": "confidence sequence",
    }
    counts = crossing_of(comparison).counts()
    models = {"glmm": glmm_withheld(comparison, reason), "ordinal": ordinal_withheld(comparison, reason)}
    return {name: refused(method, reason, **counts) for name, method in names.items()} | models


def _side(comparison: Comparison) -> dict:
    return {"counts": count_votes(comparison).as_json(), "result": preference.two_way_t(comparison).as_json()}


def _classes(comparison: Comparison, adjust: Adjustment, withheld: str | None) -> PerClass:
    if withheld is not None:
        return replace(per_class(comparison.rows(np.zeros(0, dtype=np.int64)), adjust=adjust), reason=withheld)
    labels = comparison.extra.get("class_label")
    if labels is not None and not np.any(labels != ""):
        # A column that names no class is no column: its one nameless class would repeat the headline.
        comparison = comparison.only(name for name in comparison.extra if name != "class_label")
    return per_class(comparison, adjust=adjust)
