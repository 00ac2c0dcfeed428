"""Which metric may bear which name, what is refused, and what is remarked."""

import json
from dataclasses import replace

import numpy as np
import pytest

from analysis.images import (
    METRIC_KEYS,
    ArmFeatures,
    EvaluationRules,
    FeatureIdentity,
    MetricResult,
    ReferenceFeatures,
    evaluate_arm,
    evaluate_per_class,
    fit_gaussian,
    frechet_distance_of_features,
)

JUDGE = FeatureIdentity(name="digits-judge", sha256="ab" * 32)
INCEPTION = FeatureIdentity(name="inception-2015-12-05", sha256="6726825d" + "0" * 56)
_FAST = EvaluationRules(bootstrap_replicates=8, kid_subsets=5, kid_subset_size=20, minimum_frechet=40, split_size=25)


def _rows(n: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(n, 4)) + shift).astype(np.float32)


def _reference(n: int = 80) -> ReferenceFeatures:
    rows = _rows(n, 1)
    return ReferenceFeatures(pool_fit=fit_gaussian(rows), spatial_fit=fit_gaussian(rows), pool=rows)


def test_another_network_never_gets_the_name_fid():
    results = evaluate_arm(ArmFeatures(pool=_rows(60, 2)), _reference(), JUDGE, _FAST)
    assert tuple(results) == METRIC_KEYS
    for name in ("fid", "sfid", "inception_score"):
        assert results[name].value is None
        assert "Inception weights" in results[name].reason
    assert results["frechet_distance"].features.name == "digits-judge"
    assert "not comparable" in results["frechet_distance"].reason
    assert results["frechet_distance"].value == pytest.approx(
        frechet_distance_of_features(_rows(60, 2), _rows(80, 1)), rel=1e-12
    )


def test_the_right_name_with_other_weights_is_no_fid_either():
    other = FeatureIdentity(name="inception-2015-12-05", sha256="ab" * 32)
    assert evaluate_arm(ArmFeatures(pool=_rows(60, 2)), _reference(), other, _FAST)["fid"].value is None


def test_published_inception_gives_every_metric_with_counts_and_interval():
    arm = ArmFeatures(pool=_rows(60, 2, 0.3), spatial=_rows(60, 3), logits=_rows(60, 4))
    results = evaluate_arm(arm, _reference(), INCEPTION, _FAST)
    assert "given as fid" in results.pop("frechet_distance").reason
    for name, result in results.items():
        assert result.value is not None, (name, result.reason)
        assert (result.n, result.features) == (60, INCEPTION)
        if name not in ("density", "frechet_distance_extrapolated"):
            low, high = result.ci95
            assert low < result.value < high or name in ("precision", "recall", "coverage")
    assert results["inception_score"].n_reference is None


def test_too_few_images_refuse_the_frechet_distance_and_offer_the_kernel_distance():
    rules = EvaluationRules(kid_subsets=5)
    results = evaluate_arm(ArmFeatures(pool=_rows(500, 2)), _reference(3000), INCEPTION, rules)
    assert results["fid"].value is None
    assert "2048" in results["fid"].reason
    assert "use KID" in results["fid"].reason
    assert results["kid"].value is not None


def test_floor_of_other_networks_follows_their_number_of_features():
    rules = EvaluationRules(bootstrap_replicates=4, kid_subsets=4)
    assert evaluate_arm(ArmFeatures(pool=_rows(39, 2)), _reference(), JUDGE, rules)["frechet_distance"].value is None
    assert evaluate_arm(ArmFeatures(pool=_rows(40, 2)), _reference(), JUDGE, rules)["frechet_distance"].value > 0.0


def test_moments_alone_refuse_what_needs_images():
    reference = ReferenceFeatures(pool_fit=fit_gaussian(_rows(80, 1)))
    results = evaluate_arm(ArmFeatures(pool=_rows(60, 2)), reference, JUDGE, _FAST)
    for name in ("precision", "recall", "density", "coverage", "kid"):
        assert results[name].value is None
        assert "moments" in results[name].reason
    assert results["frechet_distance"].value is not None


def test_one_image_is_refused_everywhere_without_an_error():
    results = evaluate_arm(ArmFeatures(pool=_rows(1, 2)), _reference(), JUDGE, EvaluationRules())
    assert all(result.value is None and result.reason for result in results.values())


def test_one_reference_image_is_refused_and_named_as_the_cause():
    one = ReferenceFeatures(pool=_rows(1, 2))
    results = evaluate_arm(ArmFeatures(pool=_rows(60, 3)), one, JUDGE, _FAST)
    assert all(result.value is None and result.reason for result in results.values())
    assert results["frechet_distance"].reason == "refused: at least 2 reference images are needed"


def test_a_limit_from_fewer_images_than_features_is_called_a_guess():
    rules = replace(_FAST, minimum_frechet=10)
    few, enough = (evaluate_arm(ArmFeatures(pool=_rows(n, 2)), _reference(), JUDGE, rules) for n in (15, 60))
    assert few["frechet_distance_extrapolated"].reason.endswith("the limit is a guess")
    assert "guess" not in enough["frechet_distance_extrapolated"].reason


def test_a_limit_below_zero_is_refused_and_a_negative_kernel_distance_explained():
    found = [
        evaluate_arm(ArmFeatures(pool=_rows(30, seed)), _reference(), JUDGE, replace(_FAST, minimum_frechet=10))
        for seed in range(2, 22)
    ]
    limits = [metrics["frechet_distance_extrapolated"] for metrics in found]
    refused = [limit.reason for limit in limits if limit.value is None]
    assert refused
    assert all("ends below zero" in reason for reason in refused)
    assert all(limit.value >= 0 for limit in limits if limit.value is not None)
    kernel = [metrics["kid"] for metrics in found]
    assert any(distance.value < 0 for distance in kernel)
    assert all((distance.value < 0) == ("no difference was found" in distance.reason) for distance in kernel)


def test_small_sets_carry_their_warning_and_large_ones_do_not():
    few = evaluate_arm(ArmFeatures(pool=_rows(60, 2), spatial=_rows(60, 2)), _reference(), INCEPTION, _FAST)
    assert "biased at 60" in few["fid"].reason
    assert "not comparable" in few["precision"].reason
    rules = EvaluationRules(minimum_frechet=40, comparable=50, bootstrap_replicates=4, kid_subsets=4)
    many = evaluate_arm(ArmFeatures(pool=_rows(60, 2)), _reference(), INCEPTION, rules)
    assert many["fid"].reason is None
    assert many["precision"].reason is None


def test_wide_features_get_the_jackknife_interval():
    rules = EvaluationRules(minimum_frechet=40, bootstrap_features=2, kid_subsets=4)
    result = evaluate_arm(ArmFeatures(pool=_rows(60, 2)), _reference(), INCEPTION, rules)["fid"]
    assert result.ci95[0] < result.value < result.ci95[1]


def test_progress_names_the_metrics_in_turn():
    seen = []
    evaluate_arm(ArmFeatures(pool=_rows(60, 2)), _reference(), JUDGE, _FAST, progress=seen.append)
    assert seen == [
        "frechet_distance",
        "precision, recall, density, coverage",
        "kid",
        "mind",
        "frechet_distance_extrapolated",
    ]


def test_extrapolation_lists_its_sizes_and_lies_below_the_biased_value():
    results = evaluate_arm(ArmFeatures(pool=_rows(60, 2)), _reference(), JUDGE, _FAST)
    limit = results["frechet_distance_extrapolated"]
    assert limit.value < results["frechet_distance"].value
    assert "at 12," in limit.reason
    assert "at 60" in limit.reason
    none = EvaluationRules(extrapolation_points=0, bootstrap_replicates=3, kid_subsets=3)
    assert (
        evaluate_arm(ArmFeatures(pool=_rows(60, 2)), _reference(), JUDGE, none)["frechet_distance_extrapolated"].reason
        == "not asked for"
    )


def test_class_order_of_the_images_does_not_lower_the_inception_score():
    logits = np.repeat(np.eye(10, dtype=np.float32) * 100.0, 10, axis=0)
    arm = ArmFeatures(pool=_rows(100, 2), logits=logits)
    assert evaluate_arm(arm, _reference(), INCEPTION, _FAST)["inception_score"].value > 6.0


def test_per_class_metrics_compare_a_class_with_its_own():
    pool, labels = np.concatenate([_rows(40, 2), _rows(40, 3, 5.0)]), np.repeat([0, 1], 40)
    reference = ReferenceFeatures(pool=np.concatenate([_rows(40, 4), _rows(40, 5)]), labels=np.repeat([0, 1], 40))
    found = evaluate_per_class(ArmFeatures(pool=pool, labels=labels), reference, JUDGE, _FAST)
    assert set(found) == {0, 1}
    assert found[1]["frechet_distance"].value > 50 > found[0]["frechet_distance"].value
    assert found[1]["kid"].value > found[0]["kid"].value


def test_a_class_without_reference_images_is_refused_alone():
    reference = ReferenceFeatures(pool=_rows(40, 4), labels=np.zeros(40, dtype=int))
    arm = ArmFeatures(pool=_rows(80, 2), labels=np.repeat([0, 7], 40))
    found = evaluate_per_class(arm, reference, JUDGE, _FAST)
    assert found[0]["frechet_distance"].value is not None
    assert found[7]["frechet_distance"].value is None
    assert found[7]["kid"].value is None
    with pytest.raises(ValueError, match="labels"):
        evaluate_per_class(ArmFeatures(pool=_rows(8, 2)), reference, JUDGE)


def test_a_result_is_plain_json_and_never_a_nan():
    result = MetricResult(value=1.5, ci95=(1.0, 2.0), n=3, n_reference=4, features=JUDGE)
    assert json.loads(json.dumps(result.as_json())) == {
        "value": 1.5,
        "ci95": [1.0, 2.0],
        "n": 3,
        "n_reference": 4,
        "features": {"name": "digits-judge", "sha256": "ab" * 32},
        "reason": None,
    }
    for broken in ({"value": float("nan")}, {"value": None}, {"value": 1.0, "ci95": (2.0, 1.0)}):
        with pytest.raises(ValueError, match=r"nan|reason|reversed"):
            MetricResult(**broken)


def test_a_test_only_network_is_refused_by_exports():
    result = MetricResult(value=1.0, features=FeatureIdentity(name="fd_random_conv_v1", sha256="0" * 64))
    with pytest.raises(ValueError, match="never exported"):
        result.as_json()


def test_identity_needs_a_whole_digest():
    with pytest.raises(ValueError, match="64"):
        FeatureIdentity(name="x", sha256="6726825d")
