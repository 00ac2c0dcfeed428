"""Which images of two arms make a pair, and what is said where they make none."""

import numpy as np

from analysis.images import ArmFeatures, EvaluationRules, FeatureIdentity, ReferenceFeatures, fit_gaussian
from generation.features.differences import KeyedFeatures, PairedArms, chosen, differences_as_json, pair_keys
from generation.features.image_sets import ArraySource, FileSource

JUDGE = FeatureIdentity(name="judge", sha256="ab" * 32)
RULES = EvaluationRules(halves=20, kid_subsets=5, kid_subset_size=8, minimum_per_feature=2)


def _reference() -> ReferenceFeatures:
    rows = np.random.default_rng(0).normal(size=(40, 3))
    return ReferenceFeatures(pool_fit=fit_gaussian(rows), pool=rows, labels=np.arange(40) % 2)


def _arm(keys, seed: int, labels=None) -> KeyedFeatures:
    rows = np.random.default_rng(seed).normal(size=(len(keys), 3))
    found = labels if labels is not None else [int(key) % 2 for key in keys]
    return KeyedFeatures(keys=keys, features=ArmFeatures(pool=rows, labels=np.array(found)))


def _paired(arms) -> PairedArms:
    return PairedArms(arms, _reference(), JUDGE, RULES)


def test_images_meet_by_their_key_in_any_order_and_number():
    keys = [str(i) for i in range(24)]
    arm = _arm(keys, 1)
    turned = KeyedFeatures(keys=keys[::-1], features=arm.features.rows(np.arange(24)[::-1]))
    same, *by_class = _paired({"a": [arm], "b": [turned]}).differences(by_class=True)
    assert same.metrics["kid"].value == 0.0
    assert [one.label for one in by_class] == [0, 1]
    (fewer,) = _paired({"a": [arm], "b": [_arm(keys[:15], 2)]}).differences(by_class=False)
    assert fewer.metrics["kid"].n == 15


def test_every_two_of_many_arms_are_compared():
    keys = [str(i) for i in range(16)]
    paired = _paired({name: [_arm(keys, place)] for place, name in enumerate("cab")})
    assert [(one.arm, one.baseline) for one in paired.differences(by_class=False)] == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]
    assert paired.lacks == []


def test_what_makes_no_pairs_is_named():
    keys = [str(i) for i in range(16)]
    paired = _paired({"a": [_arm(keys, 1)], "b": [_arm([f"x{key}" for key in keys], 2, [0] * 16)]})
    assert paired.differences(by_class=True) == []
    assert "no image has the same name in both" in paired.lacks[0]
    other = _paired({"a": [_arm(keys, 1)], "b": [_arm(keys, 2, [0] * 16)]})
    assert other.differences(by_class=True) == []
    assert "made for different classes" in other.lacks[0]
    uneven = _paired({"a": [_arm(keys, 1)] * 2, "b": [_arm(keys, 2)]})
    assert uneven.differences(by_class=True) == []
    assert "2 and 1 sets" in uneven.lacks[0]


def test_keys_are_file_names_or_rows(tmp_path):
    files = FileSource("a", [tmp_path / "0" / "x.png", tmp_path / "1" / "y.png"], names=("0/x.png", "1/y.png"))
    assert pair_keys(files) == ["0/x.png", "1/y.png"]
    assert pair_keys(ArraySource("b", np.zeros((2, 4, 4, 3), dtype=np.uint8))) == ["0", "1"]
    part = chosen(_arm(["2", "5", "7"], 1), {"7", "2"})
    assert part.keys == ["2", "7"]
    assert len(part.features.pool) == 2


def test_entries_name_classes_as_the_study_does():
    keys = [str(i) for i in range(16)]
    found = _paired({"a": [_arm(keys, 1)], "b": [_arm(keys, 2)]}).differences(by_class=True)
    entries = differences_as_json(found, texts={0: "boot", 1: "coat"}, pairs="seen")
    assert {entry["class_label"] for entry in entries} == {"", "boot", "coat"}
    assert {entry["pairs"] for entry in entries} == {"seen"}
