"""Metrics over seeds: mean, spread, and what cannot be combined."""

from dataclasses import replace

import pytest

from analysis.images import FeatureIdentity, MetricResult, metrics_over_seeds, refused_metric
from analysis.images.seeds import spread_in, spread_remark

_JUDGE = FeatureIdentity(name="judge", sha256="ab" * 32)


def _m(value: float | None, n: int = 100) -> MetricResult:
    if value is None:
        return refused_metric("too few", n=n, features=_JUDGE)
    return MetricResult(
        value=value, ci95=(value - 1, value + 1), n=n, n_reference=50, features=_JUDGE, remarks=("biased",)
    )


def test_mean_and_interval_are_those_of_the_seeds():
    kid = metrics_over_seeds([{"kid": _m(1.0)}, {"kid": _m(2.0)}, {"kid": _m(3.0)}])["kid"]
    assert kid.value == 2.0
    assert kid.ci95 == pytest.approx((2.0 - 4.302653 / 3**0.5, 2.0 + 4.302653 / 3**0.5), rel=1e-6)
    assert kid.reason == "mean of 3 seeds, standard deviation from seed to seed 1; biased"
    assert (kid.n, kid.n_reference, kid.features) == (100, 50, _JUDGE)


def test_seeds_with_an_interval_do_not_say_that_one_alone_had_none():
    lack = "too few; in fact one"
    alone = [replace(_m(value), ci95=None, remarks=(lack, "biased"), no_interval=lack) for value in (1.0, 2.0)]
    kid = metrics_over_seeds([{"kid": metric} for metric in alone])["kid"]
    assert kid.ci95 is not None
    assert kid.reason.endswith("seed to seed 0.7071; biased")


def test_the_spread_of_seeds_is_read_back_from_among_the_remarks():
    assert spread_in(f"biased; {spread_remark(3, 0.03596)}; few") == (3, 0.03596, "biased; few")
    assert spread_in(spread_remark(2, 1.5e-7)) == (2, 1.5e-7, None)
    assert spread_in("biased") == (None, None, "biased")
    assert spread_in(None) == (None, None, None)


def test_one_seed_is_left_as_it_is():
    assert metrics_over_seeds([{"kid": _m(1.0)}]) == {"kid": _m(1.0)}


def test_a_refusal_of_one_seed_refuses_the_mean():
    fid = metrics_over_seeds([{"fid": _m(1.0)}, {"fid": _m(None)}])["fid"]
    assert (fid.value, fid.reason) == (None, "one of 2 seeds: too few")


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([], "no seed"),
        ([{"kid": _m(1.0)}, {"fid": _m(1.0)}], "different metrics"),
        ([{"kid": _m(1.0)}, {"kid": _m(1.0, n=90)}], r"\[90, 100\] images"),
    ],
)
def test_seeds_that_do_not_match_are_refused(results: list, message: str):
    with pytest.raises(ValueError, match=message):
        metrics_over_seeds(results)
